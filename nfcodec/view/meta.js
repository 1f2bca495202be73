/** META: spec/format.md, section 11. It never affects samples; what cannot be used is dropped with a warning. */
import { CODEC } from "./container.js";

const MAX_BYTES = 2 ** 20;
const MAX_DEPTH = 16;
const MAX_WINDOW = 2 ** 23;

/** The size that a zstd frame states, after the checks of spec/container.md, section 5. */
export function zstdContentSize(frame) {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  if (frame.length < 6 || view.getUint32(0, true) !== 0xfd2fb528) throw new Error("not a zstd frame");
  const descriptor = frame[4];
  const single = (descriptor & 32) !== 0;
  if ((descriptor & 3) !== 0) throw new Error("zstd frame with a dictionary");
  let at = 5;
  if (!single) {
    const base = 2 ** (10 + (frame[at] >> 3));
    if (base + (base / 8) * (frame[at] & 7) > MAX_WINDOW) throw new Error("zstd frame with a window above 8 MiB");
    at++;
  }
  const code = descriptor >> 6;
  const length = code === 0 ? Number(single) : 2 ** code;
  if (length === 0 || at + length > frame.length) throw new Error("zstd frame that does not state its size");
  let size = 0;
  for (let i = length - 1; i >= 0; i--) size = size * 256 + frame[at + i];
  return length === 2 ? size + 256 : size;
}

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
    if (chunk.codec === CODEC.zstd) {
      const size = zstdContentSize(bytes);
      if (size > MAX_BYTES) throw new Error(`${size} bytes`);
      if (!decompress) throw new Error("no zstd at hand");
      bytes = decompress(bytes);
      if (bytes.length !== size) throw new Error("zstd frame of another size than it says");
    } else if (chunk.codec !== CODEC.raw) throw new Error("unknown codec");
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
