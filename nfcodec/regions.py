"""Parts of a field's box, as fractions of each axis, and the samples of lattices over them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["Region", "centres", "in_samples", "own_samples"]

Region = Sequence[tuple[float, float]]
_ON_BOUNDARY = 1e-6  # of a sample: fractions of a region are rounded


def in_samples(a: float, b: float, n: int) -> tuple[float, float]:
    """Where [a, b] of an axis of n source samples begins and ends in samples: whole numbers where both are nearly so."""
    start, stop = a * n, b * n
    first, last = float(round(start)), float(round(stop))
    is_whole = max(abs(start - first), abs(stop - last)) <= _ON_BOUNDARY and first < last
    return (first, last) if is_whole else (start, stop)


def own_samples(shape: Sequence[int], region: Region, extent: Sequence[int]) -> tuple[slice, ...] | None:
    """Which of the source's samples a lattice of a region consists of, None where it has others."""
    bounds = [in_samples(a, b, n) for n, (a, b) in zip(extent, region)]
    if any(not _are_whole(pair) or pair[1] - pair[0] != m for pair, m in zip(bounds, shape)):
        return None
    return tuple(slice(int(start), int(stop)) for start, stop in bounds)


def centres(m: int, a: float, b: float, n: int) -> np.ndarray:
    """(m,) float64: where the samples of a lattice lie over [a, b] of an axis of n source samples.

    Over whole source samples they are quotients of integers, so that a part of a lattice has the very coordinates of
    the whole one, and of two vertices that are as near takes the same.
    """
    start, stop = bounds = in_samples(a, b, n)
    if not _are_whole(bounds):
        return a + (np.arange(m) + 0.5) / m * (b - a)
    return (start * m + (np.arange(m) + 0.5) * (stop - start)) / (n * m)


def _are_whole(bounds: tuple[float, float]) -> bool:
    return bounds[0].is_integer() and bounds[1].is_integer()
