"""Clouds of points as the kernels of `cloud` take them: for each cell of a level what reaches into it, side by side.

Needs numpy only. A point is there once for every cell that it reaches into, an *entry*, so that a sample looks at one run
of entries, 16 at a time.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..encodings.points import Cloud
from .vectors import LANES

__all__ = [
    "CELLS", "EDGE", "FEATURES", "FIRST_ENTRY", "FIRST_KEY", "LAST_KEY", "N_AXES", "N_ENTRIES", "SIZE", "TO", "VALUES",
    "WHOLE", "Entries",
]  # fmt: skip

N_AXES = 3  # (z, y, x), those that a field has not are the first ones
# columns of the table of levels; WHOLE: whether keys are all cells, those of raster order
FEATURES, TO, FIRST_KEY, LAST_KEY, WHOLE, EDGE, FIRST_ENTRY, N_ENTRIES, VALUES, CELLS, SIZE, _N_COLUMNS = *range(10), 12, 15
_MOST_CELLS = 1 << 18  # of a level, up to which each has its place in the table
_NOWHERE = np.float32(1e9)  # of entries that fill a run up


@dataclass(frozen=True)
class Entries:
    """info (L, columns) int64: of each level its features and where these begin, in rows; its keys and whether they are
    `WHOLE`; the side of a cell; its entries and where their values begin; its cells and vertices along each axis. keys
    (K,) int64: numbers of cells, ascending; begins, ends (K,): their entries. places (3 * E,) float32: of an entry, from
    the first vertex of its cell; inverses (E,): of its squared radius. points (E,): which point of its level it is, -1 for
    none.
    """

    info: np.ndarray
    keys: np.ndarray
    begins: np.ndarray
    ends: np.ndarray
    places: np.ndarray
    inverses: np.ndarray
    points: np.ndarray

    @classmethod
    def of(cls, clouds: Sequence[Cloud], n_features: Sequence[int]) -> "Entries":
        info = np.zeros((len(clouds), _N_COLUMNS), np.int64)
        keys, begins, ends, places, inverses, points = [], [], [], [], [], []
        row = first_key = first = values = 0
        for own, cloud, f in zip(info, clouds, n_features):
            d, n_cells = len(cloud.resolution), math.prod(map(int, cloud.n_cells))
            counts = np.diff(cloud.starts)
            padded = -(-counts // LANES) * LANES
            ending = np.cumsum(padded)
            where = np.repeat(ending - padded - cloud.starts[:-1], counts) + np.arange(len(cloud.points))
            n = int(padded.sum())
            point, place = np.full(n, -1), np.full((N_AXES, n), _NOWHERE, np.float32)
            point[where] = cloud.points
            cells = np.stack(np.unravel_index(np.repeat(cloud.keys, counts), cloud.n_cells), 1)
            place[: N_AXES - d, where] = -0.5  # where kernels have every sample along an axis that is not there
            place[N_AXES - d :, where] = (cloud.positions[cloud.points] - cells * cloud.edge).T
            inverse = np.ones(n, np.float32)
            inverse[where] = 1 / cloud.squares[cloud.points]
            is_whole = n_cells <= _MOST_CELLS
            if is_whole:
                begin, end = np.zeros(n_cells, np.int64), np.zeros(n_cells, np.int64)
                begin[cloud.keys], end[cloud.keys] = ending - padded, ending
                keys.append(np.arange(n_cells))
            else:
                begin, end = ending - padded, ending
                keys.append(cloud.keys)
            begins.append(begin + first), ends.append(end + first)
            places.append(place), inverses.append(inverse), points.append(point)
            own[:CELLS] = f, row, first_key, first_key + len(begin), is_whole, cloud.edge, first, n, values
            own[CELLS : CELLS + N_AXES] = [1] * (N_AXES - d) + cloud.n_cells.tolist()
            own[SIZE : SIZE + N_AXES] = [1] * (N_AXES - d) + cloud.resolution.tolist()
            row, first_key, first, values = row + f, first_key + len(begin), first + n, values + f * n
        joined = (np.concatenate(parts) for parts in (keys, begins, ends))
        whole = np.concatenate(places, 1).reshape(-1)
        return cls(info, *joined, whole, np.concatenate(inverses), np.concatenate(points))

    def values(self, features: Sequence[np.ndarray]) -> np.ndarray:
        """Of the points' features (F, P) of each level those of the entries, float32, end to end."""
        parts = []
        for own, table in zip(self.info, features):
            point = self.points[own[FIRST_ENTRY] : own[FIRST_ENTRY] + own[N_ENTRIES]]
            found = np.zeros((len(table), len(point)), np.float32)
            if table.shape[1]:
                np.multiply(table[:, point], point >= 0, out=found)
            parts.append(found.reshape(-1))
        return np.concatenate(parts)

    def sums(self, values: np.ndarray, n_points: Sequence[int]) -> list[np.ndarray]:
        """The reverse: of numbers of the entries, as `values` gives them, sums (F, P) float32 over those of each point."""
        out = []
        for own, n in zip(self.info, n_points):
            point = self.points[own[FIRST_ENTRY] : own[FIRST_ENTRY] + own[N_ENTRIES]]
            rows = values[own[VALUES] : own[VALUES] + own[FEATURES] * own[N_ENTRIES]].reshape(own[FEATURES], -1)
            found = [np.bincount(point + 1, row, n + 1)[1:] for row in rows]
            out.append(np.array(found, np.float32).reshape(own[FEATURES], n))
        return out
