"""A bounds-checked cursor for reading little-endian structs, its matching writer, and canonical varints.

`Reader` trusts nothing: every read is checked against the bytes that are left, floats must be finite, varints must
have their shortest form, and `done()` refuses leftovers. `what` names the thing being read in every message.
"""

from __future__ import annotations

import math
import struct

from .errors import FormatError, TruncatedError

__all__ = ["MAX_VARINT", "Reader", "Writer", "read_varint", "write_varint"]

MAX_VARINT = (1 << 53) - 1  # the integers that a double holds exactly, so that JavaScript readers agree
MAX_VARINT_BYTES = 8


def write_varint(value: int) -> bytes:
    """LEB128: 7 bits a byte, low bits first, bit 7 set on all but the last. 0 <= value < 2**53, else ValueError."""
    if not 0 <= value <= MAX_VARINT:
        raise ValueError(f"writing a varint: got {value}, expected 0 to 2**53 - 1")
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(data: bytes, position: int = 0) -> tuple[int, int]:
    """Returns (value, position after it). Raises FormatError where it is not the shortest form or 2**53 or more."""
    value = 0
    for n in range(MAX_VARINT_BYTES):
        if position + n >= len(data):
            raise TruncatedError(f"reading a varint: got {n} bytes, expected at least one more; the data are cut off")
        byte = data[position + n]
        value |= (byte & 0x7F) << 7 * n
        if byte < 0x80:
            if n > 0 and byte == 0:
                raise FormatError("reading a varint: got padding, expected its shortest form", "varint")
            if value > MAX_VARINT:
                break
            return value, position + n + 1
    raise FormatError("reading a varint: got 2**53 or more, expected at most 2**53 - 1", "varint")


class Reader:
    """A cursor over `data`. Reads past the end raise TruncatedError, unsound values FormatError."""

    def __init__(self, data: bytes, what: str = "data"):
        self.data = data
        self.what = what
        self.position = 0

    @property
    def left(self) -> int:
        """Bytes that are not read yet."""
        return len(self.data) - self.position

    def bytes(self, n: int) -> bytes:
        """The next n bytes."""
        if not 0 <= n <= self.left:
            raise TruncatedError(f"reading {self.what}: got {self.left} bytes at {self.position}, expected {n}")
        self.position += n
        return bytes(self.data[self.position - n : self.position])

    def u8(self) -> int:
        return self.bytes(1)[0]

    def i8(self) -> int:
        return int.from_bytes(self.bytes(1), "little", signed=True)

    def u16(self) -> int:
        return int.from_bytes(self.bytes(2), "little")

    def u32(self) -> int:
        return int.from_bytes(self.bytes(4), "little")

    def f32(self) -> float:
        """A finite float32, as a Python float."""
        return self._finite(struct.unpack("<f", self.bytes(4))[0])

    def f64(self) -> float:
        """A finite float64."""
        return self._finite(struct.unpack("<d", self.bytes(8))[0])

    def varint(self) -> int:
        """An integer in [0, 2**53)."""
        try:
            value, self.position = read_varint(self.data, self.position)
        except FormatError as error:
            raise type(error)(f"{self.what}: {error}", error.code) from None
        return value

    def done(self) -> None:
        """Raises FormatError where bytes are left over."""
        if self.left:
            raise FormatError(f"reading {self.what}: got {self.left} bytes after its end, expected none", "leftover")

    def _finite(self, value: float) -> float:
        if not math.isfinite(value):
            raise FormatError(f"reading {self.what}: got {value}, expected a finite number", "not-finite")
        return value


class Writer:
    """Collects bytes; the methods mirror `Reader`, and `getvalue()` returns the result."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def bytes(self, value: bytes) -> "Writer":
        self._parts.append(bytes(value))
        return self

    def u8(self, value: int) -> "Writer":
        return self.bytes(int(value).to_bytes(1, "little"))

    def i8(self, value: int) -> "Writer":
        return self.bytes(int(value).to_bytes(1, "little", signed=True))

    def u16(self, value: int) -> "Writer":
        return self.bytes(int(value).to_bytes(2, "little"))

    def u32(self, value: int) -> "Writer":
        return self.bytes(int(value).to_bytes(4, "little"))

    def f32(self, value: float) -> "Writer":
        return self._float("<f", value)

    def f64(self, value: float) -> "Writer":
        return self._float("<d", value)

    def varint(self, value: int) -> "Writer":
        return self.bytes(write_varint(int(value)))

    def getvalue(self) -> bytes:
        return b"".join(self._parts)

    def _float(self, form: str, value: float) -> "Writer":
        if not math.isfinite(value):
            raise ValueError(f"writing a float: got {value}, expected a finite number")
        return self.bytes(struct.pack(form, value))
