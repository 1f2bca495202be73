"""What the field misses at the source's own samples, as integers: the chunk RESI <-> bytes <-> exact values.

    value = base + step * q         base: the field in integers (`nfcodec.fixed`); q: the residual, mostly 0

spec/residual.md says the same. Planes of q are coded as levels are, with a context network of their own, below a level
that is not stored: the field's own detail at the same sample, which tells where the field may be wrong.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from . import fixed
from .binary import Reader, Writer
from .encodings import Encoding
from .entropy import levels as coder
from .entropy.context import ContextNet
from .entropy.lattice import CLIP
from .errors import FormatError, LimitError
from .limits import MAX_GRID_INTEGERS, MAX_RESOLUTION
from .mlp import Mlp
from .spec import SURFACE_KINDS, FieldSpec

__all__ = [
    "MAX_QUOTIENT",
    "Head",
    "Residual",
    "base_of",
    "detail",
    "is_integer",
    "join",
    "limits_of",
    "outputs_of",
    "pack_residual",
    "split",
    "unpack_residual",
    "values_of",
]

DIFFERENCES, WIDE = 1, 2  # flags
MAX_STEP = (1 << 33) + 1
MAX_DETAIL_SHIFT = 40
LOW_BITS = 16  # of q in its second plane, where it is wide
MAX_QUOTIENT = 1 << 39  # of |q|


@dataclass(frozen=True)
class Head:
    """What a residual says of itself.

    step: of integers an odd number, of floats a float32; one unit of q. bound: the guarantee, largest difference of a
    sample, 0 for lossless. lead: the channel that is coded first. differences: whether the other planes of q hold
    their channel minus the lead. wide: whether q has two planes a channel, high and low. detail_shift: how many of the
    fractional bits of the field's detail are dropped.
    """

    step: float
    bound: float
    lead: int = 0
    differences: bool = False
    wide: bool = False
    detail_shift: int = fixed.FRACTION


def is_integer(dtype: str) -> bool:
    """Whether values of this dtype have a lossless residual."""
    return dtype[0] in "iub"


def limits_of(dtype: str) -> tuple[int, int]:
    """Least and largest value of an integer dtype."""
    if dtype == "b1":
        return 0, 1
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)


def base_of(spec: FieldSpec, channel: int, y: np.ndarray) -> np.ndarray:
    """What the field says of a channel: int64 within the dtype's limits, or float64. y: outputs of `fixed`."""
    offset, scale = spec.value_offset[channel], spec.value_scale[channel]
    if is_integer(spec.dtype):
        return np.clip(fixed.affine(y, offset, scale), *limits_of(spec.dtype))
    return np.float64(offset) + np.float64(scale) * (y * 2.0**-fixed.FRACTION)


