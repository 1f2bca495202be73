/** Integers of a Laplace distribution, of any size: spec/entropy.md, section 3. */
import { NfldError, check } from "../bytes.js";
import { laplaceTable } from "./tables.js";

const MAX_VALUE = 2 ** 24;
const MAX_UNARY = 24;

function excess(rans, order) {
  let unary = 0;
  while (rans.raw(1) === 1) {
    if (++unary > MAX_UNARY) throw new NfldError("escape", "number is too far from its prediction");
  }
  return 2 ** (order + unary) + rans.raw(order + unary) - 2 ** order;
}

/** A value with the location mu8, in eighths, and the scale index. */
export function readLaplace(rans, mu8, scale) {
  const k = scale < 46 ? 0 : ((scale - 40) / 6) | 0;
  const unit = 1 << k;
  const m = (mu8 - 4 * unit + 4 + (unit >> 1)) >> k;
  const reduced = scale - 6 * k;
  const base = m >> 3;
  const { cumulative, low, high } = laplaceTable(reduced * 8 + (m & 7));
  const token = rans.symbol(cumulative);
  let w = base + low + token - 1;
  if (token === 0 || w > base + high) {
    const e = excess(rans, reduced < 33 ? 0 : ((reduced - 27) / 6) | 0);
    w = token === 0 ? base + low - 1 - e : base + high + 1 + e;
  }
  const value = k === 0 ? w : w * unit + rans.raw(k);
  check(value <= MAX_VALUE && value >= -MAX_VALUE, "value-range", `integer ${value} is beyond 2^24`);
  return value;
}
