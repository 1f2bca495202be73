/** A field: values at points and on lattices. spec/format.md, sections 9 to 11. */
import { check } from "./bytes.js";
import { castSamples, roundEven, sampleArray } from "./casting.js";
import { product, raster, strides } from "./entropy/lattice.js";
import { Evaluator } from "./evaluate.js";
import { MAX_OUTPUT_VALUES } from "./registry.js";
import { decodeResidual } from "./residual.js";

const MAX_BOX = [0, 65536, 256, 32, 16];

export class Field {
  #evaluator;
  #exact = null;

  constructor({ spec, network, levels, residual }, { missing = 0, meta = null, warnings = [] } = {}) {
    this.spec = spec;
    this.network = network;
    /** Integers by level, as they were read. */
    this.levels = levels.slice();
    /** What RESI says, or null. */
    this.residual = residual;
    /** Chunks that are cut off. */
    this.missing = missing;
    /** JSON of META, or null. */
    this.meta = meta;
    this.warnings = warnings;
    this.#evaluator = new Evaluator(spec, network, this.levels);
  }

  get nLevels() {
    return this.spec.nLevels;
  }

  #level(level) {
    if (level === undefined) return this.nLevels - 1;
    check(Number.isInteger(level) && level >= 0 && level < this.nLevels, "limit", `level ${level} of ${this.nLevels}`);
    return level;
  }

  /** Values (N x C, Float32Array) at coords (N x d, in [0, 1], axes in array order). */
  sample(coords, { level } = {}) {
    const { nAxes, nChannels } = this.spec;
    check(coords.length % nAxes === 0, "limit", `${coords.length} numbers are no points of ${nAxes} axes`);
    check((coords.length / nAxes) * nChannels <= MAX_OUTPUT_VALUES, "limit", "too many values at once");
    return this.#evaluator.sample(coords, this.#level(level));
  }

  /** Shape of the lattice that `scale` or `shape` ask for over `region`, [a, b] for each axis. */
  #lattice({ scale = 1, shape, region }) {
    const { extent, nAxes, nChannels } = this.spec;
    const parts = region ?? extent.map(() => [0, 1]);
    const ordered = parts.length === nAxes && parts.every(([a, b]) => a >= 0 && a < b && b <= 1);
    check(ordered, "limit", `region ${JSON.stringify(region)} of ${nAxes} axes`);
    const sizes = shape ?? extent.map((n, k) => Math.max(1, roundEven(n * (parts[k][1] - parts[k][0]) * scale)));
    check(sizes.length === nAxes && sizes.every((m) => Number.isInteger(m) && m > 0), "limit", `shape ${sizes}`);
    check(product(sizes) * nChannels <= MAX_OUTPUT_VALUES, "limit", `lattice of ${sizes} is larger than the limit`);
    return { sizes, parts };
  }

  /**
   * Values of a lattice before the cast: `{shape, data}`, data a Float32Array in C order, channels last. Coarser than the source they are
   * means, unless `average` is false.
   */
  lattice({ level, average = true, ...wanted } = {}) {
    const { extent, nAxes, surface } = this.spec;
    const { sizes, parts } = this.#lattice(wanted);
    const boxes = sizes.map((m, k) => {
      if (surface || !average) return 1;
      const [a, b] = parts[k];
      return Math.min(Math.max(Math.ceil((extent[k] * (b - a)) / m - 1e-9), 1), MAX_BOX[nAxes]);
    });
    const axes = sizes.map((m, k) => {
      const n = m * boxes[k];
      const own = wholeSamples(parts[k], extent[k]);
      const whole = (j) => (own[0] * n + (j + 0.5) * (own[1] - own[0])) / (extent[k] * n);
      if (own) return Float64Array.from({ length: n }, (_, j) => whole(j));
      const [a, b] = parts[k];
      return Float64Array.from({ length: n }, (_, j) => a + ((j + 0.5) / n) * (b - a));
    });
    return this.#evaluator.lattice(axes, boxes, this.#level(level));
  }

  /** A lattice in the source's dtype: `{shape, data, dtype, exact}`; exact where a residual was added. */
  decode({ level, ...wanted } = {}) {
    const { dtype, nChannels } = this.spec;
    const whole = this.#level(level) === this.nLevels - 1;
    const place = this.residual && whole ? this.#sourceSamples(wanted) : null;
    if (place) return { shape: place.shape, data: crop(this.exact().data, this.spec, place), dtype, exact: true };
    const { shape, data } = this.lattice({ level, ...wanted });
    return { shape, data: castSamples(data, dtype, nChannels), dtype, exact: false };
  }

  /** The source's samples that a lattice is, `{first, shape}`, or null. */
  #sourceSamples(wanted) {
    const { extent } = this.spec;
    const { sizes, parts } = this.#lattice(wanted);
    const first = [];
    for (let k = 0; k < extent.length; k++) {
      const own = wholeSamples(parts[k], extent[k]);
      if (!own || own[1] - own[0] !== sizes[k]) return null;
      first.push(own[0]);
    }
    return { first, shape: sizes };
  }

  /** The source's own lattice with its residual, `{data, planes}`: see residual.js. Kept once it was computed. */
  exact() {
    this.#exact ??= decodeResidual(this.spec, this.network, this.levels, this.residual);
    return this.#exact;
  }
}

/** [first, after the last] of the n samples of an axis that [a, b] covers, or null where it ends within some. */
function wholeSamples([a, b], n) {
  const [start, stop] = [Math.round(a * n), Math.round(b * n)];
  return Math.abs(a * n - start) <= 1e-6 && Math.abs(b * n - stop) <= 1e-6 && start < stop ? [start, stop] : null;
}

function crop(data, { extent, nChannels, dtype }, { first, shape }) {
  const step = strides(extent);
  const out = sampleArray(dtype, product(shape) * nChannels);
  raster(shape, (i, at) => {
    const from = at.reduce((sum, j, k) => sum + (j + first[k]) * step[k], 0) * nChannels;
    for (let c = 0; c < nChannels; c++) out[i * nChannels + c] = data[from + c];
  });
  return out;
}
