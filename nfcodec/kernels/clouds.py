"""Values of clouds of points, at points and on lattices, by `cloud`. Everything here may be called by several threads."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..encodings.points import Grid
from . import cloud
from .entries import Entries

__all__ = ["Evaluator"]

Transform = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


class Evaluator:
    """As `evaluate.Evaluator`. network: as `evaluate.packed` has it."""

    can_sample = True

    def __init__(self, grid: Grid, network: tuple[np.ndarray, ...], transform: Transform):
        self.network, self.transform, n_levels = network, transform, len(grid.levels)
        self.entries = Entries.of(grid.clouds, grid.spec.n_features)
        self.values = self.entries.values([
            level["features"].T.astype(np.float32) * np.float32(step) for level, step in zip(grid.levels, grid.steps)
        ])
        self.n_levels = n_levels

    def sample(self, coords: np.ndarray, n_levels: int) -> np.ndarray:
        """Values (N, C) float32 at finite coordinates (N, d) float64, of levels below n_levels."""
        n, d = coords.shape
        return self.run(cloud.sample, n, np.ascontiguousarray(coords).reshape(-1), np.zeros(d, np.int64), n_levels)

    def gradient(self, coords: np.ndarray, n_levels: int) -> tuple[np.ndarray, np.ndarray]:
        """As `sample`, and the derivatives (N, C, d) float32 of the values before clipping."""
        n, d = coords.shape
        out, flat = np.empty((n, len(self.transform[1]), d), np.float32), np.ascontiguousarray(coords).reshape(-1)
        values = self.run(cloud.sample_gradients, n, flat, np.zeros(d, np.int64), n_levels, out.reshape(-1))
        return values, out

    def lattice(self, axes: Sequence[np.ndarray], n_levels: int) -> "Lattice":
        """As `evaluate.Evaluator.lattice`."""
        return Lattice(self, axes, n_levels)

    def run(self, kernel, n: int, coords: np.ndarray, sizes: np.ndarray, n_levels: int, *more: np.ndarray) -> np.ndarray:
        """Values (n, C) float32 of a kernel of `cloud`."""
        own = self.entries
        out = np.empty((n, len(self.transform[1])), np.float32)
        kernel(
            n, coords, sizes, own.info, min(n_levels, self.n_levels), own.keys, own.begins, own.ends, own.places,
            own.inverses, self.values, *self.network, *self.transform, out.reshape(-1), *more,
        )  # fmt: skip
        return out


class Lattice:
    """The product of coordinates axes[k] (M_k,), sampled block by block."""

    def __init__(self, evaluator: Evaluator, axes: Sequence[np.ndarray], n_levels: int):
        self.evaluator, self.axes, self.n_levels = evaluator, axes, n_levels

    def sample(self, block: Sequence[slice]) -> np.ndarray:
        """Values (*block, C) float32."""
        parts = [np.asarray(axis[part], np.float64) for axis, part in zip(self.axes, block)]
        shape = tuple(map(len, parts))
        sizes = np.array(shape, np.int64)
        found = self.evaluator.run(cloud.sample, math.prod(shape), np.concatenate(parts), sizes, self.n_levels)
        return found.reshape(*shape, -1)
