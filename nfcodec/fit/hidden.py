"""Colours that nobody sees, below no opacity, filled in from those around: hidden edges would cost bits for nothing."""

from __future__ import annotations

import numpy as np

__all__ = ["fill_hidden"]


def fill_hidden(colours: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """colours (*extent, C) float32 and seen (*extent) bool -> colours with the others replaced by smooth ones.

    Pull and push (Gortler et al. 1996, The Lumigraph, section 3.4): means of what is seen on lattices of half the size and
    so on, then back, where each hole takes the interpolated colour of the coarser lattice. Where nothing is seen: zeros.
    """
    weight = seen[..., None].astype(np.float32)
    return np.where(seen[..., None], colours, _filled(colours * weight, weight))


def _filled(sums: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """sums (*extent, C) of seen colours, weight (*extent, 1) from 0 to 1 of how much is seen -> colours everywhere."""
    own = sums / np.maximum(weight, 1e-6)
    if weight.all() or max(weight.shape) == 1:
        return own * (weight > 0)
    coarse = _filled(*(_pulled(x) for x in (sums, weight)))
    around = _pushed(coarse, weight.shape[:-1])
    return around + np.minimum(weight, 1) * (own - around)


def _pulled(x: np.ndarray) -> np.ndarray:
    """Means of pairs along all axes; the last of an odd number counts for itself."""
    for axis in range(x.ndim - 1):
        if x.shape[axis] > 1:
            starts = np.arange(0, x.shape[axis], 2)
            counts = _along(np.minimum(x.shape[axis] - starts, 2), axis, x.ndim)
            x = np.add.reduceat(x, starts, axis=axis) / counts.astype(np.float32)
    return x


def _pushed(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Linear interpolation back to the lattice of twice the size, cell-centred."""
    for axis, n in enumerate(shape):
        at = np.clip((np.arange(n) + 0.5) / 2 - 0.5, 0, x.shape[axis] - 1)
        low = at.astype(np.int64)
        share = _along((at - low).astype(np.float32), axis, x.ndim)
        high = np.minimum(low + 1, x.shape[axis] - 1)
        x = x.take(low, axis) * (1 - share) + x.take(high, axis) * share
    return x


def _along(x: np.ndarray, axis: int, n_axes: int) -> np.ndarray:
    """A vector as an array of n_axes axes, of which it runs along one."""
    return x.reshape([-1 if k == axis else 1 for k in range(n_axes)])
