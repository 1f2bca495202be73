/**
 * Reads .nfld files: neural fields of images, volumes and surfaces. Plain JavaScript for browsers and Node, written from the
 * specification in spec/. README.md shows how to embed it.
 */
import { CHUNK, isAncillary, readContainer } from "./container.js";
import { Decoder } from "./decoder.js";
import { Field } from "./field.js";
import { readMeta } from "./meta.js";
import { decompress as zstd } from "./vendor/fzstd.js";

export { NfldError } from "./bytes.js";
export { Field } from "./field.js";
export { openUrl, levelsOf } from "./remote.js";

const asBytes = (data) => (data instanceof Uint8Array ? data : new Uint8Array(data));

/**
 * Fields of growing detail from the bytes of a file (ArrayBuffer or Uint8Array), the last one whole. Options: `truncated` accepts a file
 * that is cut off, from its first level on; `decompress` is another zstd decompressor for metadata than the one that comes along.
 * Throws NfldError, whose `code` names the rule that the file breaks.
 */
export function* levelsIn(data, { truncated = false, decompress = zstd } = {}) {
  const warnings = [];
  const warn = (text) => warnings.push(text);
  const { chunks, missing } = readContainer(asBytes(data), { truncated, warn });
  const decoder = new Decoder(chunks, missing);
  const metadata = chunks.find((chunk) => chunk.type === CHUNK.META && chunk.key === 0);
  const meta = metadata ? readMeta(metadata, decompress, warn) : null;
  const soFar = () => new Field(decoder, { missing: missing.length, meta, warnings });
  for (const chunk of chunks.filter(({ type }) => !isAncillary(type))) {
    decoder.add(chunk);
    if (chunk.type === CHUNK.GRID && decoder.levels.length < decoder.spec.nLevels) yield soFar();
  }
  decoder.checkLevels();
  yield soFar();
}

/** The whole field from the bytes of a file: what levelsIn gives last. */
export function openField(data, options) {
  let field = null;
  for (field of levelsIn(data, options));
  return field;
}
