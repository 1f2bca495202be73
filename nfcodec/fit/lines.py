"""Lattices interpolated along all axes but the first, and back: what `fast.FastStep` gives its kernels.

The meaning is `model.FieldModel.features`. Along the last axis, where most of the work is, `kernels.bands` takes of
every 64 samples only the vertices that weigh anything; axes in between, of volumes and surfaces, are small matrix products.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch

from .plan import AxisWeights, Block, along

__all__ = ["AxisBands", "Bands", "Lines", "make_lines", "shape_of"]

_COLUMNS = 64  # as in `kernels.bands`


class Bands:
    """Where numbers lie that are not 0, all of them in a band of a matrix, as `kernels.bands` takes it."""

    def __init__(self, rows: np.ndarray, columns: np.ndarray, n_columns: int):
        """rows, columns: (n,) integers."""
        chunk = columns // _COLUMNS
        first = np.full(-(-n_columns // _COLUMNS), np.iinfo(np.int64).max)
        after = np.zeros(len(first), np.int64)
        np.minimum.at(first, chunk, rows)
        np.maximum.at(after, chunk, rows + 1)
        first = np.minimum(first, after)  # 64 columns may have nothing
        n = after - first
        ends = np.cumsum(n * _COLUMNS)
        starts = ends - n * _COLUMNS
        self.n_columns, self.chunks, self._size = n_columns, np.stack([first, n, starts], 1), int(ends[-1])
        places = starts[chunk] + (rows - first[chunk]) * _COLUMNS + columns % _COLUMNS
        self._places = places.astype(np.int32 if self._size < 1 << 31 else np.int64)

    def table(self, values: np.ndarray) -> np.ndarray:
        """The matrix with values (n,) at those places."""
        table = np.zeros(self._size, np.float32)
        table[self._places] = values
        return table

    def apply(
        self, table: np.ndarray, source: np.ndarray, rows: np.ndarray, target: np.ndarray, to_rows: np.ndarray, adds: bool
    ) -> None:
        """Rows of source times the matrix, to or, with `adds`, onto rows of target: flat arrays, and where rows begin."""
        from ..kernels.bands import add_banded

        add_banded(source, rows, table, self.chunks, self.n_columns, target, to_rows, adds)

    def apply_back(
        self, table: np.ndarray, source: np.ndarray, rows: np.ndarray, target: np.ndarray, to_rows: np.ndarray
    ) -> None:
        """The matrix times rows of source, onto rows of target."""
        from ..kernels.bands import add_back

        add_back(source, rows, table, self.chunks, self.n_columns, target, to_rows)


class AxisBands:
    """Interpolation along an axis at picked samples, and back."""

    def __init__(self, axis: AxisWeights, pick: slice):
        self.n_vertices = axis.shape[1]
        self._axis = axis
        self._start, self._stop, self._stride = pick.indices(axis.shape[0])
        self._picked = slice(None)
        if (self._start, self._stride) != (0, 1):
            samples = axis.places // self.n_vertices
            is_picked = (samples >= self._start) & ((samples - self._start) % self._stride == 0)
            self._picked = np.flatnonzero(is_picked).astype(np.int32)
        samples, vertices = self._entries()
        self.there = Bands(vertices, samples, len(range(self._start, self._stop, self._stride)))

    def _entries(self) -> tuple[np.ndarray, np.ndarray]:
        """The picked sample and the vertex of each weight."""
        samples, vertices = np.divmod(self._axis.places[self._picked], self.n_vertices)
        return (samples - self._start) // self._stride, vertices

    @cached_property
    def back(self) -> Bands:
        """Where many rows share it: along a single axis it is larger than all else together."""
        return Bands(*self._entries(), self.n_vertices)

    def tables(self, kernel: torch.Tensor | None, is_shared: bool) -> tuple[np.ndarray, np.ndarray | None]:
        """Of both ways, or of the way there alone. kernel: as in `AxisWeights.matrix`."""
        values = self._axis.entries(kernel)[self._picked]
        return self.there.table(values), self.back.table(values) if is_shared else None


@dataclass(frozen=True)
class Lines:
    """One level at all samples of the other axes: values (F, K_0, *M) from `start` on."""

    block: Block
    shape: tuple[int, ...]
    start: int
    middle: list[torch.Tensor | slice]  # of the axes after the first and before the last
    last: AxisBands | slice
    tables: tuple[np.ndarray, np.ndarray | None] | None  # of the last

    @property
    def stop(self) -> int:
        return self.start + math.prod(self.shape)

    def fill(self, values: np.ndarray, out: np.ndarray) -> None:
        """Interpolates values (V,) to out[start : stop]."""
        if self._rows_of_values is not None:
            self.last.there.apply(self.tables[0], values, self._rows_of_values, out, self._rows, False)
            return
        x = self._vertices(torch.from_numpy(values))
        for axis, matrix in enumerate(self.middle, 2):
            x = x[(slice(None),) * axis + (matrix,)] if isinstance(matrix, slice) else along(x, matrix, axis)
        if isinstance(self.last, slice):
            torch.from_numpy(out)[self.start : self.stop].view(self.shape).copy_(x[..., self.last])
            return
        x = x.reshape(-1).numpy()
        rows = np.arange(0, len(x), self.last.n_vertices)
        self.last.there.apply(self.tables[0], x, rows, out, self._rows, False)

    def fill_back(self, gradients: np.ndarray, d_values: np.ndarray) -> None:
        """Adds what gradients[start : stop] mean for the values to d_values (V,)."""
        if self._rows_of_values is not None and self.tables[1] is None:
            self.last.there.apply_back(self.tables[0], gradients, self._rows, d_values, self._rows_of_values)
            return
        if self._rows_of_values is not None:
            self.last.back.apply(self.tables[1], gradients, self._rows, d_values, self._rows_of_values, True)
            return
        d_v = torch.from_numpy(d_values)
        if isinstance(self.last, slice):
            g = torch.from_numpy(gradients)[self.start : self.stop].view(self.shape)
            g = _spread(g, self.last, len(self.shape) - 1, shape_of(self.block)[-1])
        else:
            n_vertices = self.last.n_vertices
            whole = np.empty((*self.shape[:-1], n_vertices), np.float32)
            to_rows = np.arange(0, whole.size, n_vertices)
            self.last.back.apply(self.tables[1], gradients, self._rows, whole.reshape(-1), to_rows, False)
            g = torch.from_numpy(whole)
        for axis, matrix in reversed(list(enumerate(self.middle, 2))):
            if isinstance(matrix, slice):
                g = _spread(g, matrix, axis, shape_of(self.block)[axis - len(self.shape)])
            else:
                g = along(g, matrix.T, axis)
        if self.block.index is not None:
            # every place but that of the closing 0, whose gradient nobody reads, is there once
            d_v.index_add_(0, self.block.index.reshape(-1), g.reshape(-1))
        else:
            here = self.block.cut(d_v)
            here += g.view(here.shape)

    @cached_property
    def _rows(self) -> np.ndarray:
        """Where rows of lines begin."""
        return np.arange(self.start, self.stop, self.shape[-1])

    @cached_property
    def _rows_of_values(self) -> np.ndarray | None:
        """Where rows of values begin, if the last axis is all there is to do, on values where they lie."""
        block = self.block
        if block.index is not None or self.middle or isinstance(self.last, slice):
            return None
        places = np.arange(math.prod(block.box)).reshape(block.box)[block.inside]
        return block.start + places[..., 0].ravel()

    def _vertices(self, v: torch.Tensor) -> torch.Tensor:
        """(F, K_0, *K): of a single axis one plane."""
        x = self.block.cut(v)
        return x if x.ndim == len(self.shape) else x[:, None]


def _spread(g: torch.Tensor, pick: slice, axis: int, n: int) -> torch.Tensor:
    """The reverse of taking `pick` of an axis of n."""
    if g.shape[axis] == n:
        return g
    whole = g.new_zeros(*g.shape[:axis], n, *g.shape[axis + 1 :])
    whole[(slice(None),) * axis + (pick,)] = g
    return whole


def make_lines(
    block: Block,
    n_first: int,
    start: int,
    picks: list[tuple[slice, int]],
    kernel: torch.Tensor | None,
    known: dict[tuple, AxisBands],
) -> Lines:
    """Those of a block with n_first vertices along the first axis, 1 where that is not set apart.

    picks: of every axis interpolated, its samples and their number. kernel: (2,), see `AxisWeights.matrix`. known: bands
    for the next call, which kernels do not change.
    """
    weights = block.weights[-len(picks) :]
    middle = [p if w is None else w.matrix(kernel)[p].contiguous() for w, (p, _) in zip(weights[:-1], picks)]
    axis, pick = weights[-1], picks[-1][0]
    shape = (shape_of(block)[0], n_first, *(n for _, n in picks))
    if axis is None:
        return Lines(block, shape, start, middle, pick, None)
    key = id(axis), pick.start, pick.step
    if key not in known:
        known[key] = AxisBands(axis, pick)
    is_shared = n_first > 1 or bool(middle) or block.index is not None
    return Lines(block, shape, start, middle, known[key], known[key].tables(kernel, is_shared))


def shape_of(block: Block) -> tuple[int, ...]:
    """(F, *K): the vertices that a block reads."""
    if block.index is not None:
        return tuple(block.index.shape)
    return tuple(len(range(n)[part]) for n, part in zip(block.box, block.inside))
