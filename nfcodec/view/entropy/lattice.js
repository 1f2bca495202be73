/** Order, neighbours, parents and blocks of a lattice: spec/entropy.md, section 5. */

/** Causal offsets by number of axes, in array order. */
export const CAUSAL = [
  null,
  [[-1], [-2], [-3], [-4]],
  [[0, -1], [-1, 0], [-1, -1], [-1, 1], [0, -2], [-2, 0], [-1, -2], [-1, 2], [-2, -1], [-2, 1], [-2, -2], [-2, 2]],
  [
    [0, 0, -1], [0, -1, 0], [-1, 0, 0], [0, -1, -1], [0, -1, 1], [-1, 0, -1], [-1, 0, 1], [-1, -1, 0], [-1, 1, 0],
    [0, 0, -2], [0, -2, 0], [-2, 0, 0],
  ],
  [
    [0, 0, 0, -1], [0, 0, -1, 0], [0, -1, 0, 0], [-1, 0, 0, 0], [0, 0, -1, -1], [0, 0, -1, 1], [0, -1, 0, -1],
    [0, -1, 0, 1], [0, -1, -1, 0], [0, -1, 1, 0], [-1, 0, 0, -1], [-1, 0, 0, 1], [-1, 0, -1, 0], [-1, 0, 1, 0],
    [-1, -1, 0, 0], [-1, 1, 0, 0],
  ],
];
const ORDER_WEIGHTS = [null, [1], [3, 1], [3, 2, 1], [4, 3, 2, 1]];

export const product = (shape) => shape.reduce((n, size) => n * size, 1);

/** Distance of neighbours along each axis in C order. */
export function strides(shape) {
  const out = new Array(shape.length).fill(1);
  for (let k = shape.length - 2; k >= 0; k--) out[k] = out[k + 1] * shape[k + 1];
  return out;
}

/** Calls visit(position, coordinates) in raster order; coordinates are reused. */
export function raster(shape, visit) {
  const at = new Array(shape.length).fill(0);
  const n = product(shape);
  for (let i = 0; i < n; i++) {
    visit(i, at);
    for (let k = shape.length - 1; k >= 0 && ++at[k] === shape[k]; k--) at[k] = 0;
  }
}

/** Positions in coding order, without those for which keep(position, coordinates) is false. */
export function codingOrder(shape, keep = null) {
  const weights = ORDER_WEIGHTS[shape.length];
  const time = (at) => at.reduce((t, i, k) => t + weights[k] * i, 0);
  const starts = new Int32Array(time(shape.map((n) => n - 1)) + 2);
  raster(shape, (i, at) => {
    if (!keep || keep(i, at)) starts[time(at) + 1]++;
  });
  for (let t = 1; t < starts.length; t++) starts[t] += starts[t - 1];
  const order = new Int32Array(starts[starts.length - 1]);
  raster(shape, (i, at) => {
    if (!keep || keep(i, at)) order[starts[time(at)]++] = i;
  });
  return order;
}

/** For each of nFine children along an axis of nCoarse parents: its parent, the near and the far one. */
export function parents(nFine, nCoarse) {
  const parent = new Int32Array(nFine);
  const near = new Int32Array(nFine);
  const far = new Int32Array(nFine);
  const clip = (i) => Math.min(Math.max(i, 0), nCoarse - 1);
  for (let i = 0; i < nFine; i++) {
    const a = (2 * i + 1) * nCoarse;
    const p = Math.floor(a / (2 * nFine));
    const side = a - 2 * p * nFine >= nFine ? 1 : -1;
    parent[i] = p;
    near[i] = clip(p + side);
    far[i] = clip(p - side);
  }
  return { parent, near, far };
}

/** Positions along an edge of a block. */
export const blockEdge = (nAxes) => (nAxes <= 2 ? 8 : 4);

export const blockShape = (shape) => shape.map((n) => Math.ceil(n / blockEdge(shape.length)));

/** The function coordinates -> number of their block. */
export function blockOf(shape) {
  const edge = blockEdge(shape.length);
  const step = strides(blockShape(shape));
  return (at) => at.reduce((block, i, k) => block + Math.floor(i / edge) * step[k], 0);
}
