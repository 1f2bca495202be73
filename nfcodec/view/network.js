/** The decoder network: spec/format.md, sections 3, 6 and 7. */
import { check } from "./bytes.js";
import { ACTIVATION, ACTIVATION_NUMBERS } from "./activations.js";
import { readTensors } from "./entropy/streams.js";

const MAX_SHIFT = 24;

/** Sizes of its tensors, in the order of the file. */
export function networkSizes({ nInputs, nChannels, nNeurons, nHidden, activation }) {
  const skip = nChannels * nInputs;
  if (nHidden === 0) return [nChannels, skip];
  const sizes = [];
  for (let k = 0; k < nHidden; k++) sizes.push(nNeurons * (k ? nNeurons : nInputs), nNeurons);
  sizes.push(nChannels * nNeurons, nChannels, skip);
  const numbers = ACTIVATION_NUMBERS[activation] * nHidden;
  return numbers ? [...sizes, numbers] : sizes;
}

export function checkShift(shift) {
  check(shift <= MAX_SHIFT, "limit-network-shift", `shift ${shift} of a tensor`);
  return shift;
}

export function readNetworkChunk(reader, spec) {
  const sizes = networkSizes(spec);
  const shifts = sizes.map(() => checkShift(reader.u8()));
  return new Network(spec, shifts, readTensors(reader, sizes));
}

export class Network {
  /** tensors as integers, whose values are integer * 2^-shift. */
  constructor(spec, shifts, tensors) {
    this.spec = spec;
    this.integers = tensors.map((values, i) => ({ values, shift: shifts[i] }));
    const real = this.integers.map(({ values, shift }) => Float64Array.from(values, (v) => v * 2 ** -shift));
    const { nHidden, nNeurons, nInputs, nChannels, activation } = spec;
    this.hidden = [];
    if (nHidden === 0) [this.bias, this.skip] = real;
    else {
      const p = ACTIVATION_NUMBERS[activation];
      for (let k = 0; k < nHidden; k++) {
        const numbers = p ? real[2 * nHidden + 3].subarray(k * p, (k + 1) * p) : [];
        this.hidden.push({
          nIn: k ? nNeurons : nInputs, weights: real[2 * k], biases: real[2 * k + 1], numbers, act: ACTIVATION[activation](numbers),
        });
      }
      [this.out, this.bias, this.skip] = real.slice(2 * nHidden);
    }
    this.buffers = [new Float64Array(nNeurons), new Float64Array(nNeurons)];
    this.relu = activation === "relu";
    this.transforms = makeTransforms(spec);
    this.y = new Float64Array(nChannels);
  }

  /** Values of n points: features (n x inputs) -> out (n x C), from out[start] on. */
  evaluate(features, n, out, start = 0) {
    const { nInputs, nChannels } = this.spec;
    for (let i = 0; i < n; i++) {
      const x = i * nInputs;
      const h = this.hiddenLayers(features, x);
      for (let c = 0; c < nChannels; c++) {
        let y = this.bias[c];
        const w = c * h.length;
        for (let k = 0; k < h.length; k++) y += this.out[w + k] * h[k];
        const s = c * nInputs;
        for (let k = 0; k < nInputs; k++) y += this.skip[s + k] * features[x + k];
        out[start + i * nChannels + c] = this.transforms[c](y);
      }
    }
  }

  hiddenLayers(features, x) {
    let input = features;
    let from = x;
    let output = this.buffers[1];
    for (const { nIn, weights, biases, act } of this.hidden) {
      output = output === this.buffers[0] ? this.buffers[1] : this.buffers[0];
      for (let o = 0, w = 0; o < biases.length; o++) {
        let sum = biases[o];
        for (let k = 0; k < nIn; k++) sum += weights[w++] * input[from + k];
        output[o] = this.relu ? (sum > 0 ? sum : 0) : act(sum);
      }
      input = output;
      from = 0;
    }
    return output;
  }
}

/** For each channel its outputs' way to values: section 7. */
function makeTransforms(spec) {
  const { offsets, scales, knee, flags, surface } = spec;
  return offsets.map((offset, c) => {
    const scale = scales[c];
    const first = !surface || c === 0;
    const transform =
      knee !== undefined && first
        ? (y) => offset + knee * Math.sinh(Math.min(Math.max((scale * y) / knee, -40), 40))
        : (y) => offset + scale * y;
    const colour = surface && ["red", "green", "blue"].includes(spec.roles[c]);
    if (!colour && !(flags.clip && first)) return transform;
    let low = Math.min(offset, transform(1));
    let high = Math.max(offset, transform(1));
    if (surface) [low, high] = [0, 1];
    return (y) => {
      const v = transform(y);
      return v < low ? low : v > high ? high : v;
    };
  });
}
