"""Values of a field, by numpy or by the kernels, whichever is sooner done: features, network, transform of its outputs."""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Callable, Sequence

import numpy as np

from .encodings import Encoding, LatticeEncoding
from .encodings.factors import FactoredEncoding
from .encodings.interpolate import n_taps
from .encodings.points import Grid as Cloud
from .fixed import blocks_of
from .kernels import is_loaded, use_numba
from .mlp import Mlp
from .spec import COLOUR_ROLES, PLAIN_ACTIVATIONS, FieldSpec

__all__ = ["POINTS_PER_BLOCK", "Evaluation", "Lattice", "Values", "points_per_block", "quiet"]

POINTS_PER_BLOCK = 1 << 16
VALUES_PER_BLOCK = 1 << 22  # of the widest array
MAX_BENT = np.float32(40.0)
_POINTS_PER_PART = 1 << 13  # of a thread's turn
# numpy takes some 30 ns for a tap of a level at a point and 300 ns for a sample of a lattice, the first use of the
# kernels a second; in units of `use_numba`
_TAPS, _SAMPLES = 1 << 9, 1 << 5
_KERNELS = "evaluate"
_n_done = 0  # work of this process so far: many small calls, of any fields, are as much as a large one

Work = Callable[[tuple[slice, ...]], None]


