/** One zstd frame to its content: spec/container.md, section 5. What decompresses is given. */
import { NfldError, check } from "./bytes.js";

const MAX_WINDOW = 2 ** 23;

/** The content of a frame that holds at most `limit` bytes. decompress: Uint8Array -> Uint8Array. */
export function unzstd(frame, limit, decompress) {
  const size = contentSize(frame, limit);
  if (!decompress) throw new Error("no zstd at hand");
  let content;
  try {
    content = decompress(frame);
  } catch (error) {
    throw new NfldError("zstd", `damaged zstd frame: ${error.message}`);
  }
  check(content.length === size, "zstd", "zstd frame of another size than it says");
  return content;
}

/** The size that a frame states, after all checks that need no decompression. */
function contentSize(frame, limit) {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  check(frame.length >= 6 && view.getUint32(0, true) === 0xfd2fb528, "zstd", "not a zstd frame");
  const descriptor = frame[4];
  const single = (descriptor & 32) !== 0;
  const window = single ? 0 : (8 + (frame[5] & 7)) * 2 ** (7 + (frame[5] >> 3));
  check(window <= MAX_WINDOW, "zstd-window", `zstd frame with a window of ${window} bytes, expected 8 MiB`);
  check((descriptor & 11) === 0, "zstd", "zstd frame with a dictionary or bits that mean nothing yet");
  const at = single ? 5 : 6;
  const code = descriptor >> 6;
  const length = code === 0 ? Number(single) : 2 ** code;
  check(length > 0 && at + length <= frame.length, "zstd", "zstd frame that does not state its size");
  let size = 0;
  for (let i = length - 1; i >= 0; i--) size = size * 256 + frame[at + i];
  if (length === 2) size += 256;
  check(size <= limit, "zstd-size", `zstd frame of ${size} bytes, expected up to ${limit}`);
  return size;
}
