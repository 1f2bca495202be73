"""Small networks on blocks of 64 points that stay in the cache, forward and backward; what the fused training steps share.

A network is a flat float32 array: for each layer its weights (outputs, inputs), row-major, and its biases (outputs,),
every width rounded up to a multiple of 4 with zeros, so that the loops below can take 4 rows at a time. `pack` and
`unpack` go between that and separate arrays. Activations of a layer are (width, 64), the points of a row side by side: 4
vectors of `simd`, so that 4 rows are 16 accumulators, half of the registers of AVX-512. Arrays are flat and come with
an offset, since numba counts references of every slice.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit

from .simd import add_totals, fma, load, maximum, select_positive, splat, store, total

__all__ = [
    "POINTS", "add_outer", "add_product", "add_transposed", "backward", "forward", "pack", "pad", "padded", "put_rows",
    "scratch", "sums", "unpack",
]  # fmt: skip

POINTS = 64


def padded(width: int) -> int:
    """The next multiple of 4."""
    return -(-width // 4) * 4


def pad(matrix: np.ndarray) -> np.ndarray:
    """A matrix with both sides rounded up to multiples of 4 by zeros, float32."""
    rows, columns = matrix.shape
    whole = np.zeros((padded(rows), padded(columns)), np.float32)  # np.pad takes 20 times as long
    whole[:rows, :columns] = matrix
    return whole


def pack(weights: Sequence[np.ndarray], biases: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(flat (n,) float32, padded widths (layers + 1,) int64) of weights (outputs, inputs) and biases (outputs,)."""
    widths = np.array([padded(weights[0].shape[1]), *(padded(len(b)) for b in biases)], np.int64)
    parts = []
    for w, b in zip(weights, biases):
        parts += [pad(w).reshape(-1), pad(b[:, None])[:, 0]]
    return np.concatenate(parts), widths


