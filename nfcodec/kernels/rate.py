"""Bits of latents under the context network and their gradients, in one pass over blocks that stay in the cache.

The meaning is `fit.context.ContextModel` followed by `fit.rate.laplace_bits`; a test compares values and gradients.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .blocks import POINTS, add_outer, add_product, add_transposed, backward, forward

__all__ = ["context_bits", "runs_of"]

_LN2 = math.log(2.0)


def runs_of(context: np.ndarray) -> np.ndarray:
    """(n_inputs, n_blocks) int32: the first index of each block of 64 positions whose indices count up by 1, else -1.

    context: (n_inputs, M) int32. Most inputs of most blocks are such runs, which need no gathering.
    """
    n_inputs, m = context.shape
    n_blocks = -(-m // POINTS)
    runs = np.full((n_inputs, n_blocks), -1, np.int32)
    whole = m // POINTS
    blocks = context[:, : whole * POINTS].reshape(n_inputs, whole, POINTS)
    is_run = (np.diff(blocks, axis=2) == 1).all(axis=2)
    runs[:, :whole][is_run] = blocks[:, :, 0][is_run]
    return runs


@njit(fastmath=True, error_model="numpy", nogil=True, cache=True)
def context_bits(
    first, last, values, companded, slopes, context, runs, constants, own, flat, widths, skip, limits,
    d_values, d_flat, d_skip,
):
    """Bits of the positions of blocks first..last - 1; adds gradients to d_values, d_flat and d_skip.

    values (V,) float32, companded, slopes: compand(values) and its derivative. context (G, M) uint32, runs as `runs_of`
    makes them; constants (2, M) float32; own (M,) uint32 (numba wraps signed indices). flat, widths: the network as in
    `blocks`; skip: (1, G), padded like them. limits: smallest and largest log2 of the scale, smallest probability.
    Without d_values of V entries no gradients.
    """
    n_inputs, m = context.shape
    wants_gradients = len(d_values) == len(values)
    widest = widths.max()
    activations = np.zeros((len(widths), widest, POINTS), np.float32)
    gradients = np.zeros((len(widths), widest, POINTS), np.float32)
    raw = np.zeros((skip.shape[1], POINTS), np.float32)
    slope = np.zeros((n_inputs, POINTS), np.float32)
    d_raw = np.zeros((skip.shape[1], POINTS), np.float32)
    x, outputs = activations[0], activations[len(widths) - 1]
    d_x, d_outputs = gradients[0], gradients[len(widths) - 1]
    d_own = np.zeros(POINTS, np.float32)
    half, one, zero = np.float32(0.5), np.float32(1), np.float32(0)
    low, high, p_min = np.float32(limits[0]), np.float32(limits[1]), np.float32(limits[2])
    ln2, per_bit = np.float32(_LN2), np.float32(1 / _LN2)
    total = 0.0
    for block in range(first, last):
        start = block * POINTS
        n = min(POINTS, m - start)
        for i in range(n_inputs):
            a, b, c = raw[i], x[i], slope[i]
            run = runs[i, block]
            if run >= 0:
                p, q, r = values[run : run + POINTS], companded[run : run + POINTS], slopes[run : run + POINTS]
                for j in range(POINTS):
                    a[j], b[j], c[j] = p[j], q[j], r[j]
            else:
                index = context[i, start : start + n]
                for j in range(n):
                    k = index[j]
                    a[j], b[j], c[j] = values[k], companded[k], slopes[k]
        for i in range(2):
            a, b = x[n_inputs + i], constants[i, start : start + n]
            for j in range(n):
                a[j] = b[j]
        forward(flat, widths, activations)
        add_product(skip, raw, outputs)
        location, log2_scales, places = outputs[0], outputs[1], own[start : start + n]
        d_location, d_scales = d_outputs[0], d_outputs[1]
        for j in range(n):
            log2_scale = min(max(log2_scales[j], low), high)
            inverse = math.exp(-ln2 * log2_scale)
            difference = values[places[j]] - location[j]
            z = abs(difference)
            u = (z - half) * inverse
            upper = half * math.exp(-abs(u))
            lower = half * math.exp(-(z + half) * inverse)
            p = max((upper if u >= 0 else one - upper) - lower, zero) + p_min
            total += math.log(p)
            # by z and by the inverse scale: the tails' derivatives are -upper and -lower on both sides of 0
            d_z = per_bit / p * (upper - lower) * inverse
            d_inverse = per_bit / p * (upper * (z - half) - lower * (z + half))
            sign = one if difference > 0 else (-one if difference < 0 else zero)
            d_own[j] = d_z * sign
            d_location[j] = -d_z * sign
            d_scales[j] = -ln2 * inverse * d_inverse if log2_scales[j] == log2_scale else zero
        if not wants_gradients:
            continue
        for j in range(n, POINTS):
            d_location[j] = d_scales[j] = zero
        backward(flat, widths, activations, gradients, d_flat)
        add_outer(d_outputs, raw, d_skip)
        d_raw[:] = zero
        add_transposed(skip, d_outputs, d_raw)
        for i in range(n_inputs):
            a, b, c = d_raw[i], d_x[i], slope[i]
            for j in range(POINTS):
                b[j] = b[j] * c[j] + a[j]
            run = runs[i, block]
            if run >= 0:
                d = d_values[run : run + POINTS]
                for j in range(POINTS):
                    d[j] += b[j]
            else:
                index = context[i, start : start + n]
                for j in range(n):
                    d_values[index[j]] += b[j]
        for j in range(n):
            d_values[places[j]] += d_own[j]
    return -total / _LN2
