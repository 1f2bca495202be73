"""numba twin of `entropy.lattice.Lattice.coding_order`: positions are counted by wavefront, then put in their places."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from ..entropy.lattice import WAVEFRONT

__all__ = ["coding_order"]


def coding_order(shape: tuple[int, ...], coded: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """As a lattice of this shape does it: positions (n,) int32, bounds of the wavefronts (n_wavefronts + 1,) int64."""
    weights = WAVEFRONT[len(shape)]
    n_fronts = 1 + sum(w * (n - 1) for w, n in zip(weights, shape))
    flags = np.zeros(0, np.uint8) if coded is None else np.ascontiguousarray(coded).reshape(-1).view(np.uint8)
    counts, sizes, weights = np.zeros(n_fronts, np.int64), np.array(shape, np.int64), np.array(weights, np.int64)
    n_rows = math.prod(shape[:-1])
    _walk(sizes, weights, n_rows, flags, counts, np.zeros(0, np.int32))
    bounds = np.concatenate([[0], np.cumsum(counts[counts > 0])])
    positions = np.empty(bounds[-1], np.int32)
    _walk(sizes, weights, n_rows, flags, np.cumsum(counts) - counts, positions)
    return positions, bounds


@njit(error_model="numpy", cache=True, nogil=True)
def _walk(sizes, weights, n_rows, flags, places, positions):
    """Adds 1 to places[t] for each coded position of wavefront t; puts it at positions[places[t]] if there are any."""
    n_dims, n = len(sizes), sizes[-1]
    at = np.zeros(n_dims, np.int64)
    time, first = 0, 0
    for _ in range(n_rows):
        for x in range(n):
            if len(flags) == 0 or flags[first + x]:
                if len(positions):
                    positions[places[time + x]] = first + x
                places[time + x] += 1
        first += n
        for axis in range(n_dims - 2, -1, -1):
            at[axis] += 1
            time += weights[axis]
            if at[axis] < sizes[axis]:
                break
            time -= at[axis] * weights[axis]
            at[axis] = 0
    return time
