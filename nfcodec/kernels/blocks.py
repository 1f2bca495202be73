"""Small networks on blocks of 64 points that stay in the cache, forward and backward; what the fused training steps share.

A network is a flat float32 array: for each layer its weights (outputs, inputs), row-major, and its biases (outputs,),
every width rounded up to a multiple of 4 with zeros, so that the loops below can take 4 rows by 4 columns at a time.
`pack` and `unpack` go between that and separate arrays. Activations are (width, 64), points side by side.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numba import njit

__all__ = ["POINTS", "add_outer", "add_product", "add_transposed", "backward", "forward", "pack", "pad", "padded", "unpack"]

POINTS = 64


def padded(width: int) -> int:
    """The next multiple of 4."""
    return -(-width // 4) * 4


def pad(matrix: np.ndarray) -> np.ndarray:
    """A matrix with both sides rounded up to multiples of 4 by zeros, float32."""
    rows, columns = matrix.shape
    return np.pad(matrix.astype(np.float32), ((0, padded(rows) - rows), (0, padded(columns) - columns)))


def pack(weights: Sequence[np.ndarray], biases: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(flat (n,) float32, padded widths (layers + 1,) int64) of weights (outputs, inputs) and biases (outputs,)."""
    widths = np.array([padded(weights[0].shape[1]), *(padded(len(b)) for b in biases)], np.int64)
    parts = []
    for w, b in zip(weights, biases):
        whole = pad(w)
        parts += [whole.reshape(-1), np.pad(b.astype(np.float32), (0, len(whole) - len(b)))]
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


@njit(fastmath=True, error_model="numpy", cache=True)
def fill(b, out):
    """out[o] = b[o] on every point."""
    for o in range(len(b)):
        row, value = out[o], b[o]
        for j in range(POINTS):
            row[j] = value


@njit(fastmath=True, error_model="numpy", cache=True)
def add_product(w, x, out):
    """out += w x; w (4 k, 4 l)."""
    for o in range(0, w.shape[0], 4):
        r0, r1, r2, r3 = out[o], out[o + 1], out[o + 2], out[o + 3]
        for i in range(0, w.shape[1], 4):
            a0, a1, a2, a3 = w[o, i], w[o, i + 1], w[o, i + 2], w[o, i + 3]
            b0, b1, b2, b3 = w[o + 1, i], w[o + 1, i + 1], w[o + 1, i + 2], w[o + 1, i + 3]
            c0, c1, c2, c3 = w[o + 2, i], w[o + 2, i + 1], w[o + 2, i + 2], w[o + 2, i + 3]
            d0, d1, d2, d3 = w[o + 3, i], w[o + 3, i + 1], w[o + 3, i + 2], w[o + 3, i + 3]
            x0, x1, x2, x3 = x[i], x[i + 1], x[i + 2], x[i + 3]
            for j in range(POINTS):
                p, q, r, s = x0[j], x1[j], x2[j], x3[j]
                r0[j] += a0 * p + a1 * q + a2 * r + a3 * s
                r1[j] += b0 * p + b1 * q + b2 * r + b3 * s
                r2[j] += c0 * p + c1 * q + c2 * r + c3 * s
                r3[j] += d0 * p + d1 * q + d2 * r + d3 * s


