"""What one training step touches, worked out once before the loop: rows of each level, interpolation, contexts.

A step looks at one tile, a block of the source's lattice. Its `Plan` holds

    rows[l]      (n_l,) int64: rows of level l's parameter that the step reads; their values, feature by feature, are
                 laid end to end over the levels, then one 0, into the step's vector v of all values
    gathers      the inputs of the context network for the M values whose bits this step counts, or None
    shares       (len(v) - 1,) float32: what part of each value's bits this tile counts, without one
    blocks       for each of the grid's reads what interpolation takes, a `Block`
    axes         for each axis the coordinates (M_k,) of the tile's samples, float64, for encodings without a grid
    parts        where encodings are side by side the plan of each, whose rows are those above

so that the loop itself is gathers and small matrix products only.
"""

from __future__ import annotations

import math
from copy import copy
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from ..encodings.interpolate import axis_span, axis_taps, fold
from ..entropy.lattice import CAUSAL, collocated_offsets, parent_axis
from ..spec import GridSpec, Kernel, Read
from .gathers import Gathers

_LARGE_MATRIX = 1 << 22  # numbers, from which few of an axis' matrix are not 0
Box = tuple[tuple[int, ...], tuple[int, ...]]  # start and stop of samples along each axis


class AxisWeights:
    """Interpolation along an axis as a matrix (M, K): fixed, or linear in the (b, c) of its kernel."""

    def __init__(self, shape: tuple[int, int], vertices: np.ndarray, parts: list[np.ndarray]):
        """shape: (M, K). vertices (M, T): of every row the columns of its numbers, those there twice added up. parts: these
        (M, T) float32, of the matrix; or without b and c, of b and of c. An axis of audio has too many for a whole
        matrix."""
        self.shape = shape
        places, back = np.unique(np.arange(shape[0])[:, None] * shape[1] + vertices, return_inverse=True)
        found = np.zeros((len(parts), len(places)), np.float32)
        for total, part in zip(found, parts):
            np.add.at(total, back.ravel(), part.ravel())
        is_used = found.any(0)
        # of what may be other than 0, in the flat matrix; narrow, as nothing else of a plan takes as much
        self.places = places[is_used].astype(np.int32 if shape[0] * shape[1] < 1 << 31 else np.int64)
        samples, vertices = np.divmod(self.places, shape[1])
        # of every row the vertices from `first` on, `width` at most, say all
        counts = np.bincount(samples, minlength=shape[0])
        self.width = max(int(counts.max()), 1)
        first = np.zeros(shape[0], np.int32)
        first[samples[::-1]] = vertices[::-1]
        self.first = np.minimum(first, shape[1] - self.width).astype(np.int32)
        self._places = torch.from_numpy(self.places)
        self._parts = torch.from_numpy(np.ascontiguousarray(found[:, is_used]))
        self._fixed: torch.Tensor | None = None  # the matrix, once it was asked for

    def matrix(self, shape: torch.Tensor | None) -> torch.Tensor:
        """(M, K) for a kernel's (b, c), through which gradients pass; None where it is fixed."""
        if len(self._parts) == 1:
            if self._fixed is None:
                self._fixed = self._dense(self._parts[0])
            return self._fixed
        return self._dense(self._mixed(shape))

    def along(self, x: torch.Tensor, axis: int, shape: torch.Tensor | None, phase: int, stride: int) -> torch.Tensor:
        """x with `axis`, of K vertices, interpolated at the samples phase, phase + stride, ... shape: as in `matrix`."""
        if self.shape[0] * self.shape[1] <= _LARGE_MATRIX:
            return along(x, self.matrix(shape)[phase::stride], axis)
        values = self._parts[0] if len(self._parts) == 1 else self._mixed(shape)
        band = values.new_zeros(self.shape[0] * self.width).scatter(
            0, torch.from_numpy(self._band_places()).to(x.device), values
        )
        band = band.view(self.shape[0], self.width)[phase::stride]
        first = torch.from_numpy(self.first[phase::stride]).to(x.device)
        trailing = (1,) * (x.ndim - 1 - axis)
        return sum(x.index_select(axis, first + t) * band[:, t].reshape(-1, *trailing) for t in range(self.width))

    def entries(self, shape: torch.Tensor | None) -> np.ndarray:
        """What `matrix` has at `places`, float32."""
        parts = self._parts.numpy()
        if len(parts) == 1:
            return parts[0]
        b, c = shape.numpy()
        return parts[0] + b * parts[1] + c * parts[2]

    def band(self, shape: torch.Tensor | None) -> np.ndarray:
        """(M, width) float32: of every row of `matrix` what it has from `first` on."""
        band = np.zeros((self.shape[0], self.width), np.float32)
        band.reshape(-1)[self._band_places()] = self.entries(shape)
        return band

    def _band_places(self) -> np.ndarray:
        """Where `band`, flat, has what `matrix` has at `places`, int64."""
        samples, vertices = np.divmod(self.places, self.shape[1])
        return samples * np.int64(self.width) + vertices - self.first[samples]

    def parts(self) -> torch.Tensor:
        """(P, M, K): the matrix; or those without b and c, of b and of c."""
        return torch.stack([self._dense(part) for part in self._parts])

    def is_identity(self) -> bool:
        """Whether samples and vertices coincide, whatever the kernel."""
        if len(self._parts) > 1 or self.shape[0] != self.shape[1]:
            return False
        on_diagonal = self.places % (self.shape[1] + 1) == 0
        expected = torch.from_numpy(on_diagonal.astype(np.float32))
        return int(on_diagonal.sum()) == self.shape[0] and torch.allclose(self._parts[0], expected, atol=1e-6)

    def to(self, device: str) -> "AxisWeights":
        """The same weights with their tensors on a device."""
        moved = copy(self)
        for name in ("_places", "_parts", "_fixed"):
            tensor = getattr(self, name)
            setattr(moved, name, None if tensor is None else tensor.to(device))
        return moved

    def _mixed(self, shape: torch.Tensor) -> torch.Tensor:
        return self._parts[0] + shape[0] * self._parts[1] + shape[1] * self._parts[2]

    def _dense(self, values: torch.Tensor) -> torch.Tensor:
        flat = values.new_zeros(self.shape[0] * self.shape[1])
        return flat.scatter(0, self._places.long(), values).view(self.shape)


