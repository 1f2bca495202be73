"""Floats of a field -> samples of the type that was asked for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .errors import UsageError
from .evaluate import quiet

__all__ = ["block_mean", "cast", "converted", "dtype_of", "short"]


def cast(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Float values to a dtype: integers are rounded and clipped to what it holds (NaN to 0), bool is a threshold at
    one half."""
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return values > 0.5
    if dtype.kind in "iu":
        limits = np.iinfo(dtype)
        # 64-bit limits are no doubles: the nearest doubles inside are
        low, high = float(limits.min), math.nextafter(float(limits.max) + 1, 0) if dtype.itemsize == 8 else limits.max
        # what has 16 bits is exact in float32, where it takes half the time
        whole = np.rint(values if dtype.itemsize <= 2 and values.dtype == np.float32 else values.astype(np.float64))
        np.clip(whole, low, high, out=whole)
        if (lost := np.isnan(whole)).any():
            whole[lost] = 0
        return whole.astype(dtype)
    with quiet():
        return values.astype(dtype)


def converted(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """A copy of values of the source's dtype in another one, by the rules of `cast`."""
    return values.copy() if values.dtype == dtype else cast(values, dtype)


def dtype_of(name: Any) -> np.dtype:
    """The numpy dtype of that name. UsageError for what is no real number type."""
    try:
        dtype = np.dtype(name)
    except TypeError:
        dtype = None
    if dtype is None or dtype.kind not in "biuf":
        raise UsageError(f"decoding: got dtype {short(name)}, expected a real number type such as u1, f4 or bool")
    return dtype


def block_mean(values: np.ndarray, factors: list[int]) -> np.ndarray:
    """Means over blocks of factors[k] samples along each of the leading axes, summed in float64."""
    for k, factor in enumerate(factors):
        if factor > 1:
            shape = (*values.shape[:k], values.shape[k] // factor, factor, *values.shape[k + 1 :])
            values = values.reshape(shape).mean(k + 1, dtype=np.float64)
    return values


def short(value: Any) -> str:
    """What was got, in one short line."""
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} and shape {value.shape}"
    text = " ".join(str(value).split())
    return text if len(text) <= 60 else text[:57] + "..."
