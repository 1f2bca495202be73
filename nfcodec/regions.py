"""Parts of a field's box, as fractions of each axis, and the samples of lattices over them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["Region", "centres", "own_samples"]

Region = Sequence[tuple[float, float]]
_ON_BOUNDARY = 1e-6  # of a sample: fractions of a region are rounded


def own_samples(shape: Sequence[int], region: Region, extent: Sequence[int]) -> tuple[slice, ...] | None:
    """Which of the source's samples a lattice of a region consists of, None where it has others."""
    own = [_whole(a, b, n) for n, (a, b) in zip(extent, region)]
    if any(found is None or found.stop - found.start != m for found, m in zip(own, shape)):
        return None
    return tuple(own)


def centres(m: int, a: float, b: float, n: int) -> np.ndarray:
    """(m,) float64: where the samples of a lattice lie over [a, b] of an axis of n source samples.

    Over whole source samples they are quotients of integers, so that a part of a lattice has the very coordinates of
    the whole one, and of two vertices that are as near takes the same.
    """
    own = _whole(a, b, n)
    if own is None:
        return a + (np.arange(m) + 0.5) / m * (b - a)
    return (own.start * m + (np.arange(m) + 0.5) * (own.stop - own.start)) / (n * m)


def _whole(a: float, b: float, n: int) -> slice | None:
    """The samples of n that [a, b] covers; None where it ends within some."""
    start, stop = round(a * n), round(b * n)
    return slice(start, stop) if max(abs(a * n - start), abs(b * n - stop)) <= _ON_BOUNDARY and start < stop else None