@dataclass
class Block:
    """The vertices of a read's level that a tile interpolates, (F, *K), and how.

    Those of all reads of a level are the same, and weights say which count. They are v[start : start + F * prod(box)] as
    (F, *box), cut to `inside`, where the level's rows are a whole box; else v at `index` (F, *K). weights: for each axis of
    M_k samples and K_k vertices, None where these coincide. axes: those of the tile that the block's are; None for all.
    """

    read: Read
    weights: list[AxisWeights | None]
    index: torch.Tensor | None = None
    start: int = 0
    box: tuple[int, ...] = ()
    inside: tuple[slice, ...] = ()
    axes: tuple[int, ...] | None = None

    def cut(self, v: torch.Tensor) -> torch.Tensor:
        """The vertices (F, *K) of v."""
        if self.index is not None:
            return v.index_select(0, self.index.reshape(-1)).view(self.index.shape)
        return v[self.start : self.start + math.prod(self.box)].view(self.box)[self.inside]

    def to(self, device: str) -> "Block":
        """The same block with its tensors on a device."""
        weights = [None if w is None else w.to(device) for w in self.weights]
        return replace(self, weights=weights, index=None if self.index is None else self.index.to(device))


@dataclass
class Plan:
    """See the module's docstring."""

    rows: list[torch.Tensor]
    shares: torch.Tensor | None = None
    gathers: Gathers | None = None
    blocks: list[Block] = field(default_factory=list)
    axes: list[torch.Tensor] = field(default_factory=list)
    parts: list[Plan] = field(default_factory=list)

    def to(self, device: str) -> "Plan":
        """The same plan with its tensors on a device."""

        def move(x):
            if isinstance(x, (torch.Tensor, Block, Plan)):
                return x.to(device)
            return type(x)(move(y) for y in x) if isinstance(x, (list, tuple)) else x

        return type(self)(**{k: move(v) for k, v in vars(self).items()})


def along(x: torch.Tensor, matrix: torch.Tensor, axis: int) -> torch.Tensor:
    """x with `axis`, of n entries, multiplied by a matrix (m, n)."""
    before, after = x.shape[:axis], x.shape[axis + 1 :]
    if after:
        x = torch.matmul(matrix, x.reshape(math.prod(before), matrix.shape[1], math.prod(after)))
    else:
        x = x.reshape(-1, matrix.shape[1]) @ matrix.T
    return x.view(*before, len(matrix), *after)


