/** Vertices and weights along one axis: spec/format.md, section 5. */

const TAPS = { nearest: 1, linear: 2, smoothstep: 2, cubic: 4, mitchell: 4 };
const mod = (a, n) => a - n * Math.floor(a / n);

export const nTaps = (part) => TAPS[part.interpolation];

/** The vertex that counts for vertex j of n. */
export const FOLD = {
  clamp: (j, n) => (j < 0 ? 0 : j >= n ? n - 1 : j),
  wrap: (j, n) => mod(j, n),
  reflect(j, n) {
    const r = mod(j, 2 * n);
    return r >= n ? 2 * n - 1 - r : r;
  },
};

/** Where in [0, 1] the coordinate x counts. */
const PLACE = {
  clamp: (x) => Math.min(Math.max(x, 0), 1),
  wrap: (x) => x - Math.floor(x),
  reflect(x) {
    const r = x - 2 * Math.floor(x / 2);
    return r > 1 ? 2 - r : r;
  },
};

/** An axis of a level. `offset` is in vertices: 0, or the distance of a sample of the source where a level is surrounded. */
export class Axis {
  constructor(part, level, k, offset = 0) {
    this.taps = nTaps(part);
    this.n = level.resolution[k];
    this.offset = offset;
    this.place = PLACE[part.boundaries[k]];
    this.fold = FOLD[part.boundaries[k]];
    this.smooth = part.interpolation === "smoothstep";
    this.b = level.b64 / 64;
    this.c = level.c64 / 64;
  }

  /** Writes vertices of x to indices[at..], weights to weights[at..]. */
  write(x, indices, weights, at) {
    const { taps, n } = this;
    if (taps === 1) {
      indices[at] = this.fold(Math.floor(this.place(x) * n), n);
      weights[at] = 1;
      return;
    }
    const u = this.place(x) * n - 0.5 + this.offset;
    const i = Math.floor(u);
    const f = u - i;
    const first = taps === 2 ? i : i - 1;
    for (let t = 0; t < taps; t++) indices[at + t] = this.fold(first + t, n);
    if (taps === 2) {
      const s = this.smooth ? (3 - 2 * f) * f * f : f;
      weights[at] = 1 - s;
      weights[at + 1] = s;
      return;
    }
    const { b, c } = this;
    weights[at] = (((-(b + 6 * c) * f + 3 * b + 12 * c) * f - (3 * b + 6 * c)) * f + b) / 6;
    weights[at + 1] = (((12 - 9 * b - 6 * c) * f - 18 + 12 * b + 6 * c) * f * f + 6 - 2 * b) / 6;
    weights[at + 2] = ((((9 * b + 6 * c - 12) * f + 18 - 15 * b - 12 * c) * f + 3 * b + 6 * c) * f + b) / 6;
    weights[at + 3] = (((b + 6 * c) * f - 6 * c) * f * f) / 6;
  }
}
