"""What a step does to latents before and after its sums: noisy soft rounding, and Adam. Both in one pass each.

The meaning is `fit.quantizers.noisy_round`, `fit.context.compand` and `fit.optimizer.RowAdam`; tests compare them.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .simd import LANES, absolute, copysign, exp2, floor, fma, load, log2, rint, splat, sqrt, store

__all__ = ["adam", "lay_out", "noisy_round"]

_LOG2_E = 1 / math.log(2.0)


@njit(error_model="numpy", nogil=True, cache=True)
def _soft_round(x, steepness, scale):
    """(value, slope): low + 1/2 + scale tanh((x - low - 1/2) / temperature), with steepness 2 log2(e) / temperature."""
    half, one, two = splat(0.5), splat(1.0), splat(2.0)
    low = floor(x)
    tanh = one - two / (exp2((x - low - half) * splat(steepness)) + one)
    return low + half + splat(scale) * tanh, splat(scale * steepness / (2 * math.log2(math.e))) * (one - tanh * tanh)


@njit(error_model="numpy", nogil=True, cache=True)
def noisy_round(x, noise, temperature, sigma, out, slope):
    """Fills out (n,) float32 with x (n,) rounded softly, plus sigma * noise (n,), rounded softly, and slope with the
    derivative."""
    scale = np.float32(0.5 / math.tanh(0.5 / temperature))
    steepness = np.float32(2 * math.log2(math.e) / temperature)
    whole = len(x) // LANES * LANES
    for i in range(0, whole, LANES):
        first, slope_first = _soft_round(load(x, i), steepness, scale)
        second, slope_second = _soft_round(first + splat(sigma) * load(noise, i), steepness, scale)
        store(out, i, second)
        store(slope, i, slope_first * slope_second)
    if whole == len(x):
        return
    part = np.zeros(2 * LANES, np.float32)
    for i in range(whole, len(x)):
        part[i - whole], part[LANES + i - whole] = x[i], noise[i]
    first, slope_first = _soft_round(load(part, 0), steepness, scale)
    second, slope_second = _soft_round(first + splat(sigma) * load(part, LANES), steepness, scale)
    store(part, 0, second)
    store(part, LANES, slope_first * slope_second)
    for i in range(whole, len(x)):
        out[i], slope[i] = part[i - whole], part[LANES + i - whole]


@njit(error_model="numpy", nogil=True, cache=True)
def lay_out(first, last, n, theta, places, noise, shift, temperature, sigma, values, slope, companded, d_companded):
    """Fills positions first..last - 1 of a step's vector of values, both multiples of 16; from n on with 0.

    theta: float32, flat. places (n or more,) int32, increasing: where in theta the value of a position lies. noise:
    standard normal, used from `shift` on. values: rounded as by `noisy_round`, or to the nearest integer for a temperature
    of 0. slope: the derivative (not filled for a temperature of 0). companded, d_companded: `compand` of values and its
    derivative.
    """
    is_hard = temperature <= 0
    scale, steepness = np.float32(0), np.float32(0)
    if not is_hard:
        scale = np.float32(0.5 / math.tanh(0.5 / temperature))
        steepness = np.float32(2 * math.log2(math.e) / temperature)
    part = np.zeros(LANES, np.float32)
    one, per_bit = splat(1.0), splat(_LOG2_E)
    for i in range(first, last, LANES):
        at = np.int64(places[i])
        if i + LANES <= n and places[i + LANES - 1] == at + LANES - 1:
            x = load(theta, at)
        else:
            for k in range(LANES):
                part[k] = theta[places[i + k]] if i + k < n else np.float32(0)
            x = load(part, 0)
        if is_hard:
            value = rint(x)
        else:
            x, slope_first = _soft_round(x, steepness, scale)
            value, slope_second = _soft_round(fma(splat(sigma), load(noise, shift + i), x), steepness, scale)
            store(slope, i, slope_first * slope_second)
        size = one + absolute(value)
        store(values, i, value)
        store(companded, i, copysign(log2(size), value))
        store(d_companded, i, per_bit / size)
    for i in range(max(n, first), last):
        values[i] = companded[i] = 0


@njit(error_model="numpy", nogil=True, cache=True)
def adam(first, last, n, theta, means, squares, places, gradients, slope, rate, keep_mean, keep_square, correction, eps):
    """One step of Adam for positions first..last - 1, as `lay_out` has them, against the sum of gradients
    (parts, positions) * slope.

    theta, means, squares: flat. rate: over the mean's bias; correction: 1 over the square's.
    """
    new_mean, new_square = np.float32(1 - keep_mean), np.float32(1 - keep_square)
    rate, correction, eps, keep_square = np.float32(rate), np.float32(correction), np.float32(eps), np.float32(keep_square)
    n_parts, width = gradients.shape
    flat = gradients.reshape(-1)
    scratch = np.zeros(LANES, np.float32)
    for i in range(first, last, LANES):
        g = load(flat, i)
        for part in range(1, n_parts):
            g = g + load(flat, part * width + i)
        g = g * load(slope, i)
        at = np.int64(places[i])
        if i + LANES <= n and places[i + LANES - 1] == at + LANES - 1:
            mean, square = load(means, at), load(squares, at)
            mean = fma(splat(new_mean), g - mean, mean)
            square = fma(splat(new_square), g * g, splat(keep_square) * square)
            store(means, at, mean)
            store(squares, at, square)
            store(theta, at, load(theta, at) - splat(rate) * mean / (sqrt(splat(correction) * square) + splat(eps)))
        else:
            store(scratch, 0, g)
            for k in range(min(LANES, n - i)):
                at = np.int64(places[i + k])
                means[at] += new_mean * (scratch[k] - means[at])
                squares[at] = keep_square * squares[at] + new_square * scratch[k] * scratch[k]
                theta[at] -= rate * means[at] / (np.float32(math.sqrt(correction * squares[at])) + eps)
