"""Samples of lattices by vectors, and the products that encodings of factors are, as the kernels of `products` take them.

Needs numpy only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..encodings.factors import Factor

__all__ = ["LANES", "VECTORS", "Vectors", "block_starts", "distances", "vectors"]

LANES = 16  # samples of a vector, as in `simd`
VECTORS = 4  # of a block


@dataclass(frozen=True)
class Vectors:
    """starts, counts (V,): the samples of each vector in raster order; places (V, factors), singles (factors,): as in
    `products.gather`."""

    starts: np.ndarray
    counts: np.ndarray
    places: np.ndarray
    singles: np.ndarray


def distances(sources: np.ndarray, sizes: Sequence[tuple[int, ...]]) -> np.ndarray:
    """`FactoredEncoding.sources` as `products.gather` takes them, where features of factor k are arrays of sizes[k], one
    after the other."""
    lengths = np.array([math.prod(size) for size in sizes], np.int64)
    kinds = sources[..., 0]
    return np.stack([kinds, sources[..., 1] * lengths[kinds]], -1)


def vectors(
    block: Sequence[slice], axes: Sequence[Factor], sizes: Sequence[tuple[int, ...]], firsts: Sequence[int]
) -> Vectors:
    """The samples of a block. axes, sizes: of each factor its axes and its samples along them, of which the block is a
    part; firsts: where its values begin."""
    shape = tuple(s.stop - s.start for s in block)
    index = _index(shape)
    places = np.empty((len(index[0]), len(axes)), np.int64)
    for place, own, size, first in zip(places.T, axes, sizes, firsts):
        place[:] = 0
        for axis, n in zip(own, size):
            place[:] = place * n + block[axis].start + index[axis]
        place += first
    singles = np.array([len(shape) - 1 not in own for own in axes])
    return Vectors(_starts(shape, index), np.minimum(shape[-1] - index[-1], LANES), places, singles)


def block_starts(shape: tuple[int, ...]) -> np.ndarray:
    """The first sample of every block of vectors of a lattice of this shape, in raster order."""
    return _starts(shape, _index(shape))[::VECTORS]


def _index(shape: tuple[int, ...]) -> list[np.ndarray]:
    """The first sample of each vector, along each axis."""
    *outer, along = np.indices((*shape[:-1], -(-shape[-1] // LANES))).reshape(len(shape), -1)
    return [*outer, along * LANES]


def _starts(shape: tuple[int, ...], index: list[np.ndarray]) -> np.ndarray:
    starts = np.zeros(len(index[0]), np.int64)
    for n, i in zip(shape, index):
        starts = starts * n + i
    return starts
