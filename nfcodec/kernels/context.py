"""numba twins of the loops over planes that a context network predicts, 16 positions at a time.

    predict_plane   entropy.context.predict        decode_plane   entropy.levels._decode_plane

Positions of one wavefront do not depend on each other: `_gather` collects the inputs of up to 16 of them, `_evaluate`
runs the network on all, in pairs of 16-bit integers (`integers`), then their values are drawn one by one. Exact: sums
wrap at 32 bits, which the last of them never leave. Arrays come flat, one by one and with offsets: numba counts the
references of slices and of what it takes out of a tuple. It keeps compiled loops until their own file changes, so that
after a change in `entropy` or `integers` the caches, __pycache__/*.nbi, must go.
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
from ..entropy.laplace import MAX_MU8, LaplaceDecoder
from ..entropy.lattice import CLIP
from ..entropy.rans import OK
from ..entropy.tables import N_SCALES, N_TABLE_SCALES, SCALE_OFFSET, SCALES_PER_OCTAVE
from .entropy import laplace_lookup, take_any, take_plain
from .integers import (
    LANES,
    add_products,
    add_saturated,
    get,
    high_pairs,
    load,
    low_pairs,
    maximum,
    minimum,
    put,
    splat,
    store,
)  # fmt: skip

__all__ = ["decode_plane", "predict_plane"]

ROWS = 4  # outputs of a layer that are summed side by side
HALF = 1 << 15  # hidden values are 16 bits without a sign and stored less this
MAX_SCALE_SUM = 1 << 15  # log2 of the scale beyond it is at the end of the scales
# by raw input + CLIP: itself in the high half of a lane, companded in the low one
BOTH = (np.arange(-CLIP, CLIP + 1) << 16 | COMPAND & 0xFFFF).astype(np.int32)


class Net(NamedTuple):
    """A `ContextNet` of one plane, without the inputs that are the same everywhere.

    weights: flat int32. First the skip's pairs, then of every layer, for every 4 outputs: 4 biases, with the rounding and
    all that is constant, and for every pair of inputs 4 pairs of weights. layers: flat int64, (pairs, outputs, shift)
    of every layer, padded, then the skip's shift.
    """

    weights: np.ndarray
    layers: np.ndarray


class Plane(NamedTuple):
    """A `PlaneInputs` with its lattice.

    planes: (n,) int16, the current plane, padded, then the previous one if the network looks at it, then the coarser one.
    axes: flat int64, of each axis its size, the multiplier and the shift that divide by it, its stride in the padded
    plane, where it begins in the parent tables. steps: flat int64, the parent tables base, near, far, of n_steps each, then
    the offsets of the neighbours, of which n_causal lie in the current plane. origin: of the padded plane.
    """

    planes: np.ndarray
    axes: np.ndarray
    steps: np.ndarray
    origin: int
    n_steps: int
    n_causal: int


def _net(net: ContextNet, constants: np.ndarray) -> Net:
    parts, layers = [_pairs(net.skip[None])[0]], []
    for layer, (w, b, shift) in enumerate(zip(net.weights, net.biases, net.shifts)):
        w = w.astype(np.int64)
        b = (b.astype(np.int64) << shift) + rounding(shift)
        if layer == 0:
            b += w[:, -N_CONSTANTS:] @ (constants.astype(np.int64) << FRACTION_BITS)
            w = w[:, :-N_CONSTANTS]
        else:
            b += HALF * w.sum(axis=1)
        pairs = _pairs(w)
        n = -(-len(b) // ROWS)
        block = np.zeros((n * ROWS, 1 + pairs.shape[1]), np.int32)
        block[: len(b), 0], block[: len(b), 1:] = b.astype(np.int32), pairs
        parts.append(block.reshape(n, ROWS, -1).swapaxes(1, 2).ravel())
        layers += [pairs.shape[1], n * ROWS, shift]
    return Net(np.concatenate(parts), np.array([*layers, net.shifts[-1]], np.int64))


def _pairs(weights: np.ndarray) -> np.ndarray:
    """(n, ceil(m / 2)) int32 of (n, m) integers of 16 bits."""
    n, m = weights.shape
    padded = np.zeros((n, m + m % 2), np.int32)
    padded[:, :m] = weights
    return padded[:, ::2] & 0xFFFF | padded[:, 1::2] << 16


def _plane(inputs: PlaneInputs) -> Plane:
    lattice, parents = inputs.lattice, inputs.parents
    parts, offsets = [inputs.current], [lattice.causal]
    if inputs.previous is not None:
        parts.append(inputs.previous)
        offsets.append(lattice.collocated + len(inputs.current))
    coarse = sum(map(len, parts))
    base = parents.base.astype(np.int64)
    base[: lattice.shape[0]] += coarse  # each position takes one of these
    axes = [
        (size, *_reciprocal(size), stride, first)
        for size, stride, first in zip(lattice.shape, lattice.strides.tolist(), parents.first.tolist())
    ]
    return Plane(
        np.concatenate([*parts, inputs.coarse]),
        np.array(axes, np.int64).ravel(),
        np.concatenate([base, parents.near, parents.far, *offsets]),
        lattice.origin,
        len(base),
        len(lattice.causal),
    )


def _reciprocal(n: int) -> tuple[int, int]:
    """(multiplier, shift): a // n is a * multiplier >> shift for 0 <= a < 2**31 and 1 <= n <= 2**31, in 63 bits.

    The multiplier is 2**shift / n plus at most 1, and 2**shift is at least 2**31 n: too much by less than 1 / n.
    """
    shift = 31 + (n - 1).bit_length()
    return (1 << shift) // n + 1, shift


def _scratch(net: Net, n_dims: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """raw, hidden, index of a batch, 16 lanes a row.

    raw: int32, each input as in BOTH. hidden: int32, the pairs of a layer and of the next. index: int64, the position in
    the padded plane, its parent in the coarser one, and of each axis its place in the parent tables; both as in `Plane`.
    """
    pairs, rows = net.layers[:-1:3], net.layers[1:-1:3]
    return (
        np.zeros(2 * LANES * int(pairs[0]), np.int32),
        np.zeros(LANES * max(2 * int(pairs.max()), int(rows.max())), np.int32),
        np.zeros((2 + n_dims) * LANES, np.int64),
    )


@njit(error_model="numpy", cache=True, nogil=True)
def _gather(planes, axes, steps, origin, n_steps, n_causal, positions, first, n, raw, index):
    """Inputs of positions[first : first + n] into raw; the lanes beyond them repeat the last position."""
    near, far, offset, end = n_steps, 2 * n_steps, 3 * n_steps, len(steps)
    for lane in range(LANES):
        left = np.int64(get(positions, first + min(lane, n - 1)))
        here, there = origin, 0
        row = len(index) - LANES + lane
        for axis in range(len(axes) - 5, -1, -5):
            rest = left * get(axes, axis + 1) >> get(axes, axis + 2)
            coordinate = left - rest * get(axes, axis)
            left = rest
            here += coordinate * get(axes, axis + 3)
            coordinate += get(axes, axis + 4)
            put(index, row, coordinate)
            row -= LANES
            there += get(steps, coordinate)
        put(index, lane, here)
        put(index, LANES + lane, there)
    row = 0
    for i in range(offset, offset + n_causal):
        step = get(steps, i)
        for lane in range(LANES):
            put(raw, row + lane, get(BOTH, np.int64(get(planes, get(index, lane) + step)) + CLIP))
        row += LANES
    for lane in range(LANES):
        put(raw, row + lane, get(BOTH, np.int64(get(planes, get(index, LANES + lane))) + CLIP))
    row += LANES
    other = row + len(index) - 2 * LANES
    for axis in range(2 * LANES, len(index), LANES):
        for lane in range(LANES):
            here, k = get(index, LANES + lane), get(index, axis + lane)
            put(raw, row + lane, get(BOTH, np.int64(get(planes, here + get(steps, near + k))) + CLIP))
            put(raw, other + lane, get(BOTH, np.int64(get(planes, here + get(steps, far + k))) + CLIP))
        row += LANES
        other += LANES
    row = other
    for i in range(offset + n_causal, end):
        step = get(steps, i)
        for lane in range(LANES):
            put(raw, row + lane, get(BOTH, np.int64(get(planes, get(index, lane) + step)) + CLIP))
        row += LANES


@njit(error_model="numpy", cache=True, nogil=True)
def _evaluate(weights, layers, raw, hidden, found):
    """mu8 and scale of raw, into the two rows of found, (32,) int32."""
    skip = splat(0)
    n_pairs = get(layers, 0)
    for p in range(n_pairs):
        a, b = load(raw, 2 * LANES * p), load(raw, 2 * LANES * p + LANES)
        store(hidden, LANES * p, low_pairs(a, b))
        skip = add_products(skip, high_pairs(a, b), splat(get(weights, p)))
    source, target, at, last = 0, len(hidden) >> 1, n_pairs, len(layers) - 4
    a, b = splat(0), splat(0)
    for layer in range(0, last + 1, 3):
        n, n_rows, shift = get(layers, layer) * LANES, get(layers, layer + 1), splat(get(layers, layer + 2))
        for row in range(0, n_rows, ROWS):
            a, b = splat(get(weights, at)), splat(get(weights, at + 1))
            c, d = splat(get(weights, at + 2)), splat(get(weights, at + 3))
            at += ROWS
            for p in range(source, source + n, LANES):
                x = load(hidden, p)
                a = add_products(a, x, splat(get(weights, at)))
                b = add_products(b, x, splat(get(weights, at + 1)))
                c = add_products(c, x, splat(get(weights, at + 2)))
                d = add_products(d, x, splat(get(weights, at + 3)))
                at += ROWS
            a, b = a >> shift, b >> shift
            if layer < last:
                low, high, half = splat(0), splat(MAX_HIDDEN), splat(HALF)
                a, b = minimum(maximum(a, low), high) - half, minimum(maximum(b, low), high) - half
                c, d = minimum(maximum(c >> shift, low), high) - half, minimum(maximum(d >> shift, low), high) - half
                store(hidden, target + (row >> 1) * LANES, low_pairs(a, b))
                store(hidden, target + (row >> 1) * LANES + LANES, low_pairs(c, d))
        source, target = target, source
    k = get(layers, last + 3)
    skip = ((skip << splat(FRACTION_BITS)) + splat(1 << k >> 1)) >> splat(k)
    location = add_saturated(add_saturated(a, skip), splat(MU8_HALF)) >> splat(MU8_SHIFT)
    store(found, 0, minimum(maximum(location, splat(-MAX_MU8)), splat(MAX_MU8)))
    log2_scale = minimum(maximum(b, splat(-MAX_SCALE_SUM)), splat(MAX_SCALE_SUM))
    scale = (log2_scale * splat(SCALES_PER_OCTAVE) + splat(SCALE_HALF)) >> splat(FRACTION_BITS)
    store(found, LANES, minimum(maximum(scale + splat(SCALE_OFFSET), splat(0)), splat(N_SCALES - 1)))


@njit(error_model="numpy", cache=True, nogil=True, inline="always")
def _sixth(a):
    """a // SCALES_PER_OCTAVE of lanes 0 <= a < 128."""
    return (a * splat(43)) >> splat(8)


