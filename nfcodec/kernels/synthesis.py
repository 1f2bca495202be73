"""Squared error of the per-point network and its gradients, in one pass over blocks that stay in the cache.

Features come as *lines*: lattices that are already interpolated along every axis but the first. The kernel does the
first axis while it fills a block, so that no array of all features at all samples is ever written. The meaning is
`fit.model.FieldModel.features`, `mlp` and `squared_error`; tests compare values and gradients.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .blocks import POINTS, add_outer, add_product, add_transposed, backward, forward, scratch
from .simd import LANES, fma, load, splat, store

__all__ = ["MAX_TAPS", "first_output", "squared_error"]

MAX_TAPS = 4


@njit(fastmath=True, error_model="numpy", cache=True, inline="always")
def _gather(lines, rows, taps, n_taps, i, plane, j0, activations):
    """Fills layer 0 with the features at 64 samples from j0 on at index i of the first axis."""
    for f in range(len(n_taps)):
        at, line = f * POINTS, rows[f, i] * plane + j0
        a0, a1, a2, a3 = splat(0.0), splat(0.0), splat(0.0), splat(0.0)
        for t in range(n_taps[f]):
            k = splat(taps[f, i, t])
            a0, a1 = fma(k, load(lines, line), a0), fma(k, load(lines, line + LANES), a1)
            a2, a3 = fma(k, load(lines, line + 2 * LANES), a2), fma(k, load(lines, line + 3 * LANES), a3)
            line += plane
        store(activations, at, a0), store(activations, at + LANES, a1)
        store(activations, at + 2 * LANES, a2), store(activations, at + 3 * LANES, a3)


@njit(fastmath=True, error_model="numpy", nogil=True, cache=True)
def first_output(first, last, plane, lines, rows, taps, n_taps, weight, least, flat, widths, skip, out):
    """Fills out (M,) with output 0 in those blocks first..last - 1 that have a weight above `least`; the rest as in
    `squared_error`."""
    blocks_of_plane = -(-plane // POINTS)
    n_layers = len(widths) - 1
    stride = widths.max() * POINTS
    activations = scratch((n_layers + 1) * stride)
    outputs = n_layers * stride
    for block in range(first, last):
        i, j0 = block // blocks_of_plane, block % blocks_of_plane * POINTS
        start, n = i * plane + j0, min(POINTS, plane - j0)
        largest = weight[start]
        for j in range(start + 1, start + n):
            largest = max(largest, weight[j])
        if largest <= least:
            continue
        _gather(lines, rows, taps, n_taps, i, plane, j0, activations)
        forward(flat, widths, activations, stride)
        add_product(skip, 0, widths[n_layers], widths[0], activations, 0, activations, outputs)
        for j in range(n):
            out[start + j] = activations[outputs + j]


@njit(fastmath=True, error_model="numpy", nogil=True, cache=True)
def squared_error(
    first, last, plane, lines, rows, taps, n_taps, target, weight, price, flat, widths, skip, d_lines, d_flat, d_skip
):
    """Sum over the points of blocks first..last - 1 of weight * mean over channels of (output - target)^2.

    plane: samples of one index of the first axis; they are cut into blocks of 64, the last of which may be part of one.
    lines: float32, flat: lines of `plane` values, with 64 more at the end. Feature f at index i of the first axis is the
    sum over t < n_taps[f] of taps[f, i, t] times line rows[f, i] + t; without taps 0. target (C, M), weight (M,) with M a
    multiple of plane, all float32; flat, widths: the network as in `blocks`; skip: (C * F,), padded like them. Adds price
    times the gradients to d_lines (as long as lines), d_flat and d_skip; without d_flat of its length no gradients, without
    d_lines of its length none to lines. Blocks whose weights are all 0 take no time.
    """
    n_features, n_channels = len(n_taps), target.shape[0]
    blocks_of_plane = -(-plane // POINTS)
    wants_gradients, wants_lines = len(d_flat) == len(flat), len(d_lines) == len(lines)
    n_layers = len(widths) - 1
    stride = widths.max() * POINTS
    activations = scratch((n_layers + 1) * stride)
    gradients = scratch((n_layers + 1) * stride)
    outputs = n_layers * stride
    n_in, n_out = widths[0], widths[n_layers]
    scale, price = np.float32(1 / n_channels), np.float32(price)
    zero = np.float32(0)
    error = 0.0
    for block in range(first, last):
        i, j0 = block // blocks_of_plane, block % blocks_of_plane * POINTS
        start = i * plane + j0
        n = min(POINTS, plane - j0)
        largest = zero
        for j in range(start, start + n):
            largest = max(largest, weight[j])
        if largest == zero:
            continue
        _gather(lines, rows, taps, n_taps, i, plane, j0, activations)
        forward(flat, widths, activations, stride)
        add_product(skip, 0, n_out, n_in, activations, 0, activations, outputs)
        for c in range(n_channels):
            at = outputs + c * POINTS
            part = zero
            for j in range(n):
                e = activations[at + j] - target[c, start + j]
                w = scale * weight[start + j]
                part += w * e * e
                gradients[at + j] = 2 * price * w * e
            error += part
            for j in range(n, POINTS):
                gradients[at + j] = zero
        if not wants_gradients:
            continue
        backward(flat, widths, activations, gradients, stride, d_flat, wants_lines)
        add_outer(gradients, outputs, n_out, activations, 0, n_in, d_skip, 0)
        if not wants_lines:
            continue
        add_transposed(skip, 0, n_out, n_in, gradients, outputs, gradients, 0)
        for f in range(n_features):
            at, line = f * POINTS, rows[f, i] * plane + j0
            a0, a1 = load(gradients, at), load(gradients, at + LANES)
            a2, a3 = load(gradients, at + 2 * LANES), load(gradients, at + 3 * LANES)
            for t in range(n_taps[f]):
                k = splat(taps[f, i, t])
                store(d_lines, line, fma(k, a0, load(d_lines, line)))
                store(d_lines, line + LANES, fma(k, a1, load(d_lines, line + LANES)))
                store(d_lines, line + 2 * LANES, fma(k, a2, load(d_lines, line + 2 * LANES)))
                store(d_lines, line + 3 * LANES, fma(k, a3, load(d_lines, line + 3 * LANES)))
                line += plane
    return error
