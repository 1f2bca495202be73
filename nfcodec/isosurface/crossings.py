"""Where a surface crosses the edges of a lattice: each edge once, at the field's own zero."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from nfcodec.roots import zeros

from .cells import AXES, CORNERS, LOWER, UPPER
from .tiles import Tiles

__all__ = ["Crossings", "find_crossings"]

_MARGIN = 1e-3  # crossings keep this distance from samples, in samples: no triangle is without area
_CLOSE = 1e-4  # a crossing is found where the field is below this part of its change along the edge
_N_STEPS = 8  # evaluations of a crossing at most: 2 where the field is smooth, more at its bends


@dataclass(frozen=True)
class Crossings:
    """Edges of the lattice with one sample inside, E of them, and the edges of M cells.

    first (E, 3) int64: the edge's first sample; axis (E,): 0 to 2 for z, y, x; along (E,) float64: where between the
    samples, 0 to 1; grows (E,) bool: whether the first sample is the inside one. cell, side (I,): which edge of which cell
    is crossed, in the order of the cells; edge (I,): as which of the E.
    """

    first: np.ndarray
    axis: np.ndarray
    along: np.ndarray
    grows: np.ndarray
    cell: np.ndarray
    side: np.ndarray
    edge: np.ndarray

    @property
    def positions(self) -> np.ndarray:
        """(E, 3) float64 in samples."""
        return _at(self.first, self.axis, self.along)


def find_crossings(
    lattice: Tiles, cells: np.ndarray, values: np.ndarray, sample: Callable[[np.ndarray], np.ndarray] | None
) -> Crossings:
    """The crossings of cells (M, 3) with corner values (M, 8) relative to the level.

    sample: the field at coordinates (N, 3), (N,); None: crossings are where a linear field would have them.
    """
    inside = values < 0
    cell, side = np.nonzero(inside[:, LOWER] != inside[:, UPPER])
    # an edge of the lattice is named by its first sample and its axis; every edge has its place in a table
    names = 3 * lattice.corner_places(cells)[cell, LOWER[side]] + AXES[side]
    table = np.full(3 * lattice.values.size, -1, np.int32 if len(names) < 1 << 31 else np.int64)
    table[names] = np.arange(len(names))
    found = np.flatnonzero(table >= 0)
    pick = table[found]
    table[found] = np.arange(len(found))  # from here on the edge's number
    first, axis = cells[cell[pick]] + CORNERS[LOWER[side[pick]]], AXES[side[pick]]
    low, high = values[cell[pick], LOWER[side[pick]]], values[cell[pick], UPPER[side[pick]]]
    if sample is None:
        along = low / (low - high)
    else:
        shape = np.array(lattice.shape)

        def value(which: np.ndarray, along: np.ndarray) -> np.ndarray:
            coords = (_at(first[which], axis[which], along) + 0.5) / shape
            return lattice.checked(sample(coords)).astype(np.float64) - lattice.level

        along = zeros(value, low, high, _CLOSE * (np.abs(low) + np.abs(high)), _N_STEPS)
    return Crossings(first, axis, np.clip(along, _MARGIN, 1 - _MARGIN), low < 0, cell, side, table[names])


def _at(first: np.ndarray, axis: np.ndarray, along: np.ndarray) -> np.ndarray:
    out = first.astype(np.float64)
    out[np.arange(len(out)), axis] += along
    return out
