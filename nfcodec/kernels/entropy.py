"""numba twins of the entropy coder's loops; each equals its numpy reference integer for integer.

    encode_words   entropy.rans._encode_words       take_laplace   entropy.laplace.LaplaceDecoder._take
    take_static    entropy.static.StaticDecoder     predict_plane  entropy.context.predict
    decode_plane   entropy.levels._decode_plane

Loops return a status of `entropy.rans` in place of raising. A decoder's state is an array (x, words read).
Importing this module needs numba: `kernels.use_numba` decides.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from ..entropy.context import (
    COMPAND,
    FRACTION_BITS,
    MAX_HIDDEN,
    MU8_HALF,
    MU8_SHIFT,
    N_CONSTANTS,
    SCALE_HALF,
    ContextNet,
    PlaneInputs,
    rounding,
)
from ..entropy.laplace import MAX_EXPONENT, MAX_MU8, MAX_VALUE, LaplaceDecoder
from ..entropy.lattice import CLIP, ParentTables
from ..entropy.rans import BAD_ESCAPE, BAD_VALUE, EMPTY_CONTEXT, EXHAUSTED, MAX_RAW_BITS, OK, STATE_LOW
from ..entropy.tables import (
    N_SCALES,
    N_TABLE_SCALES,
    PRECISION,
    SCALE_OFFSET,
    SCALES_PER_OCTAVE,
    LaplaceTables,
    laplace_tables,
)

__all__ = ["decode_plane", "encode_words", "predict_plane", "take_laplace", "take_static"]

SLOT = (1 << PRECISION) - 1
ONE = 1 << PRECISION
PAD = CLIP  # index of 0 in COMPAND


class Tables(NamedTuple):
    """The arrays of `LaplaceTables`."""

    cumulative: np.ndarray
    start: np.ndarray
    n_tokens: np.ndarray
    lowest: np.ndarray


class Net(NamedTuple):
    """A `ContextNet` laid out for the inner loop: input by input, so that it runs over outputs side by side.

    weights: all layers' (inputs, outputs) int32 in one flat array. biases: shifted, with the rounding, flat int32.
    widths: (layers + 1,) inputs of every layer and the outputs. shifts: (layers + 1,), the skip's last.
    """

    weights: np.ndarray
    biases: np.ndarray
    skip: np.ndarray
    widths: np.ndarray
    shifts: np.ndarray


class Plane(NamedTuple):
    """A `PlaneInputs` with its lattice. previous has no elements where the network has no such inputs."""

    shape: np.ndarray
    strides: np.ndarray
    origin: int
    causal: np.ndarray
    collocated: np.ndarray
    parents: ParentTables
    coarse: np.ndarray
    current: np.ndarray
    previous: np.ndarray
    constants: np.ndarray


def _tables(tables: LaplaceTables) -> Tables:
    return Tables(tables.cumulative, tables.start, tables.n_tokens, tables.lowest)


def _net(net: ContextNet) -> Net:
    biases = [(bias << shift) + rounding(shift) for bias, shift in zip(net.biases, net.shifts)]
    return Net(
        np.concatenate([np.ascontiguousarray(w.T).ravel() for w in net.weights]).astype(np.int32),
        np.concatenate(biases).astype(np.int32),
        net.skip.astype(np.int32),
        np.array(net.widths, np.int64),
        np.array(net.shifts, np.int64),
    )


def _plane(inputs: PlaneInputs) -> Plane:
    lattice = inputs.lattice
    return Plane(
        np.array(lattice.shape, np.int64),
        lattice.strides,
        lattice.origin,
        lattice.causal,
        lattice.collocated,
        inputs.parents,
        inputs.coarse,
        inputs.current,
        np.zeros(0, np.int16) if inputs.previous is None else inputs.previous,
        inputs.constants,
    )


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


@njit(cache=True, nogil=True)
def _take_value(state, words, tables, table, base, shift, order):
    """(value, status) of the next Laplace value."""
    slot = state[0] & SLOT
    first = np.int64(tables.start[table])
    n_tokens = np.int64(tables.n_tokens[table])
    low, high = 0, n_tokens  # cumulative[low] <= slot < cumulative[high]
    while high - low > 1:
        middle = low + high >> 1
        if np.int64(tables.cumulative[first + middle]) <= slot:
            low = middle
        else:
            high = middle
    start = np.int64(tables.cumulative[first + low])
    if not _advance(state, words, start, np.int64(tables.cumulative[first + low + 1]) - start):
        return 0, EXHAUSTED
    value = base + np.int64(tables.lowest[table]) + low - 1
    if low == 0 or low == n_tokens - 1 or shift > 0:
        if low == 0 or low == n_tokens - 1:
            excess, status = _excess(state, words, order)
            if status != OK:
                return 0, status
            value = value - excess if low == 0 else value + excess
        remainder = _raw(state, words, shift)
        if remainder < 0:
            return 0, EXHAUSTED
        value = value << shift | remainder
        if abs(value) > MAX_VALUE:
            return 0, BAD_VALUE
    return value, OK


def take_laplace(
    decoder: LaplaceDecoder,
    table: np.ndarray,
    base: np.ndarray,
    shift: np.ndarray,
    order: np.ndarray,
    values: np.ndarray,
) -> int:
    """Fills `values` (n,) int32; the others are what `laplace.place` returns. Returns a status."""
    return _take_laplace(decoder.state, decoder.words, _tables(laplace_tables()), table, base, shift, order, values)


@njit(cache=True, nogil=True)
def _take_laplace(state, words, tables, table, base, shift, order, values):
    for i in range(len(values)):
        value, status = _take_value(state, words, tables, table[i], base[i], shift[i], order[i])
        if status != OK:
            return status
        values[i] = value
    return OK


@njit(cache=True, nogil=True)
def take_static(state, words, tables, contexts, symbols):
    """Fills `symbols` (n,) int32. tables: (contexts, symbols + 1) int64 cumulative, an empty one all 0."""
    n_symbols = tables.shape[1] - 1
    for i in range(len(symbols)):
        table = tables[contexts[i]]
        if table[n_symbols] != ONE:
            return EMPTY_CONTEXT
        slot = state[0] & SLOT
        low, high = 0, n_symbols
        while high - low > 1:
            middle = low + high >> 1
            if table[middle] <= slot:
                low = middle
            else:
                high = middle
        if not _advance(state, words, table[low], table[low + 1] - table[low]):
            return EXHAUSTED
        symbols[i] = low
    return OK


@njit(cache=True, nogil=True)
def _gather(plane, position, raw):
    """Writes a position's raw inputs and returns its padded index."""
    n_dims = len(plane.shape)
    index, parent = np.int64(plane.origin), np.int64(0)
    n_causal = len(plane.causal)
    at = np.empty(4, np.int64)  # of each axis, in the parent tables
    left = np.int64(position)
    for axis in range(n_dims - 1, -1, -1):
        coordinate = left % plane.shape[axis]
        left //= plane.shape[axis]
        index += coordinate * plane.strides[axis]
        at[axis] = plane.parents.first[axis] + coordinate
        parent += plane.parents.base[at[axis]]
    for i in range(n_causal):
        raw[i] = plane.current[index + plane.causal[i]]
    i = n_causal
    raw[i] = plane.coarse[parent]
    for axis in range(n_dims):
        raw[i + 1 + axis] = plane.coarse[parent + plane.parents.near[at[axis]]]
        raw[i + 1 + n_dims + axis] = plane.coarse[parent + plane.parents.far[at[axis]]]
    i += 1 + 2 * n_dims
    if len(plane.previous):
        for j in range(len(plane.collocated)):
            raw[i + j] = plane.previous[index + plane.collocated[j]]
        i += len(plane.collocated)
    raw[i], raw[i + 1] = plane.constants[0], plane.constants[1]
    return index


