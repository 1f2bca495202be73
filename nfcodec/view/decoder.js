/** Checked chunks to the integers of a field: spec/format.md, sections 1, 3, 4, 8 and 9. */
import { ByteReader, NfldError, check } from "./bytes.js";
import { CHUNK, CODEC, isAncillary } from "./container.js";
import { factorSizes, structureOf } from "./encodings/factors.js";
import { readMesh } from "./encodings/mesh.js";
import { readPoints } from "./encodings/points.js";
import { readContextNetwork } from "./entropy/context.js";
import { readLevel } from "./entropy/levels.js";
import { product } from "./entropy/lattice.js";
import { readColumns, readIndices, readTable, readTensors } from "./entropy/streams.js";
import { isMulti, readHeader, tableRows } from "./header.js";
import { readNetworkChunk } from "./network.js";
import { MAX_GRID_INTEGERS } from "./registry.js";
import { readResidualHeader } from "./residual.js";
import { readSingle } from "./single.js";

const ORDER = [CHUNK.FHDR, CHUNK.DNET, CHUNK.CTXN, CHUNK.GRID, CHUNK.FULL, CHUNK.RESI, CHUNK.SCNE, CHUNK.PART];
/** Of the types whose codec is another than rans. */
const CODECS = { [CHUNK.FHDR]: [CODEC.raw], [CHUNK.SCNE]: [CODEC.raw, CODEC.zstd], [CHUNK.PART]: [CODEC.raw] };
const NAMES = Object.fromEntries(Object.entries(CHUNK).map(([name, type]) => [type, name]));

/** Codecs and order of the critical chunks in a table. */
export function checkTable(rows) {
  for (const { type, codec } of rows) {
    check((CODECS[type] ?? [CODEC.rans]).includes(codec), "chunk-codec", `chunk ${NAMES[type]} of codec ${codec}`);
  }
  const place = ({ type }) => ORDER.indexOf(type);
  rows.forEach((row, n) => {
    check(n === 0 || place(rows[n - 1]) <= place(row), "chunk-order", `chunk ${NAMES[row.type]} comes too late`);
  });
}

function checkFull(rows, missing) {
  const full = [...rows, ...missing].some((row) => row.type === CHUNK.FULL);
  check(!full || rows.every((row) => row.type === CHUNK.FULL), "chunk-count", "FULL and other chunks in one file");
}

/** Integers of a field, chunk by chunk. */
export class Decoder {
  /**
   * rows: those of the table whose chunks will be added; missing: those whose chunks are cut off; budget: `{left}`, integers
   * that levels may have.
   */
  constructor(rows, missing = [], budget = { left: MAX_GRID_INTEGERS }) {
    this.rows = rows.filter((row) => !isAncillary(row.type));
    this.missing = missing;
    this.budget = budget;
    checkTable(this.rows);
    checkFull(this.rows, this.missing);
    this.full = this.rows.some((row) => row.type === CHUNK.FULL);
    this.spec = this.network = this.context = this.residual = null;
    /** By level of the field: as spec/README.md names them; a list has an array for each feature. */
    this.levels = [];
  }

  /** That a chunk is there once, with key 0. */
  single(type) {
    const found = this.rows.filter((row) => row.type === type);
    const cut = found.length === 0 && this.missing.some((row) => row.type === type);
    check(!cut, "truncated", `file is cut off before its ${NAMES[type]}`);
    check(found.length === 1 && found[0].key === 0, "chunk-count", `${found.length} chunks ${NAMES[type]}, expected one of key 0`);
  }

  /** Takes a critical chunk `{type, key, bytes}`, in the order of the file. */
  add({ type, key, bytes }) {
    if (type === CHUNK.RESI) this.checkLevels();
    else if (type !== CHUNK.FULL) this.checkBefore(type);
    if (type !== CHUNK.GRID) this.single(type);
    const reader = new ByteReader(bytes, NAMES[type]);
    if (type === CHUNK.FULL) Object.assign(this, readSingle(reader, this.budget));
    else if (type === CHUNK.FHDR) this.addHeader(reader);
    else if (type === CHUNK.DNET) this.network = readNetworkChunk(reader, this.spec);
    else if (type === CHUNK.CTXN) this.context = readContextNetwork(reader, this.spec.nAxes, isMulti(this.dense));
    else if (type === CHUNK.GRID) this.addLevels(reader, key);
    else this.residual = readResidualHeader(reader, this.spec, this.network);
    reader.end();
  }

  /** That what a type of chunks builds on was there. */
  checkBefore(type) {
    if (type >= CHUNK.DNET && !this.spec) this.single(CHUNK.FHDR);
    if (type >= CHUNK.CTXN && !this.network) this.single(CHUNK.DNET);
    if (type === CHUNK.CTXN) check(this.dense, "chunk-count", "CTXN in a file without dense grids");
    if (type > CHUNK.CTXN && this.dense && !this.context) this.single(CHUNK.CTXN);
  }

  addHeader(reader) {
    this.spec = readHeader(reader, this.budget);
    this.dense = this.spec.parts.find((part) => part.encoding === "dense");
    this.places = this.spec.parts.flatMap((part) => part.levels.map((level, index) => ({ part, level, index })));
  }

  addLevels(reader, key) {
    const { nLevels } = this.spec;
    check(key >= this.levels.length && key < nLevels, "grid-order", `GRID of key ${key} after ${this.levels.length} levels`);
    while (this.levels.length <= key) {
      const bytes = reader.sub(`level ${this.levels.length}`);
      this.levels.push(this.readIntegers(bytes, this.places[this.levels.length]));
      bytes.end();
    }
  }

  /** That what was taken is a field, and a whole one unless chunks with levels are cut off. */
  checkLevels() {
    if (this.full && this.spec) return;
    if (this.missing.some((row) => row.type === CHUNK.FULL)) this.single(CHUNK.FULL);
    this.checkBefore(CHUNK.GRID);
    const cut = this.missing.some((row) => row.type === CHUNK.GRID);
    const { length } = this.levels;
    if (length === 0) throw new NfldError(cut ? "truncated" : "chunk-count", "no level at all");
    check(cut || length === this.spec.nLevels, "grid-count", `${length} levels, expected ${this.spec.nLevels}`);
  }

  readIntegers(bytes, { part, level, index }) {
    const { resolution, nFeatures } = level;
    if (part.encoding === "dense") {
      const before = index > 0 ? { shape: part.levels[index - 1].resolution, planes: this.levels.at(-1).latents } : null;
      const place = { shape: resolution, nPlanes: nFeatures, level: index, nLevels: part.levels.length, coarse: before };
      return { latents: readLevel(bytes, this.context, place).planes };
    }
    if (structureOf(part.encoding, this.spec.nAxes)) {
      const factors = factorSizes(part.encoding, resolution).map((n, i) => [`factor${i}`, readColumns(bytes, n, nFeatures)]);
      return Object.fromEntries(factors);
    }
    if (part.encoding === "points") return readPoints(bytes, part, level);
    if (part.encoding === "mesh") return readMesh(bytes, part, level);
    if (part.encoding === "hash") return { table: readTable(bytes, tableRows(part, level), nFeatures) };
    if (part.encoding === "codebook") {
      const size = 2 ** part.log2Size;
      const codebook = readTable(bytes, size, nFeatures);
      return { codebook, indices: readIndices(bytes, product(resolution), size) };
    }
    if (part.encoding === "super-gaussian") return { widths: readTensors(bytes, [part.width])[0] };
    return {};
  }
}
