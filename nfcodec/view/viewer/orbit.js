/** A camera that looks at the middle of a box and goes around it. Positions are (x, y, z) in units of the box's longest edge. */

const FIELD_OF_VIEW = (32 * Math.PI) / 180;
const TURN = 0.008; // radians for a CSS pixel
const MOST_PITCH = 1.55;
const LEAST_DISTANCE = 0.003;

const add = (a, b, f = 1) => a.map((v, k) => v + f * b[k]);
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]];

export class Orbit {
  /** size: edges of the box along x, y, z. up: 1 for y, 2 for z. */
  constructor(size, up = 1) {
    this.size = size;
    this.up = up;
    this.home();
  }

  home() {
    this.yaw = 0.6;
    this.pitch = 0.3;
    this.lookAt([0, 0, 0], this.size);
  }

  /** Looks from the same side at a box between two corners. */
  lookAt(low, high) {
    this.target = low.map((v, k) => (v + high[k]) / 2);
    // all of the sphere around the box
    this.distance = (0.46 * Math.hypot(...high.map((v, k) => v - low[k]))) / Math.sin(FIELD_OF_VIEW / 2);
  }

  /** Looks along an axis, 0 to 2 for x, y, z. */
  face(axis) {
    this.home();
    const along = [0, 1, 2].filter((k) => k !== this.up);
    this.pitch = axis === this.up ? MOST_PITCH : 0;
    this.yaw = axis === along[0] ? Math.PI / 2 : 0;
  }

  /** `{eye, right, up, forward}`. */
  axes() {
    const [cp, sp, cy, sy] = [Math.cos(this.pitch), Math.sin(this.pitch), Math.cos(this.yaw), Math.sin(this.yaw)];
    const back = this.up === 1 ? [cp * sy, sp, cp * cy] : [cp * sy, -cp * cy, sp];
    const forward = back.map((v) => -v);
    const above = [0, 0, 0];
    above[this.up] = 1;
    let right = cross(forward, above);
    const length = Math.hypot(...right);
    right = right.map((v) => v / length);
    return { eye: add(this.target, back, this.distance), right, up: cross(right, forward), forward };
  }

  turn(dx, dy) {
    this.yaw -= dx * TURN;
    this.pitch = Math.min(Math.max(this.pitch + dy * TURN, -MOST_PITCH), MOST_PITCH);
  }

  /** Moves what is looked at by CSS pixels of a pane of `height`. */
  move(dx, dy, height) {
    const { right, up } = this.axes();
    const unit = (2 * this.distance * Math.tan(FIELD_OF_VIEW / 2)) / height;
    this.target = add(add(this.target, right, -dx * unit), up, dy * unit);
  }

  zoom(factor) {
    this.distance = Math.min(Math.max(this.distance / factor, LEAST_DISTANCE), 20);
  }

  /** Pixels from the middle of a pane to where a ray goes one to the side for one forward. */
  static focal(width, height) {
    return (0.5 * Math.min(width, height)) / Math.tan(FIELD_OF_VIEW / 2);
  }
}
