"""A field for the kernels: network and levels laid out, and values at points and on lattices by `points` and `lattice`.

Everything here may be called by several threads at a time.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..encodings import Encoding, LatticeEncoding
from ..encodings.factors import FactoredEncoding
from ..encodings.points import Grid as Cloud
from ..mlp import Mlp
from ..spec import LINEAR, NEAREST, Read
from . import clouds, factors, gradients, lattice, points
from .blocks import POINTS, pack, pad
from .simd import LANES
from .taps import N_TAPS, AxisTaps, axis_taps, coefficients, offset

__all__ = ["Evaluator", "Lattice", "evaluator_of"]

_BEYOND = 3  # vertices that planes repeat at either end of an axis: the taps of a read that is shifted
_MAX_PLANES = 1 << 30  # floats of all levels: indices are int32
_SMALL_PLANES = 1 << 22
_PLANES_PER_INTEGER = 8  # of larger ones: no file takes many times what it took already
_MAX_NUMBERS_PER_SAMPLE = 32  # of one level on the way to a lattice
_SMALL_BLOCK = 1 << 20

Transform = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def evaluator_of(grid: Encoding, mlp: Mlp, transform: Transform) -> "Evaluator | clouds.Evaluator":
    """The evaluator of a field; the arguments are those of `Evaluator`."""
    if type(grid) is Cloud:  # not a mesh, which is one too
        return clouds.Evaluator(grid, packed(mlp), transform)
    return Evaluator(grid, mlp, transform)


class Evaluator:
    """A field's values at points and on lattices.

    transform: knees, scale, offset, least and greatest value, each (C,) float32: what `lattice.finish` does to outputs.
    """

    def __init__(self, grid: LatticeEncoding | FactoredEncoding, mlp: Mlp, transform: Transform):
        self.grid = grid
        self.transform = transform
        self.network = packed(mlp)
        self.coefficients = [coefficients(grid.spec.kernel(level)) for level in range(grid.spec.n_levels)]
        # the lattices that are interpolated, with their axes
        self.parts: list[tuple[LatticeEncoding, list[int]]] = [(grid, list(range(grid.spec.n_dims)))]
        if isinstance(grid, FactoredEncoding):
            self.parts = list(grid.parts())
        self.products = factors.products_of_rows(grid)
        size = sum(_plane_size(part, level) for part, _ in self.parts for level in range(len(part.levels)))
        stored = sum(array.size for data in grid.levels for array in data.values())
        # whether `sample` is there for this field: its planes take not much more memory than its integers
        self.can_sample = size <= min(max(_SMALL_PLANES, _PLANES_PER_INTEGER * stored), _MAX_PLANES)
        if grid.spec.boundary or grid.spec.interpolation == NEAREST:  # which hashed levels do not know
            self.can_sample &= not any(_is_hashed(grid, level) for level in range(len(grid.levels)))
        self._planes: _Planes | None = None
        self._lock = threading.Lock()

    @property
    def n_channels(self) -> int:
        return len(self.transform[1])

    def sample(self, coords: np.ndarray, n_levels: int) -> np.ndarray:
        """Values (N, C) float32 at finite coordinates (N, d) float64, of levels below n_levels."""
        planes, (n, d) = self._laid_out(), coords.shape
        out = np.empty((n, self.n_channels), np.float32)
        points.sample_points(
            np.ascontiguousarray(coords).reshape(-1), n, 4 - d, *planes.below(n_levels), planes.values, planes.lanes,
            planes.taps, self.products, *self.network, *self.transform, out.reshape(-1),
        )  # fmt: skip
        return out

    def gradient(self, coords: np.ndarray, n_levels: int) -> tuple[np.ndarray, np.ndarray]:
        """As `sample`, and the derivatives (N, C, d) float32 of the values before clipping."""
        planes, (n, d) = self._laid_out(), coords.shape
        values, out = np.empty((n, self.n_channels), np.float32), np.empty((n, self.n_channels, d), np.float32)
        gradients.sample_gradients(
            np.ascontiguousarray(coords).reshape(-1), n, 4 - d, *planes.below(n_levels), planes.values, planes.lanes,
            planes.lane_slopes, planes.taps, planes.slopes, self.products, *self.network, *self.transform,
            values.reshape(-1), out.reshape(-1),
        )  # fmt: skip
        return values, out

    def _laid_out(self) -> "_Planes":
        if self._planes is None:
            with self._lock:
                if self._planes is None:
                    self._planes = _Planes.of(self.parts, self.grid.spec.n_dims, self.coefficients)
        return self._planes

    def lattice(self, axes: Sequence[np.ndarray], n_levels: int) -> "Lattice | factors.Lattice":
        """The product of coordinates axes[k] (M_k,) float64, none of them empty, of levels below n_levels."""
        if len(self.products):
            return factors.Lattice(self.grid, self.network, self.transform, axes, n_levels)
        return Lattice(self, axes, min(n_levels, len(self.grid.levels)))


def packed(mlp: Mlp) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(flat, widths, skip) as `blocks` and `lattice.sample_planes` take them."""
    weights, biases, skip = mlp.weights, mlp.biases, mlp.skip
    if not weights or mlp.spec.activation == "identity":
        # one linear layer is the whole network; the kernels' activation is relu
        matrix, bias = np.eye(mlp.spec.n_inputs), np.zeros(mlp.spec.n_inputs)
        with np.errstate(all="ignore"):
            for w, b in zip(weights, biases):
                matrix, bias = w @ matrix, w @ bias + b
            weights = [(skip + matrix if weights else skip).astype(np.float32)]
            biases = [(bias if mlp.weights else biases[-1]).astype(np.float32)]
        skip = np.zeros_like(skip)
    flat, widths = pack(weights, biases)
    return flat, widths, pad(skip).reshape(-1)


