/** GLSL of the network and of what follows it: spec/format.md, sections 6 and 7. */
import { component, float } from "./text.js";

/** Activations of a vec4 v with the layer's numbers p. */
const ACTIVATIONS = {
  identity: () => "v",
  relu: () => "max(v, 0.0)",
  prelu: ([slope]) => `mix(v * ${slope}, v, vec4(greaterThan(v, vec4(0.0))))`,
  sine: ([omega]) => `sin(${omega} * v)`,
  tanh: () => "tanh(clamp(v, -15.0, 15.0))",
  sigmoid: () => "1.0 / (1.0 + exp(-v))",
  silu: () => "v / (1.0 + exp(-v))",
  softplus: ([a]) => `(max(${a} * v, 0.0) + log(1.0 + exp(-abs(${a} * v)))) / ${a}`,
  gaussian: ([a]) => `exp(-v * v / (2.0 * ${a} * ${a}))`,
  quadratic: ([a]) => `1.0 / (1.0 + ${a} * v * ${a} * v)`,
  "multi-quadratic": ([a]) => `inversesqrt(1.0 + ${a} * v * ${a} * v)`,
  laplacian: ([a]) => `exp(-abs(v) / ${a})`,
  "super-gaussian": ([a, b]) => `exp(-v * v * ${b} / (2.0 * ${a} * ${a}))`,
  expsin: ([a]) => `exp(-sin(${a} * v))`,
  gabor: ([omega, s]) => `cos(${omega} * v) * exp(-(${s} * v) * (${s} * v))`,
  finer: ([omega]) => `sin(${omega} * (abs(v) + 1.0) * v)`,
};

export const quads = (n) => (n + 3) >> 2;

/** A matrix (nOut x nIn) in blocks of 4 x 4, each by columns, filled up with 0. */
function blocks(values, nOut, nIn) {
  const out = new Float32Array(16 * quads(nOut) * quads(nIn));
  for (let o = 0; o < nOut; o++) {
    for (let i = 0; i < nIn; i++) out[16 * ((o >> 2) * quads(nIn) + (i >> 2)) + 4 * (i & 3) + (o & 3)] = values[o * nIn + i];
  }
  return out;
}

const column = (values) => Float32Array.from({ length: 4 * quads(values.length) }, (_, i) => values[i] ?? 0);

/** Collects tensors and says where each begins, in vec4. */
class Tensors {
  constructor() {
    this.parts = [];
    this.length = 0;
  }

  add(values) {
    const at = this.length;
    this.parts.push(values);
    this.length += values.length / 4;
    return at;
  }

  joined() {
    const out = new Float32Array(4 * this.length);
    let at = 0;
    for (const part of this.parts) {
      out.set(part, at);
      at += part.length;
    }
    return out;
  }
}

const MAX_UNROLLED = 300; // blocks of a layer that are written out; more make compilers slow

/** Statements for y = b + W x (and + V z ..), of arrays of vec4: `terms` are `[weights, x, nIn]`. */
function layer(biases, y, nOut, terms) {
  const n = quads(nOut);
  const unrolled = n * terms.reduce((sum, [, , nIn]) => sum + quads(nIn), 0) <= MAX_UNROLLED;
  const matrix = (w) => `mat4(W(${w}), W(${w} + 1), W(${w} + 2), W(${w} + 3))`;
  if (unrolled) {
    const numbered = (w) => `mat4(${[0, 1, 2, 3].map((i) => `W(${w + i})`).join(", ")})`;
    return Array.from({ length: n }, (_, o) => {
      const products = terms.flatMap(([weights, x, nIn]) =>
        Array.from({ length: quads(nIn) }, (_, i) => `${numbered(weights + 4 * (o * quads(nIn) + i))} * ${x}[${i}]`),
      );
      return `${y}[${o}] = W(${biases + o}) + ${products.join(" + ")};`;
    }).join("\n  ");
  }
  const loops = terms.map(([weights, x, nIn]) => `for (int i = 0; i < ${quads(nIn)}; i++) s += ${matrix(`(${weights} + 4 * (o * ${quads(nIn)} + i))`)} * ${x}[i];`);
  return `for (int o = 0; o < ${n}; o++) { vec4 s = W(${biases} + o); ${loops.join(" ")} ${y}[o] = s; }`;
}

/**
 * `{source, weights}`: source the statements that make outputs y of features f, arrays of vec4, which ask W(i) for the vec4 number i of
 * `weights`. The network is one as decoded: see ../../network.js.
 */
export function networkShader(spec, { hidden, out, bias, skip }) {
  const { nInputs, nChannels, nNeurons, activation } = spec;
  const tensors = new Tensors();
  const lines = [];
  let [input, nIn] = ["f", nInputs];
  hidden.forEach(({ weights, biases, numbers }, k) => {
    const name = `h${k}`;
    lines.push(`vec4 ${name}[${quads(nNeurons)}];`);
    lines.push(layer(tensors.add(column(biases)), name, nNeurons, [[tensors.add(blocks(weights, nNeurons, nIn)), input, nIn]]));
    const act = ACTIVATIONS[activation](Array.from(numbers, float));
    for (let o = 0; o < quads(nNeurons); o++) lines.push(`{ vec4 v = ${name}[${o}]; ${name}[${o}] = ${act}; }`);
    [input, nIn] = [name, nNeurons];
  });
  const terms = [[tensors.add(blocks(skip, nChannels, nInputs)), "f", nInputs]];
  if (hidden.length) terms.push([tensors.add(blocks(out, nChannels, nNeurons)), input, nNeurons]);
  lines.push(layer(tensors.add(column(bias)), "y", nChannels, terms));
  return { source: lines.join("\n  "), weights: tensors.joined() };
}

/** Statements that turn outputs y into values. */
export function valueTransform({ offsets, scales, knee, flags, surface, roles }) {
  return offsets
    .map((offset, c) => {
      const y = component("y", c);
      const first = !surface || c === 0;
      const bent = knee !== undefined && first;
      let text = bent
        ? `${float(offset)} + ${float(knee)} * sinh(clamp(${float(scales[c] / knee)} * ${y}, -40.0, 40.0))`
        : `${float(offset)} + ${float(scales[c])} * ${y}`;
      const colour = surface && ["red", "green", "blue"].includes(roles[c]);
      if (colour || (flags.clip && first)) {
        const one = bent ? offset + knee * Math.sinh(Math.min(Math.max(scales[c] / knee, -40), 40)) : offset + scales[c];
        const [low, high] = surface ? [0, 1] : [Math.min(offset, one), Math.max(offset, one)];
        text = `clamp(${text}, ${float(low)}, ${float(high)})`;
      }
      return `${y} = ${text};`;
    })
    .join("\n  ");
}