def values_of(spec: FieldSpec, base: np.ndarray, q: np.ndarray, step: float) -> np.ndarray:
    """base + step * q in the source's dtype; of floats each operation is rounded to float64, the result to the dtype."""
    if is_integer(spec.dtype):
        most = (1 << 33) // int(step) + 1  # beyond it every value is at the dtype's limit, and products leave 63 bits
        return np.clip(base + np.clip(q, -most, most) * np.int64(step), *limits_of(spec.dtype)).astype(spec.dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        return (base + np.float64(step) * q).astype(spec.dtype)


def outputs_of(spec: FieldSpec, grid: Encoding, mlp: Mlp) -> np.ndarray:
    """The field in integers at all samples of the source: (C, *extent) int32, FRACTION fractional bits."""
    y = np.empty((spec.channels, *spec.extent), np.int32)
    for box in fixed.blocks(spec):
        y[(slice(None), *box)] = np.moveaxis(fixed.outputs(spec, grid, mlp, box), -1, 0)
    return y


def order_of(channels: int, lead: int) -> list[int]:
    """Channels in the order of the planes."""
    return [lead, *(c for c in range(channels) if c != lead)]


def detail(y: np.ndarray, head: Head) -> np.ndarray:
    """(C, *extent) int16 within +-255, in the order of the planes: how far the field at a sample lies from its neighbours.

    The sum of the differences to the 2d neighbours along the axes, where there are any.
    """
    out = np.zeros(y.shape, np.int16)
    step = max(1, fixed.POINTS * y.shape[1] // max(1, math.prod(y.shape[1:])))  # rows at a time
    for plane, channel in enumerate(order_of(len(y), head.lead)):
        for start in range(0, y.shape[1], step):
            first, stop = max(start - 1, 0), min(start + step, y.shape[1])
            z = y[channel, first : stop + 1].astype(np.int64)
            if head.differences and plane:
                z -= y[head.lead, first : stop + 1]
            sums = np.zeros_like(z)
            for axis in range(z.ndim):
                slope = np.diff(z, axis=axis)
                along = np.moveaxis(sums, axis, 0)  # a view
                slope = np.moveaxis(slope, axis, 0)
                along[:-1] -= slope
                along[1:] += slope
            kept = sums[start - first : stop - first]
            out[plane, start:stop] = np.clip(fixed.shifted(kept, -head.detail_shift), -CLIP, CLIP)
    return out


def split(q: np.ndarray, head: Head) -> list[np.ndarray]:
    """q (C, *extent) by channel -> the levels of planes that are coded, int32. |q| <= MAX_QUOTIENT; int64 if wide."""
    planes = q[order_of(len(q), head.lead)]
    if head.differences:
        planes[1:] -= planes[0]
    if not head.wide:
        return [planes.astype(np.int32, copy=False)]
    half = 1 << LOW_BITS - 1
    low = (planes + half & (1 << LOW_BITS) - 1) - half
    high = planes - low >> LOW_BITS
    return [high.astype(np.int32), low.astype(np.int32)]


def join(levels: list[np.ndarray], head: Head) -> np.ndarray:
    """The inverse of `split`: (C, *extent), int64 where q is wide, else int32."""
    planes = levels[0]
    if head.wide:
        planes = (planes.astype(np.int64) << LOW_BITS) + levels[1]
    if head.differences:
        planes[1:] += planes[0]  # at most 2**25 where they are not wide
    return planes[np.argsort(order_of(len(planes), head.lead))]


# ---------------------------------------------------------------- bytes


def pack_residual(spec: FieldSpec, head: Head, net: ContextNet, levels: list[np.ndarray], below: np.ndarray) -> bytes:
    """RESI. levels: of `split`; below: of `detail`."""
    out = Writer().u8(DIFFERENCES * head.differences | WIDE * head.wide).u8(head.lead)
    if is_integer(spec.dtype):
        out.varint(int(head.step))
    else:
        out.f32(head.step).f64(head.bound)
    data = net.to_bytes()
    out.u8(head.detail_shift).varint(len(data)).bytes(data)
    for level in range(1, len(levels) + 1):
        data = coder.encode_smallest(net, [below, *levels], level)
        out.varint(len(data)).bytes(data)
    return out.getvalue()


def unpack_residual(spec: FieldSpec, grid: Encoding, mlp: Mlp, data: bytes) -> Residual:
    """RESI, checked but for its planes, which are decoded when they are asked for. FormatError, LimitError."""
    if spec.kind in SURFACE_KINDS or spec.knee:
        raise FormatError(
            f"reading the residual: got a field of kind {spec.kind} with knee {spec.knee:g}, expected an image or a volume",
            "resi-kind",
        )
    if not fixed.is_available(spec):
        raise FormatError(
            f"reading the residual: got a field of {spec.grid.encoding} and {spec.mlp.activation}, expected one grid and "
            "relu or identity, whose values integers give",
            "resi-field",
        )
    if spec.channels * math.prod(spec.extent) > MAX_GRID_INTEGERS or max(spec.extent) > MAX_RESOLUTION:
        raise LimitError(
            f"reading the residual: got {spec.extent} x {spec.channels} values, expected at most {MAX_GRID_INTEGERS} and "
            f"{MAX_RESOLUTION} along an axis",
            "resi-extent",
        )
    fixed.check(mlp)
    reader = Reader(data, "the residual")
    flags, lead = reader.u8(), reader.u8()
    if flags > (DIFFERENCES | WIDE) or lead >= spec.channels:
        raise FormatError(f"reading the residual: got flags {flags}, lead {lead}, expected known ones", "resi-flags")
    if is_integer(spec.dtype):
        step: float = reader.varint()
        bound = (step - 1) / 2
        sound = step % 2 and step <= MAX_STEP
    else:
        step, bound = reader.f32(), reader.f64()
        sound = step > 0 and bound > 0
    if not sound:
        raise FormatError(f"reading the residual: got a step of {step}, expected an odd or positive one", "resi-step")
    detail_shift = reader.u8()
    if detail_shift > MAX_DETAIL_SHIFT:
        raise FormatError(f"reading the residual: got a shift of {detail_shift}, expected at most 40", "resi-shift")
    net = ContextNet.from_bytes(reader.bytes(reader.varint()))
    if net.n_dims != spec.n_dims or net.multi != (spec.channels > 1):
        raise FormatError("reading the residual: got a context network for another lattice", "context-net")
    head = Head(step, bound, lead, bool(flags & DIFFERENCES), bool(flags & WIDE), detail_shift)
    streams = [reader.bytes(reader.varint()) for _ in range(2 if head.wide else 1)]
    reader.done()
    return Residual(spec, grid, mlp, head, net, streams)


class Residual:
    """A field's residual. `values` is what there is to ask for."""

    def __init__(self, spec: FieldSpec, grid: Encoding, mlp: Mlp, head: Head, net: ContextNet, streams: list[bytes]):
        self.spec, self.grid, self.mlp = spec, grid, mlp
        self.head, self.net, self.streams = head, net, streams

    def planes(self, y: np.ndarray | None = None) -> list[np.ndarray]:
        """The levels of planes as they are coded, (C, *extent) int32 each. y: of `outputs_of`. FormatError."""
        y = outputs_of(self.spec, self.grid, self.mlp) if y is None else y
        levels = [detail(y, self.head)]
        for stream in self.streams:
            levels.append(coder.decode_level(self.net, levels, 1 + len(self.streams), y.shape, stream))
        return levels[1:]

    @cached_property
    def values(self) -> np.ndarray:
        """(*extent, C) in the source's dtype, within `head.bound` of the source. FormatError where the planes are
        damaged. Decoded once and kept; not to be written to."""
        y = outputs_of(self.spec, self.grid, self.mlp)
        q = join(self.planes(y), self.head)
        out = np.empty((*self.spec.extent, self.spec.channels), self.spec.dtype)
        for box in fixed.blocks(self.spec):
            for c in range(self.spec.channels):
                base = base_of(self.spec, c, y[(c, *box)])
                out[(*box, c)] = values_of(self.spec, base, q[(c, *box)].astype(np.int64), self.head.step)
        out.flags.writeable = False
        return out