# ---------------------------------------------------------------- points


def _is_hashed(grid: LatticeEncoding, level: int) -> bool:
    """Whether vertices of a level share rows of a table."""
    return grid.name == "hash" and math.prod(grid.spec.resolutions[level]) > 1 << grid.spec.log2_size


def _shift(grid: LatticeEncoding, read: Read) -> list[float]:
    """A read's shift in vertices of its level, as the kernels' taps take it."""
    return [x + offset(grid.spec.kernel(read.level)) for x in grid.spec.shift(read)]


def _plane_size(grid: LatticeEncoding, level: int) -> int:
    """Floats of a level in `_Planes.values`."""
    if _is_hashed(grid, level):
        return grid.levels[level]["table"].size
    return grid.spec.n_features[level] * math.prod(n + 2 * _BEYOND for n in grid.spec.resolutions[level])


@dataclass(frozen=True)
class _Planes:
    """The arguments of `points.sample_points` and `gradients.sample_gradients` that a field's levels are, with a row of
    info for each read, whose levels are `levels`."""

    levels: np.ndarray
    info: np.ndarray
    shifts: np.ndarray
    values: np.ndarray
    lanes: np.ndarray
    taps: np.ndarray
    lane_slopes: np.ndarray
    slopes: np.ndarray

    @classmethod
    def of(
        cls, parts: Sequence[tuple[LatticeEncoding, list[int]]], n_dims: int, tables: Sequence[np.ndarray]
    ) -> "_Planes":
        """parts: lattices over some of n_dims axes, one after the other. tables: of each level its `coefficients`."""
        sizes = [_plane_size(grid, level) for grid, _ in parts for level in range(len(grid.levels))]
        starts = np.cumsum([0, *sizes])
        values = np.zeros(starts[-1] + LANES, np.float32)
        infos, shifts, lanes, first_row = [], [], [], 0
        for number, (grid, axes) in enumerate(parts):
            own = slice(number * len(grid.levels), (number + 1) * len(grid.levels))
            info, shift = _reads(grid, [4 - n_dims + k for k in axes], first_row, starts[own], values)
            info[:, points.LEVEL] += own.start
            infos.append(info), shifts.append(shift)
            is_linear = grid.spec.interpolation in (LINEAR, NEAREST)
            lanes += [_lanes(table, len(axes), is_linear) for table in tables[: len(grid.levels)]]
            first_row += grid.spec.n_inputs
        taps = np.concatenate([np.stack(tables[: len(grid.levels)]) for grid, _ in parts]).astype(np.float32)
        lanes = np.stack(lanes)
        lane_slopes = gradients.derived(lanes.reshape(-1, N_TAPS, LANES))
        slopes = gradients.derived(taps.swapaxes(1, 2)).swapaxes(1, 2)
        flat = (a.astype(np.float32).reshape(-1) for a in (lanes, taps, lane_slopes, slopes))
        info = np.concatenate(infos)
        levels = info[:, points.LEVEL] % max(len(parts[0][0].levels), 1)
        return cls(levels, info, np.concatenate(shifts), values, *flat)

    def below(self, n_levels: int) -> tuple[np.ndarray, np.ndarray]:
        """(info, shifts, flat) of the reads of levels below n_levels."""
        here = self.levels < n_levels
        return self.info[here], self.shifts[here].reshape(-1)


