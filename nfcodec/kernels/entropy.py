"""numba twins of the entropy coder's loops; each equals its numpy reference integer for integer.

    encode_words   entropy.rans._encode_words       take_laplace   entropy.laplace.LaplaceDecoder.take_list
    take_static    entropy.static.StaticDecoder     take_mask      entropy.masks._take_mask

Loops return a status of `entropy.rans` in place of raising. A decoder's state is an array (x, words read).
Importing this module needs numba: `kernels.use_numba` decides.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import numpy as np
from numba import njit

from ..entropy.laplace import MAX_EXPONENT, MAX_VALUE, LaplaceDecoder
from ..entropy.rans import BAD_ESCAPE, BAD_VALUE, EMPTY_CONTEXT, EXHAUSTED, MAX_RAW_BITS, OK, STATE_LOW
from ..entropy.tables import PRECISION, laplace_tables
from .integers import get, put

__all__ = ["Lookup", "encode_words", "laplace_lookup", "take_any", "take_laplace", "take_mask", "take_plain", "take_static"]

SLOT = (1 << PRECISION) - 1
ONE = 1 << PRECISION
TOP_BITS = 6  # of a slot, by which `Lookup.place` begins its search


class Lookup(NamedTuple):
    """`LaplaceTables` for the decoder. k is a token's place in `cumulative`.

    place: (tables << TOP_BITS,) uint16, the k of the first slot with these top bits. tables: (n * 4,) int32, for each table
    the k of the first and last token, the escapes, and a token's r less its k.
    """

    cumulative: np.ndarray
    place: np.ndarray
    tables: np.ndarray


@functools.cache
def laplace_lookup() -> Lookup:
    """Built once, in a few ms."""
    known = laplace_tables()
    slots = np.arange(1 << TOP_BITS) << PRECISION - TOP_BITS
    place = [
        first + np.searchsorted(known.cumulative[first : first + n + 1], slots, side="right") - 1
        for first, n in zip(known.start.tolist(), known.n_tokens.tolist())
    ]
    columns = (known.start, known.start + known.n_tokens - 1, known.lowest - 1 - known.start, known.start)
    return Lookup(known.cumulative, np.concatenate(place).astype(np.uint16), np.stack(columns, 1).astype(np.int32).ravel())


def encode_words(starts: np.ndarray, frequencies: np.ndarray) -> tuple[int, np.ndarray]:
    """As `_encode_words`: the last state, and the words in the order in which they are pushed out, (n,) uint16."""
    words = np.empty(len(starts), np.uint16)
    x, n = _encode_words(starts, frequencies, words)
    return x, words[:n]


@njit(cache=True, nogil=True)
def _encode_words(starts, frequencies, words):
    x, n = np.uint64(STATE_LOW), 0
    for i in range(len(starts) - 1, -1, -1):
        start, frequency = np.uint64(starts[i]), np.uint64(frequencies[i])
        if x >= frequency << np.uint64(32 - PRECISION):
            words[n] = x & np.uint64(0xFFFF)
            n += 1
            x >>= np.uint64(16)
        x = (x // frequency << np.uint64(PRECISION)) + x % frequency + start
    return x, n


@njit(cache=True, nogil=True, inline="always")
def _advance(state, words, start, frequency):
    """One step of the decoder; False where the words run out."""
    x = frequency * (state[0] >> PRECISION) + (state[0] & SLOT) - start
    if x < STATE_LOW:
        if state[1] >= len(words):
            return False
        x = x << 16 | np.int64(words[state[1]])
        state[1] += 1
    state[0] = x
    return True


@njit(cache=True, nogil=True)
def _raw(state, words, n_bits):
    """n_bits raw bits, or -1."""
    value, done = 0, 0
    while done < n_bits:
        n = min(n_bits - done, MAX_RAW_BITS)
        part = (state[0] & SLOT) >> PRECISION - n
        if not _advance(state, words, part << PRECISION - n, 1 << PRECISION - n):
            return -1
        value |= part << done
        done += n
    return value


@njit(cache=True, nogil=True)
def _excess(state, words, order):
    """(excess, status) of an escape."""
    exponent = 0
    while True:
        bit = _raw(state, words, 1)
        if bit < 0:
            return 0, EXHAUSTED
        if bit == 0:
            break
        exponent += 1
        if exponent > MAX_EXPONENT:
            return 0, BAD_ESCAPE
    tail = _raw(state, words, order + exponent)
    if tail < 0:
        return 0, EXHAUSTED
    return (1 << order + exponent) + tail - (1 << order), OK


@njit(error_model="numpy", cache=True, nogil=True)
def take_plain(state, words, cumulative, place, tables, rows, n, first, stop):
    """Values first .. stop - 1 of `rows` until one that is an escape or the stream ends; returns its index, or stop.

    rows: flat int32, 4 rows of n: table, base, shift, order. Values replace their base. Without a single call, so that
    numba counts no references.
    """
    x, at = state[0], state[1]
    for i in range(first, stop):
        table, shift = np.int64(get(rows, i)), np.int64(get(rows, 2 * n + i))
        slot = x & SLOT
        k = np.int64(get(place, table << TOP_BITS | slot >> PRECISION - TOP_BITS))
        above = np.int64(get(cumulative, k + 1))
        while above <= slot:
            k += 1
            above = np.int64(get(cumulative, k + 1))
        if k == get(tables, 4 * table) or k == get(tables, 4 * table + 1):
            break
        start = np.int64(get(cumulative, k))
        y, to = (above - start) * (x >> PRECISION) + slot - start, at
        if y < STATE_LOW:
            if to >= len(words):
                break
            y = y << 16 | np.int64(get(words, to))
            to += 1
        value = get(rows, n + i) + get(tables, 4 * table + 2) + k
        if shift > 0:
            bits = PRECISION - shift
            value = value << shift | (y & SLOT) >> bits
            y = (y >> PRECISION << bits) + (y & (1 << bits) - 1)
            if y < STATE_LOW:
                if to >= len(words):
                    break
                y = y << 16 | np.int64(get(words, to))
                to += 1
        put(rows, n + i, value)
        x, at = y, to
    else:
        i = stop
    state[0], state[1] = x, at
    return i


@njit(error_model="numpy", cache=True, nogil=True)
def take_any(state, words, cumulative, place, tables, rows, n, i):
    """As `take_plain` for value i alone, whatever it is. Returns a status."""
    table, value = np.int64(rows[i]), np.int64(rows[n + i])
    shift, order = np.int64(rows[2 * n + i]), np.int64(rows[3 * n + i])
    slot = state[0] & SLOT
    k = np.int64(place[table << TOP_BITS | slot >> PRECISION - TOP_BITS])
    while np.int64(cumulative[k + 1]) <= slot:
        k += 1
    start = np.int64(cumulative[k])
    if not _advance(state, words, start, np.int64(cumulative[k + 1]) - start):
        return EXHAUSTED
    value += tables[4 * table + 2] + k
    if k == tables[4 * table] or k == tables[4 * table + 1]:
        excess, status = _excess(state, words, order)
        if status != OK:
            return status
        value += excess if k == tables[4 * table + 1] else -excess
    remainder = _raw(state, words, shift)
    if remainder < 0:
        return EXHAUSTED
    value = value << shift | remainder
    if abs(value) > MAX_VALUE:
        return BAD_VALUE
    rows[n + i] = value
    return OK


def take_laplace(
    decoder: LaplaceDecoder,
    table: np.ndarray,
    base: np.ndarray,
    shift: np.ndarray,
    order: np.ndarray,
    values: np.ndarray,
) -> int:
    """Fills `values` (n,) int32; the others are what `laplace.place` returns. Returns a status."""
    rows = np.concatenate([table, base, shift, order]).astype(np.int32)
    status = _take_laplace(decoder.state, decoder.words, *laplace_lookup(), rows, len(values))
    values[:] = rows[len(values) : 2 * len(values)]
    return status


@njit(error_model="numpy", cache=True, nogil=True)
def _take_laplace(state, words, cumulative, place, tables, rows, n):
    i = 0
    while True:
        i = take_plain(state, words, cumulative, place, tables, rows, n, i, n)
        if i == n:
            return OK
        status = take_any(state, words, cumulative, place, tables, rows, n, i)
        if status != OK:
            return status
        i += 1


@njit(error_model="numpy", cache=True, nogil=True)
def _take_symbol(state, words, tables, context):
    """(symbol, status) of the next symbol of a context."""
    low, high = 0, tables.shape[1] - 1
    if tables[context, high] != ONE:
        return 0, EMPTY_CONTEXT
    slot = state[0] & SLOT
    while high - low > 1:
        middle = low + high >> 1
        if tables[context, middle] <= slot:
            low = middle
        else:
            high = middle
    if not _advance(state, words, tables[context, low], tables[context, low + 1] - tables[context, low]):
        return 0, EXHAUSTED
    return low, OK


@njit(error_model="numpy", cache=True, nogil=True)
def take_static(state, words, tables, contexts, symbols):
    """Fills `symbols` (n,) int32. tables: (contexts, symbols + 1) int64 cumulative, an empty one all 0."""
    for i in range(len(symbols)):
        symbol, status = _take_symbol(state, words, tables, contexts[i])
        if status != OK:
            return status
        symbols[i] = symbol
    return OK


@njit(error_model="numpy", cache=True, nogil=True)
def take_mask(state, words, tables, contexts, index, steps, padded):
    """As `masks._take_mask`: each context is more by the symbols that lie `steps` (axes,) before it in `padded`."""
    for i in range(len(contexts)):
        context = np.int64(contexts[i])
        for axis in range(len(steps)):
            context += padded[index[i] - steps[axis]]
        symbol, status = _take_symbol(state, words, tables, context)
        if status != OK:
            return status
        padded[index[i]] = symbol
    return OK
