"""Symbols with one frequency table per context, sent ahead of them in the same stream; spec/entropy.md section 4.

For codebook indices and block masks: few contexts, each known before its symbol is read.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Generator, Sequence

import numpy as np

from ..errors import FormatError, UsageError
from ..kernels import FEW, use_numba
from .laplace import LaplaceDecoder, cost_bits, laplace_operations
from .rans import (
    EMPTY_CONTEXT,
    EXHAUSTED,
    SLOT,
    STATE_LOW,
    Operations,
    cost_of,
    encode_operations,
    raise_status,
    raw_operation,
)
from .tables import N_SCALES, PRECISION

__all__ = ["MAX_CONTEXTS", "MAX_SYMBOLS", "StaticDecoder", "encode_static"]

MAX_SYMBOLS = 4096
MAX_CONTEXTS = 256
MANTISSA_BITS = 2  # width of the field that holds m, the mantissa bits of the stored frequencies
SCALE_BITS = 7  # width of the field that holds the scale index of the stored frequencies
MAX_EXPONENT = 18  # of a stored frequency, in sixteenths of 2**-14
SCALES_TRIED = range(3, N_SCALES, 3)

# A frequency is stored as a small integer "level": 0 for a symbol that never occurs, 1 for the least frequency, and
# 2 + (exponent << m | mantissa) for a weight of (2**m + mantissa) << exponent.


def _level_bound(mantissa_bits: int) -> int:
    return 2 + (MAX_EXPONENT + 1 << mantissa_bits)


def _first_mu8(n_symbols: int, mantissa_bits: int) -> int:
    """What the first level of a context is expected to be: that of n_symbols equally frequent symbols."""
    return 8 * (2 + (MAX_EXPONENT - (n_symbols - 1).bit_length() << mantissa_bits))


def _next_mu8(mu8: int, level: int) -> int:
    """The expected next level: a running mean that halves the weight of older ones."""
    return mu8 + 8 * level + 1 >> 1


def _cumulative(levels: Sequence[int], mantissa_bits: int) -> list[int]:
    """Cumulative frequencies 0 .. 2**14 of one context: a count for each used symbol, the rest shared by weight."""
    weights = [
        0 if level < 2 else (1 << mantissa_bits | level - 2 & (1 << mantissa_bits) - 1) << (level - 2 >> mantissa_bits)
        for level in levels
    ]
    used = [int(level > 0) for level in levels]
    total = sum(weights)
    if total == 0:
        raise FormatError("reading a frequency table: got no frequent symbol, expected at least one", "static-table")
    share = (1 << PRECISION) - sum(used)
    sums = zip(itertools.accumulate(weights), itertools.accumulate(used))
    return [0, *(weight * share // total + count for weight, count in sums)]


def _levels(counts: np.ndarray, mantissa_bits: int) -> list[int]:
    """The levels whose table is nearest to the counts of one context, (n_symbols,) int64, not all 0."""
    total, levels = int(counts.sum()), []
    for count in counts.tolist():
        # sixteenths of a frequency, less the one count that every used symbol has anyway
        weight = max((count << PRECISION + 4) // total - 16, 0) << mantissa_bits
        if weight == 0:
            levels.append(int(count > 0))
            continue
        exponent = weight.bit_length() - 1 - mantissa_bits
        rounded = weight + (1 << exponent >> 1) >> exponent  # 2**m .. 2**(m + 1)
        levels.append(2 + (exponent << mantissa_bits) + rounded - (1 << mantissa_bits))
    return levels


def encode_static(symbols, contexts, n_symbols: int, n_contexts: int) -> bytes:
    """One stream of symbols.

    symbols: (n,) integers in 0..n_symbols-1. contexts: (n,) integers in 0..n_contexts-1, or None where n_contexts is 1.
    n_symbols: 1..4096. n_contexts: 1..256. Raises UsageError for numbers out of range.
    """
    symbols = np.asarray(symbols).astype(np.int64).ravel()
    contexts = np.zeros(symbols.shape, np.int64) if contexts is None else np.asarray(contexts).astype(np.int64).ravel()
    _check_sizes(n_symbols, n_contexts)
    for name, array, bound in (("symbol", symbols, n_symbols), ("context", contexts, n_contexts)):
        if array.shape != symbols.shape or array.size and (array.min() < 0 or array.max() >= bound):
            raise UsageError(f"coding symbols: got {name}s of another number or range, expected {name}s below {bound}")
    counts = np.bincount(contexts * n_symbols + symbols, minlength=n_symbols * n_contexts)
    counts = counts.reshape(n_contexts, n_symbols)
    # for few symbols of a large alphabet, flat tables cost less than true ones
    flat = np.broadcast_to(counts.any(axis=1, keepdims=True), counts.shape).astype(np.int64)
    candidates = [_describe(counts, m) for m in range(1 << MANTISSA_BITS)] + [_describe(flat, 0)]
    header, tables = min(candidates, key=lambda candidate: _cost(*candidate, counts))
    starts = tables[contexts, symbols]
    body = starts.astype(np.uint16), (tables[contexts, symbols + 1] - starts).astype(np.uint16)
    return encode_operations([header, body])


def _cost(header: Operations, tables: np.ndarray, counts: np.ndarray) -> float:
    """Bits of a header and of the symbols that its tables code."""
    used = counts > 0
    return float(cost_of(header[1]).sum() + (counts[used] * cost_of(np.diff(tables, axis=1)[used])).sum())


def _describe(counts: np.ndarray, mantissa_bits: int) -> tuple[Operations, np.ndarray]:
    """The operations that describe all tables, and the tables, (n_contexts, n_symbols + 1) int64 cumulative."""
    n_contexts, n_symbols = counts.shape
    used = counts.sum(axis=1) > 0
    tables = np.zeros((n_contexts, n_symbols + 1), np.int64)
    all_levels, all_mu8 = [], []
    for context in np.flatnonzero(used):
        levels = _levels(counts[context], mantissa_bits)
        tables[context] = _cumulative(levels, mantissa_bits)
        mu8 = _first_mu8(n_symbols, mantissa_bits)
        for level in levels:
            all_levels.append(level)
            all_mu8.append(mu8)
            mu8 = _next_mu8(mu8, level)
    scale = min(SCALES_TRIED, key=lambda s: cost_bits(all_levels, all_mu8, s).sum())
    parts = [raw_operation(mantissa_bits, MANTISSA_BITS), raw_operation(scale, SCALE_BITS)]
    (starts, frequencies), first = laplace_operations(all_levels, all_mu8, scale)
    cuts = [*first[::n_symbols].tolist(), len(starts)]  # one level may take several operations
    for context in range(n_contexts):
        parts.append(raw_operation(int(used[context]), 1))
        if used[context]:
            chosen = slice(*cuts[:2])
            parts.append((starts[chosen], frequencies[chosen]))
            cuts.pop(0)
    header = tuple(np.concatenate([part[i] for part in parts]) for i in range(2))
    return header, tables


def _check_sizes(n_symbols: int, n_contexts: int) -> None:
    if not (1 <= n_symbols <= MAX_SYMBOLS and 1 <= n_contexts <= MAX_CONTEXTS):
        raise UsageError(
            f"coding symbols: got {n_symbols} symbols, {n_contexts} contexts, expected at most {MAX_SYMBOLS} and "
            f"{MAX_CONTEXTS}"
        )


class StaticDecoder:
    """Reads what `encode_static` wrote: the tables at once, symbols by `take` or `take_one`, then `finish`."""

    def __init__(self, data: bytes, n_symbols: int, n_contexts: int):
        """Raises FormatError where the stream or its tables are damaged."""
        _check_sizes(n_symbols, n_contexts)
        self.n_symbols, self.n_contexts = n_symbols, n_contexts
        self._rans = LaplaceDecoder(data)
        mantissa_bits, scale = self._rans.raw(MANTISSA_BITS), self._rans.raw(SCALE_BITS)
        if scale >= N_SCALES:
            raise FormatError(f"reading frequency tables: got scale {scale}, expected below {N_SCALES}", "static-table")
        self._tables = [self._read_table(mantissa_bits, scale) for _ in range(n_contexts)]

    def _read_table(self, mantissa_bits: int, scale: int) -> list[int]:
        """Cumulative frequencies of the next context, empty where it has none."""
        if not self._rans.raw(1):
            return []
        levels, mu8 = [], _first_mu8(self.n_symbols, mantissa_bits)
        for _ in range(self.n_symbols):
            level = self._rans.take_one(mu8, scale)
            if not 0 <= level <= _level_bound(mantissa_bits):
                raise FormatError(f"reading a frequency table: got level {level}, out of its range", "static-table")
            levels.append(level)
            mu8 = _next_mu8(mu8, level)
        return _cumulative(levels, mantissa_bits)

    def take_one(self, context: int) -> int:
        """The next symbol, in context 0..n_contexts-1."""
        if not self._tables[context]:
            raise_status(EMPTY_CONTEXT)
        return self._rans.symbol(self._tables[context])

    def symbols(self) -> Generator[int, int, None]:
        """As `take_one`, for many: send a context, get a symbol.

        To be started by `next`, and closed before anything else is read.
        """
        tables, words = self._tables, self._rans.word_list
        x, position = self._rans.state.tolist()
        symbol = 0
        try:
            while True:
                table = tables[(yield symbol)]
                if not table:
                    raise_status(EMPTY_CONTEXT)
                slot = x & SLOT
                symbol = bisect_right(table, slot) - 1
                start = table[symbol]
                x = (table[symbol + 1] - start) * (x >> PRECISION) + slot - start
                if x < STATE_LOW:
                    if position >= len(words):
                        raise_status(EXHAUSTED)
                    x = x << 16 | words[position]
                    position += 1
        finally:
            self._rans.state[:] = x, position

    def take(self, contexts: np.ndarray) -> np.ndarray:
        """The next symbols, (n,) int32. contexts: (n,) integers in 0..n_contexts-1."""
        contexts = np.asarray(contexts).astype(np.int64)
        if contexts.size and (contexts.min() < 0 or contexts.max() >= self.n_contexts):
            raise UsageError(f"decoding symbols: got contexts out of range, expected 0 to {self.n_contexts - 1}")
        if use_numba(len(contexts), "decode" if len(contexts) >= FEW else None):
            from ..kernels.entropy import take_static

            symbols = np.empty(len(contexts), np.int32)
            raise_status(take_static(*self.arrays(), contexts, symbols))
            return symbols
        symbols = self.symbols()
        next(symbols)
        found = [symbols.send(context) for context in contexts.tolist()]
        symbols.close()
        return np.array(found, np.int32)

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What kernels need: the state, which they change, the words, and all tables, (contexts, symbols + 1) int64."""
        # an empty context is a row of zeros, which ends in 0 and not in 2**14
        tables = np.array([table or [0] * (self.n_symbols + 1) for table in self._tables], np.int64)
        return self._rans.state, self._rans.words, tables

    def finish(self) -> None:
        """Raises FormatError where the stream does not end exactly here."""
        self._rans.finish()
