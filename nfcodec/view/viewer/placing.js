/**
 * Where the box of a field lies in a view, both in units of their longest edges: a point q of the box is at corner + edge * turn q, where turn is a
 * rotation, or a mirror and a rotation. Binary64 throughout: what rays need is small again.
 */
import { turnOf } from "../scene.js";

const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];

export class Placing {
  /** turn: rows. */
  constructor(corner = [0, 0, 0], edge = 1, turn = [[1, 0, 0], [0, 1, 0], [0, 0, 1]]) {
    Object.assign(this, { corner, edge, turn });
    this.columns = [0, 1, 2].map((k) => turn.map((row) => row[k]));
  }

  /** Of a surface's field that a node places (`world`: see ../scene.js) in a view whose corner is at `low` of the world and whose unit is `unit`. */
  static of({ origin, cell, extent }, { translation, rotation, scale }, low, unit) {
    const rows = turnOf(rotation);
    const start = [...origin].reverse(); // files have axes z, y, x
    const corner = rows.map((row, k) => (translation[k] - low[k] + scale * dot(row, start)) / unit);
    const mirrored = rows.map((row) => row.map((v) => Math.sign(scale) * v));
    return new Placing(corner, (Math.abs(scale) * cell * Math.max(...extent)) / unit, mirrored);
  }

  /** A direction of the view in the box, written to `out`. */
  toBox(v, out = [0, 0, 0]) {
    for (let k = 0; k < 3; k++) out[k] = dot(this.columns[k], v);
    return out;
  }

  /** A camera of the view as one that sees the box, whose edges are `size`. */
  camera({ eye, cameraRight, cameraUp, cameraForward, slice, ...rest }, size) {
    const { corner, edge } = this;
    const place = this.toBox(eye.map((v, k) => v - corner[k])).map((v) => v / edge);
    return {
      ...rest, size, eye: place, cameraRight: this.toBox(cameraRight), cameraUp: this.toBox(cameraUp), cameraForward: this.toBox(cameraForward),
      slice: [...this.toBox(slice), (slice[3] - dot(slice, corner)) / edge],
    };
  }

  /** Corners in the view of a box whose edges are `size`. */
  corners(size) {
    return Array.from({ length: 8 }, (_, i) => {
      const q = size.map((s, k) => ((i >> k) & 1) * s);
      return this.turn.map((row, k) => this.corner[k] + this.edge * dot(row, q));
    });
  }
}

/** The rectangle [left, low, right, high] of the screen, from below, that holds these points; all of it where one is beside the eye or behind it. */
export function rectangleOf(points, { eye, cameraRight, cameraUp, cameraForward, middle, focal }) {
  const out = [Infinity, Infinity, -Infinity, -Infinity];
  for (const point of points) {
    const d = point.map((v, k) => v - eye[k]);
    const depth = dot(d, cameraForward);
    if (depth < 1e-3) return [-Infinity, -Infinity, Infinity, Infinity];
    [cameraRight, cameraUp].forEach((axis, k) => {
      const at = middle[k] + (focal * dot(d, axis)) / depth;
      out[k] = Math.min(out[k], at);
      out[2 + k] = Math.max(out[2 + k], at);
    });
  }
  return out;
}