def _reads(
    grid: LatticeEncoding, axes: list[int], first_row: int, starts: np.ndarray, values: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Rows of info and shifts of `_Planes`, of a lattice over these of the axes (t, z, y, x), whose levels are laid out in
    values from `starts` on, and whose features begin at first_row."""
    d, is_linear = len(axes), grid.spec.interpolation in (LINEAR, NEAREST)
    for level, start in enumerate(starts):
        here = values[start : start + _plane_size(grid, level)]
        if _is_hashed(grid, level):
            table = grid.levels[level]["table"].reshape(-1)
            np.multiply(table, np.float32(grid.steps[level]), out=here, casting="unsafe")
        else:
            counts = [n + 2 * _BEYOND for n in grid.spec.resolutions[level]]
            here[:] = grid.block(level, [-_BEYOND] * d, counts).reshape(-1)
    reads = list(grid.reads(len(grid.levels)))
    info, shifts = np.zeros((len(reads), points.N_COLUMNS), np.int64), np.zeros((len(reads), 4))
    for row, shift, (read, part) in zip(info, shifts, reads):
        level, shift[4 - d :] = read.level, _shift(grid, read)
        resolution = grid.spec.resolutions[level]
        row[points.LEVEL], row[points.TO] = level, (first_row + part.start) * POINTS
        row[points.HASHED], row[points.LINEAR] = _is_hashed(grid, level), is_linear
        row[points.FEATURES], row[points.START] = grid.spec.n_features[level], starts[level]
        row[points.FIRST] = 4 - d
        row[points.AXIS + 4 - d : points.AXIS + 4] = axes
        row[points.RESOLUTION : points.RESOLUTION + 4] = [1] * (4 - d) + list(resolution)
        row[points.MASK] = (1 << grid.spec.log2_size) - 1
        if not _is_hashed(grid, level):
            counts = [n + 2 * _BEYOND for n in resolution]
            strides = [math.prod(counts[k + 1 :]) for k in range(d)]
            row[points.STRIDE : points.STRIDE + 4] = [0] * (4 - d) + strides
            first = _BEYOND if is_linear else _BEYOND - 1
            row[points.START] += first * sum(strides)
            row[points.PLANE] = math.prod(counts)
    return info, shifts


def _lanes(table: np.ndarray, d: int, is_linear: bool) -> np.ndarray:
    """(N_ROWS, 16): coefficients of the weights along x, y and z of the 16 vertices that are weighed at once."""
    lane = np.arange(LANES)
    along, row = lane % N_TAPS, lane // N_TAPS
    if is_linear:  # rows are those of y and z
        along, y, z = np.minimum(along + 1, 3), row % 2 + 1, row // 2 + 1
    else:
        y, z = row, np.zeros_like(row)
    first = np.zeros((LANES, 4))
    first[:, 0] = 1.0
    out = [table[along], table[y], table[z] if is_linear else first]
    for k, taps in ((1, y - (1 if is_linear else 0)), (2, z - 1 if is_linear else z)):
        if d <= k:  # no such axis: the first of its rows counts
            out[k] = np.where(taps[:, None] == 0, first, 0.0)
    return np.concatenate([part.T for part in out])


# ---------------------------------------------------------------- lattices


class Lattice:
    """The product of coordinates axes[k] (M_k,), sampled block by block; blocks share what they have along an axis."""

    def __init__(self, evaluator: Evaluator, axes: Sequence[np.ndarray], n_levels: int):
        self.evaluator, self.axes, self.n_levels = evaluator, axes, n_levels
        self._known: dict[tuple[int, int, int, int, float], _Taps] = {}

    def sample(self, block: Sequence[slice]) -> np.ndarray | None:
        """Values (*block, C) float32; None for a block that has far fewer samples than vertices between them."""
        grid = self.evaluator.grid
        shape = tuple(s.stop - s.start for s in block)
        plane = math.prod(shape[1:]) if len(shape) > 1 else shape[0]
        n_planes = math.prod(shape) // plane
        reads = list(grid.reads(self.n_levels))
        n_features = [grid.spec.n_features[read.level] for read, _ in reads]
        taps = [self._taps(read, block) for read, _ in reads]
        most = max(_SMALL_BLOCK, _MAX_NUMBERS_PER_SAMPLE * math.prod(shape))
        if any(_largest(axes, f) > most for axes, f in zip(taps, n_features)):
            return None
        counts = [f * _n_lines(axes) for axes, f in zip(taps, n_features)]
        lines = np.empty(sum(counts) * plane + lattice.SLACK, np.float32)
        n_inputs = grid.spec.n_inputs
        rows, n_taps = np.zeros((n_inputs, n_planes), np.int32), np.zeros(n_inputs, np.int32)
        weights = np.zeros((n_inputs, n_planes, N_TAPS), np.float32)
        start = 0
        for (read, part), axes, f, count in zip(reads, taps, n_features, counts):
            vertices = grid.block(read.level, [t.axis.start for t in axes], [t.axis.count for t in axes])
            _interpolated(vertices, axes, lines[start * plane :])
            rows[part] = start + np.arange(f)[:, None] * _n_lines(axes)
            if len(axes) == 1 or axes[0].axis.is_run:
                weights[part, :, 0], n_taps[part] = 1.0, 1
            else:
                weights[part], n_taps[part] = axes[0].axis.weights, N_TAPS
            if len(axes) > 1:
                rows[part] += axes[0].axis.first
            start += count
        out = np.empty((*shape, self.evaluator.n_channels), np.float32)
        lattice.sample_planes(
            n_planes, plane, lines, rows, weights, n_taps, *self.evaluator.network, *self.evaluator.transform,
            out.reshape(-1),
        )  # fmt: skip
        return out

    def _taps(self, read: Read, block: Sequence[slice]) -> list["_Taps"]:
        """The taps of a read along each axis of a block."""
        evaluator, level, out = self.evaluator, read.level, []
        sizes, shifts = evaluator.grid.spec.resolutions[level], _shift(evaluator.grid, read)
        for k, (part, n, shift) in enumerate(zip(block, sizes, shifts)):
            key = (k, part.start, part.stop, level, shift)
            found = self._known.get(key)
            if found is None:
                found = _Taps.of(axis_taps(self.axes[k][part], n, evaluator.coefficients[level], shift))
                if len(self.axes) > 1:  # a single axis has no two blocks with the same part of it
                    self._known[key] = found
            out.append(found)
        return out


@dataclass(frozen=True)
class _Taps:
    """Interpolation along an axis, and its taps as `lattice.along_last` takes them."""

    axis: AxisTaps
    first: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, axis: AxisTaps) -> "_Taps":
        n = len(axis.first)
        first = np.empty(-(-n // LANES) * LANES, np.int32)
        first[:n], first[n:] = axis.first, axis.first[-1]
        weights = np.zeros((len(first), N_TAPS), np.float32)
        weights[:n] = axis.weights
        return cls(axis, first, weights.reshape(-1, 4, 4, N_TAPS).transpose(0, 2, 1, 3).reshape(-1))


def _n_lines(axes: Sequence[_Taps]) -> int:
    """Lines of a feature: the vertices along the first axis."""
    return axes[0].axis.count if len(axes) > 1 else 1


def _largest(axes: Sequence[_Taps], n_features: int) -> int:
    """Numbers in the largest array on the way from vertices to lines."""
    counts, shape = [t.axis.count for t in axes], [len(t.axis.first) for t in axes]
    return n_features * max(math.prod(counts[:k]) * math.prod(shape[k:]) for k in range(1, len(axes) + 1))


def _interpolated(vertices: np.ndarray, axes: Sequence[_Taps], out: np.ndarray) -> None:
    """Interpolates vertices (F, *K) along all axes but the first (a single one counts as last), to the start of out, which
    goes on for more than `lattice.SLACK` floats behind that."""
    lowest = 1 if len(axes) > 1 else 0
    steps = [k for k in range(len(axes) - 1, lowest - 1, -1) if not axes[k].axis.is_run]
    shape = list(vertices.shape)
    x = vertices.reshape(-1)
    for k in steps:
        before, length, inner = math.prod(shape[: k + 1]), shape[k + 1], math.prod(shape[k + 2 :])
        taps, n = axes[k], len(axes[k].axis.first)
        to = out if k == steps[-1] else np.empty(before * n * inner + lattice.SLACK, np.float32)
        if k == len(axes) - 1:
            lattice.along_last(x, before, length, taps.first, taps.weights, n, to)
        else:
            if k == steps[0]:
                x = np.pad(x, (0, lattice.SLACK))
            lattice.along_middle(x, before, length, taps.axis.first, taps.axis.weights.reshape(-1), n, inner, to)
        x, shape[k + 1] = to, n
    if not steps:
        out[: x.size] = x


