/** A box from 0 to its size along x, y, z, by numbers: where rays are in it, and values of a lattice in it. */

/** Where a ray from `eye` enters and leaves the part of the box below `high`, and the axis through whose side it enters, -1 from inside. */
export function spanOf(ray, eye, high) {
  let [near, far, through] = [0, Infinity, -1];
  for (let k = 0; k < 3; k++) {
    const [a, b] = [-eye[k] / ray[k], (high[k] - eye[k]) / ray[k]];
    if (Math.min(a, b) > near) [near, through] = [Math.min(a, b), k];
    far = Math.min(far, Math.max(a, b));
  }
  return [near, far, through];
}

/** Channel k of n at the point p of a box, between samples at the middles of cells. */
export function trilinear(data, [depth, height, width], n, k, p, size) {
  const place = (x, edge, m) => {
    const u = Math.min(Math.max((x / edge) * m - 0.5, 0), m - 1);
    const i = Math.min(Math.floor(u), m - 2);
    return [i, u - i];
  };
  const [x, fx] = place(p[0], size[0], width);
  const [y, fy] = place(p[1], size[1], height);
  const [z, fz] = place(p[2], size[2], depth);
  const at = ((z * height + y) * width + x) * n + k;
  const row = (i) => data[i] + fx * (data[i + n] - data[i]);
  const plane = (i) => {
    const a = row(i);
    return a + fy * (row(i + width * n) - a);
  };
  const a = plane(at);
  return a + fz * (plane(at + height * width * n) - a);
}
