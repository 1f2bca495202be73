"""Features that are sums of products of factors, made as blocks of 64 samples are filled, so that none is ever written.

A factor is interpolated along its own axes only. Samples come in vectors, up to 16 that lie side by side along the last
axis: of each factor a vector sees 16 values side by side or, where the factor has not that axis, a single one. The meaning
is `encodings.factors.FactoredEncoding`, `mlp` and `fit.step.error`; tests compare values and gradients.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .blocks import POINTS, add_outer, add_product, add_transposed, backward, forward, scratch
from .lattice import finish
from .simd import LANES, load, splat, store, total
from .tiles import splat_at
from .vectors import VECTORS

__all__ = ["error_of_block", "first_output", "gather", "largest_weight", "sample_vectors", "squared_error"]


@njit(error_model="numpy", nogil=True, cache=True, inline="always")
def _factor(values, places, singles, products, f, t, q, vector):
    """16 values of factor q of term t of a feature."""
    kind = products[f, t, q, 0]
    p = places[vector, kind] + products[f, t, q, 1]
    if singles[kind]:
        return splat_at(values, p)
    return load(values, p)


@njit(error_model="numpy", nogil=True, cache=True)
def gather(values, places, singles, products, first, activations):
    """Fills layer 0 of a block with the features at vectors first, first + 1, ..; with 0 behind the last of them.

    values: flat float32, with 16 more at its end. products (n_inputs, terms, factors, 2) int64: of each factor its kind and
    the distance of its values from the first one of that kind; a kind below 0 makes the feature 0. places (V, kinds): where
    that first one lies in values. singles (kinds,): whether there is one value for all samples of a vector.
    """
    n_inputs, n_terms, n_factors = products.shape[:3]
    for k in range(VECTORS):
        vector = first + k
        if vector >= len(places):
            for f in range(n_inputs):
                store(activations, f * POINTS + k * LANES, splat(0.0))
            continue
        for f in range(n_inputs):
            sums = splat(0.0)
            if products[f, 0, 0, 0] >= 0:
                for t in range(n_terms):
                    product = _factor(values, places, singles, products, f, t, 0, vector)
                    for q in range(1, n_factors):
                        product = product * _factor(values, places, singles, products, f, t, q, vector)
                    sums = sums + product
            store(activations, f * POINTS + k * LANES, sums)


@njit(error_model="numpy", nogil=True, cache=True)
def _scatter(values, places, singles, products, first, gradients, d_values):
    """Adds to d_values what the gradients of a block's features, in layer 0, make of those of the factors."""
    n_inputs, n_terms, n_factors = products.shape[:3]
    for vector in range(first, min(first + VECTORS, len(places))):
        for f in range(n_inputs):
            if products[f, 0, 0, 0] < 0:
                continue
            for t in range(n_terms):
                for q in range(n_factors):
                    slope = load(gradients, f * POINTS + (vector - first) * LANES)
                    for other in range(n_factors):
                        if other != q:
                            slope = slope * _factor(values, places, singles, products, f, t, other, vector)
                    kind = products[f, t, q, 0]
                    p = places[vector, kind] + products[f, t, q, 1]
                    if singles[kind]:
                        d_values[p] += total(slope)
                    else:
                        store(d_values, p, load(d_values, p) + slope)


@njit(error_model="numpy", nogil=True, cache=True)
def largest_weight(weight, starts, counts, first):
    """The largest weight of the block whose first vector that is."""
    largest = np.float32(0)
    for vector in range(first, min(first + VECTORS, len(starts))):
        for j in range(starts[vector], starts[vector] + counts[vector]):
            largest = max(largest, weight[j])
    return largest


@njit(fastmath=True, error_model="numpy", nogil=True, cache=True)
def error_of_block(first, starts, counts, target, weight, price, activations, gradients, outputs):
    """The squared error, as in `squared_error`, of the block whose first vector that is; leaves its gradients by the
    outputs, activations[outputs :] (C, 64), times price, at the same place in gradients."""
    n_channels, error = target.shape[0], 0.0
    scale, price = np.float32(1 / n_channels), np.float32(price)
    for c in range(n_channels):
        part = np.float32(0)
        for k in range(VECTORS):
            at = outputs + c * POINTS + k * LANES
            store(gradients, at, splat(0.0))
            if first + k < len(starts):
                start = starts[first + k]
                for j in range(counts[first + k]):
                    e = activations[at + j] - target[c, start + j]
                    w = scale * weight[start + j]
                    part += w * e * e
                    gradients[at + j] = 2 * price * w * e
        error += part
    return error