def unpack(flat: np.ndarray, shapes: Sequence[tuple[int, int]]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """The inverse of `pack`: weights and biases of layers of these (outputs, inputs)."""
    weights, biases, start = [], [], 0
    for n_out, n_in in shapes:
        rows, columns = padded(n_out), padded(n_in)
        weights.append(flat[start : start + rows * columns].reshape(rows, columns)[:n_out, :n_in])
        start += rows * columns
        biases.append(flat[start : start + n_out])
        start += rows
    return weights, biases


@njit(error_model="numpy", cache=True)
def scratch(n):
    """n zeros, float32, from a multiple of 64 bytes on: a vector in two lines of the cache takes twice the time."""
    whole = np.zeros(n + 16, np.float32)
    skipped = -whole.ctypes.data % 64 // 4
    return whole[skipped : skipped + n]


@njit(error_model="numpy", cache=True, inline="always")
def _rows(out, p):
    """The 16 vectors of 4 rows that start at p."""
    return (
        load(out, p), load(out, p + 16), load(out, p + 32), load(out, p + 48),
        load(out, p + 64), load(out, p + 80), load(out, p + 96), load(out, p + 112),
        load(out, p + 128), load(out, p + 144), load(out, p + 160), load(out, p + 176),
        load(out, p + 192), load(out, p + 208), load(out, p + 224), load(out, p + 240),
    )  # fmt: skip


@njit(error_model="numpy", cache=True, inline="always")
def put_rows(out, p, a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3):
    """The reverse of `_rows`."""
    store(out, p, a0), store(out, p + 16, a1), store(out, p + 32, a2), store(out, p + 48, a3)
    store(out, p + 64, b0), store(out, p + 80, b1), store(out, p + 96, b2), store(out, p + 112, b3)
    store(out, p + 128, c0), store(out, p + 144, c1), store(out, p + 160, c2), store(out, p + 176, c3)
    store(out, p + 192, d0), store(out, p + 208, d1), store(out, p + 224, d2), store(out, p + 240, d3)


@njit(error_model="numpy", cache=True, inline="always")
def sums(w, a, b, c, d, step, n, x, at_x, a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3):
    """Adds to 4 rows of 4 vectors the sums over i < n of w[a + i * step] * x[i], w[b + i * step] * x[i], and so on."""
    at = 0
    for i in range(n):
        q = at_x + i * POINTS
        x0, x1, x2, x3 = load(x, q), load(x, q + 16), load(x, q + 32), load(x, q + 48)
        k = splat(w[a + at])
        a0, a1, a2, a3 = fma(k, x0, a0), fma(k, x1, a1), fma(k, x2, a2), fma(k, x3, a3)
        k = splat(w[b + at])
        b0, b1, b2, b3 = fma(k, x0, b0), fma(k, x1, b1), fma(k, x2, b2), fma(k, x3, b3)
        k = splat(w[c + at])
        c0, c1, c2, c3 = fma(k, x0, c0), fma(k, x1, c1), fma(k, x2, c2), fma(k, x3, c3)
        k = splat(w[d + at])
        d0, d1, d2, d3 = fma(k, x0, d0), fma(k, x1, d1), fma(k, x2, d2), fma(k, x3, d3)
        at += step
    return a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3


@njit(error_model="numpy", cache=True)
def _product(w, first, step_out, step_in, n_out, n_in, x, at_x, out, at_out):
    """out[o] += sum over i of w[first + o * step_out + i * step_in] * x[i]; n_out a multiple of 4."""
    for o in range(0, n_out, 4):
        p, at = at_out + o * POINTS, first + o * step_out
        a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3 = _rows(out, p)
        a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3 = sums(
            w, at, at + step_out, at + 2 * step_out, at + 3 * step_out, step_in, n_in, x, at_x,
            a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3,
        )  # fmt: skip
        put_rows(out, p, a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3)


@njit(error_model="numpy", cache=True)
def _layer(flat, first, biases, n_out, n_in, x, at_x, at_out, is_last):
    """x[at_out :] become flat[first :] (n_out, n_in) x[at_x :] plus biases; with a ReLU if it is not the last layer."""
    zero = splat(0.0)
    for o in range(0, n_out, 4):
        p, b, at = at_out + o * POINTS, biases + o, first + o * n_in
        a0, b0, c0, d0 = splat(flat[b]), splat(flat[b + 1]), splat(flat[b + 2]), splat(flat[b + 3])
        a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3 = sums(
            flat, at, at + n_in, at + 2 * n_in, at + 3 * n_in, 1, n_in, x, at_x,
            a0, a0, a0, a0, b0, b0, b0, b0, c0, c0, c0, c0, d0, d0, d0, d0,
        )  # fmt: skip
        if not is_last:
            a0, a1, a2, a3 = maximum(a0, zero), maximum(a1, zero), maximum(a2, zero), maximum(a3, zero)
            b0, b1, b2, b3 = maximum(b0, zero), maximum(b1, zero), maximum(b2, zero), maximum(b3, zero)
            c0, c1, c2, c3 = maximum(c0, zero), maximum(c1, zero), maximum(c2, zero), maximum(c3, zero)
            d0, d1, d2, d3 = maximum(d0, zero), maximum(d1, zero), maximum(d2, zero), maximum(d3, zero)
        put_rows(x, p, a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3)


@njit(error_model="numpy", cache=True)
def _layer_back(flat, first, n_out, n_in, gradients, at_d, activations, at_out, is_first):
    """gradients[at_out :] become flat[first :]^T gradients[at_d :], through a ReLU if it is not the first layer."""
    zero = splat(0.0)
    for o in range(0, n_in, 4):
        p, at = at_out + o * POINTS, first + o
        a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3 = sums(
            flat, at, at + 1, at + 2, at + 3, n_in, n_out, gradients, at_d,
            zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero, zero,
        )  # fmt: skip
        if not is_first:
            a0, a1 = select_positive(load(activations, p), a0), select_positive(load(activations, p + 16), a1)
            a2, a3 = select_positive(load(activations, p + 32), a2), select_positive(load(activations, p + 48), a3)
            b0, b1 = select_positive(load(activations, p + 64), b0), select_positive(load(activations, p + 80), b1)
            b2, b3 = select_positive(load(activations, p + 96), b2), select_positive(load(activations, p + 112), b3)
            c0, c1 = select_positive(load(activations, p + 128), c0), select_positive(load(activations, p + 144), c1)
            c2, c3 = select_positive(load(activations, p + 160), c2), select_positive(load(activations, p + 176), c3)
            d0, d1 = select_positive(load(activations, p + 192), d0), select_positive(load(activations, p + 208), d1)
            d2, d3 = select_positive(load(activations, p + 224), d2), select_positive(load(activations, p + 240), d3)
        put_rows(gradients, p, a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3)


@njit(error_model="numpy", cache=True)
def add_product(w, first, n_out, n_in, x, at_x, out, at_out):
    """out[at_out :] (n_out * 64,) += w[first :] (n_out, n_in) x[at_x :] (n_in * 64,); n_out a multiple of 4."""
    _product(w, first, n_in, 1, n_out, n_in, x, at_x, out, at_out)


@njit(error_model="numpy", cache=True)
def add_transposed(w, first, n_out, n_in, d, at_d, out, at_out):
    """out[at_out :] (n_in * 64,) += w[first :]^T d[at_d :]; n_in a multiple of 4."""
    _product(w, first, 1, n_in, n_in, n_out, d, at_d, out, at_out)


@njit(error_model="numpy", cache=True)
def add_outer(d, at_d, n_out, x, at_x, n_in, dw, first):
    """dw[first :] (n_out * n_in,) += d[at_d :] x[at_x :]^T; both multiples of 4."""
    for o in range(0, n_out, 4):
        for i in range(0, n_in, 4):
            p, q = at_d + o * POINTS, at_x + i * POINTS
            zero = splat(0.0)
            a0, a1, a2, a3, b0, b1, b2, b3 = zero, zero, zero, zero, zero, zero, zero, zero
            c0, c1, c2, c3, e0, e1, e2, e3 = zero, zero, zero, zero, zero, zero, zero, zero
            for j in range(0, POINTS, 16):
                x0, x1, x2, x3 = load(x, q + j), load(x, q + j + 64), load(x, q + j + 128), load(x, q + j + 192)
                k = load(d, p + j)
                a0, a1, a2, a3 = fma(k, x0, a0), fma(k, x1, a1), fma(k, x2, a2), fma(k, x3, a3)
                k = load(d, p + j + 64)
                b0, b1, b2, b3 = fma(k, x0, b0), fma(k, x1, b1), fma(k, x2, b2), fma(k, x3, b3)
                k = load(d, p + j + 128)
                c0, c1, c2, c3 = fma(k, x0, c0), fma(k, x1, c1), fma(k, x2, c2), fma(k, x3, c3)
                k = load(d, p + j + 192)
                e0, e1, e2, e3 = fma(k, x0, e0), fma(k, x1, e1), fma(k, x2, e2), fma(k, x3, e3)
            add_totals(dw, first + o * n_in + i, n_in, a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, e0, e1, e2, e3)


@njit(error_model="numpy", cache=True)
def forward(flat, widths, activations, stride):
    """Fills layers 1.. of activations from layer 0, each of them starting at a multiple of stride; ReLU after every layer
    but the last."""
    start = 0
    n_layers = len(widths) - 1
    for layer in range(n_layers):
        n_in, n_out = widths[layer], widths[layer + 1]
        middle, out = start + n_in * n_out, (layer + 1) * stride
        _layer(flat, start, middle, n_out, n_in, activations, layer * stride, out, layer + 1 == n_layers)
        start = middle + n_out


@njit(error_model="numpy", cache=True)
def backward(flat, widths, activations, gradients, stride, d_flat, wants_inputs):
    """From the last layer of gradients, of the outputs, to layer 0, of the inputs if they are wanted; adds those of the
    parameters to d_flat."""
    end = len(flat)
    for layer in range(len(widths) - 2, -1, -1):
        n_in, n_out = widths[layer], widths[layer + 1]
        middle = end - n_out
        start = middle - n_in * n_out
        d_out, here = (layer + 1) * stride, layer * stride
        add_outer(gradients, d_out, n_out, activations, here, n_in, d_flat, start)
        for o in range(n_out):
            p = d_out + o * POINTS
            first, second = load(gradients, p) + load(gradients, p + 16), load(gradients, p + 32) + load(gradients, p + 48)
            d_flat[middle + o] += total(first + second)
        if layer == 0 and not wants_inputs:
            return
        _layer_back(flat, start, n_out, n_in, gradients, d_out, activations, here, layer == 0)
        end = start
