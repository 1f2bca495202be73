/** The field in integers at its source's samples: spec/residual.md, section 2. All numbers are integers in float64. */
import { structureOf } from "./encodings/factors.js";
import { vertexRows } from "./encodings/grid.js";
import { FOLD, nTaps } from "./encodings/interpolation.js";
import { product, raster, strides } from "./entropy/lattice.js";

const LIMIT = 2 ** 30;
const SAFE = 2 ** 52;
const clipTo = (x, limit) => (x < -limit ? -limit : x > limit ? limit : x);

/** shift(x, n) of the specification, for |x| up to 2^52. */
export function shift(x, n) {
  if (n > 0) return clipTo(x * 2 ** Math.min(n, 60), 2 ** 50);
  if (n < -62) return 0;
  return Math.floor((x + (n < 0 ? 2 ** (-n - 1) : 0)) / 2 ** -n);
}

/** shift(a * b, n), where the product may need more bits than a float64 has. */
export function shiftProduct(a, b, n) {
  const x = a * b;
  if (Math.abs(x) <= SAFE || n > 0) return shift(x, n);
  if (n < -62) return 0;
  const bits = BigInt(-n);
  return Number((BigInt(a) * BigInt(b) + ((1n << bits) >> 1n)) >> bits);
}

/** A float as `[M, e]`: M * 2^e, M an integer below 2^24. */
export function mantissa(value) {
  if (value === 0) return [0, 0];
  let e = 0;
  let m = value;
  while (!Number.isInteger(m)) [m, e] = [m * 2, e - 1];
  while (m % 2 === 0) [m, e] = [m / 2, e + 1];
  return [m, e];
}

/** Vertices and weights of axis k for the samples of the source, for features s samples from them. */
function lineOf(part, level, k, m, s) {
  const n = level.resolution[k];
  const fold = FOLD[part.boundaries[k]];
  const copied = n === m && level.b64 === 0;
  const width = copied ? 1 : nTaps(part);
  const indices = new Int32Array(m * width);
  const weights = new Float64Array(m * width).fill(2 ** 15);
  for (let j = 0; j < m; j++) {
    const a = (2 * (j + s) + 1) * n - m;
    const i = copied ? j + s : Math.floor((width === 1 ? a + m : a) / (2 * m));
    const first = width === 4 ? i - 1 : i;
    for (let t = 0; t < width; t++) indices[j * width + t] = fold(first + t, n);
    if (width === 1) continue;
    const t = Math.floor(((a - i * 2 * m) * 2 ** 15 + m) / (2 * m));
    weights.set(width === 2 ? pairWeights(part, t) : cubicWeights(level, BigInt(t)), j * width);
  }
  return { indices, weights, width, n, m };
}

function pairWeights({ interpolation }, t) {
  const s = interpolation === "smoothstep" ? Math.floor((t * t * (3 * 2 ** 15 - 2 * t)) / 2 ** 30 + 0.5) : t;
  return [2 ** 15 - s, s];
}

function cubicWeights({ b64, c64 }, t) {
  const b = BigInt(b64);
  const c = BigInt(c64);
  const unit = 384n << 30n;
  const rounded = (x) => {
    const twice = 2n * x + unit;
    const quotient = twice / (2n * unit);
    return Number(twice < 0n && quotient * 2n * unit !== twice ? quotient - 1n : quotient);
  };
  const one = 1n << 15n;
  const t2 = one * t * t;
  const t3 = t * t * t;
  const A = rounded(-(b + 6n * c) * t3 + (3n * b + 12n * c) * t2 - (3n * b + 6n * c) * one * one * t + b * one ** 3n);
  const D = rounded((9n * b + 6n * c - 768n) * t3 + (1152n - 15n * b - 12n * c) * t2 + (3n * b + 6n * c) * one * one * t + b * one ** 3n);
  const E = rounded((b + 6n * c) * t3 - 6n * c * t2);
  return [A, 2 ** 15 - A - D - E, D, E];
}

