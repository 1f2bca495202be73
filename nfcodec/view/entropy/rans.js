/** A stream of symbols: spec/entropy.md, section 2. The state is an unsigned 32-bit number; no product needs more bits. */
import { check } from "../bytes.js";
import { TOTAL, TOTAL_BITS } from "./tables.js";

const LOW = 1 << 16;

export class RansReader {
  constructor(bytes) {
    check(bytes.length >= 4 && bytes.length % 2 === 0, "rans-length", `stream of ${bytes.length} bytes`);
    this.bytes = bytes;
    this.position = 4;
    this.state = (bytes[0] | (bytes[1] << 8) | (bytes[2] << 16) | (bytes[3] << 24)) >>> 0;
    check(this.state >= LOW, "rans-state", "stream begins with a state below 2^16");
  }

  advance(start, frequency) {
    const { state } = this;
    let next = frequency * (state >>> TOTAL_BITS) + (state & (TOTAL - 1)) - start;
    if (next < LOW) {
      const { bytes, position } = this;
      check(position < bytes.length, "rans-exhausted", "stream ends before its symbols do");
      next = next * LOW + (bytes[position] | (bytes[position + 1] << 8));
      this.position = position + 2;
    }
    this.state = next >>> 0;
  }

  /** A symbol with cumulative frequencies (n + 1 numbers, 0 .. 2^14). */
  symbol(cumulative) {
    const slot = this.state & (TOTAL - 1);
    let low = 0;
    let high = cumulative.length - 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (cumulative[middle] <= slot) low = middle;
      else high = middle;
    }
    this.advance(cumulative[low], cumulative[low + 1] - cumulative[low]);
    return low;
  }

  /** A number of n bits, low bits first. */
  raw(n) {
    let value = 0;
    for (let done = 0; done < n; ) {
      const m = Math.min(TOTAL_BITS, n - done);
      const width = TOTAL_BITS - m;
      const part = (this.state & (TOTAL - 1)) >> width;
      this.advance(part << width, 1 << width);
      value += part * 2 ** done;
      done += m;
    }
    return value;
  }

  end() {
    check(this.state === LOW && this.position === this.bytes.length, "rans-state", "stream does not end where its symbols do");
  }
}