@njit(fastmath=True, error_model="numpy", cache=True)
def add_transposed(w, d, out):
    """out += w^T d; w (4 k, 4 l)."""
    for i in range(0, w.shape[1], 4):
        r0, r1, r2, r3 = out[i], out[i + 1], out[i + 2], out[i + 3]
        for o in range(0, w.shape[0], 4):
            a0, a1, a2, a3 = w[o, i], w[o, i + 1], w[o, i + 2], w[o, i + 3]
            b0, b1, b2, b3 = w[o + 1, i], w[o + 1, i + 1], w[o + 1, i + 2], w[o + 1, i + 3]
            c0, c1, c2, c3 = w[o + 2, i], w[o + 2, i + 1], w[o + 2, i + 2], w[o + 2, i + 3]
            e0, e1, e2, e3 = w[o + 3, i], w[o + 3, i + 1], w[o + 3, i + 2], w[o + 3, i + 3]
            d0, d1, d2, d3 = d[o], d[o + 1], d[o + 2], d[o + 3]
            for j in range(POINTS):
                p, q, r, s = d0[j], d1[j], d2[j], d3[j]
                r0[j] += a0 * p + b0 * q + c0 * r + e0 * s
                r1[j] += a1 * p + b1 * q + c1 * r + e1 * s
                r2[j] += a2 * p + b2 * q + c2 * r + e2 * s
                r3[j] += a3 * p + b3 * q + c3 * r + e3 * s


@njit(fastmath=True, error_model="numpy", cache=True)
def add_outer(d, x, dw):
    """dw += d x^T; dw (2 k, 4 l)."""
    for o in range(0, dw.shape[0], 2):
        d0, d1 = d[o], d[o + 1]
        for i in range(0, dw.shape[1], 4):
            x0, x1, x2, x3 = x[i], x[i + 1], x[i + 2], x[i + 3]
            s0 = s1 = s2 = s3 = t0 = t1 = t2 = t3 = np.float32(0)
            for j in range(POINTS):
                p, q = d0[j], d1[j]
                s0 += p * x0[j]
                s1 += p * x1[j]
                s2 += p * x2[j]
                s3 += p * x3[j]
                t0 += q * x0[j]
                t1 += q * x1[j]
                t2 += q * x2[j]
                t3 += q * x3[j]
            dw[o, i] += s0
            dw[o, i + 1] += s1
            dw[o, i + 2] += s2
            dw[o, i + 3] += s3
            dw[o + 1, i] += t0
            dw[o + 1, i + 1] += t1
            dw[o + 1, i + 2] += t2
            dw[o + 1, i + 3] += t3


@njit(fastmath=True, error_model="numpy", cache=True)
def forward(flat, widths, activations):
    """Fills activations[1:] from activations[0]; ReLU after every layer but the last."""
    start = 0
    n_layers = len(widths) - 1
    for layer in range(n_layers):
        n_in, n_out = widths[layer], widths[layer + 1]
        middle = start + n_in * n_out
        out = activations[layer + 1]
        fill(flat[middle : middle + n_out], out)
        add_product(flat[start:middle].reshape(n_out, n_in), activations[layer], out)
        start = middle + n_out
        if layer + 1 < n_layers:
            for o in range(n_out):
                row = out[o]
                for j in range(POINTS):
                    row[j] = max(row[j], np.float32(0))


@njit(fastmath=True, error_model="numpy", cache=True)
def backward(flat, widths, activations, gradients, d_flat):
    """From gradients[-1], of the outputs, to gradients[0], of the inputs; adds those of the parameters to d_flat."""
    end = len(flat)
    for layer in range(len(widths) - 2, -1, -1):
        n_in, n_out = widths[layer], widths[layer + 1]
        middle = end - n_out
        start = middle - n_in * n_out
        d_out, x, d_in = gradients[layer + 1], activations[layer], gradients[layer]
        add_outer(d_out, x, d_flat[start:middle].reshape(n_out, n_in))
        for o in range(n_out):
            row = d_out[o]
            total = np.float32(0)
            for j in range(POINTS):
                total += row[j]
            d_flat[middle + o] += total
        for i in range(n_in):
            row = d_in[i]
            for j in range(POINTS):
                row[j] = np.float32(0)
        add_transposed(flat[start:middle].reshape(n_out, n_in), d_out, d_in)
        if layer:
            for i in range(n_in):
                row, out = d_in[i], x[i]
                for j in range(POINTS):
                    row[j] = row[j] if out[j] > 0 else np.float32(0)
        end = start
