/** Values of pictures as colours of a screen: the same in GLSL and for numbers from the decoder. */
import { component, float } from "./shader/text.js";

/** Least and greatest value shown, and whether the last channel is opacity. */
export function rangeOf(spec) {
  const { dtype, offsets, scales, nChannels } = spec;
  const range = { u1: [0, 255], u2: [0, 65535], b1: [0, 1] }[dtype] ?? [offsets[0], offsets[0] + scales[0]];
  return { low: Math.min(...range), high: Math.max(...range), alpha: nChannels === 2 || nChannels === 4 };
}

/** Pictures of high dynamic range are linear light. */
export const isLight = (spec) => spec.knee !== undefined;

/** Channels of red, green, blue and, where there is one, of opacity. */
const channels = (n) => [...(n < 3 ? [0, 0, 0] : [0, 1, 2]), n === 2 || n === 4 ? n - 1 : -1];

/** `vec4 shown(vec4 y[])`, straight alpha; it asks for the uniform `exposure` where values are light. */
export function shownSource(spec) {
  const { low, high } = rangeOf(spec);
  const [r, g, b, a] = channels(spec.nChannels);
  const quads = (spec.nChannels + 3) >> 2;
  const scaled = (c) => `(${component("y", c)} - ${float(low)}) * ${float(1 / (high - low || 1))}`;
  const colour = isLight(spec)
    ? `vec3 light = max(vec3(${[r, g, b].map((c) => component("y", c)).join(", ")}) * exposure, 0.0);
  vec3 c = mix(12.92 * light, 1.055 * pow(light, vec3(1.0 / 2.4)) - 0.055, greaterThan(light, vec3(0.0031308)));`
    : `vec3 c = vec3(${[r, g, b].map(scaled).join(", ")});`;
  const step = spec.dtype === "b1" ? "c = step(0.5, c);" : "";
  return `${isLight(spec) ? "uniform float exposure;\n" : ""}vec4 shown(vec4 y[${quads}]) {
  ${colour}
  ${step}
  return vec4(clamp(c, 0.0, 1.0), ${a < 0 ? "1.0" : `clamp(${isLight(spec) ? component("y", a) : scaled(a)}, 0.0, 1.0)`});
}`;
}

/** RGBA bytes, straight, from n values of all channels. */
export function shownBytes(spec, values, exposure = 1) {
  const { low, high } = rangeOf(spec);
  const order = channels(spec.nChannels);
  const n = values.length / spec.nChannels;
  const out = new Uint8ClampedArray(4 * n);
  const light = isLight(spec);
  for (let i = 0; i < n; i++) {
    for (let k = 0; k < 4; k++) {
      const value = order[k] < 0 ? high : values[i * spec.nChannels + order[k]];
      let v = light && k < 3 ? encoded(value * exposure) : (value - low) / (high - low || 1);
      if (order[k] < 0) v = 1;
      if (spec.dtype === "b1") v = v > 0.5 ? 1 : 0;
      out[4 * i + k] = 255 * v;
    }
  }
  return out;
}

/** sRGB's curve. */
const encoded = (v) => (v <= 0.0031308 ? 12.92 * Math.max(v, 0) : 1.055 * v ** (1 / 2.4) - 0.055);
