/** The network that predicts integers: spec/entropy.md, section 6. Its sums fit signed 32 bits. */
import { check } from "../bytes.js";
import { CAUSAL } from "./lattice.js";
import { readTensors } from "./streams.js";

export const MAX_INPUT = 255;
const FRACTION = 8;
const MAX_HIDDEN = 65535;
const MAX_SHIFT = 12;
const MAX_NEURONS = 64;
const MAX_HIDDEN_LAYERS = 3;
const M_VALUE = 2048; // largest magnitudes of inputs
const M_DEPTH = 7936;
const M_PLANE = 3840;

/** round(256 log2(1 + |x|)) with the sign of x, at x + 255; the specification's table, found here by integers alone. */
const COMPAND = new Int32Array(2 * MAX_INPUT + 1);
{
  // the largest c with 2^(c - 1/2) <= (1 + n)^256, that is 2^(2c - 1) <= (1 + n)^512
  for (let n = 1; n <= MAX_INPUT; n++) {
    const bits = (BigInt(1 + n) ** 512n).toString(2).length - 1;
    COMPAND[MAX_INPUT + n] = Math.floor((bits + 1) / 2);
    COMPAND[MAX_INPUT - n] = -COMPAND[MAX_INPUT + n];
  }
}

const half = (shift) => (shift > 0 ? 2 ** (shift - 1) : 0);

/** Numbers of inputs from values of planes: groups (a), (b) and (c). */
export const nValueInputs = (nAxes, multi) => CAUSAL[nAxes].length + (1 + 2 * nAxes) * (multi ? 2 : 1);

/** Sizes of the layers, `[inputs, outputs]` each. */
export function layerSizes(nAxes, multi, nNeurons, nHidden) {
  const widths = [nValueInputs(nAxes, multi) + 2, ...new Array(nHidden).fill(nNeurons), 2];
  return widths.slice(1).map((out, i) => [widths[i], out]);
}

/** Sizes of its tensors: weights of each layer, biases of each layer, the skip. */
export function tensorSizes(nAxes, multi, nNeurons, nHidden) {
  const layers = layerSizes(nAxes, multi, nNeurons, nHidden);
  return [...layers.map(([i, o]) => i * o), ...layers.map(([, o]) => o), nValueInputs(nAxes, multi)];
}

export class ContextNetwork {
  constructor(nAxes, multi, nNeurons, nHidden, shifts, tensors) {
    this.nAxes = nAxes;
    this.multi = multi;
    this.nValues = nValueInputs(nAxes, multi);
    const sizes = layerSizes(nAxes, multi, nNeurons, nHidden);
    this.layers = sizes.map(([nIn, nOut], k) => ({
      nIn, nOut, shift: shifts[k], weights: tensors[k], biases: tensors[sizes.length + k],
    }));
    this.skip = { shift: shifts[sizes.length], weights: tensors[2 * sizes.length] };
    this.checkBounds();
    const [first] = this.layers;
    // input by input, since most inputs are 0
    this.columns = new Int32Array(first.nIn * first.nOut);
    first.weights.forEach((w, i) => (this.columns[(i % first.nIn) * first.nOut + Math.floor(i / first.nIn)] = w));
    for (const layer of this.layers) {
      layer.start = Int32Array.from(layer.biases, (b) => b * 2 ** layer.shift + half(layer.shift));
      layer.sums = new Int32Array(layer.nOut);
    }
    this.start = new Int32Array(first.nOut);
    this.skipWeights = this.skip.weights.map((k) => k * 256);
    this.skipHalf = half(this.skip.shift);
    this.skipUnit = 2 ** this.skip.shift;
  }

  checkBounds() {
    const fits = (ok, what) => check(ok, "context-net", `context network: ${what} out of its bounds`);
    this.layers.forEach(({ nIn, nOut, shift, weights, biases }, k) => {
      fits(shift <= MAX_SHIFT, "shift");
      for (let o = 0; o < nOut; o++) {
        let sum = Math.abs(biases[o]) * 2 ** shift + half(shift);
        for (let i = 0; i < nIn; i++) {
          const w = Math.abs(weights[o * nIn + i]);
          fits(w <= 2047, "weight");
          sum += w * (k > 0 ? MAX_HIDDEN : i < this.nValues ? M_VALUE : i === this.nValues ? M_DEPTH : M_PLANE);
        }
        fits(Math.abs(biases[o]) <= 2 ** 17, "bias");
        fits(sum < 2 ** 31, "sum of a layer");
      }
    });
    fits(this.skip.shift <= MAX_SHIFT, "shift");
    fits(this.skip.weights.every((k) => Math.abs(k) <= 2047), "weight");
    const sum = this.skip.weights.reduce((total, k) => total + Math.abs(k), 0);
    fits(sum * 65280 + half(this.skip.shift) < 2 ** 31, "sum of the skip");
  }

