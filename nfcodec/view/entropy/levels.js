/** The planes of a level: spec/entropy.md, section 8. A level is `{shape, planes}`, planes Int32Arrays in C order. */
import { check } from "../bytes.js";
import { MAX_INPUT } from "./context.js";
import { readLaplace } from "./laplace.js";
import { CAUSAL, blockEdge, blockOf, blockShape, codingOrder, parents, product, raster, strides } from "./lattice.js";
import { RansReader } from "./rans.js";
import { readStatic, readStaticTables } from "./static.js";

const clip = (x) => (x < -MAX_INPUT ? -MAX_INPUT : x > MAX_INPUT ? MAX_INPUT : x);

/** The function (first, last) -> 0, 1 or 2: how full the box of parents of a block is, from its first position to its last. */
function fullness(shape, { shape: coarse, planes }) {
  const set = Uint8Array.from(planes[0], (_, i) => Number(planes.some((plane) => plane[i] !== 0)));
  const step = strides(coarse);
  const parent = shape.map((n, k) => parents(n, coarse[k]).parent);
  return (first, last) => {
    const from = first.map((i, k) => parent[k][i]);
    const counts = last.map((i, k) => parent[k][i] - from[k] + 1);
    let n = 0;
    raster(counts, (_, at) => {
      n += set[at.reduce((sum, i, k) => sum + (from[k] + i) * step[k], 0)];
    });
    return Math.ceil((2 * n) / product(counts));
  };
}

function readMask(bytes, shape, coarse) {
  const rans = new RansReader(bytes);
  const nAxes = shape.length;
  const tables = readStaticTables(rans, 2, 3 * (nAxes + 1));
  const blocks = blockShape(shape);
  const edge = blockEdge(nAxes);
  const step = strides(blocks);
  const mask = new Uint8Array(product(blocks));
  const full = coarse ? fullness(shape, coarse) : () => 2;
  raster(blocks, (i, at) => {
    const last = at.map((block, k) => Math.min((block + 1) * edge, shape[k]) - 1);
    let context = (nAxes + 1) * full(at.map((block) => block * edge), last);
    for (let k = 0; k < nAxes; k++) if (at[k] > 0) context += mask[i - step[k]];
    mask[i] = readStatic(rans, tables[context]);
  });
  rans.end();
  return mask;
}

/** Where the values of groups (a), (b) and (c) lie for each position of a level. */
class Neighbourhood {
  constructor(shape, coarse) {
    this.shape = shape;
    this.coarse = coarse;
    const pad = shape.length === 1 ? 4 : 2; // as far as causal offsets reach
    const padded = shape.map((n) => n + 2 * pad);
    this.size = product(padded);
    this.step = strides(padded);
    this.origin = this.step.reduce((sum, step) => sum + pad * step, 0);
    this.causal = Int32Array.from(CAUSAL[shape.length], (offset) => offset.reduce((sum, o, k) => sum + o * this.step[k], 0));
    if (coarse) {
      const above = strides(coarse.shape);
      this.above = shape.map((n, k) => {
        const { parent, near, far } = parents(n, coarse.shape[k]);
        const scaled = (indices) => indices.map((i) => i * above[k]);
        return { parent: scaled(parent), near: scaled(near), far: scaled(far) };
      });
    }
  }

  /** Fills values for plane f at coordinates `at`, whose place in padded planes is `place`. */
  gather(values, place, at, plane, before, above, multi) {
    const { causal, step } = this;
    const d = at.length;
    let n = 0;
    for (; n < causal.length; n++) values[n] = plane[place + causal[n]];
    if (above) {
      let base = 0;
      for (let k = 0; k < d; k++) base += this.above[k].parent[at[k]];
      values[n] = above[base];
      for (let k = 0; k < d; k++) {
        const { parent, near, far } = this.above[k];
        const rest = base - parent[at[k]];
        values[n + 1 + k] = above[rest + near[at[k]]];
        values[n + 1 + d + k] = above[rest + far[at[k]]];
      }
    }
    n += 1 + 2 * d;
    if (multi && before) {
      values[n++] = before[place];
      for (let k = 0; k < d; k++) {
        values[n++] = before[place - step[k]];
        values[n++] = before[place + step[k]];
      }
    }
  }
}

/**
 * The values of all planes from a stream that goes on. `place` is `{shape, nPlanes, level, nLevels, coarse}`, coarse the level
 * before or null; mask is null or a bit a block.
 */
export function readPlanes(rans, network, { shape, nPlanes, level, nLevels, coarse }, mask = null) {
  const block = mask && blockOf(shape);
  const order = codingOrder(shape, mask && ((_, at) => mask[block(at)]));
  const around = new Neighbourhood(shape, coarse);
  const step = strides(shape);
  const d = shape.length;
  const values = new Int32Array(network.nValues);
  const at = new Int32Array(d);
  const planes = [];
  const above = coarse && coarse.planes.map((plane) => Int16Array.from(plane, clip));
  let before = null;
  for (let f = 0; f < nPlanes; f++) {
    const plane = new Int32Array(product(shape));
    const clipped = new Int16Array(around.size);
    const parent = above && above[Math.min(f, above.length - 1)];
    network.setPlane(nLevels - 1 - level, f);
    for (let n = 0; n < order.length; n++) {
      const i = order[n];
      let place = around.origin;
      for (let k = 0, rest = i; k < d; k++) {
        at[k] = (rest / step[k]) | 0;
        rest -= at[k] * step[k];
        place += at[k] * around.step[k];
      }
      around.gather(values, place, at, clipped, before, parent, network.multi);
      network.predict(values);
      const value = readLaplace(rans, network.mu8, network.scale);
      plane[i] = value;
      clipped[place] = clip(value);
    }
    planes.push(plane);
    before = clipped;
  }
  return { shape, planes };
}

/** A level from its bytes, all of them. */
export function readLevel(reader, network, place) {
  const flags = reader.u8();
  check(flags <= 1, "level-flags", `flags ${flags} of a level, expected 0 or 1`);
  const mask = flags === 1 ? readMask(reader.block(), place.shape, place.coarse) : null;
  const rans = new RansReader(reader.take(reader.left));
  const level = readPlanes(rans, network, place, mask);
  rans.end();
  return level;
}
