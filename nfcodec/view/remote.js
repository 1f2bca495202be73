/** A file by HTTP ranges, coarse levels first: spec/container.md, section 3, and spec/format.md, section 9. */
import { NfldError, check } from "./bytes.js";
import { CHUNK, checkedChunk, isAncillary, readTable } from "./container.js";
import { Decoder } from "./decoder.js";
import { Field } from "./field.js";
import { readMeta } from "./meta.js";
import { isOfScene } from "./scene.js";
import { decompress as zstd } from "./vendor/fzstd.js";

const FIRST_BYTES = 4096;

/** Bytes of a URL as they are asked for; all of them at once where the server knows no ranges. */
class RemoteBytes {
  constructor(url, fetcher) {
    this.url = url;
    this.fetch = fetcher;
    this.bytes = new Uint8Array(0);
    this.whole = false;
  }

  /** Makes at least the first n bytes known, or as many as there are. */
  async upTo(n) {
    if (this.whole || this.bytes.length >= n) return;
    const from = this.bytes.length;
    const response = await this.fetch(this.url, { headers: { Range: `bytes=${from}-${n - 1}` } });
    if (response.status === 416) {
      this.whole = true;
      return;
    }
    if (!response.ok) throw new Error(`${this.url}: HTTP status ${response.status}`);
    const received = new Uint8Array(await response.arrayBuffer());
    if (response.status !== 206) {
      this.bytes = received;
      this.whole = true;
      return;
    }
    const joined = new Uint8Array(from + received.length);
    joined.set(this.bytes);
    joined.set(received, from);
    this.bytes = joined;
    if (joined.length < n) this.whole = true;
  }
}

async function remoteTable(remote) {
  for (let n = FIRST_BYTES; ; n *= 2) {
    await remote.upTo(n);
    try {
      return readTable(remote.bytes);
    } catch (error) {
      if (!(error instanceof NfldError) || error.code !== "truncated" || remote.whole) throw error;
    }
  }
}

/** Fields of growing detail from a URL, the last one whole. Options: `fetch`, `decompress`. */
export async function* levelsOf(url, { fetch = globalThis.fetch.bind(globalThis), decompress = zstd } = {}) {
  const remote = new RemoteBytes(url, fetch);
  const warnings = [];
  const warn = (text) => warnings.push(text);
  const { rows, fileLength } = await remoteTable(remote);
  if (rows.some(isOfScene)) throw new Error(`${url}: a scene of several fields: fetch it and open it with openFile`);
  const decoder = new Decoder(rows);
  let meta = null;
  for (const [n, row] of rows.entries()) {
    const end = row.offset + row.length;
    await remote.upTo(end);
    check(remote.bytes.length >= end, "truncated", `${url} ends at byte ${remote.bytes.length}, header says ${fileLength}`);
    const bytes = checkedChunk(row, remote.bytes.subarray(row.offset, end), warn);
    if (!bytes) continue;
    if (row.type === CHUNK.META && row.key === 0) meta = readMeta({ ...row, bytes }, decompress, warn);
    if (isAncillary(row.type)) continue;
    decoder.add({ ...row, bytes });
    const missing = rows.length - 1 - n;
    if (row.type === CHUNK.GRID && missing > 0) yield new Field(decoder, { missing, meta, warnings });
  }
  check(!remote.whole || remote.bytes.length <= fileLength, "trailing-bytes", `${url} goes on after byte ${fileLength}`);
  decoder.checkLevels();
  yield new Field(decoder, { meta, warnings });
}

/** The whole field of a URL. `onLevel(field)` sees those of fewer levels before it. */
export async function openUrl(url, { onLevel, ...options } = {}) {
  let field = null;
  for await (const next of levelsOf(url, options)) {
    if (field) await onLevel?.(field);
    field = next;
  }
  return field;
}
