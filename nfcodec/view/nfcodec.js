/**
 * Reads .nfld files: neural fields of images, volumes and surfaces. Plain JavaScript for browsers and Node, written from the
 * specification in spec/. README.md shows how to embed it.
 */
import { CHUNK, isAncillary, readContainer } from "./container.js";
import { Decoder } from "./decoder.js";
import { Field } from "./field.js";
import { readMeta } from "./meta.js";

export { NfldError } from "./bytes.js";
export { Field } from "./field.js";
export { openUrl, levelsOf } from "./remote.js";

const asBytes = (data) => (data instanceof Uint8Array ? data : new Uint8Array(data));

/**
 * A field from the bytes of a file (ArrayBuffer or Uint8Array). Options: `truncated` accepts a file that is cut off, from its
 * first level on; `decompress` is a zstd decompressor for compressed metadata, such as that of fzstd.
 * Throws NfldError, whose `code` names the rule that the file breaks.
 */
export function openField(data, { truncated = false, decompress } = {}) {
  const warnings = [];
  const warn = (text) => warnings.push(text);
  const { chunks, missing } = readContainer(asBytes(data), { truncated, warn });
  const decoder = new Decoder(chunks, missing);
  for (const chunk of chunks) if (!isAncillary(chunk.type)) decoder.add(chunk);
  decoder.checkLevels();
  const metadata = chunks.find((chunk) => chunk.type === CHUNK.META && chunk.key === 0);
  const meta = metadata ? readMeta(metadata, decompress, warn) : null;
  return new Field(decoder, { missing: missing.length, meta, warnings });
}
