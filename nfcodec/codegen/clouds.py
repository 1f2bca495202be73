"""Clouds of points as tables: for each cell of a lattice the points that reach into it, and what is known of each point."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..encodings.points import Grid
from ..errors import UsageError
from ..spec import RADII
from .expressions import Expr, fetch
from .tables import Table, raster

__all__ = ["Cloud", "cloud_of"]

_MAX_CELLS = 1 << 22


@dataclass(frozen=True, eq=False)
class Cloud:
    """inputs[first : first + F] += what a level of points gives at all coordinates.

    starts: for each cell, in raster order, its first entry of `points`, and the end of the last one's. positions (P * d),
    sizes (P) and features (P * F), times step, of the points.
    """

    name: str
    first: int
    resolution: tuple[int, ...]
    n_cells: tuple[int, ...]
    reach: int
    n_features: int
    step: float
    starts: Table
    points: Table
    positions: Table
    sizes: Table
    features: Table

    @property
    def tables(self) -> list[Table]:
        """All of some length."""
        found = [self.starts, self.points, self.positions, self.sizes, self.features]
        return [table for table in found if table.integers.size]

    def along(self, place: Expr) -> Expr:
        """The cell along an axis of a place in vertices, as far as there are cells."""
        return (place / float(self.reach)).astype(np.int64)

    def cell(self, along: Sequence[Expr]) -> Expr:
        """The number of a cell."""
        return raster([np.minimum(i, n - 1) for i, n in zip(along, self.n_cells)], self.n_cells)

    def kernel(self, places: Sequence[Expr], point: Expr) -> Expr:
        """What is left of 1 at a place by the squared distance from a point, in units of its squared radius; 0 beyond."""
        d = len(places)
        away = [place - 0.5 - fetch(self.positions, point * d + k).astype(float) for k, place in enumerate(places)]
        square = sum((a * a for a in away[1:]), away[0] * away[0])
        return np.maximum(1.0 - square / ((RADII - fetch(self.sizes, point).astype(float)) * (self.reach**2 / RADII)), 0.0)


def cloud_of(grid: Grid, level: int, first: int, label: str) -> Cloud:
    """UsageError for more cells than a program should hold."""
    cloud, data = grid.clouds[level], grid.levels[level]
    n_cells = tuple(map(int, cloud.n_cells))
    if math.prod(n_cells) > _MAX_CELLS:
        raise UsageError(
            f"exporting: got a cloud of points over {math.prod(n_cells)} cells, expected at most {_MAX_CELLS}; choose a "
            "coarser level"
        )
    starts = cloud.starts[np.searchsorted(cloud.keys, np.arange(math.prod(n_cells) + 1))]
    tables = {
        "starts": starts,
        "points": cloud.points,
        "positions": data["positions"],
        "sizes": data["sizes"],
        "features": data["features"],
    }
    return Cloud(
        name=label,
        first=first,
        resolution=grid.spec.resolutions[level],
        n_cells=n_cells,
        reach=cloud.edge,
        n_features=grid.spec.n_features[level],
        step=float(np.float32(grid.steps[level])),
        **{key: Table.of(f"{label}_{key}", integers) for key, integers in tables.items()},
    )
