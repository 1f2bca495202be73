"""Which blocks of a level hold anything but zeros <-> bytes; spec/entropy.md section 8.

A bit a block, in the contexts of its neighbours that are already known and of the features above it: what a coarser
level has at a place says most of whether the finer one goes on there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..errors import UsageError
from ..kernels import FEW, use_numba
from .lattice import Lattice, block_edge, parent_axis
from .rans import raise_status
from .static import StaticDecoder, encode_static

__all__ = ["decode_mask", "encode_mask"]

_PARENTS = 3  # classes of what lies above a block: nothing, up to half of it, more


def encode_mask(mask: np.ndarray, before: np.ndarray | None, resolution: Sequence[int]) -> bytes:
    """The bytes of a bool mask of the blocks of a level.

    before: the level's coarser one, (F, *res) integers, None for the coarsest. resolution: the level's.
    Raises UsageError for a mask of another shape than its blocks have.
    """
    expected = _n_blocks(resolution)
    if mask.shape != expected:
        raise UsageError(f"coding a level: got a mask of {mask.shape} blocks, expected {expected}")
    contexts = _parents(before, resolution) * (mask.ndim + 1)
    for axis in range(mask.ndim):
        np.moveaxis(contexts, axis, 0)[1:] += np.moveaxis(mask, axis, 0)[:-1]
    return encode_static(mask, contexts, 2, _PARENTS * (mask.ndim + 1))


def decode_mask(data: bytes, before: np.ndarray | None, resolution: Sequence[int]) -> np.ndarray:
    """The mask of `encode_mask`. Raises FormatError for damaged data."""
    n_dims = len(resolution)
    decoder = StaticDecoder(data, 2, _PARENTS * (n_dims + 1))
    contexts = _parents(before, resolution).ravel() * (n_dims + 1)
    lattice = Lattice(_n_blocks(resolution))  # its padding stands for the blocks outside
    index = lattice.padded_index(lattice.coordinates(np.arange(len(contexts))))
    padded = np.zeros(lattice.size, np.uint8)
    if use_numba(len(contexts), "decode" if len(contexts) >= FEW else None):
        from ..kernels.entropy import take_mask

        raise_status(take_mask(*decoder.arrays(), contexts, index, lattice.strides, padded))
    else:
        _take_mask(decoder, contexts.tolist(), index.tolist(), lattice.strides.tolist(), memoryview(padded))
    decoder.finish()
    return padded[index].reshape(lattice.shape).astype(bool)


def _take_mask(decoder: StaticDecoder, contexts: list[int], index: list[int], steps: list[int], padded: memoryview) -> None:
    symbols = decoder.symbols()
    next(symbols)
    for at, context in zip(index, contexts):
        for step in steps:
            context += padded[at - step]
        padded[at] = symbols.send(context)
    symbols.close()


def _n_blocks(resolution: Sequence[int]) -> tuple[int, ...]:
    edge = block_edge(len(resolution))
    return tuple(-(-n // edge) for n in resolution)


def _parents(before: np.ndarray | None, resolution: Sequence[int]) -> np.ndarray:
    """int64 a block: by how much of the box of its parents holds anything: 0 none of it, 1 up to half, 2 more."""
    if before is None:
        return np.full(_n_blocks(resolution), _PARENTS - 1, np.int64)
    edge = block_edge(len(resolution))
    count, size = (before != 0).any(axis=0).astype(np.int32), np.int64(1)
    for axis, n in enumerate(resolution):
        parent = parent_axis(n, count.shape[axis])[0]
        first, after = parent[::edge], parent[np.append(np.arange(edge, n, edge), n) - 1] + 1
        sums = np.insert(count.cumsum(axis, np.int32), 0, 0, axis=axis)
        count = sums.take(after, axis) - sums.take(first, axis)
        size = np.multiply.outer(size, after.astype(np.int64) - first)
    return -(-2 * count // size)
