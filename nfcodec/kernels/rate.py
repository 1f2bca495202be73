"""Bits of latents under the context network and their gradients, in one pass over blocks that stay in the cache.

The meaning is `fit.context.ContextModel` followed by `fit.rate.laplace_bits`; a test compares values and gradients.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .blocks import POINTS, backward, forward, scratch
from .simd import (
    LANES,
    absolute,
    add_pairs,
    copysign,
    exp2,
    floor,
    fma,
    load,
    load_pairs,
    log2,
    maximum,
    minimum,
    splat,
    store,
    total,
    where_less,
)  # fmt: skip

__all__ = ["context_bits"]

RUN, SAME = -2, -3  # as in `fit.gathers`
_LOG2_E = 1 / math.log(2.0)
_LN2 = math.log(2.0)


@njit(error_model="numpy", nogil=True, cache=True)
def context_bits(
    first, last, m, values, companded, slopes, runs, loose, constants, flat, widths, skip, limits, price,
    d_values, d_flat, d_skip,
):
    """Bits of the positions of blocks first..last - 1; adds price times the gradients to d_values, d_flat and d_skip.

    m: positions. values (V,) float32, companded, slopes: compand(values) and its derivative. runs, loose, constants: as in
    `fit.gathers.Gathers`. flat, widths: the network as in `blocks`; skip: (4 * G,) padded and flat. limits (5,):
    smallest and largest log2 of the scale, smallest probability, and the parts of 1 that locations and log2 of scales
    are rounded to, 0 for not at all. Without d_flat of its length no gradients, without d_values of V entries none to
    values.
    """
    n_inputs = len(runs) - 1
    wants_gradients, wants_values = len(d_flat) == len(flat), len(d_values) == len(values)
    n_layers = len(widths) - 1
    stride = widths.max() * POINTS
    activations = scratch((n_layers + 1) * stride)
    gradients = scratch((n_layers + 1) * stride)
    d_skips = scratch(n_inputs * LANES)
    outputs = n_layers * stride
    targets, d_own, valid = scratch(POINTS), scratch(POINTS), np.ones(POINTS, np.float32)
    part, locations = scratch(2 * LANES), scratch(POINTS)
    low, high, p_min = splat(limits[0]), splat(limits[1]), splat(limits[2])
    places, parts = np.float32(limits[3]), np.float32(limits[4])
    half, one, zero, ln2, per_bit, minus = splat(0.5), splat(1.0), splat(0.0), splat(_LN2), splat(_LOG2_E), splat(-1.0)
    tiny, weight = splat(1e-30), splat(price * _LOG2_E)
    bits = 0.0
    for block in range(first, last):
        start = block * POINTS
        n_left = min(POINTS, m - start)
        for j in range(n_left, POINTS):
            valid[j] = 0
        for j in range(0, n_left, LANES):
            n, vector, location = min(LANES, n_left - j), (start + j) // LANES, zero
            for i in range(n_inputs):
                even, odd = np.int64(runs[i, vector, 0]), runs[i, vector, 1]
                if odd == RUN:
                    raw, small = load(values, even), load(companded, even)
                elif odd == SAME:
                    raw, small = splat(values[even]), splat(companded[even])
                elif odd >= 0:
                    raw, small = load_pairs(values, even, odd), load_pairs(companded, even, odd)
                else:
                    for k in range(n):
                        place = loose[even, k]
                        part[k], part[LANES + k] = values[place], companded[place]
                    raw, small = load(part, 0), load(part, LANES)
                store(activations, i * POINTS + j, small)
                location = fma(splat(skip[i]), raw, location)
            store(locations, j, location)
        for i in range(2):
            at = (n_inputs + i) * POINTS
            for j in range(n_left):
                activations[at + j] = constants[i, start + j]
        forward(flat, widths, activations, stride)
        sum_of_logs = zero
        for j in range(0, n_left, LANES):
            n, vector = min(LANES, n_left - j), (start + j) // LANES
            even, odd = np.int64(runs[n_inputs, vector, 0]), runs[n_inputs, vector, 1]
            if odd == RUN:
                store(targets, j, load(values, even))
            elif odd == SAME:
                store(targets, j, splat(values[even]))
            elif odd >= 0:
                store(targets, j, load_pairs(values, even, odd))
            else:
                for k in range(n):
                    targets[j + k] = values[loose[even, k]]
            location, scales = load(activations, outputs + j) + load(locations, j), load(activations, outputs + POINTS + j)
            log2_scale = minimum(maximum(scales, low), high)
            is_inside = where_less(absolute(log2_scale - scales), tiny, one, zero)
            if places > 0:
                location = floor(location * splat(places) + half) * splat(1 / places)
                log2_scale = floor(log2_scale * splat(parts) + half) * splat(1 / parts)
            inverse = exp2(minus * log2_scale)
            difference = load(targets, j) - location
            z = absolute(difference)
            u = (z - half) * inverse
            upper = half * exp2(minus * per_bit * absolute(u))
            lower = half * exp2(minus * per_bit * (z + half) * inverse)
            p = maximum(where_less(u, zero, one - upper, upper) - lower, zero) + p_min
            mask = load(valid, j)
            sum_of_logs = sum_of_logs + mask * log2(p)
            # by z and by the inverse scale: the tails' derivatives are -upper and -lower on both sides of 0
            common = mask * weight / p
            d_z = common * (upper - lower) * inverse
            d_inverse = common * (upper * (z - half) - lower * (z + half))
            d_difference = where_less(z, tiny, zero, copysign(one, difference) * d_z)
            store(d_own, j, d_difference)
            store(gradients, outputs + j, minus * d_difference)
            store(gradients, outputs + POINTS + j, minus * ln2 * inverse * d_inverse * is_inside)
        bits -= total(sum_of_logs)
        if not wants_gradients:
            continue
        for j in range(-(-n_left // LANES) * LANES, POINTS, LANES):
            store(gradients, outputs + j, zero)
            store(gradients, outputs + POINTS + j, zero)
        backward(flat, widths, activations, gradients, stride, d_flat, wants_values)
        for j in range(0, n_left, LANES):
            n, vector, d_location = min(LANES, n_left - j), (start + j) // LANES, load(gradients, outputs + j)
            for i in range(n_inputs):
                even, odd = np.int64(runs[i, vector, 0]), runs[i, vector, 1]
                if odd == RUN:
                    raw, slope = load(values, even), load(slopes, even)
                elif odd == SAME:
                    raw, slope = splat(values[even]), splat(slopes[even])
                elif odd >= 0:
                    raw, slope = load_pairs(values, even, odd), load_pairs(slopes, even, odd)
                else:
                    for k in range(n):
                        place = loose[even, k]
                        part[k], part[LANES + k] = values[place], slopes[place]
                    raw, slope = load(part, 0), load(part, LANES)
                store(d_skips, i * LANES, fma(d_location, raw, load(d_skips, i * LANES)))
                if not wants_values:
                    continue
                d = fma(load(gradients, i * POINTS + j), slope, d_location * splat(skip[i]))
                if odd == RUN:
                    store(d_values, even, load(d_values, even) + d)
                elif odd == SAME:
                    d_values[even] += total(d)
                elif odd >= 0:
                    add_pairs(d_values, even, odd, d)
                else:
                    store(part, 0, d)
                    for k in range(n):
                        d_values[loose[even, k]] += part[k]
        if not wants_values:
            continue
        for j in range(0, n_left, LANES):
            n, vector = min(LANES, n_left - j), (start + j) // LANES
            even, odd = np.int64(runs[n_inputs, vector, 0]), runs[n_inputs, vector, 1]
            if odd == RUN:
                store(d_values, even, load(d_values, even) + load(d_own, j))
            elif odd == SAME:
                d_values[even] += total(load(d_own, j))
            elif odd >= 0:
                add_pairs(d_values, even, odd, load(d_own, j))
            else:
                for k in range(n):
                    d_values[loose[even, k]] += d_own[j + k]
    for i in range(n_inputs):
        d_skip[i] += total(load(d_skips, i * LANES))
    return bits
