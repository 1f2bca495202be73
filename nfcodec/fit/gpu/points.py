"""Squared error at points of a tile whose values lie at indices, such as rows of hash tables, in one kernel: gathered,
interpolated, through the per-point network, and all gradients back to where the values came from.

The meaning is `fit.model.FieldModel` at samples of a tile. Rows were found in integers, when the tile was planned; a step
sees all samples or some that are drawn at random. For lattices without gaps `pyramid.Pyramid` takes less time a sample.
"""

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl

from ..plan import Block
from .interpolation import Taps
from .network import Network, n_programs, operand_types, skip_start, store, write, zeros
from .synthesis import error_of

__all__ = ["Lookup", "index_bytes", "launch", "size_of"]

_POINTS, _WARPS, _STAGES = 32, 2, 1
# of the gradients of so few values of coarse levels there are copies, for programs to take turns: all points add to them
_FEW, _COPIES = 1 << 13, 32


class Lookup:
    """Where the values of every feature of a tile's samples lie among those of a step, and how they are weighed."""

    def __init__(self, blocks: list[Block], steps: tuple[float, ...], n_values: int, device: torch.device, few: int = _FEW):
        """blocks: of a plan; steps (L,): what a value of 1 means on every level; n_values: with the closing 0; few: values,
        see _FEW."""
        self.samples = tuple(n if w is None else w.shape[0] for w, n in zip(blocks[0].weights, _box(blocks[0])))
        self.n_samples, d = math.prod(self.samples), len(self.samples)
        taps = [[_taps(w, n, device) for w, n in zip(block.weights, _box(block))] for block in blocks]
        self.n_taps = max(own.width for axes in taps for own in axes)
        indices, first, parts, levels, info = [], [], [], [], []
        n_indices = n_rows = 0
        for block, axes in zip(blocks, taps):
            box = _box(block)
            rows = []
            for k, own in enumerate(axes):
                rows.append(n_rows)
                n_rows += own.n
                first.append(own.first)
                level = block.read.level
                levels.append(torch.full((own.n,), level, device=device))
                weights = own.parts * (steps[level] if k == 0 else 1.0)
                weights = torch.nn.functional.pad(weights, (0, self.n_taps - own.width))
                parts.append(torch.cat([weights, weights.new_zeros(3 - len(weights), *weights.shape[1:])]))
            strides = [math.prod(box[k + 1 :]) for k in range(d)]
            found = _places(block, device)
            info += [[n_indices + f * math.prod(box), *rows, *strides] for f in range(len(found))]
            indices.append(found.reshape(-1))
            n_indices += found.numel()
        # taps beyond a kernel's width weigh 0, but are read
        beyond = max(sum((self.n_taps - 1) * s for s in row[1 + d :]) for row in info)
        self.index = torch.cat([*indices, indices[0].new_zeros(beyond)])
        self.first, self._levels = torch.cat(first), torch.cat(levels)
        self._parts = torch.cat(parts, 1).transpose(1, 2).contiguous()  # (3, taps, rows)
        self.weights = self._parts[0].clone()
        self.info = torch.tensor(info, dtype=torch.int32, device=device).t().contiguous()
        self.sizes = torch.tensor(self.samples, dtype=torch.int32, device=device)
        self.n_features, self.n_values, self.n_few = len(info), n_values, min(few, n_values)
        self.size = size_of(n_values, few)

    def set_shapes(self, shapes: torch.Tensor | None) -> None:
        """Has the weights follow the kernels' (b, c) (L, 2), on the device; None where they are fixed."""
        if shapes is not None:
            b, c = shapes.to(self.weights)[self._levels].unbind(1)
            torch.add(self._parts[0], b * self._parts[1] + c * self._parts[2], out=self.weights)


def size_of(n_values: int, few: int = _FEW) -> int:
    """Of an array of gradients, which copies of some lie behind."""
    return n_values + _COPIES * min(few, n_values)


def index_bytes(blocks: list[Block]) -> int:
    """What the `index` of a `Lookup` takes."""
    counts = [math.prod(block.index.shape) if block.index is not None else math.prod(block.box) for block in blocks]
    return sum(counts) * max(4 if block.index is None else block.index.element_size() for block in blocks)


