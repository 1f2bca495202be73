/** META: spec/format.md, section 11. It never affects samples; what cannot be used is dropped with a warning. */
import { CODEC } from "./container.js";
import { unzstd } from "./zstd.js";

const MAX_BYTES = 2 ** 20;
const MAX_DEPTH = 16;

/** Refuses what other readers of JSON do not take: any depth, numbers that are not finite, lone surrogates. */
function checkJson(value, depth = MAX_DEPTH) {
  if (typeof value === "number" && !Number.isFinite(value)) throw new Error(`the number ${value}`);
  if (typeof value === "string" && /\p{Surrogate}/u.test(value)) throw new Error("a lone surrogate");
  if (value === null || typeof value !== "object") return;
  if (depth === 0) throw new Error(`nested more than ${MAX_DEPTH} deep`);
  for (const [key, inner] of Object.entries(value)) {
    checkJson(key);
    checkJson(inner, depth - 1);
  }
}

/** The object in a chunk `{codec, bytes}`; null, with a warning, where it cannot be used. decompress: Uint8Array -> Uint8Array. */
export function readMeta(chunk, decompress, warn) {
  try {
    let { bytes } = chunk;
    if (chunk.codec === CODEC.zstd) bytes = unzstd(bytes, MAX_BYTES, decompress);
    else if (chunk.codec !== CODEC.raw) throw new Error("unknown codec");
    if (bytes.length > MAX_BYTES) throw new Error(`${bytes.length} bytes`);
    const value = JSON.parse(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes));
    if (value === null || typeof value !== "object" || Array.isArray(value)) throw new Error("not an object");
    checkJson(value);
    return value;
  } catch (error) {
    warn(`META was dropped: ${error.message}`);
    return null;
  }
}
