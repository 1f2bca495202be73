/** RESI, what the field misses at the source's samples: spec/residual.md, sections 1, 3, 4 and 5. */
import { ByteReader, check } from "./bytes.js";
import { roundTo, sampleArray } from "./casting.js";
import { readContextNetwork } from "./entropy/context.js";
import { product, raster, strides } from "./entropy/lattice.js";
import { readLevel } from "./entropy/levels.js";
import { fixedField, mantissa, shift, shiftProduct } from "./fixed.js";
import { SCATTERED, dtypeRange } from "./registry.js";

const MAX_VALUES = 2 ** 27;
const MAX_EXTENT = 2 ** 22;
const MAX_STEP = 2 ** 33 + 1;
const MAX_SHIFT = 40;

/** All of RESI but its planes, which need the field: those are left as bytes. */
export function readResidualHeader(reader, spec, network) {
  const { kind, knee, parts, activation, extent, nChannels, dtype } = spec;
  check((kind === "image" || kind === "volume") && knee === undefined, "resi-kind", `residual of ${kind}`);
  const [{ grid, encoding }] = parts;
  const one = parts.length === 1 && grid && !SCATTERED.has(encoding);
  check(one, "resi-field", "residual of a field that is not one grid");
  check(activation === "relu" || activation === "identity", "resi-field", `residual of a field with ${activation}`);
  const fits = product(extent) * nChannels <= MAX_VALUES && extent.every((n) => n <= MAX_EXTENT);
  check(fits, "resi-extent", `residual of ${extent} samples`);
  checkNetwork(spec, network);
  const flags = reader.u8();
  check(flags <= 3, "resi-flags", `flags ${flags}`);
  const lead = reader.u8();
  check(lead < nChannels, "resi-flags", `lead ${lead} of ${nChannels} channels`);
  const integral = dtypeRange(dtype) !== null;
  const step = integral ? reader.varint() : reader.f32();
  check(integral ? step % 2 === 1 && step <= MAX_STEP : step > 0, "resi-step", `step ${step}`);
  const bound = integral ? (step - 1) / 2 : reader.f64();
  check(integral || bound > 0, "resi-step", `bound ${bound}`);
  const detailShift = reader.u8();
  check(detailShift <= MAX_SHIFT, "resi-shift", `detail shift ${detailShift}`);
  const bytes = reader.sub("network of RESI");
  const context = readContextNetwork(bytes, spec.nAxes, nChannels > 1);
  bytes.end();
  const wide = (flags & 2) !== 0;
  const planes = [reader.block()];
  if (wide) planes.push(reader.block());
  return { differences: (flags & 1) !== 0, wide, lead, step, bound, detailShift, context, planes };
}

function checkNetwork(spec, network) {
  const { nHidden, nNeurons, nInputs } = spec;
  network.integers.forEach(({ values }, i) => {
    const last = i === network.integers.length - 1;
    const biases = nHidden > 0 ? i % 2 === 1 : i === 0;
    if (biases) return;
    const width = last || i === 0 ? nInputs : nNeurons;
    for (let at = 0; at < values.length; at += width) {
      const sum = values.subarray(at, at + width).reduce((total, w) => total + Math.abs(w), 0);
      check(sum < 2 ** 31, "resi-network", "weights of a network with a residual are too large");
    }
  });
}

/**
 * The source's own lattice: `{data, planes}`, data in the source's dtype (samples x C), planes the integers as they are coded,
 * a list of Int32Arrays for each of the one or two levels.
 */
export function decodeResidual(spec, network, levels, residual) {
  const { extent, nChannels } = spec;
  const y = fixedField(spec, network, levels);
  const order = [residual.lead, ...Array.from({ length: nChannels }, (_, c) => c).filter((c) => c !== residual.lead)];
  const nLevels = residual.wide ? 3 : 2;
  let coarse = { shape: extent, planes: details(y, order, extent, residual) };
  const coded = residual.planes.map((block, n) => {
    const bytes = new ByteReader(block, "planes of RESI");
    coarse = readLevel(bytes, residual.context, { shape: extent, nPlanes: nChannels, level: n + 1, nLevels, coarse });
    bytes.end();
    return coarse.planes;
  });
  const total = product(extent);
  const data = sampleArray(spec.dtype, total * nChannels);
  let first = null;
  order.forEach((c, p) => {
    const q = Float64Array.from(coded[0][p]);
    if (residual.wide) coded[1][p].forEach((low, i) => (q[i] = q[i] * 2 ** 16 + low));
    if (residual.differences && first) first.forEach((v, i) => (q[i] += v));
    first ??= q;
    const value = valueOf(spec, c, residual.step);
    for (let i = 0; i < total; i++) data[i * nChannels + c] = value(y[i * nChannels + c], q[i]);
  });
  return { data, planes: coded };
}

/** Section 3: how far a sample lies above its neighbours. */
function details(y, order, extent, { differences, detailShift }) {
  const nChannels = order.length;
  const step = strides(extent);
  const z = new Float64Array(product(extent));
  return order.map((c, p) => {
    for (let i = 0; i < z.length; i++) {
      z[i] = y[i * nChannels + c] - (differences && p > 0 ? y[i * nChannels + order[0]] : 0);
    }
    const plane = new Int32Array(z.length);
    raster(extent, (i, at) => {
      let sum = 0;
      for (let k = 0; k < extent.length; k++) {
        if (at[k] > 0) sum += z[i] - z[i - step[k]];
        if (at[k] < extent[k] - 1) sum += z[i] - z[i + step[k]];
      }
      const detail = shift(sum, -detailShift);
      plane[i] = detail < -255 ? -255 : detail > 255 ? 255 : detail;
    });
    return plane;
  });
}

/** Section 5: the function (y, q) -> value of a channel. */
function valueOf({ dtype, offsets, scales }, c, step) {
  const range = dtypeRange(dtype);
  const [M, e] = mantissa(offsets[c]);
  const [N, g] = mantissa(scales[c]);
  if (!range) return (y, q) => roundTo(dtype, offsets[c] + scales[c] * (y * 2 ** -20) + step * q);
  const [least, greatest] = range;
  const clip = (v) => (v < least ? least : v > greatest ? greatest : v);
  const offset = shift(M, e + 8);
  return (y, q) => clip(clip(Math.floor((offset + shiftProduct(y, N, g - 12) + 128) / 256)) + step * q);
}
