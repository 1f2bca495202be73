/** Activations by name, with the layer's numbers p: spec/format.md, section 6. */
const { abs, cos, exp, sin, sqrt, tanh } = Math;

export const ACTIVATION_NUMBERS = {
  identity: 0, relu: 0, prelu: 1, sine: 1, tanh: 0, sigmoid: 0, silu: 0, softplus: 1, gaussian: 1, quadratic: 1,
  "multi-quadratic": 1, laplacian: 1, "super-gaussian": 2, expsin: 1, gabor: 2, finer: 1,
};

/** The function of one value for a layer's numbers. */
export const ACTIVATION = {
  identity: () => (v) => v,
  relu: () => (v) => (v > 0 ? v : 0),
  prelu: ([slope]) => (v) => (v > 0 ? v : slope * v),
  sine: ([omega]) => (v) => sin(omega * v),
  tanh: () => (v) => tanh(v),
  sigmoid: () => (v) => 1 / (1 + exp(-v)),
  silu: () => (v) => v / (1 + exp(-v)),
  // log(1 + e^x) without overflow
  softplus: ([a]) => (v) => (Math.max(a * v, 0) + Math.log1p(exp(-abs(a * v)))) / a,
  gaussian: ([a]) => (v) => exp((-v * v) / (2 * a * a)),
  quadratic: ([a]) => (v) => 1 / (1 + (a * v) ** 2),
  "multi-quadratic": ([a]) => (v) => 1 / sqrt(1 + (a * v) ** 2),
  laplacian: ([a]) => (v) => exp(-abs(v) / a),
  "super-gaussian": ([a, b]) => (v) => exp((-v * v) / (2 * a * a)) ** b,
  expsin: ([a]) => (v) => exp(-sin(a * v)),
  gabor: ([omega, s]) => (v) => cos(omega * v) * exp(-((s * v) ** 2)),
  finer: ([omega]) => (v) => sin(omega * (abs(v) + 1) * v),
};