@njit(cache=True, nogil=True)
def _evaluate(net, compand, raw, hidden, sums):
    """(mu8, scale) for the raw inputs; hidden and sums are scratch, int32. All sums fit 32 bits, see ContextNet."""
    n_companded = len(net.skip)
    skip = np.int32(0)
    for i in range(n_companded):
        hidden[i] = compand[raw[i] + PAD]
        skip = np.int32(skip + net.skip[i] * (raw[i] << FRACTION_BITS))
    for i in range(n_companded, n_companded + N_CONSTANTS):
        hidden[i] = raw[i] << FRACTION_BITS
    weight, bias = 0, 0
    n_layers = len(net.widths) - 1
    for layer in range(n_layers):
        n_in, n_out = net.widths[layer], net.widths[layer + 1]
        # by offsets: numba counts the references of every slice, which takes as long as the sums
        for j in range(n_out):
            sums[j] = net.biases[bias + j]
        for i in range(n_in):
            factor = hidden[i]
            if factor != 0:
                for j in range(n_out):
                    sums[j] = np.int32(sums[j] + factor * net.weights[weight + j])
            weight += n_out
        bias += n_out
        shift = net.shifts[layer]
        if layer < n_layers - 1:
            for j in range(n_out):
                hidden[j] = min(max(sums[j] >> shift, 0), MAX_HIDDEN)
    skip_shift = net.shifts[n_layers]
    location = (np.int64(sums[0]) >> shift) + (np.int64(skip) + (1 << skip_shift >> 1) >> skip_shift)
    log2_scale = np.int64(sums[1]) >> shift
    mu8 = min(max(location + MU8_HALF >> MU8_SHIFT, -MAX_MU8), MAX_MU8)
    scale = log2_scale * SCALES_PER_OCTAVE + SCALE_HALF >> FRACTION_BITS
    scale = min(max(scale + SCALE_OFFSET, 0), N_SCALES - 1)
    return mu8, scale


