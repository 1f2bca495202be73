"""All reads of a dense pyramid interpolated along one axis after another: one launch an axis for all levels together.

A level alone is too small for a GPU: with products of matrices, as in `fit.model.FieldModel.features`, which says what is
meant here, a step is a hundred launches that each wait for the last. Backward is the same with the axes' matrices
transposed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
import triton
import triton.language as tl

from ..plan import AxisWeights, Block
from .interpolation import Taps

__all__ = ["Pyramid"]

# shapes of launches by the largest number of taps that they suit: taps at once, lines and columns a program, warps. Most
# entries sum 4 vertices, but backward a vertex of a coarse level hundreds of samples
_SHAPES = {4: (4, 4, 256, 2), 8: (8, 2, 256, 2), math.inf: (16, 1, 256, 2)}
_LONG_ROWS = (16, 128)  # taps at once and entries a program, where taps beyond 8 lie side by side
_N_FIELDS = 10  # of a job
_SHAPE_STEP = 1 / 32
# how a job backward ends: several reads have their values in common; features' gradients are scaled
_ADDS, _SCALES = tl.constexpr(1), tl.constexpr(2)


@dataclass
class _Pass:
    """One axis of one read: (outer, n_in, inner) at `source` -> (outer, n_out, inner) at `target` of the space."""

    source: int
    target: int
    outer: int
    inner: int
    weights: AxisWeights | None
    start: int  # of the vertices that weights begin with, in the source
    n_in: int
    n_out: int
    level: int
    gain: float
    is_last: bool = False


class Pyramid:
    """Where the values and features of a tile lie in one float32 array, its space, and how the latter come from the former.

    The space holds the step's values, whose places are those of `Plan`, then what lies between two axes, then the features
    (F, M) from `features_at` on; `size` in all. Its gradients have the same places.
    """

    def __init__(self, blocks: list[Block], steps: tuple[float, ...], n_values: int, device: torch.device):
        """blocks: of a plan, each a whole box of its level; steps (L,): what a value of 1 means on every level."""
        passes, self.n_features, samples, self.features_at = _passes(blocks, steps, n_values)
        self.n_samples = math.prod(samples)
        self.size = self.features_at + self.n_features * self.n_samples
        self._weighed = _Weighed(device)
        self._forward = [
            launch for axis in reversed(passes) for launch in _launches([self._weighed.job(p, False) for p in axis], device)
        ]
        self._backward = [
            launch for axis in passes for launch in _launches([self._weighed.job(p, True, n_values) for p in axis], device)
        ]
        self._weighed.close()
        levels = [block.read.level for block in blocks for _ in range(block.box[0])]
        self._levels, self._n_levels = torch.tensor(levels, device=device), len(steps)

    def set_shapes(self, shapes: torch.Tensor | None) -> None:
        """Has the weights follow the kernels' (b, c) (L, 2), on the device; None where they are fixed."""
        self._weighed.fill(shapes)

    def features(self, space: torch.Tensor) -> torch.Tensor:
        """(F, M): the part of a space."""
        return space[self.features_at : self.size].view(self.n_features, self.n_samples)

    def forward(self, space: torch.Tensor) -> None:
        """Fills the features of a space from its values."""
        for launch in self._forward:
            launch(space, self._weighed)

    def backward(self, space: torch.Tensor, factor: torch.Tensor) -> None:
        """Adds factor (1,) times the gradients of the features of a space to those of its values."""
        for launch in self._backward:
            launch(space, self._weighed, factor)

    def shape_gradient(self, space: torch.Tensor, d_space: torch.Tensor, shapes: torch.Tensor) -> torch.Tensor:
        """(L, 2): the gradient by the kernels' shapes, from the values and the gradients of features that a step has left;
        the space's features are lost. By differences: features are products of what is linear in a shape, one for each
        axis, so that in two dimensions these are no approximation."""
        found = []
        for part in range(2):
            sums = []
            for sign in (1.0, -1.0):
                moved = shapes.clone()
                moved[:, part] += sign * _SHAPE_STEP
                self.set_shapes(moved)
                self.forward(space)
                sums.append((self.features(space) * self.features(d_space)).sum(1))
            slopes = (sums[0] - sums[1]) / (2 * _SHAPE_STEP)
            found.append(slopes.new_zeros(self._n_levels).index_add_(0, self._levels, slopes))
        self.set_shapes(shapes)
        return torch.stack(found, 1)

    @staticmethod
    def size_of(blocks: list[Block], n_values: int) -> int:
        """The `size` of one, without making it."""
        _, n_features, samples, features_at = _passes(blocks, (1.0,) * (1 + max(b.read.level for b in blocks)), n_values)
        return features_at + n_features * math.prod(samples)

    def moved_bytes(self) -> int:
        """What both ways move at least: what the passes along an axis take read once, what they leave written once, and
        what is added to read as well."""
        total = 0
        for launches in (self._forward, self._backward):
            taken = set()
            for source, _, n_in, n_out, inner, _, _, _, n, how in (job for x in launches for job in x.jobs.tolist()):
                taken.add((source, n // n_out * n_in))
                total += 4 * n * (2 if how % _SCALES.value == _ADDS.value else 1)
            total += 4 * sum(n for _, n in taken)
        return total


def _passes(
    blocks: list[Block], steps: tuple[float, ...], n_values: int
) -> tuple[list[list[_Pass]], int, tuple[int, ...], int]:
    """(of each axis the passes along it, F, samples, where features begin) of a `Pyramid`."""
    samples = tuple(box if w is None else w.shape[0] for w, box in zip(blocks[0].weights, _inside(blocks[0])))
    used = -(-n_values // 16) * 16
    n_axes = len(samples)
    passes: list[list[_Pass]] = [[] for _ in range(n_axes)]
    last: list[_Pass] = []  # of every read, whose result is features
    for block in blocks:
        shape, source, gain = list(block.box), block.start, steps[block.read.level]
        axes = [k for k in reversed(range(n_axes)) if block.weights[k] is not None or _inside(block)[k] != block.box[k + 1]]
        for k in axes or [0]:
            inner, outer, n_in = math.prod(shape[k + 2 :]), math.prod(shape[: k + 1]), shape[k + 1]
            start = block.inside[k + 1].start or 0
            shape[k + 1] = samples[k]
            passes[k].append(
                _Pass(source, used, outer, inner, block.weights[k], start, n_in, samples[k], block.read.level, gain)
            )
            gain = 1.0
            if k != (axes or [0])[-1]:
                source, used = used, used + math.prod(shape)
        last.append(passes[k][-1])
    at = used
    for p in last:
        p.target, p.is_last = at, True
        at += p.outer * p.n_out * p.inner
    return passes, sum(block.box[0] for block in blocks), samples, used


def _inside(block: Block) -> list[int]:
    """How many vertices of each axis the weights of a block take."""
    return [len(range(n)[cut]) for n, cut in zip(block.box[1:], block.inside[1:])]


class _Weighed:
    """The taps of all passes: for every row of an axis' matrix its first column and a run of weights, on the device."""

    def __init__(self, device: torch.device):
        self.device = device
        self._first: list[torch.Tensor] = []
        self._parts: list[torch.Tensor] = []  # (3, n): what is fixed, what b and what c of the kernel are multiplied by
        self._levels: list[torch.Tensor] = []
        self._n_first = self._n_weights = 0

    def job(self, p: _Pass, is_back: bool, n_values: int = 0) -> list[int]:
        """The fields of a pass, or of its transpose, whose weights are kept here from now on."""
        parts = torch.eye(p.n_out, device=self.device)[None] if p.weights is None else p.weights.parts().to(self.device)
        whole = parts.new_zeros(len(parts), p.n_out, p.n_in)
        whole[:, :, p.start : p.start + parts.shape[2]] = parts
        taps = Taps(whole.transpose(1, 2) if is_back else whole)
        weights = p.gain * taps.parts.reshape(len(parts), -1)
        if len(weights) == 1:
            weights = torch.cat([weights, weights.new_zeros(2, weights.shape[1])])
        first_at, weights_at = self._n_first, self._n_weights
        self._first.append(taps.first)
        self._parts.append(weights)
        self._levels.append(torch.full((weights.shape[1],), p.level, device=self.device))
        self._n_first += len(taps.first)
        self._n_weights += weights.shape[1]
        source, target, n_in, n_out = (
            (p.target, p.source, p.n_out, p.n_in) if is_back else (p.source, p.target, p.n_in, p.n_out)
        )
        how = _ADDS.value * (target < n_values) + _SCALES.value * p.is_last if is_back else 0
        return [source, target, n_in, n_out, p.inner, first_at, weights_at, taps.width, p.outer * n_out * p.inner, how]

    def close(self) -> None:
        self.first = torch.cat(self._first)
        self._parts, self._levels = torch.cat(self._parts, 1), torch.cat(self._levels)
        self.weights = self._parts[0].clone()

    def fill(self, shapes: torch.Tensor | None) -> None:
        if shapes is not None:
            b, c = shapes.to(self.device)[self._levels].unbind(1)
            torch.add(self._parts[0], b * self._parts[1] + c * self._parts[2], out=self.weights)


def _launches(jobs: list[list[int]], device: torch.device) -> list["_Lines | _LongRows"]:
    """One for each shape that suits any of the jobs, by their widths and by whether their axis is the last; what takes
    longest goes first."""
    found: list[_Lines | _LongRows] = []
    for is_last in (False, True):
        lowest = 0
        for highest, shape in _SHAPES.items():
            own = sorted((j for j in jobs if (j[4] == 1) == is_last and lowest < j[7] <= highest), key=lambda j: -j[7])
            lowest = highest
            if own:
                is_long = is_last and highest == math.inf
                found.append(_LongRows(own, device) if is_long else _Lines(own, is_last, *shape, device))
    return found[::-1]


class _Lines:
    """Jobs that one launch does, a line at a time: of all entries that differ along what lies within the axis alone or, of
    the last axis, along itself."""

    def __init__(self, jobs, is_last: bool, n_taps: int, n_lines: int, n_columns: int, warps: int, device: torch.device):
        programs = []
        for k, job in enumerate(jobs):
            length = job[3] if is_last else job[4]
            lines, columns = range(0, job[8] // length, n_lines), range(0, length, n_columns)
            programs += [(k, line, column) for line in lines for column in columns]
        self.is_loop = max(job[7] for job in jobs) > n_taps
        self.is_last, self.shape, self.warps = is_last, (n_taps, n_lines, n_columns), warps
        self.jobs, self.programs = (torch.tensor(rows, dtype=torch.int32).to(device) for rows in (jobs, programs))

    def __call__(self, space: torch.Tensor, weighed: _Weighed, factor: torch.Tensor | None = None) -> None:
        """factor: (1,) of the gradients, where the jobs are those backward."""
        is_back = factor is not None
        _lines_kernel[(len(self.programs),)](
            space, weighed.first, weighed.weights, self.jobs, self.programs, factor if is_back else space,
            is_back, self.is_last, self.is_loop, *self.shape, _N_FIELDS, num_warps=self.warps,
        )  # fmt: skip


class _LongRows:
    """Jobs along the last axis with many taps, that one launch does: these are shared out among threads."""

    def __init__(self, jobs: list[list[int]], device: torch.device):
        programs = [(k, start) for k, job in enumerate(jobs) for start in range(0, job[8], _LONG_ROWS[1])]
        self.jobs, self.programs = (torch.tensor(rows, dtype=torch.int32).to(device) for rows in (jobs, programs))

    def __call__(self, space: torch.Tensor, weighed: _Weighed, factor: torch.Tensor | None = None) -> None:
        """As `_Lines`."""
        is_back = factor is not None
        _long_rows_kernel[(len(self.programs),)](
            space, weighed.first, weighed.weights, self.jobs, self.programs, factor if is_back else space,
            is_back, *_LONG_ROWS, _N_FIELDS,
        )  # fmt: skip


@triton.jit
def _put(places, total, is_entry, job, factor, IS_BACK: tl.constexpr):
    """What a job leaves, as its last field says."""
    if IS_BACK:
        how = tl.load(job + 9)
        if how >= _SCALES:
            total *= tl.load(factor)
        if how % _SCALES == _ADDS:
            tl.atomic_add(places, total, mask=is_entry, sem="relaxed")
        else:
            tl.store(places, total, mask=is_entry)
    else:
        tl.store(places, total, mask=is_entry)


@triton.jit
def _lines_kernel(
    space, first, weight, jobs, programs, factor, IS_BACK: tl.constexpr, LAST: tl.constexpr, LOOP: tl.constexpr,
    TAPS: tl.constexpr, LINES: tl.constexpr, COLUMNS: tl.constexpr, N_FIELDS: tl.constexpr,
):  # fmt: skip
    """programs (n, 3): job, first line and first column of each program; jobs (n, N_FIELDS): see `_Weighed.job`. A line has
    one row of weights, or, along the last axis, all of them.

    Moves, of an image whose finest level is its own lattice, about 4 bytes a feature and sample in the last pass, which
    writes all of them, and two thirds of that in what the others write and read: at F = 25 170 bytes a sample, so that
    3.3 TB/s are 20 samples a ns. 4 taps an entry are 8 operations and 4 reads of what is in a cache.
    """
    own = programs + 3 * tl.program_id(0)
    job = jobs + N_FIELDS * tl.load(own)
    source, target, n_in, n_out = tl.load(job), tl.load(job + 1), tl.load(job + 2), tl.load(job + 3)
    inner, first_at, weight_at, width = tl.load(job + 4), tl.load(job + 5), tl.load(job + 6), tl.load(job + 7)
    n = tl.load(job + 8)
    line = tl.load(own + 1) + tl.arange(0, LINES)[:, None]
    column = tl.load(own + 2) + tl.arange(0, COLUMNS)[None, :]
    if LAST:
        length, row, outer = n_out, column, line
        is_row = column < length
    else:
        length, row, outer = inner, line % n_out, line // n_out
        is_row = line * length < n
    at = line * length + column
    is_entry = (column < length) & (at < n)
    start = tl.load(first + first_at + row, mask=is_row, other=0)
    place = source + (outer * n_in + start) * inner + (0 if LAST else column)
    total = tl.zeros((LINES, COLUMNS), tl.float32)
    for t0 in range(0, width if LOOP else 1, TAPS):
        for t in tl.static_range(TAPS):
            is_tap = t0 + t < width
            w = tl.load(weight + weight_at + row * width + t0 + t, mask=is_row & is_tap, other=0.0)
            total += w * tl.load(space + place + (t0 + t) * inner, mask=is_entry & is_tap, other=0.0)
    _put(space + target + at, total, is_entry, job, factor, IS_BACK)


@triton.jit
def _long_rows_kernel(
    space, first, weight, jobs, programs, factor,
    IS_BACK: tl.constexpr, TAPS: tl.constexpr, POINTS: tl.constexpr, N_FIELDS: tl.constexpr,
):  # fmt: skip
    """programs (n, 2): job and first entry of each program. Moves 4 bytes a tap, which neighbouring threads read."""
    own = programs + 2 * tl.program_id(0)
    job = jobs + N_FIELDS * tl.load(own)
    source, target, n_in, n_out = tl.load(job), tl.load(job + 1), tl.load(job + 2), tl.load(job + 3)
    first_at, weight_at, width = tl.load(job + 5), tl.load(job + 6), tl.load(job + 7)
    at = tl.load(own + 1) + tl.arange(0, POINTS)
    is_entry = at < tl.load(job + 8)
    row, outer = at % n_out, at // n_out
    start = tl.load(first + first_at + row, mask=is_entry, other=0)
    place = source + outer * n_in + start
    taps = tl.arange(0, TAPS)[:, None]
    total = tl.zeros((POINTS,), tl.float32)
    for t in range(0, width, TAPS):
        is_tap = (t + taps < width) & is_entry[None, :]
        w = tl.load(weight + weight_at + row[None, :] * width + t + taps, mask=is_tap, other=0.0)
        total += tl.sum(w * tl.load(space + place[None, :] + t + taps, mask=is_tap, other=0.0), 0)
    _put(space + target + at, total, is_entry, job, factor, IS_BACK)
