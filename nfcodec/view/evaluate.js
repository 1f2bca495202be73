/** Values of a field at points and on lattices: spec/format.md, sections 4 to 7. */
import { coordinateEncoding } from "./encodings/coordinates.js";
import { GridLevel } from "./encodings/grid.js";
import { GridRows } from "./encodings/rows.js";
import { product, raster } from "./entropy/lattice.js";

const BATCH = 256;

/** Sources of features in the order in which the network sees them: `{level, column, width, points, grid, axis, offset}`. */
function featureSources(spec, integers) {
  const sources = [];
  let column = 0;
  let index = 0;
  const add = (source) => {
    sources.push({ ...source, column });
    column += source.width;
  };
  for (const part of spec.parts) {
    const around = [];
    const finest = part.levels[part.levels.length - 1].resolution;
    part.levels.forEach((level, l) => {
      const held = integers[index];
      const source = { level: index++, width: level.nFeatures };
      if (!part.grid) {
        // widths of a file that is cut off before them are not known, nor needed
        const points = held && coordinateEncoding(part, spec.nAxes, held.widths);
        add({ ...source, points });
        return;
      }
      const grid = held && new GridLevel(part, level, held);
      add({ ...source, grid, points: grid?.pointFeatures(), axis: -1, offset: 0 });
      if (l < part.levels.length - part.surrounded) return;
      for (let axis = 0; axis < spec.nAxes; axis++) {
        for (const s of [-1, 1]) {
          const offset = (s * level.resolution[axis]) / finest[axis];
          around.push({ ...source, grid, points: grid?.pointFeatures(axis, offset), axis, offset });
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
    for (let start = 0; start < n; start += BATCH) {
      const size = Math.min(BATCH, n - start);
      for (let i = 0; i < size; i++) {
        for (let k = 0; k < nAxes; k++) x[k] = clip01(coords[(start + i) * nAxes + k]);
        for (const { points, column } of sources) points(x, features, i * nInputs + column);
      }
      this.network.evaluate(features, size, out, start * nChannels);
    }
    return out;
  }

  /** Calls visit(outer, row) for each row of the lattice along its last axis; axes holds coordinates along each. */
  rows(axes, level, visit) {
    const { nAxes, nInputs, nChannels } = this.spec;
    const lines = axes.map((coordinates) => Float64Array.from(coordinates, clip01));
    const last = lines[nAxes - 1];
    const sources = this.active(level).map((source) => ({
      ...source, rows: source.grid ? GridRows.make(source.grid, lines, source.axis, source.offset) : null,
    }));
    const features = new Float64Array(last.length * nInputs);
    const row = new Float32Array(last.length * nChannels);
    const x = new Float64Array(nAxes);
    raster(lines.slice(0, -1).map((line) => line.length), (_, outer) => {
      for (const { rows, points, column } of sources) {
        if (rows) {
          rows.write(outer, features, column, nInputs);
          continue;
        }
        for (let k = 0; k < nAxes - 1; k++) x[k] = lines[k][outer[k]];
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

const clip01 = (x) => Math.min(Math.max(x, 0), 1);
