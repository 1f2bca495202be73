"""Encodings of factors on lattices: every factor is interpolated along its own axes, and `products` does the rest."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence

import numpy as np

from ..encodings import Encoding
from ..encodings.factors import FactoredEncoding
from . import products
from .blocks import POINTS
from .simd import LANES
from .vectors import distances, vectors

__all__ = ["Lattice", "products_of_rows"]

_MOST_WHOLE = 1 << 24  # numbers of all factors, up to which they are interpolated once for all blocks of a lattice

Transform = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def products_of_rows(grid: Encoding) -> np.ndarray:
    """As `products.gather` takes them, of rows of 64 points, those of factor 0 and then those of factor 1 ..; none for
    encodings whose features are no products."""
    if not isinstance(grid, FactoredEncoding):
        return np.zeros((0, 1, 1, 2), np.int64)
    sources = grid.sources(grid.spec)
    rows = sources[..., 0] * sum(grid.spec.n_features) + sources[..., 1]
    return np.stack([np.zeros_like(rows), rows * POINTS], -1)


class Lattice:
    """The product of coordinates axes[k] (M_k,), sampled in blocks, which share the factors, unless these are many."""

    def __init__(
        self, grid: FactoredEncoding, network: tuple[np.ndarray, ...], transform: Transform, axes: Sequence[np.ndarray],
        n_levels: int,
    ):  # fmt: skip
        """network: as `evaluate.packed` has it; transform: as in `evaluate.Evaluator`."""
        self.grid, self.network, self.transform, self.axes, self.n_levels = grid, network, transform, axes, n_levels
        self.sources = grid.sources(grid.spec)
        n_rows = sum(grid.spec.n_features)
        self._is_shared = n_rows * sum(math.prod(len(axes[k]) for k in own) for _, own in grid.parts()) <= _MOST_WHOLE
        self._whole: tuple[np.ndarray, list[tuple[int, ...]]] | None = None
        self._lock = threading.Lock()

    def sample(self, block: Sequence[slice]) -> np.ndarray:
        """Values (*block, C) float32."""
        shape = tuple(s.stop - s.start for s in block)
        if self._is_shared:
            with self._lock:
                self._whole = self._whole or self._factors(self.axes)
            (values, sizes), within = self._whole, block
        else:
            values, sizes = self._factors([a[s] for a, s in zip(self.axes, block)])
            within = [slice(0, n) for n in shape]
        own = [axes for _, axes in self.grid.parts()]
        n_rows = sum(self.grid.spec.n_features)
        firsts = np.cumsum([0, *(n_rows * math.prod(size) for size in sizes)])[:-1]
        found = vectors(within, own, sizes, firsts.tolist())
        out = np.empty((*shape, len(self.transform[1])), np.float32)
        products.sample_vectors(
            found.starts, found.counts, values, found.places, found.singles, distances(self.sources, sizes), *self.network,
            *self.transform, out.reshape(-1),
        )  # fmt: skip
        return out

    def _factors(self, axes: Sequence[np.ndarray]) -> tuple[np.ndarray, list[tuple[int, ...]]]:
        """The factors' features, feature by feature and end to end, and the samples of each along its axes."""
        parts, sizes = [], []
        for lattice, own in self.grid.parts():
            found = lattice.lattice([axes[k] for k in own], self.n_levels)
            sizes.append(found.shape[:-1])
            parts.append(np.moveaxis(found, -1, 0).reshape(-1))
        return np.concatenate([*parts, np.zeros(LANES, np.float32)]), sizes
