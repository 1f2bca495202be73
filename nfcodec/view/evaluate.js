/** Values of a field at points and on lattices: spec/format.md, sections 4 to 7. */
import { coordinateEncoding } from "./encodings/coordinates.js";
import { FactorLevel, structureOf } from "./encodings/factors.js";
import { Grid } from "./encodings/grid.js";
import { MeshLevel } from "./encodings/mesh.js";
import { PointLevel } from "./encodings/points.js";
import { GridRows } from "./encodings/rows.js";
import { product, raster } from "./entropy/lattice.js";
import { SCATTERED } from "./registry.js";

const BATCH = 256;

/** What gives the features of a level that is there. */
function levelOf(part, level, held, nAxes) {
  if (!part.grid) return { pointFeatures: () => coordinateEncoding(part, nAxes, held.widths) };
  if (part.encoding === "points") return new PointLevel(part, level, held);
  if (part.encoding === "mesh") return new MeshLevel(part, level, held);
  return structureOf(part.encoding, nAxes) ? new FactorLevel(part, level, held) : new Grid(part, level, held);
}

/** How a level gives rows of lattices, or null: see GridRows. */
function rowsOf({ source, axis, offset }, lines) {
  if (source instanceof Grid) return GridRows.make(source, lines, axis, offset);
  return source instanceof FactorLevel ? source.rows(lines) : null;
}

/** Sources of features in the order in which the network sees them: `{level, column, source, points, axis, offset, clipped}`. */
function featureSources(spec, integers) {
  const sources = [];
  let column = 0;
  let index = 0;
  const add = (made) => {
    sources.push({ ...made, column });
    column += made.width;
  };
  for (const part of spec.parts) {
    const around = [];
    const finest = part.levels[part.levels.length - 1].resolution;
    // beyond 0..1 only lattices have a meaning
    const clipped = !part.grid || SCATTERED.has(part.encoding);
    part.levels.forEach((level, l) => {
      const held = integers[index];
      const source = held && levelOf(part, level, held, spec.nAxes);
      const made = { level: index++, width: level.width, source, clipped };
      add({ ...made, points: source?.pointFeatures(), axis: -1, offset: 0 });
      if (l < part.levels.length - (part.surrounded ?? 0)) return;
      for (let axis = 0; axis < spec.nAxes; axis++) {
        for (const s of [-1, 1]) {
          const offset = (s * level.resolution[axis]) / finest[axis];
          around.push({ ...made, points: source?.pointFeatures(axis, offset), axis, offset });
        }
      }
    });
    around.forEach(add);
  }
  return sources;
}

export class Evaluator {
  /** integers: by level of the field; undefined for levels that are not there, which count as 0. */
  constructor(spec, network, integers) {
    this.spec = spec;
    this.network = network;
    this.sources = featureSources(spec, integers);
  }

  active(level) {
    return this.sources.filter((source) => source.points && source.level <= level);
  }

  /** coords (N x d) -> values (N x C), with the features of levels up to `level`. */
  sample(coords, level) {
    const { nAxes, nInputs, nChannels } = this.spec;
    const n = coords.length / nAxes;
    const out = new Float32Array(n * nChannels);
    const sources = this.active(level);
    const features = new Float64Array(BATCH * nInputs);
    const x = new Float64Array(nAxes);
    const within = new Float64Array(nAxes);
    for (let start = 0; start < n; start += BATCH) {
      const size = Math.min(BATCH, n - start);
      for (let i = 0; i < size; i++) {
        for (let k = 0; k < nAxes; k++) {
          x[k] = coords[(start + i) * nAxes + k];
          within[k] = Math.min(Math.max(x[k], 0), 1);
        }
        for (const { points, column, clipped } of sources) points(clipped ? within : x, features, i * nInputs + column);
      }
      this.network.evaluate(features, size, out, start * nChannels);
    }
    return out;
  }

  /** Calls visit(outer, row) for each row of the lattice along its last axis; axes holds coordinates along each, in 0..1. */
  rows(axes, level, visit) {
    const { nAxes, nInputs, nChannels } = this.spec;
    const last = axes[nAxes - 1];
    const sources = this.active(level).map((source) => ({ ...source, rows: rowsOf(source, axes) }));
    const features = new Float64Array(last.length * nInputs);
    const row = new Float32Array(last.length * nChannels);
    const x = new Float64Array(nAxes);
    raster(axes.slice(0, -1).map((line) => line.length), (_, outer) => {
      for (const { rows, points, column } of sources) {
        if (rows) {
          rows.write(outer, features, column, nInputs);
          continue;
        }
        for (let k = 0; k < nAxes - 1; k++) x[k] = axes[k][outer[k]];
        for (let j = 0; j < last.length; j++) {
          x[nAxes - 1] = last[j];
          points(x, features, j * nInputs + column);
        }
      }
      this.network.evaluate(features, last.length, row);
      visit(outer, row);
    });
  }

  /** The lattice of axes, each value the mean of a box of `boxes` samples: values in C order, channels last. */
  lattice(axes, boxes, level) {
    const { nAxes, nChannels } = this.spec;
    const shape = axes.map((coordinates, k) => coordinates.length / boxes[k]);
    const width = shape[nAxes - 1] * nChannels;
    const out = new Float32Array(product(shape) * nChannels);
    const box = boxes[nAxes - 1];
    const averaged = boxes.some((k) => k > 1);
    // rows that are averaged end before the next rows of the first axis begin
    const slabSize = nAxes > 1 ? product(shape.slice(1)) * nChannels : width;
    const sums = new Float64Array(averaged ? slabSize : 0);
    const share = 1 / product(boxes);
    this.rows(axes, level, (outer, row) => {
      let line = 0;
      for (let k = 0; k < nAxes - 1; k++) line = line * shape[k] + Math.floor(outer[k] / boxes[k]);
      if (!averaged) {
        out.set(row, line * width);
        return;
      }
      const slab = nAxes > 1 ? Math.floor(outer[0] / boxes[0]) * slabSize : 0;
      const at = line * width - slab;
      for (let j = 0; j < row.length; j++) {
        const sample = Math.floor(j / nChannels / box);
        sums[at + sample * nChannels + (j % nChannels)] += row[j];
      }
      const ends = outer.every((i, k) => i === axes[k].length - 1 || (k === 0 && (i + 1) % boxes[0] === 0));
      if (!ends) return;
      sums.forEach((sum, i) => (out[slab + i] = sum * share));
      sums.fill(0);
    });
    return { shape, data: out };
  }
}
