/** Grids: integers of a level to vectors at vertices, and those to features at points. spec/format.md, sections 4.1 to 4.3. */
import { product, strides } from "../entropy/lattice.js";
import { nTaps, writeTaps } from "./interpolation.js";

const PRIMES = [1, 2654435761, 805459861, 3674653429];

/** The function (vertex) -> row of a level's table. */
export function vertexRows(part, { resolution }, indices = null) {
  const n = product(resolution);
  const last = resolution.length - 1;
  if (part.encoding === "hash" && 2 ** part.log2Size < n) {
    const mask = 2 ** part.log2Size - 1;
    return (at) => {
      let row = 0;
      for (let k = 0; k <= last; k++) row ^= Math.imul(at[last - k], PRIMES[k]);
      return row & mask;
    };
  }
  const step = strides(resolution);
  return (at) => {
    let vertex = 0;
    for (let k = 0; k <= last; k++) vertex += at[k] * step[k];
    return indices ? indices[vertex] : vertex;
  };
}

/** Vectors of a level: `table` (rows x F, float32), and `row`, which names the row of a vertex. */
export class GridLevel {
  /** integers: `{latents}`, `{table}` or `{indices, codebook}` as the file has them. */
  constructor(part, level, integers) {
    const { resolution, nFeatures, step } = level;
    this.part = part;
    this.level = level;
    this.nFeatures = nFeatures;
    if (integers.latents) {
      this.table = new Float32Array(product(resolution) * nFeatures);
      integers.latents.forEach((plane, f) => plane.forEach((v, i) => (this.table[i * nFeatures + f] = v * step)));
    } else this.table = Float32Array.from(integers.table ?? integers.codebook, (v) => v * step);
    /** Whether a row is that of its vertex in raster order. */
    this.direct = !integers.indices && this.table.length === product(resolution) * nFeatures;
    this.row = vertexRows(part, level, integers.indices);
  }

  /** The function (x, out, at) that writes the features at x, moved by `offset` vertices along `axis` where it is given. */
  pointFeatures(axis = -1, offset = 0) {
    const { part, level, nFeatures, table } = this;
    const { resolution } = level;
    const d = resolution.length;
    const taps = nTaps(part);
    const indices = new Int32Array(d * taps);
    const weights = new Float64Array(d * taps);
    const vertex = new Int32Array(d);
    const corners = taps ** d;
    return (x, out, at) => {
      for (let k = 0; k < d; k++) {
        writeTaps(level, taps, resolution[k], x[k], k === axis ? offset : 0, indices, weights, k * taps);
      }
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
