/** Values as samples of a dtype: spec/format.md, section 7. */
import { dtypeRange } from "./registry.js";

const ARRAYS = {
  u1: Uint8Array, u2: Uint16Array, u4: Uint32Array, i1: Int8Array, i2: Int16Array, i4: Int32Array,
  f2: Uint16Array, f4: Float32Array, f8: Float64Array, b1: Uint8Array,
};

/** Zeros of a dtype; f2 as the bits of its numbers. */
export const sampleArray = (dtype, n) => new ARRAYS[dtype](n);

/** The bits of the float16 nearest to a number, ties to even. */
export function halfBits(value) {
  if (Number.isNaN(value)) return 0x7e00;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (size >= 65520) return sign | 0x7c00;
  if (size < 2 ** -14) return sign | roundEven(size * 2 ** 24);
  let e = Math.floor(Math.log2(size));
  if (2 ** e > size) e--;
  else if (2 ** (e + 1) <= size) e++;
  // a mantissa that is rounded up to 2048 carries into the exponent
  return sign | (((e + 15) << 10) + roundEven(size * 2 ** (10 - e)) - 1024);
}

/** To the nearest integer, ties to even. */
export function roundEven(x) {
  const floor = Math.floor(x);
  const rest = x - floor;
  if (rest !== 0.5) return rest < 0.5 ? floor : floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

/** A number as it is stored in the array of a float dtype. */
export const roundTo = (dtype, value) => (dtype === "f2" ? halfBits(value) : value);

/** Values (float32) in the source's dtype. */
export function castSamples(values, dtype) {
  const out = sampleArray(dtype, values.length);
  const range = dtypeRange(dtype);
  for (let i = 0; i < values.length; i++) {
    const v = values[i];
    if (dtype === "b1") out[i] = v > 0.5 ? 1 : 0;
    else if (!range) out[i] = roundTo(dtype, v);
    else out[i] = Number.isNaN(v) ? 0 : Math.min(Math.max(roundEven(v), range[0]), range[1]);
  }
  return out;
}
