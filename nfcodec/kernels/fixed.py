"""The network of `nfcodec.fixed` on 64 points at a time; equals `fixed.network` integer for integer."""

from __future__ import annotations

import numpy as np
from numba import njit

from ..fixed import FRACTION, LIMIT, biases, weights_and_shifts
from ..mlp import Mlp

__all__ = ["network"]

POINTS = 64


def network(mlp: Mlp, x: np.ndarray, clip: bool) -> np.ndarray:
    """As `fixed.network`."""
    weights, shifts = weights_and_shifts(mlp)
    flat = np.concatenate([w.ravel() for w in weights]).astype(np.int32)
    widths = np.array(mlp.spec.widths if len(weights) > 1 else [mlp.spec.n_inputs], np.int64)
    out = np.empty((len(x), mlp.spec.n_outputs), np.int32)
    low, high = (0, 1 << FRACTION) if clip else (-LIMIT, LIMIT)
    shift = np.array(shifts, np.int64)
    offsets, relu = np.concatenate(biases(mlp)), mlp.spec.activation == "relu"
    _network(np.ascontiguousarray(x), flat, offsets, widths, shift, relu, low, high, out)
    return out


@njit(cache=True, nogil=True)
def _add_product(row, activations, sums):
    """sums[j] += sum over i of row[i] * activations[i, j]; 32-bit factors, 64-bit products."""
    for i in range(len(row)):
        w = np.int64(row[i])
        if w != 0:
            a = activations[i]
            for j in range(POINTS):
                sums[j] += w * np.int64(a[j])


@njit(cache=True, nogil=True)
def _network(x, flat, offsets, widths, shifts, relu, low, high, out):
    n, n_inputs = x.shape
    n_outputs = out.shape[1]
    n_layers = len(widths) - 1  # 0 where there is the skip alone
    widest = max(widths.max(), n_outputs)
    first = np.zeros((n_inputs, POINTS), np.int32)
    h = np.zeros((widest, POINTS), np.int32)
    after = np.zeros((widest, POINTS), np.int32)
    sums = np.zeros(POINTS, np.int64)
    total = np.zeros((n_outputs, POINTS), np.int64)
    skip = len(flat) - n_inputs * n_outputs
    floor = 0 if relu else -LIMIT
    for start in range(0, n, POINTS):
        m = min(POINTS, n - start)
        for j in range(m):
            for i in range(n_inputs):
                first[i, j] = x[start + j, i]
        h[:n_inputs] = first
        weight, bias = 0, 0
        for layer in range(n_layers):
            n_in, n_out = widths[layer], widths[layer + 1]
            shift = shifts[layer]
            half = np.int64(1) << shift >> 1
            for o in range(n_out):
                sums[:] = half
                _add_product(flat[weight : weight + n_in], h, sums)
                weight += n_in
                if layer < n_layers - 1:
                    b, row = offsets[bias + o], after[o]
                    for j in range(POINTS):
                        row[j] = min(max((sums[j] >> shift) + b, floor), LIMIT)
                else:
                    row64 = total[o]
                    for j in range(POINTS):
                        row64[j] = sums[j] >> shift
            if layer < n_layers - 1:
                bias += n_out
                h, after = after, h
        shift = shifts[n_layers]
        half = np.int64(1) << shift >> 1
        for o in range(n_outputs):
            sums[:] = half
            _add_product(flat[skip + o * n_inputs : skip + (o + 1) * n_inputs], first, sums)
            b = offsets[bias + o]
            for j in range(m):
                value = (sums[j] >> shift) + b
                if n_layers > 0:
                    value += total[o, j]
                out[start + j, o] = min(max(value, low), high)
