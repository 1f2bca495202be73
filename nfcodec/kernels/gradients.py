"""Values and their exact derivatives by the coordinates at any points, in blocks of 64 as in `points`; the meaning is
`Encoding.jacobian`, `Mlp.jacobian` and `evaluate.Values`.

Interpolation gives every feature and its derivative along each axis from the same vertices, by weights whose polynomials
are derived. The network is gone through once forwards and, for each channel, once backwards to its inputs.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .blocks import POINTS, add_product, add_transposed, forward
from .lattice import MAX_BENT, finish
from .points import (
    AXIS,
    FEATURES,
    FIRST,
    HASHED,
    LEVEL,
    LINEAR,
    MASK,
    N_OUTER,
    N_ROWS,
    PLANE,
    PRIME_T,
    PRIME_X,
    PRIME_Y,
    PRIME_Z,
    RESOLUTION,
    START,
    STRIDE,
    TO,
    T,
    X,
    Y,
    Z,
    tap,
)  # fmt: skip
from .products import gather
from .simd import LANES, exp2, fma, load, maximum, minimum, select_positive, splat, store
from .tiles import load_rows, locate, splat_at, sums_of_vectors

__all__ = ["derived", "finish_gradients", "sample_gradients"]

N_SUMS = 5  # of a feature: its value and its derivatives along t, z, y and x
_SQUARE = LANES * LANES
_LOG2_E = 1.4426950408889634


def derived(table: np.ndarray) -> np.ndarray:
    """Coefficients (.., 4 powers, ..) of axis -2, lowest power first -> those of the derivative."""
    out = np.zeros_like(table)
    out[..., :3, :] = table[..., 1:, :] * np.array([[1], [2], [3]], table.dtype)
    return out


@njit(error_model="numpy", nogil=True, cache=True, inline="always")
def _outer(info, read, taps, slopes, fractions, outer, offsets):
    """As `points._outer`, with the derivatives along t and z behind the weights; returns the number of taps."""
    first = info[read, FIRST]
    n, lowest, level = 0, 0, info[read, LEVEL]
    n_t, n_z = (4 if first <= T else 1), (4 if first <= Z else 1)
    if info[read, LINEAR]:
        lowest, n_t, n_z = 1, (2 if first <= T else 1), 1
    of_t, of_z = load(fractions, T * LANES), load(fractions, Z * LANES)
    for t in range(n_t):
        for z in range(n_z):
            weight, along_t, along_z = splat(1.0), splat(0.0), splat(0.0)
            if n_t > 1:
                p = level * 16 + 4 * (lowest + t)
                weight, along_t = tap(taps, p, of_t), tap(slopes, p, of_t)
            if n_z > 1:
                p = level * 16 + 4 * z
                along_z = weight * tap(slopes, p, of_z)
                factor = tap(taps, p, of_z)
                weight, along_t = weight * factor, along_t * factor
            store(outer, n * LANES, weight)
            store(outer, _SQUARE + n * LANES, along_t)
            store(outer, 2 * _SQUARE + n * LANES, along_z)
            offsets[n] = t * info[read, STRIDE + T] + z * info[read, STRIDE + Z]
            n += 1
    return n


@njit(error_model="numpy", nogil=True, cache=True, inline="always")
def _along(lanes, p, f):
    """The 16 weights of an axis inside a vector at a fraction f."""
    high = fma(load(lanes, p + 3 * LANES), f, load(lanes, p + 2 * LANES))
    return fma(fma(high, f, load(lanes, p + LANES)), f, load(lanes, p))


@njit(error_model="numpy", nogil=True, cache=True)
def _lattice_level(
    info, shifts, read, planes, lanes, lane_slopes, taps, slopes, where, fractions, places, offsets, outer, weighted,
    activations, rises, step,
):  # fmt: skip
    """Features of 64 points on a level of planes, to activations[TO :] (F, 64), and their derivatives along axis k to
    rises[k * step + TO :] (F, 64)."""
    first = info[read, FIRST]
    n_features, plane, is_linear, to = info[read, FEATURES], info[read, PLANE], info[read, LINEAR], info[read, TO]
    row_1 = info[read, STRIDE + Y]
    row_2, row_3 = 2 * row_1, 3 * row_1
    if is_linear:
        row_2 = info[read, STRIDE + Z]
        row_3 = row_1 + row_2
    x = info[read, LEVEL] * N_ROWS * LANES
    y, z = x + 4 * LANES, x + 8 * LANES
    for group in range(0, POINTS, LANES):
        for j in range(LANES):
            places[j] = info[read, START]
        for axis in range(first, 4):
            n, stride = info[read, RESOLUTION + axis], info[read, STRIDE + axis]
            at = info[read, AXIS + axis] * POINTS + group
            locate(where, at, n, shifts[4 * read + axis], stride, places, fractions, axis * LANES)
        n_outer = _outer(info, read, taps, slopes, fractions, outer, offsets)
        for j in range(LANES):
            fx, fy = splat_at(fractions, X * LANES + j), splat_at(fractions, Y * LANES + j)
            of_x, of_y = _along(lanes, x, fx), _along(lanes, y, fy)
            w = of_x * of_y
            w_x, w_y, w_z = _along(lane_slopes, x, fx) * of_y, of_x * _along(lane_slopes, y, fy), w
            if is_linear:
                fz = splat_at(fractions, Z * LANES + j)
                of_z = fma(load(lanes, z + LANES), fz, load(lanes, z))
                w_z = w * load(lane_slopes, z)
                w, w_x, w_y = w * of_z, w_x * of_z, w_y * of_z
            at = np.int64(places[np.uint64(j)])
            for f in range(n_features):
                value, along_t, along_z = splat(0.0), splat(0.0), splat(0.0)
                for o in range(n_outer):
                    p = at + offsets[o]
                    rows = load_rows(planes, p, p + row_1, p + row_2, p + row_3)
                    value = fma(splat_at(outer, o * LANES + j), rows, value)
                    along_z = fma(splat_at(outer, 2 * _SQUARE + o * LANES + j), rows, along_z)
                    if first == T:
                        along_t = fma(splat_at(outer, _SQUARE + o * LANES + j), rows, along_t)
                if is_linear:
                    along_z = value * w_z
                else:
                    along_z = along_z * w
                q = (f * N_SUMS * LANES + j) * LANES
                store(weighted, q, value * w)
                if first == T:
                    store(weighted, q + _SQUARE, along_t * w)
                store(weighted, q + 2 * _SQUARE, along_z)
                store(weighted, q + 3 * _SQUARE, value * w_y)
                store(weighted, q + 4 * _SQUARE, value * w_x)
                at += plane
        for f in range(n_features):
            q = f * N_SUMS * _SQUARE
            p = to + f * POINTS + group
            store(activations, p, sums_of_vectors(weighted, q))
            for axis in range(first, 4):
                scale = splat(np.float32(info[read, RESOLUTION + axis]))
                there = info[read, AXIS + axis] * step + p
                store(rises, there, scale * sums_of_vectors(weighted, q + (1 + axis) * _SQUARE))


@njit(error_model="numpy", nogil=True, cache=True)
def _hashed_level(info, read, tables, taps, slopes, where, weights, hashes, activations, rises, step):
    """As `_lattice_level` for a hashed level."""
    first = info[read, FIRST]
    n_features, start, mask, to = info[read, FEATURES], info[read, START], info[read, MASK], info[read, TO]
    level = info[read, LEVEL]
    lowest, highest = (1, 3) if info[read, LINEAR] else (0, 4)
    t0, t1 = (lowest, highest) if first <= T else (1, 2)
    z0, z1 = (lowest, highest) if first <= Z else (1, 2)
    y0, y1 = (lowest, highest) if first <= Y else (1, 2)
    primes = (PRIME_T, PRIME_Z, PRIME_Y, PRIME_X)
    for j in range(POINTS):
        for axis in range(first, 4):
            n = info[read, RESOLUTION + axis]
            u = where[axis * POINTS + j] * n - 0.5
            floor = np.floor(u)
            x, i = np.float32(u - floor), np.int64(floor) - 1
            for t in range(lowest, highest):
                p = level * 16 + 4 * t
                weights[4 * axis + t] = ((taps[p + 3] * x + taps[p + 2]) * x + taps[p + 1]) * x + taps[p]
                weights[16 + 4 * axis + t] = ((slopes[p + 2] * x + slopes[p + 1]) * x + slopes[p]) * np.float32(n)
                hashes[4 * axis + t] = min(max(i + t, 0), n - 1) * primes[axis]
        for f in range(n_features):
            p = to + f * POINTS + j
            activations[p] = 0
            for axis in range(first, 4):
                rises[axis * step + p] = 0
        for t in range(t0, t1):
            for z in range(z0, z1):
                for y in range(y0, y1):
                    of_t, of_z, of_y = weights[t], weights[4 + z], weights[8 + y]
                    mixed = hashes[t] ^ hashes[4 + z] ^ hashes[8 + y]
                    for x in range(lowest, highest):
                        of_x, row = weights[12 + x], start + ((mixed ^ hashes[12 + x]) & mask) * n_features
                        for f in range(n_features):
                            p, value = to + f * POINTS + j, tables[row + f]
                            activations[p] += of_t * of_z * of_y * of_x * value
                            rises[p] += weights[16 + t] * of_z * of_y * of_x * value
                            rises[step + p] += of_t * weights[20 + z] * of_y * of_x * value
                            rises[2 * step + p] += of_t * of_z * weights[24 + y] * of_x * value
                            rises[3 * step + p] += of_t * of_z * of_y * weights[28 + x] * value


@njit(error_model="numpy", nogil=True, cache=True)
def _to_inputs(flat, widths, skip, channel, activations, stride, back):
    """Derivatives of an output by the inputs of the network, to back[0 : stride] (inputs, 64). back: as activations."""
    n_layers, zero = len(widths) - 1, np.int64(0)
    start = len(flat) - widths[n_layers] * (widths[n_layers - 1] + 1)  # of the last layer's weights
    for i in range(widths[n_layers - 1]):
        value, p = splat(flat[start + channel * widths[n_layers - 1] + i]), (n_layers - 1) * stride + i * POINTS
        for j in range(p, p + POINTS, LANES):
            store(back, j, value)
    for layer in range(n_layers - 1, 0, -1):
        n_in, n_out = widths[layer - 1], widths[layer]
        p = layer * stride
        for j in range(p, p + n_out * POINTS, LANES):
            store(back, j, select_positive(load(activations, j), load(back, j)))
        for j in range(p - stride, p - stride + n_in * POINTS, LANES):
            store(back, j, splat(0.0))
        start -= n_out * (n_in + 1)
        add_transposed(flat, start, n_out, n_in, back, p, back, p - stride)
    for i in range(widths[0]):
        value = splat(skip[channel * widths[0] + i])
        for j in range(zero + i * POINTS, (i + 1) * POINTS, LANES):
            store(back, j, load(back, j) + value)


@njit(error_model="numpy", nogil=True, cache=True)
def _gather_rises(found, rows_step, found_rises, products, first, rises, step):
    """The derivatives of the features that `products.gather` makes of found, by the rule for products: along axis k those
    of the factors are found_rises[k * rows_step :]."""
    n_inputs, n_terms, n_factors = products.shape[:3]
    for f in range(n_inputs):
        for axis in range(first, 4):
            for group in range(0, POINTS, LANES):
                sums = splat(0.0)
                if products[f, 0, 0, 0] >= 0:
                    for t in range(n_terms):
                        for q in range(n_factors):
                            rise = load(found_rises, axis * rows_step + products[f, t, q, 1] + group)
                            for other in range(n_factors):
                                if other != q:
                                    rise = rise * load(found, products[f, t, other, 1] + group)
                            sums = sums + rise
                store(rises, axis * step + f * POINTS + group, sums)


@njit(error_model="numpy", nogil=True, cache=True)
def finish_gradients(
    activations, rises, within, start, m, first, flat, widths, skip, factors, back, line, knees, scale, offset, low, high,
    values, gradients,
):  # fmt: skip
    """Of a block of m points, of which the first is number `start`, from features in layer 0 of activations and their
    derivatives along axis k in rises[k * inputs * 64 :] to values and gradients as in `sample_gradients`.

    within (4 * 64,): 0 beyond the box along an axis, else 1. factors (C * 64,), back (as activations) and line (16,) are
    overwritten.
    """
    d, n_layers, n_channels = 4 - first, len(widths) - 1, len(scale)
    zero = np.int64(0)  # functions are compiled again for the literal
    stride = widths.max() * POINTS
    outputs, step = n_layers * stride, widths[0] * POINTS
    forward(flat, widths, activations, stride)
    add_product(skip, zero, widths[n_layers], widths[0], activations, zero, activations, outputs)
    for c in range(n_channels):
        p = c * POINTS
        for j in range(p, p + POINTS, LANES):
            if knees[c] > 0:
                bent = load(activations, outputs + j) * splat(scale[c] / knees[c])
                power = exp2(minimum(maximum(bent, splat(-MAX_BENT)), splat(MAX_BENT)) * splat(_LOG2_E))
                store(factors, j, splat(0.5 * scale[c]) * (power + splat(1.0) / power))
            else:
                store(factors, j, splat(scale[c]))
    finish(activations, outputs, m, knees, scale, offset, low, high, values, start * n_channels)
    for c in range(n_channels):
        _to_inputs(flat, widths, skip, c, activations, stride, back)
        for axis in range(first, 4):
            for group in range(0, POINTS, LANES):
                sums = splat(0.0)
                for i in range(widths[0]):
                    p = i * POINTS + group
                    sums = fma(load(back, p), load(rises, axis * step + p), sums)
                store(line, zero, sums * load(factors, c * POINTS + group) * load(within, axis * POINTS + group))
                q = ((start + group) * n_channels + c) * d + axis - first
                for j in range(min(LANES, m - group)):
                    gradients[q] = line[j]
                    q += n_channels * d


@njit(error_model="numpy", nogil=True, cache=True)
def sample_gradients(
    coords, n, first, info, shifts, planes, lanes, lane_slopes, taps, slopes, products, flat, widths, skip, knees, scale,
    offset, low, high, values, gradients,
):  # fmt: skip
    """values (n * C,) as of `points.sample_points`, gradients (n * C * d,) float32: their derivatives before clipping.

    lane_slopes, slopes: `derived` of lanes and taps; the rest as there.
    """
    # numba counts references of what functions are given; a thread's own counters are not waited for
    flat, widths, skip = flat.copy(), widths.copy(), skip.copy()
    knees, scale, offset, low, high = knees.copy(), scale.copy(), offset.copy(), low.copy(), high.copy()
    d, stride, step = 4 - first, widths.max() * POINTS, widths[0] * POINTS
    activations, back = np.zeros(len(widths) * stride, np.float32), np.zeros(len(widths) * stride, np.float32)
    rises, factors = np.zeros(4 * step, np.float32), np.empty(len(scale) * POINTS, np.float32)
    found, found_rises, rows_step = activations, rises, step
    if len(products):
        rows_step = products[:, :, :, 1].max() + POINTS
        found, found_rises = np.zeros(rows_step, np.float32), np.zeros(4 * rows_step, np.float32)
    starts, singles = np.arange(0, POINTS, LANES).reshape(-1, 1), np.zeros(1, np.bool_)
    weighted = np.empty(max(1, info[:, FEATURES].max() if len(info) else 1) * N_SUMS * _SQUARE, np.float32)
    outer, fractions = np.zeros(3 * N_OUTER * LANES, np.float32), np.zeros(4 * LANES, np.float32)
    places, offsets = np.zeros(LANES, np.int32), np.zeros(N_OUTER, np.int64)
    weights, hashes = np.ones(32, np.float32), np.zeros(16, np.int64)
    weights[16:] = 0  # axes that are not there have no derivative
    where, within = np.zeros(4 * POINTS, np.float64), np.zeros(4 * POINTS, np.float32)
    for start in range(0, n, POINTS):
        m = min(POINTS, n - start)
        for axis in range(first, 4):
            at = start * d + axis - first
            for j in range(m):
                where[axis * POINTS + j] = min(max(coords[at], 0.0), 1.0)
                within[axis * POINTS + j] = 1 if 0.0 <= coords[at] <= 1.0 else 0
                at += d
        for read in range(len(info)):
            if info[read, HASHED]:
                _hashed_level(info, read, planes, taps, slopes, where, weights, hashes, found, found_rises, rows_step)
            else:
                _lattice_level(
                    info, shifts, read, planes, lanes, lane_slopes, taps, slopes, where, fractions, places, offsets, outer,
                    weighted, found, found_rises, rows_step,
                )  # fmt: skip
        if len(products):
            gather(found, starts, singles, products, 0, activations)
            _gather_rises(found, rows_step, found_rises, products, first, rises, step)
        finish_gradients(
            activations, rises, within, start, m, first, flat, widths, skip, factors, back, fractions, knees, scale, offset,
            low, high, values, gradients,
        )  # fmt: skip
