/** Little-endian numbers from bytes, each read with its bound checked. spec/container.md, first paragraphs. */

/** A file that cannot be read. `code` is the stable name of the rule that it breaks: spec/format.md, section 12. */
export class NfldError extends Error {
  constructor(code, message) {
    super(`${message} (${code})`);
    this.name = "NfldError";
    this.code = code;
  }
}

export function check(ok, code, message) {
  if (!ok) throw new NfldError(code, message);
}

export class ByteReader {
  /** @param {Uint8Array} bytes */
  constructor(bytes, what = "file") {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.position = 0;
    this.what = what;
  }

  get left() {
    return this.bytes.length - this.position;
  }

  take(n) {
    check(n <= this.left, "truncated", `${this.what} ends at byte ${this.bytes.length}, ${n - this.left} more are needed`);
    this.position += n;
    return this.bytes.subarray(this.position - n, this.position);
  }

  at(n) {
    this.take(n);
    return this.position - n;
  }

  u8() {
    return this.view.getUint8(this.at(1));
  }

  i8() {
    return this.view.getInt8(this.at(1));
  }

  u16() {
    return this.view.getUint16(this.at(2), true);
  }

  u32() {
    return this.view.getUint32(this.at(4), true);
  }

  f32() {
    return this.finite(this.view.getFloat32(this.at(4), true));
  }

  f64() {
    return this.finite(this.view.getFloat64(this.at(8), true));
  }

  finite(value) {
    check(Number.isFinite(value), "not-finite", `${this.what} holds ${value}, expected a finite number`);
    return value;
  }

  /** LEB128 in its shortest form, below 2^53. */
  varint() {
    let value = 0;
    for (let n = 0; n < 8; n++) {
      const byte = this.u8();
      value += (byte & 127) * 2 ** (7 * n);
      if (byte < 128) {
        check(n === 0 || byte > 0, "varint", `${this.what} has a number that is not in its shortest form`);
        check(value < 2 ** 53, "varint", `${this.what} has a number of 2^53 or more`);
        return value;
      }
    }
    throw new NfldError("varint", `${this.what} has a number of 2^53 or more`);
  }

  /** Bytes whose number comes first. */
  block() {
    return this.take(this.varint());
  }

  /** A reader of such bytes. */
  sub(what) {
    return new ByteReader(this.block(), what);
  }

  end() {
    check(this.left === 0, "leftover", `${this.what} goes on for ${this.left} bytes after its end`);
  }
}