@njit(fastmath=True, error_model="numpy", nogil=True, cache=True)
def first_output(first, last, starts, counts, places, singles, products, values, weight, least, flat, widths, skip, out):
    """Fills out (M,) with output 0 at those vectors of blocks first..last - 1 that have a weight above `least`; the rest as
    in `squared_error`."""
    n_layers = len(widths) - 1
    stride = widths.max() * POINTS
    activations = scratch((n_layers + 1) * stride)
    outputs = n_layers * stride
    for block in range(first, last):
        v = block * VECTORS
        if largest_weight(weight, starts, counts, v) <= least:
            continue
        gather(values, places, singles, products, v, activations)
        forward(flat, widths, activations, stride)
        add_product(skip, 0, widths[n_layers], widths[0], activations, 0, activations, outputs)
        for vector in range(v, min(v + VECTORS, len(starts))):
            at = outputs + (vector - v) * LANES
            for j in range(counts[vector]):
                out[starts[vector] + j] = activations[at + j]


@njit(fastmath=True, error_model="numpy", nogil=True, cache=True)
def squared_error(
    first, last, starts, counts, places, singles, products, values, target, weight, price, flat, widths, skip, d_values,
    d_flat, d_skip,
):  # fmt: skip
    """Sum over the samples of blocks first..last - 1, of 4 vectors each, of weight * mean over channels of
    (output - target)^2.

    starts, counts (V,): the samples of a vector, of target (C, M) and weight (M,) float32. places, singles, products,
    values: as in `gather`; flat, widths: the network as in `blocks`; skip: (C * F,), padded like them. Adds price times
    the gradients to d_values (as long as values), d_flat and d_skip; without d_flat of its length no gradients, without
    d_values of its length none to values. Blocks whose weights are all 0 take no time.
    """
    n_layers = len(widths) - 1
    wants_gradients, wants_values = len(d_flat) == len(flat), len(d_values) == len(values)
    stride = widths.max() * POINTS
    activations, gradients = scratch((n_layers + 1) * stride), scratch((n_layers + 1) * stride)
    outputs, n_in, n_out = n_layers * stride, widths[0], widths[n_layers]
    error = 0.0
    for block in range(first, last):
        v = block * VECTORS
        if largest_weight(weight, starts, counts, v) == np.float32(0):
            continue
        gather(values, places, singles, products, v, activations)
        forward(flat, widths, activations, stride)
        add_product(skip, 0, n_out, n_in, activations, 0, activations, outputs)
        error += error_of_block(v, starts, counts, target, weight, price, activations, gradients, outputs)
        if not wants_gradients:
            continue
        backward(flat, widths, activations, gradients, stride, d_flat, wants_values)
        add_outer(gradients, outputs, n_out, activations, 0, n_in, d_skip, 0)
        if wants_values:
            add_transposed(skip, 0, n_out, n_in, gradients, outputs, gradients, 0)
            _scatter(values, places, singles, products, v, gradients, d_values)
    return error


@njit(error_model="numpy", nogil=True, cache=True)
def sample_vectors(
    starts, counts, values, places, singles, products, flat, widths, skip, knees, scale, offset, low, high, out
):
    """out (M * C,) float32: values of the samples of all vectors, channels last; knees to high as in `lattice.finish`, the
    rest as in `squared_error`."""
    n_channels, n_layers = len(scale), len(widths) - 1
    zero = np.int64(0)  # functions are compiled again for the literal
    stride = widths.max() * POINTS
    activations, finished = scratch((n_layers + 1) * stride), np.empty(POINTS * n_channels, np.float32)
    outputs = n_layers * stride
    for v in range(0, len(starts), VECTORS):
        gather(values, places, singles, products, v, activations)
        forward(flat, widths, activations, stride)
        add_product(skip, zero, widths[n_layers], widths[0], activations, zero, activations, outputs)
        finish(activations, outputs, POINTS, knees, scale, offset, low, high, finished, zero)
        for vector in range(v, min(v + VECTORS, len(starts))):
            p, q = starts[vector] * n_channels, (vector - v) * LANES * n_channels
            for j in range(counts[vector] * n_channels):
                out[p + j] = finished[q + j]