  /** Fixes group (d) for the predictions that follow. */
  setPlane(depth, plane) {
    const [{ nOut, start }] = this.layers;
    const column = this.nValues * nOut;
    for (let o = 0; o < nOut; o++) {
      this.start[o] = start[o] + this.columns[column + o] * 256 * depth + this.columns[column + nOut + o] * 256 * plane;
    }
    this.propagate(this.skipHalf, true);
    this.quiet = { mu8: this.mu8, scale: this.scale };
  }

  /** Sets `mu8` and `scale` from the values of groups (a), (b), (c), each within +-255. */
  predict(values) {
    const { columns, skipWeights, nValues } = this;
    const { sums } = this.layers[0];
    const width = sums.length;
    let location = this.skipHalf;
    let quiet = true;
    for (let i = 0; i < nValues; i++) {
      const x = values[i];
      if (x === 0) continue;
      if (quiet) {
        quiet = false;
        sums.set(this.start);
      }
      const h = COMPAND[x + MAX_INPUT];
      const column = i * width;
      for (let o = 0; o < width; o++) sums[o] = (sums[o] + Math.imul(columns[column + o], h)) | 0;
      location += skipWeights[i] * x;
    }
    if (quiet) {
      this.mu8 = this.quiet.mu8;
      this.scale = this.quiet.scale;
    } else this.propagate(location, false);
  }

  /** From the sums of the first layer, or its start where all values are 0, to the prediction. */
  propagate(location, quiet) {
    const { layers } = this;
    let { sums, shift: before } = layers[0];
    if (quiet) sums.set(this.start);
    for (let k = 1; k < layers.length; k++) {
      const { nIn, nOut, shift, weights, start, sums: next } = layers[k];
      for (let i = 0; i < nIn; i++) {
        const h = sums[i] >> before;
        sums[i] = h < 0 ? 0 : h > MAX_HIDDEN ? MAX_HIDDEN : h;
      }
      for (let o = 0, w = 0; o < nOut; o++) {
        let sum = start[o];
        for (let i = 0; i < nIn; i++, w++) sum = (sum + Math.imul(weights[w], sums[i])) | 0;
        next[o] = sum;
      }
      sums = next;
      before = shift;
    }
    // these two may need more than 32 bits
    const mu8 = Math.floor(((sums[0] >> before) + Math.floor(location / this.skipUnit) + 16) / 32);
    const scale = Math.floor(((sums[1] >> before) * 6 + 128) / 256) + 27;
    this.mu8 = mu8 < -16376 ? -16376 : mu8 > 16376 ? 16376 : mu8;
    this.scale = scale < 0 ? 0 : scale > 81 ? 81 : scale;
  }
}

/** Reads a network that must be for so many axes, and multi or not. */
export function readContextNetwork(bytes, nAxes, multi) {
  const [axes, several, nNeurons, nHidden] = [bytes.u8(), bytes.u8(), bytes.u8(), bytes.u8()];
  const fits = (ok, what) => check(ok, "context-net", `context network: ${what}`);
  fits(axes >= 1 && axes < CAUSAL.length && several <= 1, `${axes} axes, multi ${several}`);
  fits(nNeurons <= MAX_NEURONS && nHidden <= MAX_HIDDEN_LAYERS, `${nHidden} hidden layers of ${nNeurons} neurons`);
  fits((nNeurons === 0) === (nHidden === 0), `${nHidden} hidden layers of ${nNeurons} neurons`);
  const shifts = Array.from({ length: nHidden + 2 }, () => bytes.u8());
  const tensors = readTensors(bytes, tensorSizes(axes, several === 1, nNeurons, nHidden));
  const network = new ContextNetwork(axes, several === 1, nNeurons, nHidden, shifts, tensors);
  fits(axes === nAxes && network.multi === multi, `${axes} axes, multi ${several}; expected ${nAxes}, ${Number(multi)}`);
  return network;
}