def owned(a: int, b: int, extent: int, n: int) -> tuple[int, int]:
    """The vertices of n whose centres lie in samples [a, b) of extent: a partition of samples partitions vertices."""

    def first(x: int) -> int:  # least i with (2i + 1) / (2n) >= x / extent
        return -((extent - 2 * x * n) // (2 * extent))

    return min(max(first(a), 0), n), min(max(first(b), 0), n) if b < extent else n


class Planner:
    """Makes plans for a grid whose levels keep `row_maps[l]`: vertex (*resolution) -> row, -1 where a vertex is 0."""

    def __init__(self, spec: GridSpec, row_maps: list[np.ndarray], with_context: bool, packs: bool = True):
        """packs: the inputs of the context network at once, see `Gathers`."""
        self.spec, self.packs = spec, packs
        self.row_maps = row_maps
        self.with_context = with_context
        self.multi = any(f > 1 for f in spec.n_features)

    def block(self, start: tuple[int, ...], stop: tuple[int, ...], extent: tuple[int, ...]) -> Plan:
        """A plan for the samples [start, stop) of a source lattice."""
        d = len(start)
        axes = [(np.arange(a, b) + 0.5) / n for a, b, n in zip(start, stop, extent)]
        runs, own = [], []
        for level, resolution in enumerate(self.spec.resolutions):
            runs.append([self._run(axes[k], level, k) for k in range(d)])
            own.append([owned(start[k], stop[k], extent[k], resolution[k]) for k in range(d)])
        boxes = self._boxes(runs, own)
        touched = _Touched(self.spec, self.row_maps, boxes)
        known: dict[tuple[int, int, float], AxisWeights] = {}
        blocks = []
        for read in self.spec.reads:
            level, shift = read.level, self.spec.shift(read)
            weights = []
            for k in range(d):
                key = level, k, shift[k]
                if key not in known:
                    known[key] = self._weights(axes[k], k, level, shift[k], runs[level][k])
                weights.append(known[key])
            blocks.append(touched.block(read, [first for first, _ in runs[level]], weights))
        plan = Plan(touched.rows, blocks=blocks)
        if self.with_context:
            own, context, constants = self._coded(touched, own)
            if self.packs:
                plan.gathers = Gathers.pack(own, context, constants)
            else:
                plan.gathers = Gathers(np.concatenate([context, own[None]]), constants)
        return plan

    def _run(self, x: np.ndarray, level: int, axis: int) -> tuple[int, int]:
        """The vertices (first, after the last) that all reads of a level take at coordinates x along an axis."""
        n, kernel, boundary = self.spec.resolutions[level][axis], self.spec.kernel(level), self.spec.boundaries[axis]
        shifts = {self.spec.shift(read)[axis] for read in self.spec.reads if read.level == level}
        spans = [axis_span(x, n, kernel, shift, boundary) for shift in shifts]
        return min(first for first, _ in spans), max(first + count for first, count in spans)

    def _weights(self, x: np.ndarray, axis: int, level: int, shift: float, run: tuple[int, int]) -> AxisWeights:
        """The interpolation at what lies `shift` vertices from coordinates x along an axis, over a run of vertices."""
        (low, high), n, boundary = run, self.spec.resolutions[level][axis], self.spec.boundaries[axis]

        def weights(kernel: Kernel) -> tuple[np.ndarray, np.ndarray]:
            return axis_taps(x, n, kernel, shift, boundary)

        shape = len(x), high - low
        if not self.spec.shapes:
            index, found = weights(self.spec.kernel(level))
            return AxisWeights(shape, index - low, [found])
        index, plain = weights((0.0, 0.0))
        return AxisWeights(shape, index - low, [plain, *(weights(k)[1] - plain for k in ((1.0, 0.0), (0.0, 1.0)))])

    def _boxes(self, runs, own) -> list[list[tuple[int, int]]]:
        """For each level and axis, the vertices that interpolation, contexts and finer levels' contexts read. Beyond the
        axis they are those that `fold` says, and only interpolation reads them."""
        boxes = []
        reach = 4 if len(own[0]) == 1 else 2
        for level, resolution in enumerate(self.spec.resolutions):
            box = []
            for k, n in enumerate(resolution):
                first, after = runs[level][k]
                low, high = max(first, 0), min(after, n)
                a, b = own[level][k]
                if self.with_context and b > a:
                    low, high = min(low, a - reach), max(high, b + reach)
                if self.with_context and level + 1 < self.spec.n_levels:
                    a, b = own[level + 1][k]
                    if b > a:
                        parent = parent_axis(self.spec.resolutions[level + 1][k], n)[0]
                        low, high = min(low, int(parent[a]) - 1), max(high, int(parent[b - 1]) + 2)
                box.append((min(max(low, 0), first), max(min(high, n), after)))
            boxes.append(box)
        return boxes

    def _coded(self, touched: "_Touched", owns) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(own, context, constants) of the vertices in the ranges owns[l], those without a row left out."""
        own, context, constants = [], [], []
        for level, ranges in enumerate(owns):
            axes = (np.arange(a, b, dtype=np.int32) for a, b in ranges)
            where = np.stack([g.ravel() for g in np.meshgrid(*axes, indexing="ij")])
            where = where[:, self.row_maps[level][tuple(where)] >= 0]
            values = touched.lookup(level, list(where))  # (m, F)
            for f in range(self.spec.n_features[level]):
                constant = np.array([self.spec.n_levels - 1 - level, f], np.int8)
                own.append(values[:, f])
                context.append(self._inputs(touched, level, f, where))
                constants.append(np.repeat(constant[:, None], where.shape[1], 1))
        return np.concatenate(own), np.concatenate(context, 1), np.concatenate(constants, 1)

    def _inputs(self, touched: "_Touched", level: int, f: int, where: np.ndarray) -> np.ndarray:
        """Indices into v (n_gathered, m) of the context inputs, in the order of spec/entropy.md."""
        d, m = where.shape
        zero = np.full(m, touched.zero, np.int32)
        rows = [touched.lookup(level, [w + o for w, o in zip(where, offset)])[:, f] for offset in CAUSAL[d]]
        if level == 0:
            rows += [zero] * (1 + 2 * d)
        else:
            tables = [parent_axis(*n) for n in zip(self.spec.resolutions[level], self.spec.resolutions[level - 1])]
            p, near, far = zip(*([t.astype(np.int32)[where[k]] for t in tables[k]] for k in range(d)))
            g = min(f, self.spec.n_features[level - 1] - 1)
            rows.append(touched.lookup(level - 1, list(p))[:, g])
            for side in (near, far):
                for k in range(d):
                    rows.append(touched.lookup(level - 1, [side[j] if j == k else p[j] for j in range(d)])[:, g])
        if self.multi:
            if f == 0:
                rows += [zero] * (1 + 2 * d)
            else:
                for offset in collocated_offsets(d):
                    rows.append(touched.lookup(level, [w + o for w, o in zip(where, offset)])[:, f - 1])
        return np.stack(rows)


def share_out(plans: list[Plan], n_features: list[int]) -> None:
    """Sets `shares` so that over all plans every row counts once, in even parts. n_features: of each list of rows."""
    counts = [np.bincount(np.concatenate([p.rows[k].numpy() for p in plans])) for k in range(len(n_features))]
    for plan in plans:
        parts = [np.tile(1 / c[r.numpy()], f) for c, r, f in zip(counts, plan.rows, n_features)]
        plan.shares = torch.from_numpy(np.concatenate(parts).astype(np.float32))


class _Touched:
    """The rows that a batch reads, and where each vertex's values then lie in v."""

    def __init__(self, spec: GridSpec, row_maps: list[np.ndarray], boxes: list[list[tuple[int, int]]]):
        self.spec, self.boxes = spec, boxes
        self.rows, self._local, self._offset = [], [], []
        total = 0
        for level, box in enumerate(boxes):
            runs = [fold(np.arange(a, b), n, x) for (a, b), n, x in zip(box, spec.resolutions[level], spec.boundaries)]
            ids = row_maps[level][np.ix_(*runs)]
            rows, local = np.unique(ids, return_inverse=True)
            local = local.reshape(ids.shape)
            if len(rows) and rows[0] < 0:
                rows, local = rows[1:], local - 1
            self.rows.append(torch.from_numpy(rows.astype(np.int64)))
            self._local.append(local.astype(np.int32))
            self._offset.append(total)
            total += len(rows) * spec.n_features[level]
        self.zero = total

    def block(self, read: Read, first: list[int], weights: list[AxisWeights]) -> Block:
        """What interpolation by these weights takes, which begin at the vertices `first`."""
        level = read.level
        n_features, box = self.spec.n_features[level], self._local[level].shape
        spans = [w.shape[1] for w in weights]
        inside = tuple(slice(f - a, f - a + n) for f, n, (a, _) in zip(first, spans, self.boxes[level]))
        ready = [None if w.is_identity() else w for w in weights]
        if np.array_equal(self._local[level].ravel(), np.arange(math.prod(box))):
            return Block(read, ready, None, self._offset[level], (n_features, *box), (slice(None), *inside))
        return Block(read, ready, _int(np.moveaxis(self._places(level, self._local[level][inside]), -1, 0)))

    def lookup(self, level: int, index) -> np.ndarray:
        """Indices into v (..., F) of vertices given by d broadcastable arrays; what is 0 or outside is `zero`."""
        inside, flat = True, 0
        for i, (a, b), n in zip(index, self.boxes[level], self.spec.resolutions[level]):
            inside = inside & (i >= 0) & (i < n)
            flat = flat * (b - a) + (np.clip(i, a, b - 1) - a)
        return self._places(level, np.where(inside, self._local[level].ravel()[flat], -1))

    def _places(self, level: int, local: np.ndarray) -> np.ndarray:
        """Indices into v (..., F) int32 of the rows read, or `zero` for -1."""
        first = self._offset[level] + np.arange(self.spec.n_features[level], dtype=np.int32) * len(self.rows[level])
        return np.where((local >= 0)[..., None], first.astype(np.int32) + local[..., None], np.int32(self.zero))


def _int(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(x, dtype=np.int32))