def _box(block: Block) -> list[int]:
    """How many vertices of each axis a block interpolates."""
    if block.index is not None:
        return list(block.index.shape[1:])
    return [len(range(n)[cut]) for n, cut in zip(block.box[1:], block.inside[1:])]


def _places(block: Block, device: torch.device) -> torch.Tensor:
    """(F, *K) int32: where the vertices' values are."""
    if block.index is not None:
        return block.index.to(device)
    whole = torch.arange(block.start, block.start + math.prod(block.box), dtype=torch.int32, device=device)
    return whole.view(block.box)[block.inside]


def _taps(weights, n: int, device: torch.device) -> Taps:
    return Taps(torch.eye(n, device=device)[None] if weights is None else weights.parts().to(device))


def launch(
    net: Network, flat: torch.Tensor, values: torch.Tensor, lookup: Lookup, samples: torch.Tensor | None,
    target: torch.Tensor, weight: torch.Tensor | None, d_values: torch.Tensor | None, factor: torch.Tensor, wanted: bool,
    precision: str,
) -> torch.Tensor:  # fmt: skip
    """(programs, net.size + 1): rows whose sum is the gradients by `flat`, where wanted, and last the value, as estimated
    from the samples seen.

    values (lookup.n_values,); samples (M,) int32, or None for all; target (C, n_samples), weight (n_samples,) or None. To
    d_values (lookup.size,), unless it is None, factor (1,) times the gradients by the values are added; what lies behind
    the values is lost.
    """
    m = lookup.n_samples if samples is None else len(samples)
    d = len(lookup.samples)
    programs = n_programs(values.device, -(-m // _POINTS))
    partial = torch.empty(programs, net.size + 1, device=values.device)
    copies = None
    if d_values is not None:
        copies = d_values[lookup.n_values : lookup.size].zero_()
    _points_error_kernel[(programs,)](
        values, values if d_values is None else d_values, lookup.index, lookup.info, lookup.first, lookup.weights,
        lookup.sizes, lookup.index if samples is None else samples, target, target if weight is None else weight, flat,
        factor, partial, m, lookup.n_samples, len(lookup.first), lookup.n_values, lookup.n_few, programs,
        lookup.n_samples / m, net.widths, net.padded, d, lookup.n_taps, lookup.n_taps**d, samples is not None,
        weight is not None, wanted, d_values is not None, _COPIES, _POINTS, num_warps=_WARPS, num_stages=_STAGES,
        **operand_types(precision),
    )  # fmt: skip
    if copies is not None:
        d_values[: lookup.n_few] += copies.view(_COPIES, -1).sum(0)
    return partial


@triton.jit
def _vertex(base, rows, weight, info, i, c, is_used, n_rows, N_IN: tl.constexpr, AXES: tl.constexpr, TAPS: tl.constexpr):
    """(indices, weights), each (inputs, points), of tap c of the kernel around every point."""
    place, w = base, tl.where(is_used, 1.0, 0.0)
    for j in tl.static_range(AXES):
        t = c % TAPS
        c = c // TAPS
        place += t * tl.load(info + (2 * AXES - j) * N_IN + i, mask=i < N_IN, other=0)
        w *= tl.load(tl.max_contiguous(weight + (t * n_rows + rows[j]), (1, 16)), mask=is_used, other=0.0)
    return place, w


@triton.jit
def _points_error_kernel(
    values, d_values, index, info, first, weight, sizes, samples, target, point_weight, flat, factor, partial,
    m, n_samples, n_rows, n_values, n_few, n_programs, scale,
    WIDTHS: tl.constexpr, PADDED: tl.constexpr, AXES: tl.constexpr, TAPS: tl.constexpr, VERTICES: tl.constexpr,
    HAS_SAMPLES: tl.constexpr, HAS_WEIGHT: tl.constexpr, WANTS: tl.constexpr, WANTS_VALUES: tl.constexpr,
    COPIES: tl.constexpr, POINTS: tl.constexpr, FORWARD: tl.constexpr, BACKWARD: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The value and gradients of the blocks program_id, program_id + n_programs, ... of POINTS points each. info (1 + 2
    AXES, F): of every feature where its indices begin, the rows of its taps, and the vertices from one to the next along
    each axis.

    Moves 4 C bytes of targets a point, and where caches hold what neighbours share, 8 bytes of index and value a vertex and
    feature forward and 4 of index and 32 of traffic in the L2 cache for an addition backward. What counts are these
    gathers: at F = 21 and 4 vertices 84 of each kind a point, 336 loads with weights and 84 additions, so that at 32 lanes
    a cycle in each of 132 processors 13 points a ns.
    """
    N_IN: tl.constexpr = WIDTHS[0]
    N_OUT: tl.constexpr = WIDTHS[len(WIDTHS) - 1]
    IN: tl.constexpr = PADDED[0]
    OUT: tl.constexpr = PADDED[len(WIDTHS) - 1]
    skip_at = skip_start(WIDTHS)
    row = partial + tl.program_id(0) * (skip_at + N_IN * N_OUT + 1)
    i = tl.arange(0, IN)[:, None]
    turn = n_values + tl.program_id(0) % COPIES * n_few
    sums, d_skip, total = zeros(PADDED), tl.zeros((OUT, IN), tl.float32), tl.zeros((POINTS,), tl.float32)
    for block in range(tl.program_id(0), tl.cdiv(m, POINTS), n_programs):
        at = block * POINTS + tl.arange(0, POINTS)
        is_point = at < m
        sample = at
        if HAS_SAMPLES:
            sample = tl.load(samples + at, mask=is_point, other=0)
        is_used = (i < N_IN) & is_point[None, :]
        base = tl.load(info + i, mask=i < N_IN, other=0) + tl.zeros((IN, POINTS), tl.int32)
        rest = sample
        rows = ()
        for j in tl.static_range(AXES):
            n = tl.load(sizes + (AXES - 1 - j))
            own = tl.load(info + (AXES - j) * N_IN + i, mask=i < N_IN, other=0) + (rest % n)[None, :]
            rest = rest // n
            stride = tl.load(info + (2 * AXES - j) * N_IN + i, mask=i < N_IN, other=0)
            base += stride * tl.load(tl.max_contiguous(first + own, (1, 16)), mask=is_used, other=0)
            rows = rows + (own,)
        x = tl.zeros((IN, POINTS), tl.float32)
        for c in range(VERTICES):
            place, w = _vertex(base, rows, weight, info, i, c, is_used, n_rows, N_IN, AXES, TAPS)
            place = tl.load(tl.max_contiguous(index + place, (1, 16)), mask=is_used, other=0)
            x += w * tl.load(tl.max_contiguous(values + place, (1, 16)), mask=is_used, other=0.0)
        led = error_of(
            tl.trans(x), sample, is_point, target, point_weight, n_samples, scale, flat, sums, d_skip,
            WIDTHS, PADDED, HAS_WEIGHT, WANTS, FORWARD, BACKWARD, PRECISION,
        )  # fmt: skip
        total += led[0]
        if WANTS:
            d_skip, sums = led[1], led[3:]
            if WANTS_VALUES:
                d_x = tl.trans(led[2]) * tl.load(factor)
                for c in range(VERTICES):
                    place, w = _vertex(base, rows, weight, info, i, c, is_used, n_rows, N_IN, AXES, TAPS)
                    place = tl.load(tl.max_contiguous(index + place, (1, 16)), mask=is_used, other=0)
                    is_added = is_used & (w != 0.0) & (place < n_values - 1)
                    place += tl.where(place < n_few, turn, 0)
                    tl.atomic_add(tl.max_contiguous(d_values + place, (1, 16)), w * d_x, mask=is_added, sem="relaxed")
    write(sums, row, WIDTHS, PADDED)
    store(row, skip_at, d_skip, N_OUT, N_IN, OUT, IN)
    tl.store(row + skip_at + N_IN * N_OUT, tl.sum(total, 0))
