"""Features and network on a lattice, in one pass over blocks that stay in the cache.

The meaning is `Encoding.lattice`, `Mlp` and `evaluate.Values`.

Levels are interpolated along their last axis, then along those between, into *lines* (as in `synthesis`); the first axis
is done while a block of 64 points is filled, which then goes through the network and is finished before it is written.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .blocks import POINTS, add_product, forward, scratch
from .simd import LANES, absolute, exp2, fma, load, maximum, minimum, splat, store, where_less
from .taps import N_TAPS
from .tiles import load_rows, sums_of_rows

__all__ = ["MAX_BENT", "SLACK", "along_last", "along_middle", "finish", "sample_planes"]

MAX_BENT = 40.0
_LOG2_E = 1 / math.log(2.0)
SLACK = POINTS  # floats after the end of every array, since vectors are written and read whole


@njit(error_model="numpy", nogil=True, cache=True)
def along_last(source, n_rows, length, first, weights, n, out):
    """out[r * n + j] = sum over t < 4 of weight (j, t) times source[r * length + first[j] + t]; rows in ascending order.

    first: n rounded up to a multiple of 16. weights: as `evaluate._Taps` lays them out.
    """
    for r in range(n_rows):
        row, at = r * length, r * n
        for j in range(0, n, LANES):
            q = j * N_TAPS
            a = load_rows(source, row + first[j], row + first[j + 4], row + first[j + 8], row + first[j + 12])
            b = load_rows(source, row + first[j + 1], row + first[j + 5], row + first[j + 9], row + first[j + 13])
            c = load_rows(source, row + first[j + 2], row + first[j + 6], row + first[j + 10], row + first[j + 14])
            d = load_rows(source, row + first[j + 3], row + first[j + 7], row + first[j + 11], row + first[j + 15])
            a, b = a * load(weights, q), b * load(weights, q + LANES)
            c, d = c * load(weights, q + 2 * LANES), d * load(weights, q + 3 * LANES)
            # what is written beyond the row is written again with the next one
            store(out, at + j, sums_of_rows(a, b, c, d))


@njit(error_model="numpy", nogil=True, cache=True)
def along_middle(source, n_rows, length, first, weights, n, inner, out):
    """out[(r * n + j) * inner + i] = sum over t < 4 of weights[4 j + t]
    * source[(r * length + first[j] + t) * inner + i]"""
    for r in range(n_rows):
        for j in range(n):
            p, q = (r * length + first[j]) * inner, (r * n + j) * inner
            w0, w1 = splat(weights[N_TAPS * j]), splat(weights[N_TAPS * j + 1])
            w2, w3 = splat(weights[N_TAPS * j + 2]), splat(weights[N_TAPS * j + 3])
            for i in range(0, inner, LANES):
                at = p + i
                even = fma(w0, load(source, at), w2 * load(source, at + 2 * inner))
                odd = fma(w1, load(source, at + inner), w3 * load(source, at + 3 * inner))
                store(out, q + i, even + odd)


@njit(error_model="numpy", nogil=True, cache=True)
def _sinh(outputs, p, factor):
    """outputs[p : p + 64] become sinh(clip(factor * output, -40, 40))."""
    half, one, most = splat(0.5), splat(1.0), splat(MAX_BENT)
    for j in range(p, p + POINTS, LANES):
        x = minimum(maximum(load(outputs, j) * splat(factor), splat(-MAX_BENT)), most)
        power, square = exp2(x * splat(_LOG2_E)), x * x
        # near 0 the difference of powers would lose what is small
        small = x * fma(fma(fma(square, splat(1 / 5040), splat(1 / 120)), square, splat(1 / 6)), square, one)
        store(outputs, j, where_less(absolute(x), half, small, half * (power - one / power)))


@njit(error_model="numpy", nogil=True, cache=True)
def finish(outputs, at, n, knees, scale, offset, low, high, out, to):
    """Values of n points of a block of outputs (C, 64) to out[to :], channels last: spec/format.md, section 7.

    knees (0 for none), scale, offset: (C,). low, high: (C,), least and greatest value, infinite where values are not
    clipped. Outputs are overwritten.
    """
    n_channels = len(scale)
    for c in range(n_channels):
        p, q = at + c * POINTS, to + c
        a, b, least, greatest = scale[c], offset[c], low[c], high[c]
        if knees[c] > 0:
            _sinh(outputs, p, a / knees[c])
            a = knees[c]
        for j in range(n):
            value = outputs[p + j] * a + b
            # NaN stays what it is
            value = least if value < least else value
            out[q] = greatest if value > greatest else value
            q += n_channels


@njit(error_model="numpy", nogil=True, cache=True)
def sample_planes(n_planes, plane, lines, rows, taps, n_taps, flat, widths, skip, knees, scale, offset, low, high, out):
    """out (n_planes * plane * C,) float32: values of the points of all planes, channels last.

    plane: points of one index of the first axis. lines: flat, `plane` values each. Feature f at index i of the
    first axis is the sum over t < n_taps[f] of taps[f, i, t] times line rows[f, i] + t; without taps 0. flat, widths: the
    network as in `blocks`; skip: (C * F,), padded like them; the rest as in `finish`.
    """
    # numba counts references of what functions are given; a thread's own counters are not waited for
    flat, widths, skip = flat.copy(), widths.copy(), skip.copy()
    knees, scale, offset, low, high = knees.copy(), scale.copy(), offset.copy(), low.copy(), high.copy()
    n_features, n_channels = len(n_taps), len(scale)
    n_layers = len(widths) - 1
    zero = np.int64(0)  # functions are compiled again for the literal
    stride = widths.max() * POINTS
    activations = scratch((n_layers + 1) * stride)
    outputs = n_layers * stride
    for i in range(n_planes):
        for j0 in range(0, plane, POINTS):
            for f in range(n_features):
                at, line = f * POINTS, rows[f, i] * plane + j0
                a0, a1, a2, a3 = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
                for t in range(n_taps[f]):
                    k = splat(taps[f, i, t])
                    a0, a1 = fma(k, load(lines, line), a0), fma(k, load(lines, line + LANES), a1)
                    a2, a3 = fma(k, load(lines, line + 2 * LANES), a2), fma(k, load(lines, line + 3 * LANES), a3)
                    line += plane
                store(activations, at, a0), store(activations, at + LANES, a1)
                store(activations, at + 2 * LANES, a2), store(activations, at + 3 * LANES, a3)
            forward(flat, widths, activations, stride)
            add_product(skip, zero, widths[n_layers], widths[0], activations, zero, activations, outputs)
            n = min(POINTS, plane - j0)
            finish(activations, outputs, n, knees, scale, offset, low, high, out, (i * plane + j0) * n_channels)
