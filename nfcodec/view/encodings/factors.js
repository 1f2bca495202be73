/** Encodings of factors, lattices over some of the axes: spec/format.md, sections 4.4 to 4.7. */
import { product } from "../entropy/lattice.js";
import { Grid } from "./grid.js";
import { GridRows } from "./rows.js";

const range = (n) => Array.from({ length: n }, (_, k) => k);

/** Axes of each factor, and terms: which factors each multiplies. Terms are joined by sum or concatenation. */
const STRUCTURES = {
  triplane: () => ({ factors: pairs(3), terms: [[0], [1], [2]] }),
  kplanes(d) {
    const factors = pairs(d);
    return { factors, terms: [range(factors.length)] };
  },
  cp: (d) => ({ factors: range(d).map((k) => [k]), terms: [range(d)] }),
  vm: (d) => ({
    factors: [...range(d).map((k) => [k]), ...range(d).map((k) => range(d).filter((j) => j !== k))],
    terms: range(d).map((k) => [k, d + k]),
  }),
};

const pairs = (d) => range(d).flatMap((a) => range(d).slice(a + 1).map((b) => [a, b]));

/** `{factors, terms}` of an encoding in d axes, or null for encodings of another kind. */
export const structureOf = (encoding, d) => STRUCTURES[encoding]?.(d) ?? null;

/** Vertices of each factor. */
export const factorSizes = (encoding, resolution) =>
  structureOf(encoding, resolution.length).factors.map((axes) => product(axes.map((k) => resolution[k])));

/** Features of a level, F for each term that stands by itself. */
export function factorWidth(part, d, nFeatures) {
  const { terms } = structureOf(part.encoding, d);
  return part.joining === "sum" ? nFeatures : terms.length * nFeatures;
}

/** A level of factors, with the features of a Grid. */
export class FactorLevel {
  /** integers: `factor0`, `factor1` .., each a list of F arrays. */
  constructor(part, level, integers) {
    const { factors, terms } = structureOf(part.encoding, level.resolution.length);
    this.terms = terms;
    this.sum = part.joining === "sum";
    this.nFeatures = level.nFeatures;
    this.factors = factors.map((axes, i) => new Grid(part, level, { latents: integers[`factor${i}`] }, axes));
  }

  /** Writes features to out[at..] from the features of the factors, values[factor][from..]. */
  combine(values, from, out, at) {
    const { terms, nFeatures } = this;
    if (this.sum) out.fill(0, at, at + nFeatures);
    for (let t = 0; t < terms.length; t++) {
      for (let f = 0; f < nFeatures; f++) {
        let value = 1;
        for (const factor of terms[t]) value *= values[factor][from + f];
        if (this.sum) out[at + f] += value;
        else out[at + t * nFeatures + f] = value;
      }
    }
  }

  pointFeatures() {
    const points = this.factors.map((factor) => factor.pointFeatures());
    const values = this.factors.map(() => new Float64Array(this.nFeatures));
    return (x, out, at) => {
      points.forEach((write, i) => write(x, values[i], 0));
      this.combine(values, 0, out, at);
    };
  }

  /** What GridRows is for a grid: rows of the lattice with coordinates `lines` along each axis. */
  rows(lines) {
    const last = lines.length - 1;
    const size = lines[last].length;
    const values = this.factors.map(() => new Float64Array(size * this.nFeatures));
    const x = new Float64Array(lines.length);
    const writers = this.factors.map((factor, i) => this.rowWriter(factor, lines, values[i], x));
    return {
      write: (outer, out, at, width) => {
        for (let k = 0; k < last; k++) x[k] = lines[k][outer[k]];
        for (const write of writers) write(outer);
        for (let j = 0; j < size; j++) this.combine(values, j * this.nFeatures, out, at + j * width);
      },
    };
  }

  /** The function (outer) that writes a factor's features along the row. */
  rowWriter(factor, lines, values, x) {
    const { nFeatures } = this;
    const last = lines.length - 1;
    const point = factor.pointFeatures();
    if (!factor.axes.includes(last)) {
      return () => {
        point(x, values, 0);
        for (let i = nFeatures; i < values.length; i++) values[i] = values[i - nFeatures];
      };
    }
    const rows = GridRows.make(factor, factor.axes.map((k) => lines[k]));
    if (rows) return (outer) => rows.write(factor.axes.slice(0, -1).map((k) => outer[k]), values, 0, nFeatures);
    return () => {
      lines[last].forEach((coordinate, j) => {
        x[last] = coordinate;
        point(x, values, j * nFeatures);
      });
    };
  }
}