/** round(sum of weight * value >> 15) along an axis; of the first axis only sample `at`. values is outer x n x inner. */
function interpolate(values, { indices, weights, width, n, m }, outer, inner, at = -1) {
  const from = at < 0 ? 0 : at;
  const to = at < 0 ? m : at + 1;
  const out = new Float64Array(outer * (to - from) * inner);
  let place = 0;
  for (let o = 0; o < outer; o++) {
    for (let j = from; j < to; j++) {
      for (let i = 0; i < inner; i++) {
        // in two parts, since products may need more than 53 bits
        let high = 0;
        let low = 0;
        for (let t = j * width; t < (j + 1) * width; t++) {
          const v = values[(o * n + indices[t]) * inner + i];
          const h = Math.floor(v / 2 ** 24);
          high += weights[t] * h;
          low += weights[t] * (v - h * 2 ** 24);
        }
        out[place++] = high * 2 ** 9 + Math.floor((low + 2 ** 14) / 2 ** 15);
      }
    }
  }
  return out;
}

/**
 * What the network sees, source by source: `{factors, terms, sum, nFeatures, step, column}`. A level is a single factor of one term, or
 * those of format.md, section 4.4; a factor is `{values, lines, axes}`, lines those of its axes.
 */
function sourcesOf(spec, levels) {
  const [part] = spec.parts;
  const all = spec.extent.map((_, k) => k);
  const structure = structureOf(part.encoding, spec.nAxes) ?? { factors: [all], terms: [[0]] };
  const make = (l, axis, s) => {
    const level = part.levels[l];
    const factors = structure.factors.map((axes, i) => ({
      axes,
      values: vectors(part, level, levels[l], axes, i),
      lines: axes.map((k) => lineOf(part, level, k, spec.extent[k], k === axis ? s : 0)),
    }));
    const { nFeatures, width } = level;
    return { factors, terms: structure.terms, sum: part.joining === "sum", nFeatures, width, step: mantissa(level.step) };
  };
  const sources = part.levels.map((_, l) => make(l, -1, 0));
  for (let l = part.levels.length - part.surrounded; l < part.levels.length; l++) {
    all.forEach((axis) => sources.push(make(l, axis, -1), make(l, axis, 1)));
  }
  let column = 0;
  for (const source of sources) {
    source.column = column;
    column += source.width;
  }
  return sources;
}

/** Integers * 2^12 of all vertices of a lattice over some axes, features last. */
function vectors(part, level, integers, axes, factor) {
  const { nFeatures } = level;
  const shape = axes.map((k) => level.resolution[k]);
  const out = new Float64Array(product(shape) * nFeatures);
  const { indices } = integers;
  const planes = integers.latents ?? integers[`factor${factor}`];
  if (planes) planes.forEach((plane, f) => plane.forEach((v, i) => (out[i * nFeatures + f] = v * 2 ** 12)));
  else {
    const rows = integers.table ?? integers.codebook;
    const rowOf = vertexRows(part, shape, indices);
    raster(shape, (i, at) => {
      const row = rowOf(at) * nFeatures;
      for (let f = 0; f < nFeatures; f++) out[i * nFeatures + f] = rows[row + f] * 2 ** 12;
    });
  }
  return out;
}

/** x of a factor at the samples of slab j: those of all its axes but the first one of the field, features last. */
function factorFeatures({ values, lines, axes }, nFeatures, [m, e], j) {
  let inner = product(lines.map(({ n }) => n)) * nFeatures;
  let plane = values;
  let outer = 1;
  lines.forEach((line, k) => {
    inner /= line.n;
    const first = axes[k] === 0;
    plane = interpolate(plane, line, outer, inner, first ? j : -1);
    if (!first) outer *= line.m;
  });
  return plane.map((v) => clipTo(shiftProduct(v, m, e + 8), LIMIT));
}

/** For each sample of a slab where a factor has its features. */
function slabPlaces(extent, axes) {
  const inner = axes.filter((k) => k > 0);
  const step = strides(inner.map((k) => extent[k]));
  const places = new Int32Array(product(extent.slice(1)));
  raster(extent.slice(1), (i, at) => {
    places[i] = inner.reduce((sum, k, n) => sum + at[k - 1] * step[n], 0);
  });
  return places;
}

/** A layer's sums: exact where they are below 2^52, and above it at least as large. */
class FixedLayer {
  constructor({ values, shift: bits }, nIn) {
    this.weights = values;
    this.nIn = nIn;
    this.bits = bits;
    this.half = bits > 0 ? 2 ** (bits - 1) : 0;
  }