def _scratch(net: ContextNet) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    widest = max(net.n_inputs, net.n_neurons, 2)
    return tuple(np.zeros(widest, np.int32) for _ in range(3))


def predict_plane(net: ContextNet, inputs: PlaneInputs, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """mu8 and scale, (n,) int32 each, at flat positions (n,) int32 of a plane that is wholly known."""
    mu8, scale = np.empty(len(positions), np.int32), np.empty(len(positions), np.int32)
    _predict_plane(_net(net), COMPAND, _plane(inputs), positions, _scratch(net), mu8, scale)
    return mu8, scale


@njit(cache=True, nogil=True)
def _predict_plane(net, compand, plane, positions, scratch, mu8, scale):
    raw, hidden, sums = scratch
    for i in range(len(positions)):
        _gather(plane, positions[i], raw)
        mu8[i], scale[i] = _evaluate(net, compand, raw, hidden, sums)


def decode_plane(
    net: ContextNet, inputs: PlaneInputs, decoder: LaplaceDecoder, positions: np.ndarray, values: np.ndarray
) -> int:
    """Fills a flat plane of values, int32, and `inputs.current` at the positions, in their order. Returns a status."""
    tables = _tables(laplace_tables())
    return _decode_plane(
        _net(net), COMPAND, _plane(inputs), tables, decoder.state, decoder.words, positions, _scratch(net), values
    )


@njit(cache=True, nogil=True)
def _decode_plane(net, compand, plane, tables, state, words, positions, scratch, values):
    raw, hidden, sums = scratch
    for i in range(len(positions)):
        index = _gather(plane, positions[i], raw)
        mu8, scale = _evaluate(net, compand, raw, hidden, sums)
        table, base, shift, order = _place(mu8, scale)
        value, status = _take_value(state, words, tables, table, base, shift, order)
        if status != OK:
            return status
        values[positions[i]] = value
        plane.current[index] = min(max(value, -CLIP), CLIP)
    return OK


@njit(cache=True, nogil=True)
def _place(mu8, scale):
    """As `laplace.place`, for one value."""
    shift = max(scale - N_TABLE_SCALES + SCALES_PER_OCTAVE, 0) // SCALES_PER_OCTAVE
    mu8 = mu8 - (4 << shift) + 4 + (1 << shift >> 1) >> shift
    scale -= SCALES_PER_OCTAVE * shift
    order = max((scale - SCALE_OFFSET) // SCALES_PER_OCTAVE, 0)
    return scale * 8 + (mu8 & 7), mu8 >> 3, shift, order
