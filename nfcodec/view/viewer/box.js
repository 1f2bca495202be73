/** A box from 0 to its size along x, y, z, by numbers: where rays are in it, and values of a lattice in it. */

/** Edges along x, y, z of a field's box, of which the longest is 1; spacing: edges of a sample in array order. */
export function edgesOf({ extent }, spacing = [1, 1, 1]) {
  const edges = extent.slice(-3).map((n, k) => n * spacing.slice(-3)[k]);
  return edges.map((edge) => edge / Math.max(...edges)).reverse();
}

/**
 * Where a ray from `eye` enters and leaves what a slice leaves of the box, and whether it enters through the slice. slice: what is there of all p has
 * dot(slice, p) <= slice[3]; all 0 without.
 */
export function spanOf(ray, eye, size, slice) {
  let [near, far, cut] = [0, Infinity, false];
  for (let k = 0; k < 3; k++) {
    const [a, b] = [-eye[k] / ray[k], (size[k] - eye[k]) / ray[k]];
    near = Math.max(near, Math.min(a, b));
    far = Math.min(far, Math.max(a, b));
  }
  const along = slice[0] * ray[0] + slice[1] * ray[1] + slice[2] * ray[2];
  const left = slice[3] - slice[0] * eye[0] - slice[1] * eye[1] - slice[2] * eye[2];
  if (along > 0) far = Math.min(far, left / along);
  else if (along < 0 && left / along > near) [near, cut] = [left / along, true];
  else if (along === 0 && left < 0) far = -1;
  return [near, far, cut];
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
