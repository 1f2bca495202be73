"""A range coder of the asymmetric numeral systems family with one state; spec/entropy.md section 2.

State x is a u32 in [2**16, 2**32), words are u16 little endian, frequencies sum to 2**14. A stream is the encoder's
last state as u32, then the words in the order in which the decoder needs them. The decoder must end in state 2**16
with no word left. Source: J. Duda, "Asymmetric numeral systems" (arXiv:1311.2540), section 3, range variant.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from ..errors import FormatError
from ..kernels import use_numba
from .tables import PRECISION

__all__ = [
    "MAX_RAW_BITS", "SLOT", "STATE_LOW", "Operations", "RansDecoder", "cost_of", "encode_operations", "raise_status",
    "raw_operation",
]  # fmt: skip

STATE_LOW = 1 << 16
MAX_RAW_BITS = 14  # of one raw operation; longer raw numbers are split, low bits first
SLOT = (1 << PRECISION) - 1

# what a decoding loop, plain or numba, may find wrong
OK, EXHAUSTED, BAD_ESCAPE, BAD_VALUE, EMPTY_CONTEXT = range(5)
_PROBLEMS = {
    EXHAUSTED: ("rans-exhausted", "the stream ends before its last symbol"),
    BAD_ESCAPE: ("escape", "an escape code is longer than any value needs"),
    BAD_VALUE: ("value-range", "a value is beyond +-2**24"),
    EMPTY_CONTEXT: ("empty-context", "a symbol is coded in a context that has no table"),
}

# One step of the coder: the start and width of an interval of [0, 2**14); two equally long u16 arrays.
Operations = tuple[np.ndarray, np.ndarray]


def raise_status(status: int) -> None:
    """Turns a status of a decoding loop into its FormatError; OK passes."""
    if status != OK:
        code, message = _PROBLEMS[status]
        raise FormatError(f"decoding a rANS stream: {message}; the file is damaged", code)


def cost_of(frequencies: np.ndarray) -> np.ndarray:
    """Bits of operations with these frequencies, float64. For reports and searches, never for decoding."""
    return PRECISION - np.log2(frequencies.astype(np.float64))


def raw_operation(value: int, n_bits: int) -> Operations:
    """An unsigned number of n_bits <= MAX_RAW_BITS equally likely bits, as `RansDecoder.raw` reads it."""
    return np.array([value << PRECISION - n_bits], np.uint16), np.array([1 << PRECISION - n_bits], np.uint16)


def encode_operations(operations: Sequence[Operations]) -> bytes:
    """The stream from which a decoder reads the given operations, first one first."""
    starts = np.concatenate([start for start, _ in operations] or [np.zeros(0, np.uint16)])
    frequencies = np.concatenate([frequency for _, frequency in operations] or [np.zeros(0, np.uint16)])
    if use_numba(len(starts)):
        from ..kernels.entropy import encode_words

        state, words = encode_words(starts, frequencies)
    else:
        state, words = _encode_words(starts, frequencies)
    return int(state).to_bytes(4, "little") + np.asarray(words, "<u2")[::-1].tobytes()


def _encode_words(starts: np.ndarray, frequencies: np.ndarray) -> tuple[int, list[int]]:
    """The last state, and the words in the order in which they are pushed out: the reverse of the stream's."""
    x, words = STATE_LOW, []
    for start, frequency in zip(starts[::-1].tolist(), frequencies[::-1].tolist()):
        if x >= frequency << 32 - PRECISION:
            words.append(x & 0xFFFF)
            x >>= 16
        x = (x // frequency << PRECISION) + x % frequency + start
    return x, words


class RansDecoder:
    """Reads operations from a stream one by one. Subclasses give them meaning; `state` is shared with the kernels."""

    def __init__(self, data: bytes):
        """data: a whole stream. Raises FormatError for a length or start that no encoder writes."""
        if len(data) < 4 or len(data) % 2:
            raise FormatError(f"decoding a rANS stream: got {len(data)} bytes, expected 4, 6, 8 ...", "rans-length")
        x = int.from_bytes(data[:4], "little")
        if x < STATE_LOW:
            raise FormatError(f"decoding a rANS stream: got start state {x}, expected 65536 or more", "rans-state")
        self.words = np.frombuffer(data, "<u2", offset=4).astype(np.uint16)
        self.state = np.array([x, 0], np.int64)  # x, number of words read
        self._word_list: list[int] | None = None

    @property
    def word_list(self) -> list[int]:
        """The words as Python integers, which the plain loops read several times faster than an array."""
        if self._word_list is None:
            self._word_list = self.words.tolist()
        return self._word_list

    @property
    def n_read(self) -> int:
        """Words that were read so far."""
        return int(self.state[1])

    def symbol(self, cumulative: Sequence[int]) -> int:
        """Reads one symbol j by a table of cumulative frequencies 0 .. 2**14; symbols of frequency 0 never come."""
        slot = int(self.state[0]) & SLOT
        j = bisect_right(cumulative, slot) - 1
        self._advance(cumulative[j], cumulative[j + 1] - cumulative[j])
        return j

    def raw(self, n_bits: int) -> int:
        """Reads an unsigned number of n_bits >= 0 equally likely bits."""
        value, done = 0, 0
        while done < n_bits:
            n = min(n_bits - done, MAX_RAW_BITS)
            part = (int(self.state[0]) & SLOT) >> PRECISION - n
            self._advance(part << PRECISION - n, 1 << PRECISION - n)
            value |= part << done
            done += n
        return value

    def finish(self) -> None:
        """Raises FormatError where the stream does not end exactly here, as a damaged one hardly ever does."""
        x, n_read = self.state.tolist()
        if x != STATE_LOW or n_read != len(self.words):
            raise FormatError(
                f"decoding a rANS stream: got end state {x} with {len(self.words) - n_read} words left, expected "
                f"{STATE_LOW} with 0; the file is damaged",
                "rans-state",
            )

    def _advance(self, start: int, frequency: int) -> None:
        x, position = self.state.tolist()
        x = frequency * (x >> PRECISION) + (x & SLOT) - start
        if x < STATE_LOW:
            if position >= len(self.words):
                raise_status(EXHAUSTED)
            x = x << 16 | int(self.words[position])
            position += 1
        self.state[:] = x, position
