/**
 * Lattices of vectors: integers of a level to vectors at vertices, and those to features at points. spec/format.md, sections 4.1 to 4.3,
 * and of the factors of sections 4.4 to 4.7.
 */
import { product, strides } from "../entropy/lattice.js";
import { Axis, nTaps } from "./interpolation.js";

const PRIMES = [1, 2654435761, 805459861, 3674653429];

/** The function (vertex) -> row of a table, for a lattice of this shape. */
export function vertexRows(part, shape, indices = null) {
  const last = shape.length - 1;
  if (part.encoding === "hash" && 2 ** part.log2Size < product(shape)) {
    const mask = 2 ** part.log2Size - 1;
    return (at) => {
      let row = 0;
      for (let k = 0; k <= last; k++) row ^= Math.imul(at[last - k], PRIMES[k]);
      return row & mask;
    };
  }
  const step = strides(shape);
  return (at) => {
    let vertex = 0;
    for (let k = 0; k <= last; k++) vertex += at[k] * step[k];
    return indices ? indices[vertex] : vertex;
  };
}

/** A lattice over some axes: `table` (rows x F, float32), and `row`, which names the row of a vertex. */
export class Grid {
  /** integers: `{latents}`, `{table}` or `{indices, codebook}`; axes: those of the lattice, all of them if not given. */
  constructor(part, level, integers, axes = level.resolution.map((_, k) => k)) {
    const { nFeatures, step } = level;
    this.part = part;
    this.level = level;
    this.nFeatures = nFeatures;
    this.axes = axes;
    this.shape = axes.map((k) => level.resolution[k]);
    if (integers.latents) {
      this.table = new Float32Array(product(this.shape) * nFeatures);
      integers.latents.forEach((plane, f) => plane.forEach((v, i) => (this.table[i * nFeatures + f] = v * step)));
    } else this.table = Float32Array.from(integers.table ?? integers.codebook, (v) => v * step);
    /** Whether a row is that of its vertex in raster order. */
    this.direct = !integers.indices && this.table.length === product(this.shape) * nFeatures;
    this.row = vertexRows(part, this.shape, integers.indices);
  }

  /** Its axes for interpolation, moved by `offset` vertices along `axis`. */
  lines(axis = -1, offset = 0) {
    return this.axes.map((k) => new Axis(this.part, this.level, k, k === axis ? offset : 0));
  }

  /** The function (x, out, at) that writes the features at x, moved as lines() says. */
  pointFeatures(axis = -1, offset = 0) {
    const { axes, nFeatures, table } = this;
    const lines = this.lines(axis, offset);
    const d = axes.length;
    const taps = nTaps(this.part);
    const indices = new Int32Array(d * taps);
    const weights = new Float64Array(d * taps);
    const vertex = new Int32Array(d);
    const corners = taps ** d;
    return (x, out, at) => {
      for (let k = 0; k < d; k++) lines[k].write(x[axes[k]], indices, weights, k * taps);
      out.fill(0, at, at + nFeatures);
      for (let corner = 0; corner < corners; corner++) {
        let weight = 1;
        for (let k = 0, rest = corner; k < d; k++) {
          const t = k * taps + (rest % taps);
          rest = (rest / taps) | 0;
          vertex[k] = indices[t];
          weight *= weights[t];
        }
        const row = this.row(vertex) * nFeatures;
        for (let f = 0; f < nFeatures; f++) out[at + f] += weight * table[row + f];
      }
    };
  }
}
