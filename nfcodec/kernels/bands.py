"""Products with matrices of which all but a band is 0, such as those that interpolate along an axis. The meaning is `@`."""

from __future__ import annotations

from numba import njit

from .blocks import POINTS, put_rows, scratch, sums
from .simd import fma, load, splat, store, total

__all__ = ["add_back", "add_banded"]

ROWS = 4  # that are summed side by side


@njit(error_model="numpy", nogil=True, cache=True, inline="always")
def _four(array, at):
    return load(array, at), load(array, at + 16), load(array, at + 32), load(array, at + 48)


@njit(error_model="numpy", nogil=True, cache=True, inline="always")
def _put_four(array, at, a0, a1, a2, a3):
    store(array, at, a0), store(array, at + 16, a1), store(array, at + 32, a2), store(array, at + 48, a3)


@njit(error_model="numpy", nogil=True, cache=True)
def add_banded(source, from_rows, table, bands, n_columns, target, to_rows, adds):
    """target[to_rows[r] + j] becomes the sum over i of source[from_rows[r] + i] * matrix[i, j], or with `adds` grows by it.

    source, target: flat float32. from_rows, to_rows (R,) int64: where rows begin. The matrix has n_columns and lies in
    table, flat float32, 64 columns after 64: bands (chunks, 3) int64 says the first of their rows that is not 0, how many
    there are, and where they begin in table; columns beyond the last are 0.
    """
    part = scratch(ROWS * POINTS)
    zero, n_rows = splat(0.0), len(from_rows)
    for chunk in range(len(bands)):
        first, n, at = bands[chunk, 0], bands[chunk, 1], bands[chunk, 2]
        left = chunk * POINTS
        n_here = min(POINTS, n_columns - left)
        for r in range(0, n_rows, ROWS):
            n_whole = min(ROWS, n_rows - r)
            # rows beyond the last are the last once more, and stay unwritten
            k1, k2, k3 = r + min(1, n_whole - 1), r + min(2, n_whole - 1), r + min(3, n_whole - 1)
            a, b, c, d = from_rows[r] + first, from_rows[k1] + first, from_rows[k2] + first, from_rows[k3] + first
            p0, p1, p2, p3 = to_rows[r] + left, to_rows[k1] + left, to_rows[k2] + left, to_rows[k3] + left
            is_whole = n_whole == ROWS and n_here == POINTS
            a0, a1, a2, a3, b0, b1, b2, b3 = zero, zero, zero, zero, zero, zero, zero, zero
            c0, c1, c2, c3, d0, d1, d2, d3 = zero, zero, zero, zero, zero, zero, zero, zero
            if is_whole and adds:
                a0, a1, a2, a3 = _four(target, p0)
                b0, b1, b2, b3 = _four(target, p1)
                c0, c1, c2, c3 = _four(target, p2)
                d0, d1, d2, d3 = _four(target, p3)
            a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3 = sums(
                source, a, b, c, d, 1, n, table, at,
                a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3,
            )  # fmt: skip
            if is_whole:
                _put_four(target, p0, a0, a1, a2, a3)
                _put_four(target, p1, b0, b1, b2, b3)
                _put_four(target, p2, c0, c1, c2, c3)
                _put_four(target, p3, d0, d1, d2, d3)
                continue
            put_rows(part, 0, a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3)
            for k in range(n_whole):
                p, q = to_rows[r + k] + left, k * POINTS
                for j in range(n_here):
                    target[p + j] = target[p + j] + part[q + j] if adds else part[q + j]


@njit(error_model="numpy", nogil=True, cache=True)
def add_back(source, from_rows, table, bands, n_columns, target, to_rows):
    """target[to_rows[r] + i] grows by the sum over j of matrix[i, j] * source[from_rows[r] + j]: the same matrix read the
    other way, faster than its transpose in a table of its own where few rows share that and smaller by so much.
    """
    for chunk in range(len(bands)):
        first, n, at = bands[chunk, 0], bands[chunk, 1], bands[chunk, 2]
        left = chunk * POINTS
        n_here = min(POINTS, n_columns - left)
        for r in range(len(from_rows)):
            p, q = from_rows[r] + left, to_rows[r] + first
            if n_here == POINTS:
                a0, a1, a2, a3 = _four(source, p)
                for i in range(n):
                    b0, b1, b2, b3 = _four(table, at + i * POINTS)
                    target[q + i] += total(fma(a0, b0, fma(a1, b1, fma(a2, b2, a3 * b3))))
                continue
            for i in range(n):
                for j in range(n_here):
                    target[q + i] += table[at + i * POINTS + j] * source[p + j]
