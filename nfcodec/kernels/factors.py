"""Encodings of factors for `products`: which values are multiplied, where the vectors of a lattice find them, and values on
lattices.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..encodings import Encoding
from ..encodings.factors import Factor, FactoredEncoding
from . import products
from .blocks import POINTS
from .simd import LANES

__all__ = ["Lattice", "Vectors", "distances", "products_of_rows", "vectors"]

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


def distances(sources: np.ndarray, sizes: Sequence[tuple[int, ...]]) -> np.ndarray:
    """As `products.gather` takes them, of `FactoredEncoding.sources`, where factor k has arrays of these sizes, one after
    the other."""
    lengths = np.array([math.prod(size) for size in sizes], np.int64)
    kinds = sources[..., 0]
    return np.stack([kinds, sources[..., 1] * lengths[kinds]], -1)


@dataclass(frozen=True)
class Vectors:
    """Samples of a lattice by vectors, as `products` takes them."""

    starts: np.ndarray
    counts: np.ndarray
    places: np.ndarray
    singles: np.ndarray


def vectors(
    block: Sequence[slice], axes: Sequence[Factor], sizes: Sequence[tuple[int, ...]], firsts: Sequence[int]
) -> Vectors:
    """The samples of a block. axes, sizes: of each factor its axes and its samples along them, of which the block is a part;
    firsts: where its values begin."""
    shape = tuple(s.stop - s.start for s in block)
    n_along = -(-shape[-1] // LANES)
    *outer, along = np.indices((*shape[:-1], n_along)).reshape(len(shape), -1)
    index = [*outer, along * LANES]
    starts = np.zeros(len(along), np.int64)
    for n, i in zip(shape, index):
        starts = starts * n + i
    places = np.empty((len(along), len(axes)), np.int64)
    for place, own, size, first in zip(places.T, axes, sizes, firsts):
        place[:] = 0
        for axis, n in zip(own, size):
            place[:] = place * n + block[axis].start + index[axis]
        place += first
    singles = np.array([len(shape) - 1 not in own for own in axes])
    return Vectors(starts, np.minimum(shape[-1] - index[-1], LANES), places, singles)


class Lattice:
    """The product of coordinates axes[k] (M_k,), sampled block by block; blocks share the factors, if these are not many."""

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
