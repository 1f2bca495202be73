/** Bytes to checked chunks: spec/container.md. */
import { ByteReader, NfldError, check } from "./bytes.js";

export const CHUNK = { FHDR: 1, DNET: 2, CTXN: 3, GRID: 4, FULL: 5, RESI: 6, SCNE: 7, PART: 8, META: 0xc0 };
export const CODEC = { raw: 0, zstd: 1, rans: 2 };
export const DRAFT = 1;

const SIGNATURE = [0x89, 0x4e, 0x46, 0x43, 0x0d, 0x0a, 0x1a, 0x0a];
const MAX_CHUNKS = 1024;
const TYPES = new Set(Object.values(CHUNK));
const CODECS = new Set(Object.values(CODEC));

export const isAncillary = (type) => type >= 128;

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n >>> 0;
});

/** CRC-32 of zlib and PNG. */
export function crc32(bytes) {
  let crc = 0xffffffff;
  for (let i = 0; i < bytes.length; i++) crc = CRC_TABLE[(crc ^ bytes[i]) & 255] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

/**
 * Header and table, which must be whole: `{rows, start, fileLength}`. A row is `{type, key, codec, length, checksum, offset}`,
 * `start` where chunks begin. `bytes` may be a prefix of the file.
 */
export function readTable(bytes) {
  const reader = new ByteReader(bytes, "header");
  const head = reader.take(Math.min(8, bytes.length));
  check(head.length > 0 && head.every((byte, i) => byte === SIGNATURE[i]), "signature", "not a .nfld file");
  check(head.length === 8, "truncated", "file ends within its signature");
  const major = reader.u8();
  check(major === 0, "version", `file of major version ${major}, expected 0`);
  const minor = reader.u8();
  check(minor === DRAFT, "version", `file of draft ${minor}, expected draft ${DRAFT}`);
  const features = reader.u16();
  const nChunks = reader.varint();
  check(nChunks >= 1 && nChunks <= MAX_CHUNKS, "n-chunks", `file of ${nChunks} chunks, expected 1 to ${MAX_CHUNKS}`);
  const fileLength = reader.varint();
  const rows = [];
  for (let n = 0; n < nChunks; n++) {
    rows.push({ type: reader.u8(), key: reader.varint(), codec: reader.u8(), length: reader.varint(), checksum: reader.u32() });
  }
  const covered = reader.position;
  check(reader.u32() === crc32(bytes.subarray(0, covered)), "checksum", "header is damaged");
  check(features === 0, "feature", `file needs features ${features} that this decoder does not know`);
  const seen = new Set();
  for (const { type, key, codec, length } of rows) {
    check(key < 2 ** 32 && length < 2 ** 32, "chunk-limit", `chunk of key ${key}, ${length} bytes, expected below 2^32`);
    const id = `${type}:${key}`;
    check(!seen.has(id), "chunk-duplicate", `two chunks have type ${type} and key ${key}`);
    seen.add(id);
    if (isAncillary(type)) continue;
    check(TYPES.has(type), "chunk-type", `chunk of unknown type ${type}`);
    check(CODECS.has(codec), "codec", `chunk of unknown codec ${codec}`);
  }
  let offset = reader.position;
  for (const row of rows) {
    row.offset = offset;
    offset += row.length;
  }
  check(offset === fileLength, "length", `chunks end at byte ${offset}, header says ${fileLength}`);
  return { rows, start: reader.position, fileLength };
}

/** Stored bytes of a chunk after their checksum; null for a damaged or unknown ancillary chunk, with a warning. */
export function checkedChunk(row, stored, warn = () => {}) {
  const whole = crc32(stored) === row.checksum;
  if (!isAncillary(row.type)) {
    check(whole, "checksum", `chunk of type ${row.type}, key ${row.key} is damaged`);
    return stored;
  }
  if (!TYPES.has(row.type)) return null;
  if (whole && CODECS.has(row.codec)) return stored;
  warn(`chunk of type ${row.type}, key ${row.key} was dropped: ${whole ? "unknown codec" : "damaged"}`);
  return null;
}

/** All chunks of a file: `{chunks, missing}`, chunks `{type, key, codec, bytes}`; missing are the rows of those cut off. */
export function readContainer(bytes, { truncated = false, warn } = {}) {
  const { rows, fileLength } = readTable(bytes);
  const lengths = `file of ${bytes.length} bytes, header says ${fileLength}`;
  check(truncated || bytes.length >= fileLength, "truncated", lengths);
  check(bytes.length <= fileLength, "trailing-bytes", lengths);
  const chunks = [];
  for (const [n, row] of rows.entries()) {
    const cut = row.offset + row.length > bytes.length;
    if (truncated && cut) return { chunks, missing: rows.slice(n) };
    try {
      const content = checkedChunk(row, bytes.subarray(row.offset, row.offset + row.length), warn);
      if (content) chunks.push({ ...row, bytes: content });
    } catch (error) {
      if (truncated && error instanceof NfldError) return { chunks, missing: rows.slice(n) };
      throw error;
    }
  }
  return { chunks, missing: [] };
}
