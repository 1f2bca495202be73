/** Clouds of points with features: spec/format.md, section 4.8. */
import { check } from "../bytes.js";
import { product, raster, strides } from "../entropy/lattice.js";
import { readTable } from "../entropy/streams.js";
import * as R from "../registry.js";

const MAX_SIZE = 15;
const MAX_CELLS = 2 ** 62;

/** Most points of a level. */
export const mostPoints = (part, level) => Math.min(product(level.resolution), 2 ** part.log2Size);

/** `{positions, sizes, features, reach}` of a level. */
export function readPoints(bytes, part, level) {
  const { resolution, nFeatures } = level;
  const d = resolution.length;
  const n = bytes.varint();
  check(n <= mostPoints(part, level), "limit-points", `${n} points of a level`);
  const reach = bytes.varint();
  check(reach >= 1 && reach <= R.MAX_REACH, "limit-points", `reach ${reach}`);
  check(product(cellShape(resolution, reach)) < MAX_CELLS, "limit-points", `too many cells of reach ${reach}`);
  const width = d + 1 + nFeatures;
  const rows = readTable(bytes, n, width);
  const positions = new Int32Array(n * d);
  const sizes = new Int32Array(n);
  const features = new Int32Array(n * nFeatures);
  for (let i = 0, first = 0; i < n; i++) {
    first += rows[i * width];
    for (let k = 0; k < d; k++) {
      const place = k === 0 ? first : rows[i * width + k] + (resolution[k] >> 1);
      check(place >= 0 && place < resolution[k], "points-place", `point at ${place} of ${resolution[k]} vertices`);
      positions[i * d + k] = place;
    }
    sizes[i] = rows[i * width + d];
    check(sizes[i] >= 0 && sizes[i] <= MAX_SIZE, "points-place", `point of size ${sizes[i]}`);
    for (let f = 0; f < nFeatures; f++) features[i * nFeatures + f] = rows[i * width + d + 1 + f];
  }
  const integers = { positions, sizes, features, reach: Int32Array.of(reach) };
  pointsOfCells(resolution, integers);
  return integers;
}

/** Cells of `edge` vertices along each axis. */
export const cellShape = (resolution, edge) => resolution.map((n) => Math.ceil(n / edge));

/** For each cell that points reach into, by its number, those points; cells are as large as the reach, or larger. */
export function pointsOfCells(resolution, { positions, sizes, reach: [reach] }, edge = reach) {
  const d = resolution.length;
  const cells = cellShape(resolution, edge);
  const step = cellSteps(cells);
  const found = new Map();
  for (let i = 0; i < sizes.length; i++) {
    const from = [];
    const counts = [];
    for (let k = 0; k < d; k++) {
      const p = 2 * positions[i * d + k] + 1;
      from[k] = Math.max(Math.floor((p - 2 * reach) / (2 * edge)), 0);
      counts[k] = Math.min(Math.floor((p + 2 * reach) / (2 * edge)), cells[k] - 1) - from[k] + 1;
    }
    raster(counts, (_, at) => {
      const cell = cellNumber(at.map((c, k) => from[k] + c), step);
      if (!found.has(cell)) found.set(cell, []);
      const list = found.get(cell);
      list.push(i);
      check(edge > reach || list.length <= R.MAX_NEIGHBOURS, "limit-neighbours", `more than ${R.MAX_NEIGHBOURS} points reach into a cell`);
    });
  }
  return found;
}

/** null where numbers of cells need more bits than float64 has. */
const cellSteps = (cells) => (product(cells) < 2 ** 53 ? strides(cells) : null);
const cellNumber = (at, step) => (step ? at.reduce((sum, i, k) => sum + i * step[k], 0) : at.join());

export class PointLevel {
  constructor(part, level, integers) {
    this.level = level;
    this.integers = integers;
    this.cells = pointsOfCells(level.resolution, integers);
    this.features = Float32Array.from(integers.features, (v) => v * level.step);
  }

  /** The function (x, out, at) that writes the features at x, in 0..1. */
  pointFeatures() {
    const { cells, features } = this;
    const { resolution, nFeatures } = this.level;
    const { positions, sizes, reach: [reach] } = this.integers;
    const d = resolution.length;
    const shape = cellShape(resolution, reach);
    const step = cellSteps(shape);
    const u = new Float64Array(d);
    return (x, out, at) => {
      const cell = Array.from(x, (_, k) => {
        u[k] = x[k] * resolution[k] - 0.5;
        return Math.min(Math.floor((u[k] + 0.5) / reach), shape[k] - 1);
      });
      out.fill(0, at, at + nFeatures);
      for (const i of cells.get(cellNumber(cell, step)) ?? []) {
        let square = 0;
        for (let k = 0; k < d; k++) square += (u[k] - positions[i * d + k]) ** 2;
        const weight = Math.max(1 - (16 * square) / (reach * reach * (16 - sizes[i])), 0) ** 3;
        if (weight > 0) for (let f = 0; f < nFeatures; f++) out[at + f] += weight * features[i * nFeatures + f];
      }
    };
  }
}