  row(o, h, from) {
    const { weights, nIn, bits, half } = this;
    let high = 0;
    let low = 0;
    for (let i = 0, w = o * nIn; i < nIn; i++, w++) {
      high += weights[w] * (h[from + i] >> 15);
      low += weights[w] * (h[from + i] & 32767);
    }
    if (bits >= 15) return Math.floor((high + Math.floor((low + half) / 2 ** 15)) / 2 ** (bits - 15));
    return high * 2 ** (15 - bits) + Math.floor((low + half) / 2 ** bits);
  }

  exactRow(o, h, from) {
    let sum = BigInt(this.half);
    for (let i = 0; i < this.nIn; i++) sum += BigInt(this.weights[o * this.nIn + i]) * BigInt(h[from + i]);
    return sum >> BigInt(this.bits);
  }
}

class FixedNetwork {
  constructor(spec, integers) {
    const { nHidden, nNeurons, nInputs, nChannels, activation } = spec;
    const biases = ({ values, shift: s }) => Array.from(values, (b) => shift(b, 20 - s));
    this.relu = activation === "relu";
    this.nChannels = nChannels;
    this.hidden = [];
    for (let k = 0; k < nHidden; k++) {
      const layer = new FixedLayer(integers[2 * k], k ? nNeurons : nInputs);
      this.hidden.push({ layer, biases: biases(integers[2 * k + 1]), out: new Int32Array(nNeurons) });
    }
    const rest = integers.slice(2 * nHidden);
    this.out = nHidden > 0 ? new FixedLayer(rest.shift(), nNeurons) : null;
    this.biases = biases(rest[0]);
    this.skip = new FixedLayer(rest[1], nInputs);
    [this.low, this.high] = spec.flags.clip ? [0, 2 ** 20] : [-LIMIT, LIMIT];
  }

  /** y of one sample, whose features begin at x[from], to out[at..]. */
  evaluate(x, from, out, at) {
    let h = x;
    let start = from;
    for (const { layer, biases, out: next } of this.hidden) {
      for (let o = 0; o < next.length; o++) {
        const v = layer.row(o, h, start) + biases[o];
        next[o] = clipTo(this.relu && v < 0 ? 0 : v, LIMIT);
      }
      [h, start] = [next, 0];
    }
    for (let c = 0; c < this.nChannels; c++) {
      const a = this.out ? this.out.row(c, h, start) : 0;
      const b = this.skip.row(c, x, from);
      let y = a + this.biases[c] + b;
      if (Math.abs(a) > SAFE || Math.abs(b) > SAFE) {
        const sum = (this.out ? this.out.exactRow(c, h, start) : 0n) + this.skip.exactRow(c, x, from) + BigInt(this.biases[c]);
        y = Number(sum);
      }
      out[at + c] = y < this.low ? this.low : y > this.high ? this.high : y;
    }
  }
}

/** y at every sample of the source, 20 fractional bits: an Int32Array (samples x C). */
export function fixedField(spec, network, levels) {
  const { extent, nInputs, nChannels } = spec;
  const sources = sourcesOf(spec, levels);
  const fixed = new FixedNetwork(spec, network.integers);
  const slab = product(extent.slice(1));
  const y = new Int32Array(product(extent) * nChannels);
  const x = new Int32Array(slab * nInputs);
  for (const { factors } of sources) for (const factor of factors) factor.places = slabPlaces(extent, factor.axes);
  for (let j = 0; j < extent[0]; j++) {
    for (const { factors, terms, sum, nFeatures, step, column } of sources) {
      const found = factors.map((factor) => factorFeatures(factor, nFeatures, step, j));
      for (let i = 0; i < slab; i++) {
        for (let f = 0; f < nFeatures; f++) {
          let total = 0;
          terms.forEach((term, t) => {
            const at = i * nInputs + column + f;
            let value = found[term[0]][factors[term[0]].places[i] * nFeatures + f];
            for (const p of term.slice(1)) {
              value = clipTo(shiftProduct(value, found[p][factors[p].places[i] * nFeatures + f], -20), LIMIT);
            }
            total = clipTo(total + value, LIMIT);
            if (sum) x[at] = total;
            else x[at + t * nFeatures] = value;
          });
        }
      }
    }
    for (let i = 0; i < slab; i++) fixed.evaluate(x, i * nInputs, y, (j * slab + i) * nChannels);
  }
  return y;
}
