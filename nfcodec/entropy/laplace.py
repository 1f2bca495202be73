"""Integers with a Laplace distribution of given location and scale, through rANS; spec/entropy.md section 3.

Location mu8 is in eighths, scale is an index into b = 2**((scale - 27) / 6). A value is coded as a token (a distance
from the location, or an escape with an Exp-Golomb excess) and, for b > 8, the low bits of the value as raw bits.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import NamedTuple

import numpy as np

from ..errors import UsageError
from ..kernels import FEW, use_native, use_numba
from .rans import (
    BAD_ESCAPE,
    BAD_VALUE,
    EXHAUSTED,
    MAX_RAW_BITS,
    SLOT,
    STATE_LOW,
    Operations,
    RansDecoder,
    cost_of,
    encode_operations,
    raise_status,
)
from .tables import N_SCALES, N_TABLE_SCALES, PRECISION, SCALE_OFFSET, SCALES_PER_OCTAVE, laplace_tables

__all__ = ["MAX_MU8", "MAX_VALUE", "LaplaceDecoder", "cost_bits", "encode_laplace", "laplace_operations", "place"]

MAX_VALUE = 1 << 24
MAX_MU8 = 8 * 2047
MAX_EXPONENT = 24  # of an escape's Exp-Golomb code; an excess never needs more


def place(mu8: np.ndarray, scale: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Where a value with this location and scale is coded. mu8, scale: (n,) integers.

    Returns (n,) int64 arrays: the table's number, the location of r = 0 in units of 2**shift, shift (raw low bits),
    and the order of the Exp-Golomb code.
    """
    mu8, scale = mu8.astype(np.int64), scale.astype(np.int64)
    shift = np.maximum(scale - N_TABLE_SCALES + SCALES_PER_OCTAVE, 0) // SCALES_PER_OCTAVE
    # a bin of 2**shift integers has its centre (2**shift - 1) / 2 above its first one
    mu8 = mu8 - (4 << shift) + 4 + (1 << shift >> 1) >> shift
    scale = scale - SCALES_PER_OCTAVE * shift
    order = np.maximum((scale - SCALE_OFFSET) // SCALES_PER_OCTAVE, 0)
    return scale * 8 + (mu8 & 7), mu8 >> 3, shift, order


class _Coded(NamedTuple):
    """What is to be written for each value: (n,) int64 each. escape: the Exp-Golomb number, 0 where there is none."""

    table: np.ndarray
    token: np.ndarray
    escape: np.ndarray
    order: np.ndarray
    shift: np.ndarray
    remainder: np.ndarray


def _code(values: np.ndarray, mu8: np.ndarray, scale: np.ndarray) -> _Coded:
    tables = laplace_tables()
    table, base, shift, order = place(mu8, scale)
    r = (values >> shift) - base
    lowest = tables.lowest[table]
    last = tables.n_tokens[table] - 1  # the escape above
    token = np.clip(r - lowest + 1, 0, last)
    excess = np.where(token == 0, lowest - 1 - r, r - (lowest + last - 1))
    escape = np.where((token == 0) | (token == last), excess + (1 << order), 0)
    return _Coded(table, token, escape, order, shift, values & (1 << shift) - 1)


def _checked(values, mu8, scale) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    values = np.asarray(values).astype(np.int64).ravel()
    mu8 = np.broadcast_to(np.asarray(mu8).astype(np.int64).ravel(), values.shape)
    scale = np.broadcast_to(np.asarray(scale).astype(np.int64).ravel(), values.shape)
    _check("value", values, -MAX_VALUE, MAX_VALUE)
    _check("mu8", mu8, -MAX_MU8, MAX_MU8)
    _check("scale", scale, 0, N_SCALES - 1)
    return values, mu8, scale


def _check(name: str, array: np.ndarray, low: int, high: int) -> None:
    if array.size and (array.min() < low or array.max() > high):
        found = f"{array.min()} to {array.max()}"
        raise UsageError(f"coding integers: got a {name} of {found}, expected {low} to {high}")


def laplace_operations(values, mu8, scale) -> tuple[Operations, np.ndarray]:
    """The rANS operations that code `values` and, (n,) int64, the index of each value's first operation.

    Arguments and errors as `encode_laplace`.
    """
    tables = laplace_tables()
    coded = _code(*_checked(values, mu8, scale))
    escaped = np.flatnonzero(coded.escape)
    number, order = coded.escape[escaped], coded.order[escaped]
    n_bits = np.frexp(number.astype(np.float64))[1].astype(np.int64) - 1  # exact: numbers are below 2**53
    exponent = n_bits - order
    # an escape takes exponent ones and a zero, then n_bits raw bits in one or two operations
    n_tail = (n_bits > 0).astype(np.int64) + (n_bits > MAX_RAW_BITS)
    n_operations = 1 + (coded.shift > 0)
    n_operations[escaped] += exponent + 1 + n_tail
    first = np.cumsum(n_operations) - n_operations
    starts = np.zeros(int(n_operations.sum()), np.uint16)
    frequencies = np.zeros_like(starts)

    def put(at, start, frequency):
        starts[at], frequencies[at] = start, frequency

    def put_raw(at, value, bits):
        put(at, value << PRECISION - bits, 1 << PRECISION - bits)

    entry = tables.start[coded.table] + coded.token
    start = tables.cumulative[entry].astype(np.int64)
    put(first, start, tables.cumulative[entry + 1] - start)
    at = first[escaped] + 1
    for step in range(int(exponent.max(initial=-1)) + 1):
        chosen = exponent >= step
        put_raw(at[chosen] + step, (exponent[chosen] > step).astype(np.int64), 1)
    at = at + exponent + 1
    low, high = np.minimum(n_bits, MAX_RAW_BITS), np.maximum(n_bits - MAX_RAW_BITS, 0)
    tail = number - (1 << n_bits)
    for part, bits, offset in ((tail & (1 << low) - 1, low, 0), (tail >> low, high, 1)):
        chosen = bits > 0
        put_raw(at[chosen] + offset, part[chosen], bits[chosen])
    shifted = np.flatnonzero(coded.shift)
    put_raw(first[shifted] + n_operations[shifted] - 1, coded.remainder[shifted], coded.shift[shifted])
    return (starts, frequencies), first


def encode_laplace(values, mu8, scale) -> bytes:
    """One stream of integers.

    values: (n,) integers within +-2**24. mu8: (n,) or scalar, location in eighths within +-16376. scale: (n,) or
    scalar, index 0..81 of b = 2**((scale - 27) / 6). Raises UsageError for numbers out of range.
    """
    return encode_operations([laplace_operations(values, mu8, scale)[0]])


def cost_bits(values, mu8, scale) -> np.ndarray:
    """(n,) float64, the bits that each value takes with its escape and raw bits; arguments as `encode_laplace`."""
    (_, frequencies), first = laplace_operations(values, mu8, scale)
    return np.add.reduceat(cost_of(frequencies), first) if first.size else np.zeros(0)


class LaplaceDecoder(RansDecoder):
    """Reads what `encode_laplace` wrote, in as many calls of `take` as the caller likes, then `finish`."""

    def take(self, mu8: np.ndarray, scale: np.ndarray) -> np.ndarray:
        """The next n values, (n,) int32. mu8, scale: (n,) integers in the ranges of `encode_laplace`.

        Raises FormatError where the stream is damaged, UsageError for locations or scales out of range.
        """
        mu8, scale = np.asarray(mu8), np.asarray(scale)
        _check("mu8", mu8, -MAX_MU8, MAX_MU8)
        _check("scale", scale, 0, N_SCALES - 1)
        if len(mu8) >= FEW and use_native():
            from ..kernels.native import take_laplace

            values = np.empty(len(mu8), np.int32)
            raise_status(take_laplace(self, mu8, scale, values))
            return values
        if use_numba(len(mu8), "decode" if len(mu8) >= FEW else None):
            from ..kernels.entropy import take_laplace

            table, base, shift, order = place(mu8, scale)
            values = np.empty(len(mu8), np.int32)
            raise_status(take_laplace(self, table, base, shift, order, values))
            return values
        return np.array(self.take_list(mu8.tolist(), scale.tolist()), np.int32)

    def take_one(self, mu8: int, scale: int) -> int:
        """The next value; for the few places where each location depends on the value before."""
        return int(self.take(np.array([mu8]), np.array([scale]))[0])

    def take_list(self, mu8: list[int], scale: list[int]) -> list[int]:
        """As `take`, of numbers that are in range.

        The state lives in local variables while only tokens are read, which is most of the time.
        """
        tables, words, n_words = laplace_tables().as_lists, self.word_list, len(self.words)
        x, position = self.state.tolist()
        values = []
        for m, s in zip(mu8, scale):
            k = 0
            if s >= N_TABLE_SCALES:  # as `place`
                k = (s - N_TABLE_SCALES + SCALES_PER_OCTAVE) // SCALES_PER_OCTAVE
                s -= SCALES_PER_OCTAVE * k
                m = m - (4 << k) + 4 + (1 << k >> 1) >> k
            cumulative, lowest, last = tables[s << 3 | m & 7]
            slot = x & SLOT
            token = bisect_right(cumulative, slot) - 1
            start = cumulative[token]
            x = (cumulative[token + 1] - start) * (x >> PRECISION) + slot - start
            if x < STATE_LOW:
                if position >= n_words:
                    raise_status(EXHAUSTED)
                x = x << 16 | words[position]
                position += 1
            value = (m >> 3) + lowest + token - 1
            if k or not 0 < token < last:
                self.state[:] = x, position
                order = max((s - SCALE_OFFSET) // SCALES_PER_OCTAVE, 0)
                if token == 0:
                    value -= self._excess(order)
                elif token == last:
                    value += self._excess(order)
                value = value << k | self.raw(k)
                if abs(value) > MAX_VALUE:
                    raise_status(BAD_VALUE)
                x, position = self.state.tolist()
            values.append(value)
        self.state[:] = x, position
        return values

    def _excess(self, order: int) -> int:
        """An Exp-Golomb number of the given order: a unary exponent, then order + exponent raw bits."""
        exponent = 0
        while self.raw(1):
            exponent += 1
            if exponent > MAX_EXPONENT:
                raise_status(BAD_ESCAPE)
        n_bits = order + exponent
        return (1 << n_bits) + self.raw(n_bits) - (1 << order)
