"""What surrounds a position: causal neighbours, parents, the previous plane, blocks; spec/entropy.md section 5.

A plane is one feature of one level, an integer array of 1 to 4 axes in array order. While a plane is being coded, its
clipped values live in a flat padded int16 array where every neighbour is a constant step away and everything outside
the plane is 0. Each axis is padded behind only: what lies before a row is the padding of the row before it.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import NamedTuple

import numpy as np

from ..kernels import use_native, use_numba

__all__ = [
    "CAUSAL",
    "CLIP",
    "WAVEFRONT",
    "Lattice",
    "ParentTables",
    "block_edge",
    "block_mask",
    "collocated_offsets",
    "expand_mask",
    "parent_axis",
]

CLIP = 255  # raw inputs of the context network are clipped to [-255, 255]

# offsets of the causal neighbours by number of axes, last axis fastest; the order is the network's input order
CAUSAL = {
    1: ((-1,), (-2,), (-3,), (-4,)),
    2: (
        (0, -1), (-1, 0), (-1, -1), (-1, 1), (0, -2), (-2, 0),
        (-1, -2), (-1, 2), (-2, -1), (-2, 1), (-2, -2), (-2, 2),
    ),
    3: (
        (0, 0, -1), (0, -1, 0), (-1, 0, 0), (0, -1, -1), (0, -1, 1), (-1, 0, -1),
        (-1, 0, 1), (-1, -1, 0), (-1, 1, 0), (0, 0, -2), (0, -2, 0), (-2, 0, 0),
    ),
    4: (
        (0, 0, 0, -1), (0, 0, -1, 0), (0, -1, 0, 0), (-1, 0, 0, 0), (0, 0, -1, -1), (0, 0, -1, 1),
        (0, -1, 0, -1), (0, -1, 0, 1), (0, -1, -1, 0), (0, -1, 1, 0), (-1, 0, 0, -1), (-1, 0, 0, 1),
        (-1, 0, -1, 0), (-1, 0, 1, 0), (-1, -1, 0, 0), (-1, 1, 0, 0),
    ),
}  # fmt: skip

# weights of the coordinates whose sum t orders the positions: every causal neighbour has a smaller t
WAVEFRONT = {1: (1,), 2: (3, 1), 3: (3, 2, 1), 4: (4, 3, 2, 1)}


def collocated_offsets(n_dims: int) -> list[tuple[int, ...]]:
    """(1 + 2d) offsets into the previous plane: the same place, then - and + along each axis."""
    offsets = [(0,) * n_dims]
    for axis in range(n_dims):
        for step in (-1, 1):
            offsets.append(tuple(step * (k == axis) for k in range(n_dims)))
    return offsets


def parent_axis(n_fine: int, n_coarse: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Along one axis, for each of n_fine children: (parent, nearer neighbour of it, farther neighbour), int32 indices.

    Sample i of n lies at (i + 1/2) / n. The parent is the coarse cell that holds the child's centre, the nearer
    neighbour lies on the child's side of the parent's centre. All are clamped to the lattice.
    """
    scaled = (2 * np.arange(n_fine, dtype=np.int64) + 1) * n_coarse
    parent = np.minimum(scaled // (2 * n_fine), n_coarse - 1)
    side = np.where(scaled - parent * 2 * n_fine >= n_fine, 1, -1)
    near, far = (np.clip(parent + sign * side, 0, n_coarse - 1) for sign in (1, -1))
    return parent.astype(np.int32), near.astype(np.int32), far.astype(np.int32)


class ParentTables(NamedTuple):
    """Flat indices into the coarser plane by coordinate, the tables of all axes one after the other.

    first: (d,) int32, where an axis begins. base: the parent's share of the flat index. near, far: steps from the
    parent to its neighbours along that axis. A NamedTuple so that numba can take it.
    """

    first: np.ndarray
    base: np.ndarray
    near: np.ndarray
    far: np.ndarray

    @classmethod
    def of(cls, shape: tuple[int, ...], coarse_shape: tuple[int, ...]) -> "ParentTables":
        columns: list[list[np.ndarray]] = [[], [], []]
        for axis, (n_fine, n_coarse) in enumerate(zip(shape, coarse_shape)):
            stride = math.prod(coarse_shape[axis + 1 :])
            parent, near, far = parent_axis(n_fine, n_coarse)
            for column, index in zip(columns, (parent, near - parent, far - parent)):
                column.append(index * np.int32(stride))
        first = np.cumsum([0, *shape[:-1]]).astype(np.int32)
        return cls(first, *(np.concatenate(column) for column in columns))

    def gather(self, coarse: np.ndarray, coordinates: np.ndarray) -> np.ndarray:
        """The parent group, (1 + 2d, n). coarse: flat plane. coordinates: (d, n)."""
        at = coordinates + self.first[:, None]
        parent = self.base[at].sum(axis=0, dtype=np.int64)
        index = np.concatenate([parent[None], parent + self.near[at], parent + self.far[at]])
        return coarse[index]


class Lattice:
    """The padded layout of a plane of the given shape."""

    def __init__(self, shape: tuple[int, ...]):
        self.shape = shape
        self.n_dims = len(shape)
        reach = max(abs(step) for offset in CAUSAL[self.n_dims] for step in offset)
        padded = [n + reach for n in shape]
        self.strides = np.array([math.prod(padded[axis + 1 :]) for axis in range(self.n_dims)], np.int64)
        self.origin = reach * int(self.strides.sum())
        self.size = self.origin + (shape[0] + 1) * int(self.strides[0])
        self.causal = np.array(CAUSAL[self.n_dims], np.int64) @ self.strides
        self.collocated = np.array(collocated_offsets(self.n_dims), np.int64) @ self.strides

    def empty(self) -> np.ndarray:
        """A padded plane of zeros, (size,) int16."""
        return np.zeros(self.size, np.int16)

    def padded(self, plane: np.ndarray) -> np.ndarray:
        """A plane's clipped values in the padded layout, (size,) int16."""
        out = self.empty()
        strides = self.strides * out.itemsize
        view = np.lib.stride_tricks.as_strided(out[self.origin :], self.shape, strides)
        view[...] = np.clip(plane, -CLIP, CLIP)
        return out

    def coordinates(self, positions: np.ndarray) -> np.ndarray:
        """(d, n) int64 from (n,) flat indices."""
        return np.stack(np.unravel_index(positions, self.shape))

    def padded_index(self, coordinates: np.ndarray) -> np.ndarray:
        """(n,) int64 indices into the padded layout from (d, n) coordinates."""
        return self.strides @ coordinates + self.origin

    @cached_property
    def _weights(self) -> np.ndarray:
        return np.array(WAVEFRONT[self.n_dims], np.int64)

    def coding_order(self, coded: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
        """Positions by wavefront, raster order within one.

        coded: bool array of the lattice's shape, or None for all. Returns the flat indices (n,) int32 and the
        bounds of the wavefronts among them, (n_wavefronts + 1,) int64.
        """
        n = math.prod(self.shape)
        if use_native():
            from ..kernels.native import coding_order

            return coding_order(self.shape, WAVEFRONT[self.n_dims], coded)
        if use_numba(n if coded is None else np.count_nonzero(coded), "order"):
            from ..kernels.order import coding_order

            return coding_order(self.shape, coded)
        positions = np.arange(n, dtype=np.int32) if coded is None else np.flatnonzero(coded).astype(np.int32)
        time = np.zeros(positions.shape, np.int32)
        for axis, weight in enumerate(self._weights.tolist()):
            after = math.prod(self.shape[axis + 1 :])
            time += positions // np.int32(after) % np.int32(self.shape[axis]) * np.int32(weight)
        if time.max(initial=0) < 1 << 16:
            time = time.astype(np.uint16)  # numpy sorts 16 bits by radix
        order = np.argsort(time, kind="stable")
        time = time[order]
        bounds = np.flatnonzero(np.concatenate([[True], time[1:] != time[:-1], [True]])) if n and time.size else [0]
        return positions[order], np.asarray(bounds, np.int64)


def block_edge(n_dims: int) -> int:
    """Edge of the blocks of a level's mask, in positions."""
    return 8 if n_dims <= 2 else 4


def block_mask(level: np.ndarray) -> np.ndarray:
    """Bool, which blocks of a level (F, *res) hold anything but zeros; shape ceil(res / edge)."""
    edge = block_edge(level.ndim - 1)
    mask = (level != 0).any(axis=0)
    for axis in range(mask.ndim):
        mask = np.logical_or.reduceat(mask, np.arange(0, mask.shape[axis], edge), axis=axis)
    return mask


def expand_mask(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Bool array of the lattice's shape from its block mask."""
    edge = block_edge(len(shape))
    for axis, n in enumerate(shape):
        mask = np.repeat(mask, edge, axis=axis)[(slice(None),) * axis + (slice(n),)]
    return mask
