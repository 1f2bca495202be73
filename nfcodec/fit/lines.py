"""Lattices interpolated along all axes but the first, and back: what `fast.FastStep` gives its kernels.

The meaning is `model.FieldModel.features`. Along the last axis, where most of the work is, `kernels.bands` takes of
every 64 samples only the vertices that weigh anything; axes in between, of volumes and surfaces, are small matrix products.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch

from .plan import AxisWeights, Block, along

__all__ = ["Bands", "Lines", "make_lines", "shape_of"]

_COLUMNS = 64  # as in `kernels.bands`


class Bands:
    """A matrix of which all but a band is 0, as `kernels.bands` takes it."""

    def __init__(self, rows: np.ndarray, columns: np.ndarray, values: np.ndarray, n_columns: int):
        """values (n,) float32 at rows and columns (n,)."""
        chunk = columns // _COLUMNS
        first = np.full(-(-n_columns // _COLUMNS), np.iinfo(np.int64).max)
        after = np.zeros(len(first), np.int64)
        np.minimum.at(first, chunk, rows)
        np.maximum.at(after, chunk, rows + 1)
        first = np.minimum(first, after)  # 64 columns may have nothing
        n = after - first
        ends = np.cumsum(n * _COLUMNS)
        starts = ends - n * _COLUMNS
        self.n_columns, self.chunks = n_columns, np.stack([first, n, starts], 1)
        self.table = np.zeros(ends[-1], np.float32)
        self.table[starts[chunk] + (rows - first[chunk]) * _COLUMNS + columns % _COLUMNS] = values

    @classmethod
    def of_axis(cls, axis: AxisWeights, pick: slice, kernel: torch.Tensor | None) -> tuple["Bands", "Bands"]:
        """From vertices to the picked samples, and back."""
        places, values = axis.entries(kernel)
        n_samples, n_vertices = axis.shape
        samples, vertices = np.divmod(places, n_vertices)
        start, _, stride = pick.indices(n_samples)
        is_picked = (samples >= start) & ((samples - start) % stride == 0)
        samples, vertices, values = (samples[is_picked] - start) // stride, vertices[is_picked], values[is_picked]
        return cls(vertices, samples, values, len(range(n_samples)[pick])), cls(samples, vertices, values, n_vertices)

    def apply(self, source: np.ndarray, rows: np.ndarray, target: np.ndarray, to_rows: np.ndarray, adds: bool) -> None:
        """Rows of source times the matrix, to or, with `adds`, onto rows of target: flat arrays, and where rows begin."""
        from ..kernels.bands import add_banded

        add_banded(source, rows, self.table, self.chunks, self.n_columns, target, to_rows, adds)


@dataclass(frozen=True)
class Lines:
    """One level at all samples of the other axes: values (F, K_0, *M) from `start` on."""

    block: Block
    shape: tuple[int, ...]
    start: int
    middle: list[torch.Tensor | slice]  # of the axes after the first and before the last
    last: tuple[Bands, Bands] | slice

    @property
    def stop(self) -> int:
        return self.start + math.prod(self.shape)

    def fill(self, values: np.ndarray, out: np.ndarray) -> None:
        """Interpolates values (V,) to out[start : stop]."""
        x = self._vertices(torch.from_numpy(values))
        for axis, matrix in enumerate(self.middle, 2):
            x = x[(slice(None),) * axis + (matrix,)] if isinstance(matrix, slice) else along(x, matrix, axis)
        if isinstance(self.last, slice):
            torch.from_numpy(out)[self.start : self.stop].view(self.shape).copy_(x[..., self.last])
            return
        if self._is_direct:
            source, rows = values, _rows(x)
        else:
            source, rows = x.reshape(-1).numpy(), np.arange(0, x.numel(), x.shape[-1])
        self.last[0].apply(source, rows, out, np.arange(self.start, self.stop, self.shape[-1]), False)

    def fill_back(self, gradients: np.ndarray, d_values: np.ndarray) -> None:
        """Adds what gradients[start : stop] mean for the values to d_values (V,)."""
        d_v = torch.from_numpy(d_values)
        if isinstance(self.last, slice):
            g = torch.from_numpy(gradients)[self.start : self.stop].view(self.shape)
            g = _spread(g, self.last, len(self.shape) - 1, shape_of(self.block)[-1])
        else:
            back = self.last[1]
            rows = np.arange(self.start, self.stop, self.shape[-1])
            if self._is_direct:
                back.apply(gradients, rows, d_values, _rows(self._vertices(d_v)), True)
                return
            whole = np.empty((*self.shape[:-1], back.n_columns), np.float32)
            back.apply(gradients, rows, whole.reshape(-1), np.arange(0, whole.size, back.n_columns), False)
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

    @property
    def _is_direct(self) -> bool:
        """Whether the last axis is all there is to do, on values where they lie."""
        return self.block.index is None and not self.middle

    def _vertices(self, v: torch.Tensor) -> torch.Tensor:
        """(F, K_0, *K): of a single axis one plane."""
        x = self.block.cut(v)
        return x if x.ndim == len(self.shape) else x[:, None]


def _rows(x: torch.Tensor) -> np.ndarray:
    """Where the rows of x, of which the entries lie side by side, begin in what it is a view of."""
    starts = np.array([x.storage_offset()])
    for n, stride in zip(x.shape[:-1], x.stride()):
        starts = (starts[:, None] + stride * np.arange(n)).ravel()
    return starts


def _spread(g: torch.Tensor, pick: slice, axis: int, n: int) -> torch.Tensor:
    """The reverse of taking `pick` of an axis of n."""
    if g.shape[axis] == n:
        return g
    whole = g.new_zeros(*g.shape[:axis], n, *g.shape[axis + 1 :])
    whole[(slice(None),) * axis + (pick,)] = g
    return whole


def make_lines(
    block: Block, n_first: int, start: int, picks: list[tuple[slice, int]], kernel: torch.Tensor | None
) -> Lines:
    """Those of a block with n_first vertices along the first axis, 1 where that is not set apart.

    picks: of every axis interpolated, its samples and their number. kernel: (2,), see `AxisWeights.matrix`.
    """
    weights = block.weights[-len(picks) :]
    middle = [p if w is None else w.matrix(kernel)[p].contiguous() for w, (p, _) in zip(weights[:-1], picks)]
    axis, pick = weights[-1], picks[-1][0]
    last = pick if axis is None else Bands.of_axis(axis, pick, kernel)
    return Lines(block, (shape_of(block)[0], n_first, *(n for _, n in picks)), start, middle, last)


def shape_of(block: Block) -> tuple[int, ...]:
    """(F, *K): the vertices that a block reads."""
    if block.index is not None:
        return tuple(block.index.shape)
    return tuple(len(range(n)[part]) for n, part in zip(block.box, block.inside))
