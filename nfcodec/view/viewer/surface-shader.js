/** GLSL of surfaces: rays that step by the distance they read, onto where it is 0 and the trim leaves it, and light there. */
import { RAYS } from "./rays.js";
import { component, float } from "./shader/text.js";

export const CLAY = [0.86, 0.83, 0.79];
export const CHOSEN = [0.2, 0.5, 1, 0.4]; // colour of what is chosen, and how much of it

/** How light falls, for the field's surface and for the source's triangles: `lit(base, normal, towards the eye)`, colours as of a screen. */
export const LIGHT = `uniform vec3 cameraRight, cameraUp, cameraForward;
vec3 lit(vec3 base, vec3 n, vec3 toEye) {
  if (dot(n, toEye) < 0.0) n = -n;
  vec3 key = normalize(0.5 * cameraUp - 0.35 * cameraRight - cameraForward);
  float light = 0.32 + 0.18 * dot(n, cameraUp) + 0.62 * max(dot(n, key), 0.0);
  vec3 half_ = normalize(key + toEye);
  return base * light + 0.08 * pow(max(dot(n, half_), 0.0), 24.0);
}
const vec3 clay = vec3(${CLAY.map(float)});
`;

/** Of a field's outputs y: the number of its world units in an edge of 1, what its kind makes of it, its channels. */
export function surfaceWords(spec) {
  const unit = 1 / (spec.cell * Math.max(...spec.extent));
  const role = (name) => spec.roles.indexOf(name);
  return { unit, trim: role("trim"), colours: role("red") < 0 ? null : ["red", "green", "blue"].map(role), occupancy: spec.kind === "occupancy" };
}

const distanceOf = ({ unit, occupancy }) => (occupancy ? "0.5 - y[0].x" : `y[0].x * ${float(unit)}`);

/** For Bake. */
export function surfacePacking(spec) {
  const words = surfaceWords(spec);
  const { unit, trim, colours, occupancy } = words;
  const source = `first = vec4(${distanceOf(words)}, ${trim < 0 ? "-1.0" : `${component("y", trim)} * ${float(unit)}`}, 0.0, 1.0);
  ${colours ? `second = vec4(${colours.map((c) => component("y", c)).join(", ")}, 1.0);` : ""}`;
  const pack = (values, at, first, second, i) => {
    first[2 * i] = occupancy ? 0.5 - values[at] : values[at] * unit;
    first[2 * i + 1] = trim < 0 ? -1 : values[at + trim] * unit;
    if (colours) colours.forEach((c, k) => (second[4 * i + k] = Math.round(255 * values[at + c])));
  };
  return { head: "", source, uniforms: () => ({}), pack, colours: colours !== null };
}

