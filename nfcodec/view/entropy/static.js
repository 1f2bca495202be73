/** Symbols of few values, with tables of their own: spec/entropy.md, section 4. */
import { check } from "../bytes.js";
import { readLaplace } from "./laplace.js";
import { N_SCALES, TOTAL } from "./tables.js";

const bitLength = (n) => (n === 0 ? 0 : 32 - Math.clz32(n));

function readTable(rans, nSymbols, m, scale) {
  const levels = new Int32Array(nSymbols);
  let mu8 = 8 * (2 + ((18 - bitLength(nSymbols - 1)) << m));
  for (let j = 0; j < nSymbols; j++) {
    const q = readLaplace(rans, mu8, scale);
    check(q >= 0 && q <= 2 + (19 << m), "static-table", `level ${q} of a table`);
    levels[j] = q;
    mu8 = (mu8 + 8 * q + 1) >> 1;
  }
  const weights = Float64Array.from(levels, (q) => (q < 2 ? 0 : ((1 << m) + ((q - 2) & ((1 << m) - 1))) * 2 ** ((q - 2) >> m)));
  const used = levels.reduce((n, q) => n + (q > 0), 0);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  check(total > 0, "static-table", "table without weights");
  const cumulative = new Uint16Array(nSymbols + 1);
  for (let j = 0, w = 0, u = 0; j <= nSymbols; j++) {
    cumulative[j] = Math.floor((w * (TOTAL - used)) / total) + u;
    if (j < nSymbols) {
      w += weights[j];
      u += levels[j] > 0 ? 1 : 0;
    }
  }
  return cumulative;
}

/** Tables for symbols 0 .. nSymbols - 1 in each context; null for a context without one. Symbols follow in the same stream. */
export function readStaticTables(rans, nSymbols, nContexts) {
  const m = rans.raw(2);
  const scale = rans.raw(7);
  check(scale < N_SCALES, "static-table", `scale ${scale} of tables`);
  const tables = [];
  for (let c = 0; c < nContexts; c++) tables.push(rans.raw(1) ? readTable(rans, nSymbols, m, scale) : null);
  return tables;
}

export function readStatic(rans, table) {
  check(table, "empty-context", "symbol in a context without a table");
  return rans.symbol(table);
}
