"""Features and network at any points, in one pass over blocks of 64; the meaning is `Encoding.features`, `Mlp` and
`evaluate.Values`.

Levels on lattices are kept as planes that repeat their edges, so that the taps of a point are rows of 4 numbers at fixed
distances from its first one: 4 rows are one vector, whose 16 weights are polynomials of the fractions, lane by lane. The
sums of 16 points are taken together. Hashed levels go tap by tap. Of encodings of factors every factor is such a level, of
some of the axes, and features are sums of products of what is found there.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ..spec import HASH_PRIMES
from .blocks import POINTS, add_product, forward, scratch
from .lattice import finish
from .products import gather
from .simd import LANES, fma, load, splat, store
from .tiles import load_rows, locate, splat_at, sums_of_vectors

__all__ = ["N_COLUMNS", "N_ROWS", "sample_points", "tap"]

# columns of the table of reads; axes are (t, z, y, x), those that a level has not are the first ones, before FIRST; AXIS:
# of each that of the field
HASHED, LINEAR, FEATURES, START, PLANE, MASK, LEVEL, TO = range(8)
RESOLUTION, STRIDE, AXIS, FIRST, N_COLUMNS = 8, 12, 16, 20, 21
N_ROWS = 12  # vectors of a level's polynomials: 4 powers for x, for y, and for z
T, Z, Y, X = 0, 1, 2, 3
PRIME_X, PRIME_Y, PRIME_Z, PRIME_T = HASH_PRIMES
N_OUTER = 16  # most taps along the axes that are not inside a vector


@njit(error_model="numpy", nogil=True, cache=True, inline="always")
def tap(taps, p, f):
    """The polynomial whose coefficients, lowest first, are the numbers at p."""
    high = fma(splat_at(taps, p + 3), f, splat_at(taps, p + 2))
    return fma(fma(high, f, splat_at(taps, p + 1)), f, splat_at(taps, p))


@njit(error_model="numpy", nogil=True, cache=True, inline="always")
def _outer(info, read, taps, fractions, outer, offsets):
    """Weights of 16 points (n, 16) and offsets (n,) of the taps along the axes that are not inside a vector; returns n."""
    first = info[read, FIRST]
    n, lowest, level = 0, 0, info[read, LEVEL]
    n_t, n_z = (4 if first <= T else 1), (4 if first <= Z else 1)
    if info[read, LINEAR]:
        lowest, n_t, n_z = 1, (2 if first <= T else 1), 1
    of_t, of_z = load(fractions, T * LANES), load(fractions, Z * LANES)
    for t in range(n_t):
        for z in range(n_z):
            weight = splat(1.0)
            if n_t > 1:
                weight = tap(taps, level * 16 + 4 * (lowest + t), of_t)
            if n_z > 1:
                weight = weight * tap(taps, level * 16 + 4 * z, of_z)
            store(outer, n * LANES, weight)
            offsets[n] = t * info[read, STRIDE + T] + z * info[read, STRIDE + Z]
            n += 1
    return n


@njit(error_model="numpy", nogil=True, cache=True, inline="always")
def _lattice_level(
    info, shifts, read, planes, lanes, taps, where, fractions, places, offsets, outer, weighted, activations, to
):
    """Features of 64 points on a level of planes, to activations[to :] (F, 64)."""
    first = info[read, FIRST]
    n_features, plane, is_linear = info[read, FEATURES], info[read, PLANE], info[read, LINEAR]
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
        n_outer = _outer(info, read, taps, fractions, outer, offsets)
        x0, x1, x2, x3 = load(lanes, x), load(lanes, x + LANES), load(lanes, x + 2 * LANES), load(lanes, x + 3 * LANES)
        y0, y1, y2, y3 = load(lanes, y), load(lanes, y + LANES), load(lanes, y + 2 * LANES), load(lanes, y + 3 * LANES)
        next_1, next_2, next_3 = offsets[1], offsets[2], offsets[3]
        for j in range(LANES):
            fx, fy = splat_at(fractions, X * LANES + j), splat_at(fractions, Y * LANES + j)
            w = fma(fma(fma(x3, fx, x2), fx, x1), fx, x0) * fma(fma(fma(y3, fy, y2), fy, y1), fy, y0)
            if is_linear:
                fz = splat_at(fractions, Z * LANES + j)
                w = w * fma(load(lanes, z + LANES), fz, load(lanes, z))
            at = np.int64(places[np.uint64(j)])
            for f in range(n_features):
                if n_outer == 1:
                    value = load_rows(planes, at, at + row_1, at + row_2, at + row_3)
                else:
                    value = splat_at(outer, j) * load_rows(planes, at, at + row_1, at + row_2, at + row_3)
                    p = at + next_1
                    odd = splat_at(outer, LANES + j) * load_rows(planes, p, p + row_1, p + row_2, p + row_3)
                    if n_outer > 2:
                        p = at + next_2
                        rows = load_rows(planes, p, p + row_1, p + row_2, p + row_3)
                        value = fma(splat_at(outer, 2 * LANES + j), rows, value)
                        p = at + next_3
                        rows = load_rows(planes, p, p + row_1, p + row_2, p + row_3)
                        odd = fma(splat_at(outer, 3 * LANES + j), rows, odd)
                    value = value + odd
                    for o in range(4, n_outer):
                        p = at + offsets[o]
                        rows = load_rows(planes, p, p + row_1, p + row_2, p + row_3)
                        value = fma(splat_at(outer, o * LANES + j), rows, value)
                store(weighted, (f * LANES + j) * LANES, value * w)
                at += plane
        for f in range(n_features):
            store(activations, to + f * POINTS + group, sums_of_vectors(weighted, f * LANES * LANES))


@njit(error_model="numpy", nogil=True, cache=True)
def _hashed_level(info, read, tables, taps, where, weights, hashes, activations, to):
    """Features of 64 points on a hashed level, to activations[to :] (F, 64)."""
    first = info[read, FIRST]
    n_features, start, mask = info[read, FEATURES], info[read, START], info[read, MASK]
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
                hashes[4 * axis + t] = min(max(i + t, 0), n - 1) * primes[axis]
        for f in range(n_features):
            activations[to + f * POINTS + j] = 0
        for t in range(t0, t1):
            for z in range(z0, z1):
                for y in range(y0, y1):
                    weight = weights[t] * weights[4 + z] * weights[8 + y]
                    mixed = hashes[t] ^ hashes[4 + z] ^ hashes[8 + y]
                    for x in range(lowest, highest):
                        w, row = weight * weights[12 + x], start + ((mixed ^ hashes[12 + x]) & mask) * n_features
                        for f in range(n_features):
                            activations[to + f * POINTS + j] += w * tables[row + f]


@njit(error_model="numpy", nogil=True, cache=True)
def sample_points(
    coords, n, first, info, shifts, planes, lanes, taps, products, flat, widths, skip, knees, scale, offset, low, high, out
):
    """out (n * C,) float32: values of n points, channels last.

    coords: flat float64, (n, d) with d = 4 - first, finite. info (R, N_COLUMNS) int64, a row for each read of a level that
    counts: its features begin at activations[TO], START is of the taps of floor(u) = 0 for planes, and of the table for
    hashed levels. shifts (R, 4), flat float64: of the reads of planes, in vertices. planes: flat float32, with 16 more at
    the end. lanes (L, N_ROWS, 16), flat: coefficients of the weights of a vector's lanes. taps (L, 4, 4), flat:
    coefficients of the taps of an axis. products: as in `products.gather`, of rows of 64 points, which features are then
    made of; without any, reads give features. flat, widths, skip: the network as in `blocks`; the rest as in
    `lattice.finish`.
    """
    # numba counts references of what functions are given; a thread's own counters are not waited for
    flat, widths, skip = flat.copy(), widths.copy(), skip.copy()
    knees, scale, offset, low, high = knees.copy(), scale.copy(), offset.copy(), low.copy(), high.copy()
    d, n_layers = 4 - first, len(widths) - 1
    zero = np.int64(0)  # functions are compiled again for the literal
    stride = widths.max() * POINTS
    outputs = n_layers * stride
    activations = scratch((n_layers + 1) * stride)
    found = activations if len(products) == 0 else scratch(products[:, :, :, 1].max() + POINTS)
    starts, singles = np.arange(0, POINTS, LANES).reshape(-1, 1), np.zeros(1, np.bool_)
    weighted = np.empty(max(1, info[:, FEATURES].max()) * LANES * LANES, np.float32)
    outer, fractions = scratch(N_OUTER * LANES), scratch(4 * LANES)
    places, offsets = np.zeros(LANES, np.int32), np.zeros(N_OUTER, np.int64)
    weights, hashes = np.ones(16, np.float32), np.zeros(16, np.int64)
    where = np.zeros(4 * POINTS, np.float64)
    for start in range(0, n, POINTS):
        m = min(POINTS, n - start)
        for axis in range(first, 4):
            at = start * d + axis - first
            for j in range(m):
                where[axis * POINTS + j] = min(max(coords[at], 0.0), 1.0)
                at += d
        for read in range(len(info)):
            to = info[read, TO]
            if info[read, HASHED]:
                _hashed_level(info, read, planes, taps, where, weights, hashes, found, to)
            else:
                _lattice_level(
                    info, shifts, read, planes, lanes, taps, where, fractions, places, offsets, outer, weighted, found, to
                )
        if len(products):
            gather(found, starts, singles, products, 0, activations)
        forward(flat, widths, activations, stride)
        add_product(skip, zero, widths[n_layers], widths[0], activations, zero, activations, outputs)
        finish(activations, outputs, m, knees, scale, offset, low, high, out, start * len(scale))