const MARCH = `
const float LINES = 40.0; // of equal distance within the cut, for an edge of 1 in the view
// where the ray meets the surface, or what is cut of it, and makes its colour; -1 where it does not
float march(vec3 ray) {
  vec2 span = spanOf(ray);
  if (span.x >= span.y) return -1.0;
  float pixel = grain / focal;
  float t = span.x + 1e-5, before = t, last = 0.0;
  float a, b, da, db, hit, h; // between which, what is there, and the guess
  vec3 p, n = vec3(0.0), base;
  int phase = 0, k = 0; // 0 along the ray, 1 closing in on where the sign changes, 2 slopes around it
  bool first_ = true;
  // the field is asked at one place of the text only, since compilers write it out at each
  for (int i = 0; i < 240; i++) {
    if (phase == 0) p = eye + t * ray;
    else if (phase == 1) p = eye + hit * ray;
    vec3 side = (k & 1) == 0 ? vec3(equal(ivec3(k >> 1), ivec3(0, 1, 2))) : -vec3(equal(ivec3(k >> 1), ivec3(0, 1, 2)));
    Read read = readAt(phase == 2 ? p + h * side : p);
    float d = read.value;
    if (phase == 2) {
      n += side * d;
      if (++k < 6) continue;
      n /= max(length(n), 1e-12);
      if (shading == 2) colour = vec4(0.5 + 0.5 * (turn * n), 1.0);
      else colour = vec4(lit(shading == 0 ? base : clay, n, -ray), 1.0);
      return hit;
    }
    if (phase == 1) {
      if (k == 4) {
        if (read.trim <= 0.0) {
          base = read.colour;
          h = max(reach, pixel * hit);
          phase = 2;
          k = 0;
          continue;
        }
        phase = 0; // what is cut off lets the ray through
      } else {
        if (d * da < 0.0) { b = hit; db = d; } else { a = hit; da = d; }
        k++;
        float part = da / (da - db);
        hit = a + (b - a) * (k < 4 ? clamp(part, 0.05, 0.95) : clamp(part, 0.0, 1.0));
        continue;
      }
    } else if (first_) {
      first_ = false;
      if (onSlice(p, ray) && d < 0.0) {
        colour = vec4(0.93, 0.62, 0.32, 1.0);
        float lines = LINES * edge, line = abs(fract(d * lines + 0.5) - 0.5) / lines, width = pixel * t;
        colour.rgb *= 1.0 - 0.45 * (1.0 - smoothstep(0.4 * width, 1.2 * width, line)) * clamp(0.2 / (lines * width), 0.0, 1.0);
        return t;
      }
      last = d;
    } else if (d * last < 0.0) {
      a = before; b = t; da = last; db = d; k = 0;
      hit = a + (b - a) * clamp(da / (da - db), 0.05, 0.95);
      phase = 1;
      before = t;
      last = d;
      continue;
    } else {
      before = t;
      last = d;
    }
    t += stride > 0.0 ? stride : max(0.9 * abs(last), 0.5 * pixel * t);
    if (t >= span.y) return -1.0;
  }
  return -1.0;
}
void main() {
  float t = march(rayOf());
  if (t < 0.0) discard;
  colour.rgb = mix(colour.rgb, mark.rgb, mark.a);
  // grows with the distance from the eye, and is fine where that is near
  gl_FragDepth = edge * t / (1.0 + edge * t);
}`;

/** shader: a FieldShader where points near the surface are to be evaluated, or null. */
export function surfaceFragment(spec, shader) {
  const words = surfaceWords(spec);
  const { unit, trim, colours } = words;
  const quads = (spec.nChannels + 3) >> 2;
  const rough = `Read readAt(vec3 p) {
  vec2 d = textureLod(first, p / size, 0.0).xy;
  return Read(d.x - shift.x, d.y, ${colours ? "textureLod(second, p / size, 0.0).rgb" : "plain"});
}`;
  const exact = `Read readAt(vec3 p) {
  vec2 d = textureLod(first, p / size, 0.0).xy;
  if (abs(d.x - shift.x) > band) return Read(d.x - shift.x, d.y, plain);
  vec4 y[${quads}];
  field(vec4(0.0), vec4((p / size).zyx, 0.0), level, y);
  float trim = ${trim < 0 ? "-1.0" : `${component("y", trim)} * ${float(unit)}`};
  return Read(${distanceOf(words)} - shift.y, trim, ${colours ? `vec3(${colours.map((c) => component("y", c)).join(", ")})` : "plain"});
}`;
  return `${RAYS}
${LIGHT.replace(/^uniform.*\n/, "")}
${shader ? shader.source : ""}
uniform int level, shading; // 0 colours, 1 clay, 2 normals
uniform vec2 shift; // the level of the surface: of the lattice, of the field
uniform float band, stride, reach; // where the field is asked; a step of kinds that are no distance, else 0; how far normals look
uniform float edge; // of 1, in units of the view that it is placed in
uniform mat3 turn; // of normals, to the view
uniform vec3 plain; // where there are no channels of colours
uniform vec4 mark; // a colour, and how much of it
struct Read { float value, trim; vec3 colour; };
${shader ? exact : rough}
${MARCH}`;
}
