"""The integers of a field as arrays that a program can hold: no wider than they need, and what repeats held once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .expressions import Expr, fetch

__all__ = ["Table", "lattice", "narrow", "raster"]

_EDGES = (2, 4, 8)  # of blocks
_WORTH = 0.75  # blocks are taken where they need less than this part of the bytes


@dataclass(frozen=True, eq=False)
class Table:
    """A constant array: its name in the program, and its integers (n,) as int8, int16 or int32."""

    name: str
    integers: np.ndarray

    @classmethod
    def of(cls, name: str, integers: np.ndarray) -> Table:
        return cls(name, narrow(integers).ravel())


def narrow(integers: np.ndarray) -> np.ndarray:
    """The same integers in the narrowest of int8, int16 and int32."""
    low, high = (int(integers.min()), int(integers.max())) if integers.size else (0, 0)
    for dtype in (np.int8, np.int16):
        if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
            return integers.astype(dtype)
    return integers.astype(np.int32)


def raster(index: Sequence[Expr], sizes: Sequence[int]) -> Expr:
    """The number of a vertex of a lattice in C order."""
    row = index[0]
    for i, n in zip(index[1:], sizes[1:]):
        row = row * n + i
    return row


def lattice(name: str, integers: np.ndarray):
    """Vertices' features (n_1 .. n_d, F) -> a table of rows, and the function from a vertex to its row: in raster order, or
    in blocks of which equal ones are held once, whichever takes fewer bytes."""
    integers = narrow(integers)
    sizes, n_features = integers.shape[:-1], integers.shape[-1]
    best, found = _WORTH * integers.nbytes, None
    for edge in _EDGES:
        if edge < 2 * max(sizes):
            blocks, index = _blocks(integers, edge)
            index = narrow(index)
            if blocks.nbytes + index.nbytes < best:
                best, found = blocks.nbytes + index.nbytes, (edge, blocks, index)
    if found is None:
        return Table.of(name, integers), lambda vertex: raster(vertex, sizes)
    edge, blocks, index = found
    counts, where = index.shape, Table.of(f"{name}_blocks", index)
    n_rows = blocks.size // len(blocks) // n_features

    def row(vertex: Sequence[Expr]) -> Expr:
        block = fetch(where, raster([i // edge for i in vertex], counts))
        return block * n_rows + raster([i % edge for i in vertex], [edge] * len(counts))

    return Table.of(name, blocks), row


def _blocks(integers: np.ndarray, edge: int) -> tuple[np.ndarray, np.ndarray]:
    """Distinct blocks (B, edge**d * F) and the number of each block of the lattice (m_1 .. m_d)."""
    *sizes, n_features = integers.shape
    counts = [-(-n // edge) for n in sizes]
    whole = np.pad(integers, [(0, m * edge - n) for m, n in zip(counts, sizes)] + [(0, 0)])
    d = len(sizes)
    split = whole.reshape(*(k for m in counts for k in (m, edge)), n_features)
    rows = split.transpose(*range(0, 2 * d, 2), *range(1, 2 * d, 2), 2 * d).reshape(math.prod(counts), -1)
    keys = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.shape[1] * rows.itemsize))).ravel()
    _, first, index = np.unique(keys, return_index=True, return_inverse=True)
    return rows[first], index.reshape(counts)
