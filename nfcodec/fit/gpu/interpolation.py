"""Values at indices, rows of hash tables and of masked levels, interpolated along all axes: one kernel for both ways.

Forward a sample sums over the vertices of its kernel; backward a vertex sums over the samples that see it, by the same
kernel with the axes' matrices transposed, and is added once to its row. So there is one addition a vertex, not one a vertex
of every sample. The meaning is `fit.model.FieldModel.features` of one level.
"""

from __future__ import annotations

import math
from weakref import WeakKeyDictionary

import torch
import triton
import triton.language as tl

from ..plan import AxisWeights, Block

__all__ = ["Taps", "interpolate", "is_worth_it"]

_POINTS = 128
_AXES = 4  # of the kernel; fewer are led by axes of 1
_MOST_TAPS = 256  # of a vertex: beyond, one thread would sum long while others idle, and products of matrices are faster


def is_worth_it(block: Block, stride: int) -> bool:
    """Whether the kernel suits a level: its values lie at indices, and a vertex is seen by few samples."""
    if block.index is None:
        return False
    reach = [1 if w is None else w.width * -(-w.shape[0] // (w.shape[1] * stride)) for w in block.weights]
    return math.prod(reach) <= _MOST_TAPS


def interpolate(
    v: torch.Tensor, block: Block, phase: tuple[int, ...], stride: int, shape: torch.Tensor | None = None
) -> torch.Tensor:
    """(F, M): v (V,) at block.index, interpolated at the samples phase, phase + stride, ... along each axis.

    shape: (2,) the (b, c) of the level's kernel, which gets no gradient; None where it is fixed. At most 4 axes.
    """
    counts = block.index.shape[1:]
    axes = [_taps(w, n, p, stride, v.device) for w, n, p in zip(block.weights, counts, phase)]
    return _Interpolate.apply(v, block.index, axes, shape)


class Taps:
    """A matrix along an axis as, for each row, `width` entries from column `first` on: those of one part, or of the part
    without a kernel's b and c and those that b and c are multiplied by."""

    def __init__(self, parts: torch.Tensor):
        """parts (P, M, K)."""
        is_used = (parts != 0).any(0)
        columns = torch.arange(parts.shape[2], device=parts.device)
        start = torch.where(is_used, columns, parts.shape[2]).amin(1)
        end = torch.where(is_used, columns + 1, 0).amax(1)
        self.n, self.width = parts.shape[1], max(int((end - start).max()), 1)
        first = start.clamp(max=parts.shape[2] - self.width)
        index = (first[:, None] + torch.arange(self.width, device=parts.device)).expand(len(parts), -1, -1)
        self.first, self.parts = first.to(torch.int32), parts.gather(2, index).contiguous()


_known: WeakKeyDictionary[AxisWeights, dict] = WeakKeyDictionary()
_identities: dict[tuple, tuple[Taps, Taps]] = {}


def _taps(weights: AxisWeights | None, n: int, phase: int, stride: int, device: torch.device) -> tuple[Taps, Taps]:
    """(taps, those of the transposed matrix) of the samples seen along an axis of n vertices, kept for the next call."""
    known = _identities if weights is None else _known.setdefault(weights, {})
    key = (n if weights is None else 0, phase, stride, device)
    if key not in known:
        whole = torch.eye(n, device=device)[None] if weights is None else weights.parts()
        parts = whole[:, phase::stride]
        known[key] = Taps(parts), Taps(parts.transpose(1, 2))
    return known[key]


class _Interpolate(torch.autograd.Function):
    @staticmethod
    def forward(ctx, v, index, axes, shape):
        v = v.detach().contiguous()
        ctx.saved = len(v), index, axes, shape
        out = torch.empty(len(index), math.prod(taps.n for taps, _ in axes), device=v.device)
        _launch(v, out, index, [taps for taps, _ in axes], index.shape[1:], shape, False)
        return out

    @staticmethod
    def backward(ctx, grad):
        n_values, index, axes, shape = ctx.saved
        d_values = torch.zeros(n_values, device=grad.device)
        _launch(grad.contiguous(), d_values, index, [t for _, t in axes], [taps.n for taps, _ in axes], shape, True)
        return d_values, None, None, None


def _launch(source, out, index, axes: list[Taps], counts, shape, is_back: bool) -> None:
    """Sums over a lattice of `counts` in source, for every point of the lattice of the axes."""
    lead = _AXES - len(axes)
    axes = [_taps(None, 1, 0, 1, source.device)[0]] * lead + axes
    counts = [1] * lead + list(counts)
    m = math.prod(a.n for a in axes)
    with torch.cuda.device_of(source):
        _interpolate_kernel[(-(-m // _POINTS), len(index))](
            source, out, index, source if shape is None else shape, *(a.first for a in axes), *(a.parts for a in axes),
            *(a.n for a in axes), *counts[1:], m, math.prod(counts),
            *(a.width for a in axes), tuple(len(a.parts) for a in axes), is_back, _POINTS,
        )  # fmt: skip


@triton.jit
def _weight(parts, shape, i, t, n, WIDTH: tl.constexpr, N_PARTS: tl.constexpr, mask):
    """Tap t of the rows i of an axis."""
    w = tl.load(parts + i * WIDTH + t, mask=mask, other=0.0)
    if N_PARTS == 3:
        w += tl.load(shape) * tl.load(parts + (n + i) * WIDTH + t, mask=mask, other=0.0)
        w += tl.load(shape + 1) * tl.load(parts + (2 * n + i) * WIDTH + t, mask=mask, other=0.0)
    return w


@triton.jit
def _interpolate_kernel(
    source, out, index, shape, first0, first1, first2, first3, parts0, parts1, parts2, parts3, n0, n1, n2, n3,
    k1, k2, k3, m, n_source, W0: tl.constexpr, W1: tl.constexpr, W2: tl.constexpr, W3: tl.constexpr,
    N_PARTS: tl.constexpr, IS_BACK: tl.constexpr, POINTS: tl.constexpr,
):  # fmt: skip
    """Forward source is v, read at index (F, *K), and out is (F, *n). Backward source is (F, *K), and out is v, added to at
    index (F, *n). Axes are n_i points of this kernel, k_i of what it sums over; the second program axis is F.

    Moves, where caches hold what neighbours share, 4 bytes of out a sample and feature and 8 of index and value a
    vertex and feature forward, and backward 4 of the gradient, 4 of index and 32 of traffic in the L2 cache for the
    addition: at one sample a vertex 12 and 40 bytes, so that 3.3 TB/s are 280 samples and features a ns and 5 TB/s of L2
    125.
    Two operations a tap, and about 10 for its addresses: at 8 taps 100, 28 TOP/s forward where an
    H100 has about 15 in integers: there the floor is these.
    """
    at = tl.program_id(0) * POINTS + tl.arange(0, POINTS)
    f = tl.program_id(1)
    is_point = at < m
    i3, i2, i1, i0 = at % n3, at // n3 % n2, at // (n3 * n2) % n1, at // (n3 * n2 * n1)
    a0, a1 = tl.load(first0 + i0, mask=is_point, other=0), tl.load(first1 + i1, mask=is_point, other=0)
    a2, a3 = tl.load(first2 + i2, mask=is_point, other=0), tl.load(first3 + i3, mask=is_point, other=0)
    total = tl.zeros((POINTS,), tl.float32)
    for t0 in range(W0):
        w0 = _weight(parts0, shape, i0, t0, n0, W0, N_PARTS[0], is_point)
        for t1 in range(W1):
            w1 = w0 * _weight(parts1, shape, i1, t1, n1, W1, N_PARTS[1], is_point)
            for t2 in range(W2):
                w2 = w1 * _weight(parts2, shape, i2, t2, n2, W2, N_PARTS[2], is_point)
                line = ((a0 + t0) * k1 + a1 + t1) * k2 + a2 + t2
                for t3 in range(W3):
                    w3 = w2 * _weight(parts3, shape, i3, t3, n3, W3, N_PARTS[3], is_point)
                    place = f * n_source + line * k3 + a3 + t3
                    if not IS_BACK:
                        place = tl.load(index + place, mask=is_point, other=0)
                    total += w3 * tl.load(source + place, mask=is_point, other=0.0)
    if IS_BACK:
        place = tl.load(index + f * m + at, mask=is_point, other=0)
        tl.atomic_add(out + place, total, mask=is_point, sem="relaxed")
    else:
        tl.store(out + f * m + at, total, mask=is_point)
