/** GLSL of pictures: the field at fragments, and samples of a picture at the same places. */
import { shownSource } from "./display.js";

// a coordinate comes in two parts, the first of which has few digits: see shader/lattices.js
const COMMON = `precision highp float;
precision highp int;
uniform vec2 middle, perPixel, anchorHigh, anchorLow;
uniform float grain;
out vec4 colour;
// (y, x) from the anchor, of the middle of a fragment moved by parts of it
vec2 away(vec2 moved) { vec2 p = (gl_FragCoord.xy + moved) * grain - middle; return vec2(-p.y, p.x) * perPixel; }
bool inside(vec2 x) { return all(greaterThanEqual(x, vec2(0.0))) && all(lessThanEqual(x, vec2(1.0))); }
`;

/** Means of box x box values of the field, as colours of the screen. */
export const imageFragment = (shader, spec) => `${COMMON}
${shader.source}
${shownSource(spec)}
uniform int level, box;
void main() {
  if (!inside(anchorHigh + anchorLow + away(vec2(0.0)))) { colour = vec4(0.0); return; }
  vec4 sum = vec4(0.0);
  for (int i = 0; i < box * box; i++) {
    vec2 moved = (vec2(i % box, i / box) + 0.5) / float(box) - 0.5;
    vec4 y[${(spec.nChannels + 3) >> 2}];
    field(vec4(anchorHigh, 0.0, 0.0), vec4(anchorLow + away(moved), 0.0, 0.0), level, y);
    vec4 c = shown(y);
    sum += vec4(c.rgb * c.a, c.a);
  }
  colour = sum / float(box * box);
}`;

/** Means of samples of a picture that is premultiplied already, nearest or bilinear. */
export const SAMPLES = `${COMMON}
uniform sampler2D samples;
uniform bool bilinear;
uniform int box;
vec4 sampleAt(ivec2 at, ivec2 size) { return texelFetch(samples, clamp(at, ivec2(0), size - 1), 0); }
void main() {
  ivec2 size = textureSize(samples, 0);
  vec2 place = anchorHigh + anchorLow + away(vec2(0.0));
  if (!inside(place)) { colour = vec4(0.0); return; }
  vec4 sum = vec4(0.0);
  for (int i = 0; i < box * box; i++) {
    vec2 moved = (vec2(i % box, i / box) + 0.5) / float(box) - 0.5;
    // the whole part and the rest apart, as far in as one likes
    vec2 high = anchorHigh.yx * vec2(size), low = (anchorLow + away(moved)).yx * vec2(size);
    vec2 whole = floor(high), rest = high - whole + low;
    if (!bilinear) { sum += sampleAt(ivec2(whole) + ivec2(floor(rest)), size); continue; }
    rest -= 0.5;
    ivec2 at = ivec2(whole) + ivec2(floor(rest));
    vec2 f = fract(rest);
    vec4 above = mix(sampleAt(at, size), sampleAt(at + ivec2(1, 0), size), f.x);
    sum += mix(above, mix(sampleAt(at + ivec2(0, 1), size), sampleAt(at + ivec2(1, 1), size), f.x), f.y);
  }
  colour = sum / float(box * box);
}`;
