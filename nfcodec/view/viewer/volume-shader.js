/** GLSL of volumes: rays that gather light through a lattice by a transfer function, or find the largest value; and slices. */
import { placeOf } from "./shader/text.js";
import { RAYS } from "./rays.js";

/** Least value shown of a channel, and the range, by the header. */
export function volumeRange({ offsets, scales, dtype }, channel) {
  if (dtype === "b1") return [0, 1];
  return [Math.min(offsets[channel], offsets[channel] + scales[channel]), Math.abs(scales[channel]) || 1];
}

/** The channel that is shown, as parts of its range. */
const SHOWN = `uniform int channel;
uniform vec2 range; // least value, size`;
const shown = "(y[channel >> 2][channel & 3] - range.x) / range.y";

/** For Bake: values of a view's channel as parts of its range. */
export function volumePacking(view) {
  return {
    head: SHOWN,
    source: `first = vec4(${shown}, 0.0, 0.0, 1.0);`,
    uniforms: () => ({ channel: { int: view.channel }, range: view.range }),
    pack: (values, at, first, _, i) => (first[2 * i] = (values[at + view.channel] - view.range[0]) / view.range[1]),
    colours: false,
  };
}

/** shader: a FieldShader by which slices are evaluated, or null. */
export function volumeFragment(spec, shader) {
  const quads = (spec.nChannels + 3) >> 2;
  const exact = `vec4 y[${quads}]; field(vec4(0.0), ${placeOf(spec, "p / size")}, level, y); return ${shown};`;
  return `${RAYS}
${shader ? shader.source : ""}
${SHOWN}
uniform float time;
uniform sampler2D transfer; // colour and opacity of parts of the range
uniform int level, mode; // 0 light, 1 the largest value
uniform vec2 window;
uniform float stride, density;
float valueAt(vec3 p) { return textureLod(first, p / size, 0.0).x; }
float exactAt(vec3 p) { ${shader ? exact : "return valueAt(p);"} }
vec4 shade(float v) { return textureLod(transfer, vec2(clamp((v - window.x) / (window.y - window.x), 0.0, 1.0), 0.5), 0.0); }
// how much of a light beside the eye comes back, where values change
float lightAt(vec3 p, vec3 ray) {
  vec2 k = vec2(1.0, -1.0) * 2.0 * stride;
  vec3 n = k.xyy * valueAt(p + k.xyy) + k.yyx * valueAt(p + k.yyx) + k.yxy * valueAt(p + k.yxy) + k.xxx * valueAt(p + k.xxx);
  float slope = length(n) / (16.0 * stride * stride);
  vec3 key = normalize(0.5 * cameraUp - 0.35 * cameraRight - cameraForward);
  return mix(0.75, 0.25 + 0.9 * abs(dot(n, key)) / max(length(n), 1e-9), clamp(slope / (4.0 * (window.y - window.x)), 0.0, 1.0));
}
float noise(vec2 p) { return fract(52.9829189 * fract(dot(p, vec2(0.06711056, 0.00583715)))); }
void main() {
  vec3 ray = rayOf();
  vec2 span = spanOf(ray);
  colour = vec4(0.0);
  if (span.x >= span.y) return;
  vec3 start = eye + (span.x + 1e-5) * ray;
  if (onSlice(start, ray)) {
    colour = vec4(shade(exactAt(start)).rgb, 1.0);
    return;
  }
  // strides begin at another part of one in each pixel, so that no rings are seen
  float t = span.x + stride * noise(gl_FragCoord.xy), largest = -1e9;
  vec3 light = vec3(0.0);
  float through = 1.0;
  for (int i = 0; i < 1024 && t < span.y; i++) {
    float v = valueAt(eye + t * ray);
    if (mode == 1) largest = max(largest, v);
    else {
      vec4 c = shade(v);
      float opacity = 1.0 - exp(-density * c.a * stride);
      if (opacity > 0.004) light += through * opacity * lightAt(eye + t * ray, ray) * c.rgb;
      through *= 1.0 - opacity;
      if (through < 0.01) break;
    }
    t += stride;
  }
  if (mode == 1) {
    float shown = clamp((largest - window.x) / (window.y - window.x), 0.0, 1.0);
    colour = vec4(shade(largest).rgb, 1.0) * shown;
  } else colour = vec4(light, 1.0 - through);
}`;
}
