/** Streams of small integers: spec/entropy.md, section 7. */
import { check } from "../bytes.js";
import { readLaplace } from "./laplace.js";
import { RansReader } from "./rans.js";
import { readStatic, readStaticTables } from "./static.js";
import { N_SCALES } from "./tables.js";

export function checkScale(scale) {
  check(scale < N_SCALES, "scale", `scale index ${scale}, expected below ${N_SCALES}`);
  return scale;
}

/** Values of tensors, each of its size and scale, from a stream that goes on. */
export function readValues(rans, sizes, scales) {
  return sizes.map((size, i) => {
    const values = new Int32Array(size);
    for (let n = 0; n < size; n++) values[n] = readLaplace(rans, 0, scales[i]);
    return values;
  });
}

/** Tensors of known sizes: their scales, then one stream to the end of the data. */
export function readTensors(reader, sizes) {
  const scales = sizes.map(() => checkScale(reader.u8()));
  const rans = new RansReader(reader.take(reader.left));
  const tensors = readValues(rans, sizes, scales);
  rans.end();
  return tensors;
}

/** The columns of a table. */
export function readColumns(reader, nRows, nColumns) {
  return readTensors(reader.sub("columns"), new Array(nColumns).fill(nRows));
}

/** The table, rows by columns, in C order. */
export function readTable(reader, nRows, nColumns) {
  const table = new Int32Array(nRows * nColumns);
  readColumns(reader, nRows, nColumns).forEach((column, c) => column.forEach((value, r) => (table[r * nColumns + c] = value)));
  return table;
}

/** n indices below nSymbols. */
export function readIndices(reader, n, nSymbols) {
  const rans = new RansReader(reader.block());
  const [table] = readStaticTables(rans, nSymbols, 1);
  const indices = new Int32Array(n);
  for (let i = 0; i < n; i++) indices[i] = readStatic(rans, table);
  rans.end();
  return indices;
}
