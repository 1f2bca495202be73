"""Clouds of points in blocks of 64 samples: every sample sums what the points that may matter in its cell have there.

The meaning is `encodings.points`, `mlp` and `fit.step.error`; tests compare values and gradients. Distances are taken from
the first vertex of a cell, so that float32 has them exact enough however large a lattice is.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .blocks import POINTS, add_outer, add_product, add_transposed, backward, forward, scratch
from .entries import CELLS, EDGE, FEATURES, FIRST_ENTRY, FIRST_KEY, LAST_KEY, N_AXES, N_ENTRIES, SIZE, TO, VALUES, WHOLE
from .gradients import finish_gradients
from .lattice import finish
from .products import error_of_block, largest_weight
from .simd import LANES, fma, load, maximum, splat, store, total
from .vectors import VECTORS

__all__ = ["first_output", "pairs", "sample", "sample_gradients", "squared_error"]

_MOST = 288  # entries of a cell, `limits.MAX_NEIGHBOURS` and what fills them up


@njit(error_model="numpy", nogil=True, cache=True)
def _locate(coords, sizes, n_axes, start, m, where):
    """The coordinates of m samples from number `start` on, as they are, to where[axis * 64 :]: coords (n, d), or where
    sizes (d,) are above 0 the product of these, end to end."""
    first = N_AXES - n_axes
    for j in range(m):
        if sizes[0] == 0:
            for axis in range(n_axes):
                where[(first + axis) * POINTS + j] = coords[(start + j) * n_axes + axis]
            continue
        rest, end = start + j, len(coords)
        for axis in range(n_axes - 1, -1, -1):
            end -= sizes[axis]
            where[(first + axis) * POINTS + j] = coords[end + rest % sizes[axis]]
            rest //= sizes[axis]


@njit(error_model="numpy", nogil=True, cache=True)
def _run(info, keys, level, where, j, away):
    """Number of the key of sample j's cell, -1 for none; away[:3] become its place, from the cell's first vertex."""
    key = np.int64(0)
    for axis in range(N_AXES):
        n, edge, size = info[level, CELLS + axis], info[level, EDGE], info[level, SIZE + axis]
        u = min(max(where[axis * POINTS + j], 0.0), 1.0) * size
        cell = min(np.int64(u / edge), n - 1)
        away[axis] = u - 0.5 - cell * edge
        key = key * n + cell
    low, high = info[level, FIRST_KEY], info[level, LAST_KEY]
    if info[level, WHOLE]:
        return low + key
    last = high
    while low < high:
        middle = (low + high) // 2
        if keys[middle] < key:
            low = middle + 1
        else:
            high = middle
    return low if low < last and keys[low] == key else -1


@njit(error_model="numpy", nogil=True, cache=True)
def _near(begin, end, places, inverses, away, near, slopes):
    """The kernels of entries begin..end - 1 at a sample to near; with slopes (3 * _MOST,) their derivatives there, by its
    place along each axis."""
    n = len(inverses)
    z, y, x, zero = splat(away[0]), splat(away[1]), splat(away[2]), splat(0.0)
    for c in range(begin, end, LANES):
        a, b, d = z - load(places, c), y - load(places, n + c), x - load(places, 2 * n + c)
        inverse = load(inverses, c)
        rest = maximum(splat(1.0) - fma(a, a, fma(b, b, d * d)) * inverse, zero)
        square = rest * rest
        store(near, c - begin, square * rest)
        if len(slopes):
            common = splat(-6.0) * square * inverse
            store(slopes, c - begin, common * a)
            store(slopes, _MOST + c - begin, common * b)
            store(slopes, 2 * _MOST + c - begin, common * d)


@njit(error_model="numpy", nogil=True, cache=True, inline="always")
def _sum(near, at, values, p, n):
    """Of the products of n numbers of near and values."""
    sums = splat(0.0)
    for c in range(0, n, LANES):
        sums = fma(load(near, at + c), load(values, p + c), sums)
    return total(sums)


@njit(error_model="numpy", nogil=True, cache=True)
def _gather(info, n_levels, keys, begins, ends, places, inverses, values, where, m, activations, rises, step):
    """Fills layer 0 with the features of m samples; levels from n_levels on are 0. With rises also their derivatives along
    axis k + 1, as `gradients` counts them, to rises[(k + 1) * step :]."""
    near, slopes = np.empty(_MOST, np.float32), np.empty(N_AXES * _MOST if len(rises) else 0, np.float32)
    away = np.empty(N_AXES, np.float32)
    for level in range(len(info)):
        to, n_entries = info[level, TO] * POINTS, info[level, N_ENTRIES]
        for j in range(m):
            run = _run(info, keys, level, where, j, away) if level < n_levels else -1
            begin, end = (begins[run], ends[run]) if run >= 0 else (np.int64(0), np.int64(0))
            _near(begin, end, places, inverses, away, near, slopes)
            p = info[level, VALUES] + begin - info[level, FIRST_ENTRY]
            for f in range(info[level, FEATURES]):
                q = to + f * POINTS + j
                activations[q] = _sum(near, 0, values, p, end - begin)
                if len(rises):
                    for axis in range(N_AXES):
                        size = np.float32(info[level, SIZE + axis])
                        rises[(axis + 1) * step + q] = size * _sum(slopes, axis * _MOST, values, p, end - begin)
                p += n_entries


@njit(error_model="numpy", nogil=True, cache=True)
def _scatter(info, n_levels, keys, begins, ends, places, inverses, where, m, gradients, d_values):
    """Adds to d_values what the gradients of the features of m samples, in layer 0, make of those of the values."""
    near, away, slopes = np.empty(_MOST, np.float32), np.empty(N_AXES, np.float32), np.empty(0, np.float32)
    for level in range(min(n_levels, len(info))):
        to, n_entries = info[level, TO] * POINTS, info[level, N_ENTRIES]
        for j in range(m):
            run = _run(info, keys, level, where, j, away)
            if run < 0:
                continue
            begin, end = begins[run], ends[run]
            _near(begin, end, places, inverses, away, near, slopes)
            p = info[level, VALUES] + begin - info[level, FIRST_ENTRY]
            for f in range(info[level, FEATURES]):
                slope = splat(gradients[to + f * POINTS + j])
                for c in range(0, end - begin, LANES):
                    store(d_values, p + c, fma(slope, load(near, c), load(d_values, p + c)))
                p += n_entries


@njit(fastmath=True, error_model="numpy", nogil=True, cache=True)
def first_output(
    first, last, starts, counts, coords, sizes, info, n_levels, keys, begins, ends, places, inverses, values, weight, least,
    flat, widths, skip, out,
):  # fmt: skip
    """As `products.first_output`; the rest as in `squared_error`."""
    n_layers = len(widths) - 1
    stride = widths.max() * POINTS
    activations, where, rises = scratch((n_layers + 1) * stride), np.zeros(N_AXES * POINTS), np.empty(0, np.float32)
    outputs = n_layers * stride
    for block in range(first, last):
        if largest_weight(weight, starts, counts, block * VECTORS) <= least:
            continue
        start = block * POINTS
        m = min(POINTS, len(weight) - start)
        _locate(coords, sizes, len(sizes), start, m, where)
        _gather(info, n_levels, keys, begins, ends, places, inverses, values, where, m, activations, rises, 0)
        forward(flat, widths, activations, stride)
        add_product(skip, 0, widths[n_layers], widths[0], activations, 0, activations, outputs)
        for j in range(m):
            out[start + j] = activations[outputs + j]


@njit(fastmath=True, error_model="numpy", nogil=True, cache=True)
def squared_error(
    first, last, starts, counts, coords, sizes, info, n_levels, keys, begins, ends, places, inverses, values, target,
    weight, price, flat, widths, skip, d_values, d_flat, d_skip,
):  # fmt: skip
    """As `products.squared_error`, of a cloud on a lattice.

    starts, counts: vectors of 16 samples one after the other. coords: the axes' coordinates, end to end, sizes (d,): how
    many each has; info to inverses: as in `entries.Entries`, of which levels from n_levels on are 0; values:
    `Entries.values`.
    """
    n_layers = len(widths) - 1
    wants_gradients, wants_values = len(d_flat) == len(flat), len(d_values) == len(values)
    stride = widths.max() * POINTS
    activations, gradients = scratch((n_layers + 1) * stride), scratch((n_layers + 1) * stride)
    where, rises = np.zeros(N_AXES * POINTS), np.empty(0, np.float32)
    outputs, n_in, n_out = n_layers * stride, widths[0], widths[n_layers]
    error = 0.0
    for block in range(first, last):
        v = block * VECTORS
        if largest_weight(weight, starts, counts, v) == np.float32(0):
            continue
        m = min(POINTS, len(weight) - block * POINTS)
        _locate(coords, sizes, len(sizes), block * POINTS, m, where)
        _gather(info, n_levels, keys, begins, ends, places, inverses, values, where, m, activations, rises, 0)
        forward(flat, widths, activations, stride)
        add_product(skip, 0, n_out, n_in, activations, 0, activations, outputs)
        error += error_of_block(v, starts, counts, target, weight, price, activations, gradients, outputs)
        if not wants_gradients:
            continue
        backward(flat, widths, activations, gradients, stride, d_flat, wants_values)
        add_outer(gradients, outputs, n_out, activations, 0, n_in, d_skip, 0)
        if wants_values:
            add_transposed(skip, 0, n_out, n_in, gradients, outputs, gradients, 0)
            _scatter(info, n_levels, keys, begins, ends, places, inverses, where, m, gradients, d_values)
    return error


@njit(error_model="numpy", nogil=True, cache=True)
def pairs(coords, n_axes, info, keys, begins, ends, places, inverses, points, rows, columns, kernels):
    """Which points of a single level matter at coords (n, d), flat: of sample j they are columns[rows[j] : rows[j + 1]],
    with their kernels there. Without columns only rows (n + 1,) are filled."""
    n, sizes, total_found = len(rows) - 1, np.zeros(n_axes, np.int64), np.int64(0)
    near, away, slopes = np.empty(_MOST, np.float32), np.empty(N_AXES, np.float32), np.empty(0, np.float32)
    where, rows[0] = np.zeros(N_AXES * POINTS), 0
    for start in range(0, n, POINTS):
        m = min(POINTS, n - start)
        _locate(coords, sizes, n_axes, start, m, where)
        for j in range(m):
            run = _run(info, keys, 0, where, j, away)
            if run >= 0:
                _near(begins[run], ends[run], places, inverses, away, near, slopes)
                for c in range(ends[run] - begins[run]):
                    if near[c] > 0:
                        if len(columns):
                            columns[total_found], kernels[total_found] = points[begins[run] + c], near[c]
                        total_found += 1
            rows[start + j + 1] = total_found


@njit(error_model="numpy", nogil=True, cache=True)
def sample(
    n, coords, sizes, info, n_levels, keys, begins, ends, places, inverses, values, flat, widths, skip, knees, scale,
    offset, low, high, out,
):  # fmt: skip
    """out (n * C,) float32: values at n points, channels last; coords: as in `_locate`, knees to high as in
    `lattice.finish`, the rest as in `squared_error`."""
    n_layers, zero = len(widths) - 1, np.int64(0)  # functions are compiled again for the literal
    stride = widths.max() * POINTS
    activations, where, rises = scratch((n_layers + 1) * stride), np.zeros(N_AXES * POINTS), np.empty(0, np.float32)
    outputs = n_layers * stride
    for start in range(0, n, POINTS):
        m = min(POINTS, n - start)
        _locate(coords, sizes, len(sizes), start, m, where)
        _gather(info, n_levels, keys, begins, ends, places, inverses, values, where, m, activations, rises, zero)
        forward(flat, widths, activations, stride)
        add_product(skip, zero, widths[n_layers], widths[0], activations, zero, activations, outputs)
        finish(activations, outputs, m, knees, scale, offset, low, high, out, start * len(scale))


@njit(error_model="numpy", nogil=True, cache=True)
def sample_gradients(
    n, coords, sizes, info, n_levels, keys, begins, ends, places, inverses, values, flat, widths, skip, knees, scale,
    offset, low, high, out, gradients,
):  # fmt: skip
    """As `sample`, and gradients (n * C * d,) float32: derivatives of the values before clipping."""
    stride, step, n_axes = widths.max() * POINTS, widths[0] * POINTS, len(sizes)
    activations, back = scratch(len(widths) * stride), scratch(len(widths) * stride)
    rises, factors, line = scratch(4 * step), scratch(len(scale) * POINTS), scratch(LANES)
    where, within = np.zeros(N_AXES * POINTS), np.zeros(4 * POINTS, np.float32)
    for start in range(0, n, POINTS):
        m = min(POINTS, n - start)
        _locate(coords, sizes, n_axes, start, m, where)
        for j in range(N_AXES * POINTS):
            within[POINTS + j] = 1 if 0.0 <= where[j] <= 1.0 else 0
        _gather(info, n_levels, keys, begins, ends, places, inverses, values, where, m, activations, rises, step)
        finish_gradients(
            activations, rises, within, start, m, 4 - n_axes, flat, widths, skip, factors, back, line, knees, scale, offset,
            low, high, out, gradients,
        )  # fmt: skip