@njit(error_model="numpy", cache=True, nogil=True)
def _place(found, placed):
    """As `laplace.place`, for the mu8 and scale of a batch, into the four rows of placed, (64,) int32."""
    mu8, scale, zero, one = load(found, 0), load(found, LANES), splat(0), splat(1)
    shift = _sixth(maximum(scale - splat(N_TABLE_SCALES - SCALES_PER_OCTAVE), zero))
    mu8 = (mu8 - (splat(4) << shift) + splat(4) + ((one << shift) >> one)) >> shift
    scale = scale - shift * splat(SCALES_PER_OCTAVE)
    store(placed, 0, (scale << splat(3)) + (mu8 & splat(7)))
    store(placed, LANES, mu8 >> splat(3))
    store(placed, 2 * LANES, shift)
    store(placed, 3 * LANES, _sixth(maximum(scale - splat(SCALE_OFFSET), zero)))


def predict_plane(net: ContextNet, inputs: PlaneInputs, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """mu8 and scale, (n,) int32 each, at flat positions (n,) int32 of a plane that is wholly known."""
    mu8, scale = np.empty(len(positions), np.int32), np.empty(len(positions), np.int32)
    packed = _net(net, inputs.constants)
    found = np.zeros(2 * LANES, np.int32)
    _predict_plane(*packed, *_plane(inputs), positions, *_scratch(packed, net.n_dims), found, mu8, scale)
    return mu8, scale


@njit(error_model="numpy", cache=True, nogil=True)
def _predict_plane(
    weights, layers, planes, axes, steps, origin, n_steps, n_causal, positions, raw, hidden, index, found, mu8, scale
):
    for first in range(0, len(positions), LANES):
        n = min(len(positions) - first, LANES)
        _gather(planes, axes, steps, origin, n_steps, n_causal, positions, first, n, raw, index)
        _evaluate(weights, layers, raw, hidden, found)
        for lane in range(n):
            put(mu8, first + lane, get(found, lane))
            put(scale, first + lane, get(found, LANES + lane))


def decode_plane(
    net: ContextNet,
    inputs: PlaneInputs,
    decoder: LaplaceDecoder,
    positions: np.ndarray,
    bounds: np.ndarray,
    values: np.ndarray,
) -> int:
    """Fills a flat plane of values, int32, and `inputs.current` wavefront by wavefront. Returns a status."""
    packed, plane = _net(net, inputs.constants), _plane(inputs)
    found, placed = np.zeros(2 * LANES, np.int32), np.zeros(4 * LANES, np.int32)
    scratch = _scratch(packed, net.n_dims)
    status = _decode_plane(
        *packed, *plane, *laplace_lookup(), decoder.state, decoder.words, positions, bounds, *scratch, found, placed, values
    )
    inputs.current[:] = plane.planes[: len(inputs.current)]
    return status


@njit(error_model="numpy", cache=True, nogil=True)
def _decode_plane(
    weights, layers, planes, axes, steps, origin, n_steps, n_causal, cumulative, place, tables, state, words,
    positions, bounds, raw, hidden, index, found, placed, values,
):  # fmt: skip
    for front in range(len(bounds) - 1):
        stop = get(bounds, front + 1)
        for first in range(get(bounds, front), stop, LANES):
            n = min(stop - first, LANES)
            _gather(planes, axes, steps, origin, n_steps, n_causal, positions, first, n, raw, index)
            _evaluate(weights, layers, raw, hidden, found)
            _place(found, placed)
            lane = 0
            while True:
                lane = take_plain(state, words, cumulative, place, tables, placed, LANES, lane, n)
                if lane == n:
                    break
                status = take_any(state, words, cumulative, place, tables, placed, LANES, lane)
                if status != OK:
                    return status
                lane += 1
            for lane in range(n):
                value = get(placed, LANES + lane)
                put(values, get(positions, first + lane), value)
                put(planes, get(index, lane), min(max(value, -CLIP), CLIP))
    return OK