class Values:
    """Outputs of the network -> values in the units of the source, (N, C) float32; and its derivative."""

    def __init__(self, spec: FieldSpec):
        self.spec = spec
        self.offset = np.asarray(spec.value_offset, np.float32)
        self.scale = np.asarray(spec.value_scale, np.float32)
        self.knees = np.asarray(spec.knees, np.float32)
        self._bends = self.knees > 0  # (C,)
        self._is_clipped = np.array([spec.clip] * spec.channels)
        if spec.roles:
            self._is_clipped[1:] = [role in COLOUR_ROLES for role in spec.roles[1:]]

    def __call__(self, y: np.ndarray) -> np.ndarray:
        values = self._unclipped(y)
        if self._is_clipped.any():
            np.clip(values, *self.limits(), out=values)
        return values

    def _unclipped(self, y: np.ndarray) -> np.ndarray:
        values = y * self.scale
        if self._bends.all():
            values = self.knees * np.sinh(self._bent(y))
        elif self._bends.any():
            values[..., self._bends] = self.knees[self._bends] * np.sinh(self._bent(y))
        return values + self.offset

    def slope(self, y: np.ndarray) -> np.ndarray:
        """Derivatives by y, broadcastable to it; those before clipping."""
        if not self._bends.any():
            return self.scale
        slope = np.broadcast_to(self.scale, y.shape).copy()
        slope[..., self._bends] *= np.cosh(self._bent(y))
        return slope

    def curvature(self, y: np.ndarray) -> np.ndarray:
        """Second derivatives by y, of its shape; those before clipping."""
        curvature = np.zeros_like(y)
        if self._bends.any():
            bent = np.sinh(self._bent(y))
            curvature[..., self._bends] = bent * np.square(self.scale[self._bends]) / self.knees[self._bends]
        return curvature

    def limits(self) -> tuple[np.ndarray, np.ndarray]:
        """The least and the greatest value, each (C,), infinite for channels that are not clipped."""
        low, high = (np.full(self.spec.channels, x, np.float32) for x in (-np.inf, np.inf))
        if self.spec.roles:
            low[self._is_clipped], high[self._is_clipped] = 0, 1
        elif self.spec.clip:
            end = self._unclipped(np.ones(self.spec.channels, np.float32))
            low, high = np.minimum(self.offset, end), np.maximum(self.offset, end)
        return low, high

    def arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Knees (0 for none), scale, offset, least and greatest value, as the kernels take them."""
        with quiet():
            return self.knees, self.scale, self.offset, *self.limits()

    def _bent(self, y: np.ndarray) -> np.ndarray:
        """The arguments of the sinh that undoes the logarithmic scale, of the channels that have one; bounded, so that no
        file makes it overflow."""
        bends = self._bends
        return np.clip(y[..., bends] * (self.scale[bends] / self.knees[bends]), -MAX_BENT, MAX_BENT)


class Evaluation:
    """A field at points and on lattices, of its levels 0..n_levels - 1. Threads may share one."""

    def __init__(self, spec: FieldSpec, grid: Encoding, mlp: Mlp):
        self.spec, self.grid, self.mlp = spec, grid, mlp
        self.values = Values(spec)
        is_known = isinstance(grid, (LatticeEncoding, FactoredEncoding)) or type(grid) is Cloud  # of which meshes are
        self._has_kernels = is_known and mlp.spec.activation in PLAIN_ACTIVATIONS
        self._kernels = None
        self._lock = threading.Lock()

    def sample(self, coords: np.ndarray, n_levels: int, shared: bool = True) -> np.ndarray:
        """Values (N, C) float32 at finite coordinates (N, d) float64. shared: by threads, which callers may not be then."""
        n = len(coords)
        out = np.empty((n, self.spec.channels), np.float32)
        if self._is_known(coords) and self.is_quick_at_points(n):
            kernels = self._kernels

            def part(here: slice) -> None:
                out[here] = kernels.sample(coords[here], n_levels)

            _in_parts(part, n, shared)
            return out
        step = points_per_block(self.spec)
        for start in range(0, n, step):
            with quiet():
                here = slice(start, start + step)
                out[here] = self.values(self.mlp(self.grid.features(coords[here], n_levels)))
        return out

    def is_quick_at_points(self, n: int) -> bool:
        """Whether the kernels sample a number of points: it is work for them, now or with what was done before."""
        if not self._has_kernels:
            return False
        n_corners = n_taps(self.spec.grid.kernel(0)) ** self.spec.n_dims
        kernels = self._choose(n * n_corners * self.spec.grid.n_levels // _TAPS)
        return kernels is not None and kernels.can_sample

    def gradient(self, coords: np.ndarray, n_levels: int, shared: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """Values (N, C) float32 at coordinates (N, d) float64, and their derivatives (N, C, d) float32 before clipping.
        shared: as `sample`."""
        n, d = coords.shape
        values, out = np.empty((n, self.spec.channels), np.float32), np.empty((n, self.spec.channels, d), np.float32)
        if self._is_known(coords) and self.is_quick_at_points(4 * n):
            kernels = self._kernels

            def part(here: slice) -> None:
                values[here], out[here] = kernels.gradient(coords[here], n_levels)

            _in_parts(part, n, shared)
            return values, out
        step = points_per_block(self.spec, 1 + d)
        for start in range(0, n, step):
            with quiet():
                here = slice(start, start + step)
                y, dy = self.mlp.jacobian(*self.grid.jacobian(coords[here], n_levels))
                out[here] = np.moveaxis(dy * np.broadcast_to(self.values.slope(y), y.shape)[:, None, :], 1, 2)
                values[here] = self.values(y)
        return values, out

    def hessian(self, coords: np.ndarray, n_levels: int) -> np.ndarray:
        """Second derivatives (N, C, d, d) float32 before clipping, at coordinates (N, d) float64."""
        n, d = coords.shape
        out = np.empty((n, self.spec.channels, d, d), np.float32)
        step = points_per_block(self.spec, 1 + d + d * d)
        for start in range(0, n, step):
            with quiet():
                here = slice(start, start + step)
                y, dy, ddy = self.mlp.hessian(*self.grid.hessian(coords[here], n_levels))
                slope, curvature = self.values.slope(y), self.values.curvature(y)
                found = ddy * np.broadcast_to(slope, y.shape)[:, None, None, :]
                found += dy[:, :, None, :] * dy[:, None, :, :] * curvature[:, None, None, :]
                out[here] = np.moveaxis(found, 3, 1)
        return out

    def lattice(self, axes: Sequence[np.ndarray], n_levels: int) -> "Lattice":
        """The product of finite coordinates axes[k] (M_k,) float64."""
        n_samples = math.prod(map(len, axes))
        is_known = n_samples and all(self._is_known(a) for a in axes)
        return Lattice(self, axes, n_levels, self._choose(n_samples // _SAMPLES) if is_known else None)

    def _is_known(self, coords: np.ndarray) -> bool:
        """Whether the kernels know what lies there: beyond the box they repeat its edge."""
        return not self.spec.grid.boundary or bool(((coords >= 0) & (coords <= 1)).all())

    def _choose(self, n_items: int):
        """The kernels' `Evaluator` if this work is for them."""
        if not self._has_kernels:
            return None
        global _n_done
        # to load these kernels alone takes a quarter of the time that numba takes
        _n_done += 4 * n_items if "numba" in sys.modules else n_items
        if not use_numba(_n_done) and not is_loaded(_KERNELS):
            return None
        if self._kernels is None:
            from .kernels.evaluate import evaluator_of

            with self._lock:
                if self._kernels is None:
                    self._kernels = evaluator_of(self.grid, self.mlp, self.values.arrays())
        return self._kernels


