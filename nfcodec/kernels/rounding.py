"""Noisy soft rounding and its slope in one pass. The meaning is `fit.quantizers.noisy_round`; a test compares them."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from .simd import LANES, exp2, floor, load, splat, store

__all__ = ["noisy_round"]


@njit(error_model="numpy", nogil=True, cache=True)
def _soft_round(x, steepness, scale):
    """(value, slope): low + 1/2 + scale tanh((x - low - 1/2) / temperature), with steepness 2 log2(e) / temperature."""
    half, one, two = splat(0.5), splat(1.0), splat(2.0)
    low = floor(x)
    tanh = one - two / (exp2((x - low - half) * splat(steepness)) + one)
    return low + half + splat(scale) * tanh, splat(scale * steepness / (2 * math.log2(math.e))) * (one - tanh * tanh)


@njit(error_model="numpy", nogil=True, cache=True)
def noisy_round(x, noise, temperature, sigma, out, slope):
    """Fills out (n,) float32 with x (n,) rounded softly, plus sigma * noise (n,), rounded softly, and slope with the derivative."""
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
