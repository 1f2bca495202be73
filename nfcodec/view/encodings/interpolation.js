/** Vertices and weights along one axis: spec/format.md, section 5. */

export const nTaps = (part) => (part.interpolation === "linear" ? 2 : 4);

/**
 * Writes the taps of x: clamped vertices to indices[at..], weights to weights[at..]. `offset` is in vertices: 0, or the
 * distance of a sample of the source where a level is surrounded.
 */
export function writeTaps(level, taps, n, x, offset, indices, weights, at) {
  const u = Math.min(Math.max(x, 0), 1) * n - 0.5 + offset;
  const i = Math.floor(u);
  const f = u - i;
  const first = taps === 2 ? i : i - 1;
  for (let t = 0; t < taps; t++) {
    const vertex = first + t;
    indices[at + t] = vertex < 0 ? 0 : vertex >= n ? n - 1 : vertex;
  }
  if (taps === 2) {
    weights[at] = 1 - f;
    weights[at + 1] = f;
    return;
  }
  const b = level.b64 / 64;
  const c = level.c64 / 64;
  weights[at] = (((-(b + 6 * c) * f + 3 * b + 12 * c) * f - (3 * b + 6 * c)) * f + b) / 6;
  weights[at + 1] = (((12 - 9 * b - 6 * c) * f - 18 + 12 * b + 6 * c) * f * f + 6 - 2 * b) / 6;
  weights[at + 2] = ((((9 * b + 6 * c - 12) * f + 18 - 15 * b - 12 * c) * f + 3 * b + 6 * c) * f + b) / 6;
  weights[at + 3] = ((b + 6 * c) * f - 6 * c) * f * f / 6;
}