class Lattice:
    """A product of coordinates, to be sampled in blocks."""

    def __init__(self, evaluation: Evaluation, axes: Sequence[np.ndarray], n_levels: int, kernels):
        self.evaluation, self.axes, self.n_levels = evaluation, axes, n_levels
        self.kernels = kernels.lattice(axes, n_levels) if kernels is not None else None
        self.can_share = self.kernels is not None  # among threads

    def sample(self, block: Sequence[slice]) -> np.ndarray:
        """Values (*block, C) float32."""
        if self.kernels is not None:
            with quiet():
                values = self.kernels.sample(block)
            if values is not None:
                return values
        evaluation, shape = self.evaluation, tuple(s.stop - s.start for s in block)
        out = np.empty((*shape, evaluation.spec.channels), np.float32)
        for part in blocks_of(shape, points_per_block(evaluation.spec)):
            axes = [a[b][p] for a, b, p in zip(self.axes, block, part)]
            with quiet():
                features = evaluation.grid.lattice(axes, self.n_levels)
                values = evaluation.values(evaluation.mlp(features.reshape(-1, features.shape[-1])))
            out[part] = values.reshape(*features.shape[:-1], -1)
        return out

    def for_blocks(self, work: Work, shape: Sequence[int], n_fine: int = 1) -> None:
        """work(block) for blocks that cover `shape`; n_fine samples of this lattice belong to each sample of that shape."""
        # kernels are quick on what fits the cache; numpy has an overhead for each block, and makes smaller ones itself
        points = POINTS_PER_BLOCK if self.can_share else POINTS_PER_BLOCK * 16
        blocks = list(blocks_of(shape, max(1, points // n_fine)))
        if self.can_share:
            from .kernels.threads import for_each

            for_each(work, blocks, len(blocks))
        else:
            for block in blocks:
                work(block)


def _in_parts(work: Callable[[slice], None], n: int, shared: bool) -> None:
    """work(part) for parts of n points, shared by threads or as one."""
    if not shared:
        with quiet():
            work(slice(0, n))
        return
    from .kernels.threads import for_each

    def part(start: int) -> None:
        with quiet():  # of this thread
            work(slice(start, start + _POINTS_PER_PART))

    starts = range(0, n, _POINTS_PER_PART)
    for_each(part, starts, len(starts))


def points_per_block(spec: FieldSpec, n_copies: int = 1) -> int:
    """Points that numpy computes at a time: fewer for wide networks, so that no file takes much memory."""
    widest = max(spec.mlp.widths) * n_copies
    return min(POINTS_PER_BLOCK, max(1 << 10, VALUES_PER_BLOCK // widest))


def quiet() -> np.errstate:
    """No warnings where the numbers of a hostile file overflow float32: its samples are infinite or NaN, no more."""
    return np.errstate(over="ignore", invalid="ignore", divide="ignore")
