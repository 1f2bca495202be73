"""Squared error of the per-point network and its gradients, in one pass over blocks that stay in the cache.

The meaning is `fit.model.FieldModel.mlp` and the error of `fit.train`; a test compares values and gradients.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .blocks import POINTS, add_outer, add_product, add_transposed, backward, forward

__all__ = ["squared_error"]


@njit(fastmath=True, error_model="numpy", nogil=True, cache=True)
def squared_error(first, last, features, target, weight, flat, widths, skip, d_features, d_flat, d_skip):
    """Sum over the points of blocks first..last - 1 of weight * mean over channels of (output - target)^2.

    features (F, M), target (C, M), weight (M,), all float32; flat, widths: the network as in `blocks`; skip: (C, F),
    padded like them. Fills d_features (F, M) and adds to d_flat and d_skip; without d_features of M columns no gradients.
    """
    n_features, m = features.shape
    n_channels = target.shape[0]
    wants_gradients = d_features.shape[1] == m
    widest = widths.max()
    activations = np.zeros((len(widths), widest, POINTS), np.float32)
    gradients = np.zeros((len(widths), widest, POINTS), np.float32)
    x, outputs = activations[0], activations[len(widths) - 1]
    d_x, d_outputs = gradients[0], gradients[len(widths) - 1]
    scale = np.float32(1 / n_channels)
    zero = np.float32(0)
    total = 0.0
    for block in range(first, last):
        start = block * POINTS
        n = min(POINTS, m - start)
        for i in range(n_features):
            a, b = x[i], features[i, start : start + n]
            for j in range(n):
                a[j] = b[j]
        forward(flat, widths, activations)
        add_product(skip, x, outputs)
        weights = weight[start : start + n]
        for c in range(n_channels):
            out, d, wanted = outputs[c], d_outputs[c], target[c, start : start + n]
            error = zero
            for j in range(n):
                e = out[j] - wanted[j]
                w = scale * weights[j]
                error += w * e * e
                d[j] = 2 * w * e
            total += error
            for j in range(n, POINTS):
                d[j] = zero
        if not wants_gradients:
            continue
        backward(flat, widths, activations, gradients, d_flat)
        add_outer(d_outputs, x, d_skip)
        add_transposed(skip, d_outputs, d_x)
        for i in range(n_features):
            a, b = d_features[i, start : start + n], d_x[i]
            for j in range(n):
                a[j] = b[j]
    return total
