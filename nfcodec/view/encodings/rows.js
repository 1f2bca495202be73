/**
 * Features of a grid's level on a lattice, one row of its last axis at a time: axes are interpolated one after the other, and
 * what rows have in common is kept.
 */
import { product, raster } from "../entropy/lattice.js";
import { nTaps } from "./interpolation.js";

const MAX_BLOCK = 2 ** 26;

export class GridRows {
  /** axes: the coordinates of the lattice along each axis of the grid. Null where points one by one are the better way. */
  static make(grid, axes, axis = -1, offset = 0) {
    const { part, nFeatures } = grid;
    if (part.encoding === "hash" && !grid.direct) return null; // as many vertices as one likes
    const taps = nTaps(part);
    const lines = grid.lines(axis, offset).map((line, k) => tapsOf(line, axes[k]));
    const block = product(lines.map(({ n }) => n));
    const points = product(axes.map((coordinates) => coordinates.length));
    if (block * nFeatures > MAX_BLOCK || block > points * taps ** axes.length) return null;
    return new GridRows(grid, lines, taps);
  }

  constructor(grid, lines, taps) {
    this.lines = lines;
    this.taps = taps;
    this.nFeatures = grid.nFeatures;
    const shape = lines.map(({ n }) => n);
    this.stages = [cut(grid, lines)];
    for (let k = 0; k < shape.length - 1; k++) {
      this.stages.push(new Float64Array(product(shape.slice(k + 1)) * grid.nFeatures));
    }
    this.done = new Array(shape.length - 1).fill(-1);
  }

  /** Writes the features of the row at indices `outer` of all axes but the last: out[at + j * width ..] for sample j. */
  write(outer, out, at, width) {
    const { lines, taps, stages, done, nFeatures } = this;
    const last = lines.length - 1;
    let stale = false;
    for (let k = 0; k < last; k++) {
      stale ||= done[k] !== outer[k];
      if (!stale) continue;
      const from = stages[k];
      const to = stages[k + 1];
      const { indices, weights } = lines[k];
      to.fill(0);
      for (let t = outer[k] * taps; t < (outer[k] + 1) * taps; t++) {
        const weight = weights[t];
        const base = indices[t] * to.length;
        if (weight !== 0) for (let i = 0; i < to.length; i++) to[i] += weight * from[base + i];
      }
      done[k] = outer[k];
    }
    const row = stages[last];
    const { indices, weights, size } = lines[last];
    for (let j = 0, t = 0; j < size; j++, at += width) {
      for (let f = 0; f < nFeatures; f++) out[at + f] = 0;
      for (let s = 0; s < taps; s++, t++) {
        const weight = weights[t];
        const base = indices[t] * nFeatures;
        for (let f = 0; f < nFeatures; f++) out[at + f] += weight * row[base + f];
      }
    }
  }
}

/** Taps along an axis, with vertices counted from the lowest in use: `first`, `n` of them. */
function tapsOf(line, coordinates) {
  const indices = new Int32Array(coordinates.length * line.taps);
  const weights = new Float64Array(coordinates.length * line.taps);
  coordinates.forEach((x, j) => line.write(x, indices, weights, j * line.taps));
  let first = line.n - 1;
  let last = 0;
  for (const i of indices) {
    first = Math.min(first, i);
    last = Math.max(last, i);
  }
  for (let t = 0; t < indices.length; t++) indices[t] -= first;
  return { indices, weights, first, n: last - first + 1, size: coordinates.length };
}

/** The vectors of the vertices in use, as a block of their own. */
function cut(grid, lines) {
  const { table, nFeatures, shape } = grid;
  if (grid.direct && lines.every(({ n }, k) => n === shape[k])) return table;
  const block = new Float32Array(product(lines.map(({ n }) => n)) * nFeatures);
  const vertex = new Int32Array(lines.length);
  raster(lines.map(({ n }) => n), (i, at) => {
    for (let k = 0; k < at.length; k++) vertex[k] = at[k] + lines[k].first;
    const row = grid.row(vertex) * nFeatures;
    for (let f = 0; f < nFeatures; f++) block[i * nFeatures + f] = table[row + f];
  });
  return block;
}
