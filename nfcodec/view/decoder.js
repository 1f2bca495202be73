/** Checked chunks to the integers of a field: spec/format.md, sections 1, 3, 4, 8 and 9. */
import { ByteReader, NfldError, check } from "./bytes.js";
import { CHUNK, CODEC, isAncillary } from "./container.js";
import { readContextNetwork } from "./entropy/context.js";
import { readLevel } from "./entropy/levels.js";
import { product } from "./entropy/lattice.js";
import { readColumns, readIndices, readTensors } from "./entropy/streams.js";
import { isMulti, readHeader, tableRows } from "./header.js";
import { readNetworkChunk } from "./network.js";
import { readResidualHeader } from "./residual.js";
import { readSingle } from "./single.js";

const NAMES = Object.fromEntries(Object.entries(CHUNK).map(([name, type]) => [type, name]));

/** Number, order and codecs of the critical chunks in a table. */
export function checkTable(rows) {
  const critical = rows.filter((row) => !isAncillary(row.type));
  const count = (type) => critical.filter((row) => row.type === type).length;
  if (count(CHUNK.FULL) > 0) check(critical.length === 1, "chunk-count", "FULL and other chunks in one file");
  else {
    for (const type of [CHUNK.FHDR, CHUNK.DNET]) check(count(type) === 1, "chunk-count", `${count(type)} chunks ${NAMES[type]}`);
    check(count(CHUNK.CTXN) <= 1 && count(CHUNK.RESI) <= 1, "chunk-count", "two chunks of a type that is there once");
    check(count(CHUNK.GRID) >= 1, "chunk-count", "no chunk GRID");
  }
  critical.forEach(({ type, key, codec }, n) => {
    check(type === CHUNK.GRID || key === 0, "chunk-count", `chunk ${NAMES[type]} of key ${key}`);
    check(codec === (type === CHUNK.FHDR ? CODEC.raw : CODEC.rans), "chunk-codec", `chunk ${NAMES[type]} of codec ${codec}`);
    check(n === 0 || critical[n - 1].type <= type, "chunk-order", `chunk ${NAMES[type]} comes too late`);
  });
}

/** Integers of a field, chunk by chunk. */
export class Decoder {
  /** rows: the table of the file. */
  constructor(rows) {
    checkTable(rows);
    this.hasContext = rows.some((row) => row.type === CHUNK.CTXN);
    this.lastKey = rows.filter((row) => row.type === CHUNK.GRID).at(-1)?.key;
    this.spec = this.network = this.context = this.residual = null;
    /** By level of the field: `{latents}`, `{table}`, `{indices, codebook}`, `{widths}` or `{}`. */
    this.levels = [];
  }

  get complete() {
    return this.spec !== null && this.levels.length === this.spec.nLevels;
  }

  /** Takes a critical chunk `{type, key, bytes}`, in the order of the file. */
  add({ type, key, bytes }) {
    const name = NAMES[type];
    const reader = new ByteReader(bytes, name);
    if (type === CHUNK.FULL) {
      Object.assign(this, readSingle(reader));
      return;
    }
    if (type === CHUNK.FHDR) this.addHeader(reader);
    else if (type === CHUNK.DNET) this.network = readNetworkChunk(reader, this.spec);
    else if (type === CHUNK.CTXN) this.context = readContextNetwork(reader, this.spec.nAxes, isMulti(this.dense));
    else if (type === CHUNK.GRID) this.addLevels(reader, key);
    else this.residual = readResidualHeader(reader, this.spec, this.network);
    reader.end();
  }

  addHeader(reader) {
    this.spec = readHeader(reader);
    this.dense = this.spec.parts.find((part) => part.encoding === "dense");
    check(this.hasContext === Boolean(this.dense), "chunk-count", "CTXN belongs to dense grids, and to them alone");
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
    if (key === this.lastKey) check(key === nLevels - 1, "grid-count", `${key + 1} levels, expected ${nLevels}`);
  }

  readIntegers(bytes, { part, level, index }) {
    const { resolution, nFeatures } = level ?? {};
    if (part.encoding === "dense") {
      const before = index > 0 ? { shape: part.levels[index - 1].resolution, planes: this.levels.at(-1).latents } : null;
      const place = { shape: resolution, nPlanes: nFeatures, level: index, nLevels: part.levels.length, coarse: before };
      return { latents: readLevel(bytes, this.context, place).planes };
    }
    if (part.encoding === "hash") return { table: readColumns(bytes, tableRows(part, level), nFeatures) };
    if (part.encoding === "codebook") {
      const size = 2 ** part.log2Size;
      const codebook = readColumns(bytes, size, nFeatures);
      return { codebook, indices: readIndices(bytes, product(resolution), size) };
    }
    if (part.encoding === "super-gaussian") return { widths: readTensors(bytes, [part.width])[0] };
    return {};
  }

  /** Whether what was taken so far is a field. */
  checkUsable() {
    const usable = this.network && this.levels.length > 0 && (!this.dense || this.context);
    if (!usable) throw new NfldError("truncated", "file ends before its first level");
  }
}
