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

    features (F, M), target (C, M), weight (M,), all float32; flat, widths: the network as in `blocks`; skip: (C * F,),
    padded like them. Fills d_features (F, M) and adds to d_flat and d_skip; without d_features of M columns no gradients.
    """
    n_features, m = features.shape
    n_channels = target.shape[0]
    wants_gradients = d_features.shape[1] == m
    n_layers = len(widths) - 1
    stride = widths.max() * POINTS
    activations = np.zeros((n_layers + 1) * stride, np.float32)
    gradients = np.zeros((n_layers + 1) * stride, np.float32)
    outputs = n_layers * stride
    n_in, n_out = widths[0], widths[n_layers]
    scale = np.float32(1 / n_channels)
    zero = np.float32(0)
    error = 0.0
    for block in range(first, last):
        start = block * POINTS
        n = min(POINTS, m - start)
        for i in range(n_features):
            at = i * POINTS
            for j in range(n):
                activations[at + j] = features[i, start + j]
        forward(flat, widths, activations, stride)
        add_product(skip, 0, n_out, n_in, activations, 0, activations, outputs)
        for c in range(n_channels):
            at = outputs + c * POINTS
            part = zero
            for j in range(n):
                e = activations[at + j] - target[c, start + j]
                w = scale * weight[start + j]
                part += w * e * e
                gradients[at + j] = 2 * w * e
            error += part
            for j in range(n, POINTS):
                gradients[at + j] = zero
        if not wants_gradients:
            continue
        backward(flat, widths, activations, gradients, stride, d_flat)
        add_outer(gradients, outputs, n_out, activations, 0, n_in, d_skip, 0)
        add_transposed(skip, 0, n_out, n_in, gradients, outputs, gradients, 0)
        for i in range(n_features):
            at = i * POINTS
            for j in range(n):
                d_features[i, start + j] = gradients[at + j]
    return error
