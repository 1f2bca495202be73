"""The two binary structs that describe a field: FHDR (all of `FieldSpec`) and DNET (the network's integers).

spec/format.md draws the same bytes in the same order. Every count is checked against the limits before it is used.
"""

from __future__ import annotations

import numpy as np

from . import activations, limits
from . import spec as s
from .binary import Reader, Writer
from .entropy import streams
from .errors import FormatError
from .layout import (
    FLAG_HALVING,
    FLAG_SHARED_FEATURES,
    flags_of,
    halved,
    limited,
    named,
    pack_input,
    read_input,
    step_code,
    step_value,
)  # fmt: skip
from .mlp import Mlp
from .spec import FieldSpec, MlpSpec

__all__ = [
    "FLAG_CLIP", "FLAG_FULL_RANGE", "FLAG_HALVING", "FLAG_KNEE", "FLAG_ONE_RANGE", "FLAG_PLACED", "FLAG_SHARED_FEATURES",
    "FLAG_TRUNCATED", "MAX_SHIFT", "MAX_WORLD", "assemble_mlp", "check_shift", "halved", "mlp_shapes", "pack_mlp",
    "pack_spec", "read_spec", "step_code", "step_value", "unpack_mlp", "unpack_spec",
]  # fmt: skip

FLAG_CLIP, FLAG_PLACED, FLAG_TRUNCATED, FLAG_KNEE = 1, 2, 4, 8
FLAG_ONE_RANGE, FLAG_FULL_RANGE = 16, 128  # 32 and 64 are those of `layout`
MAX_SHIFT = 24
MAX_WORLD = 1e30  # of positions and cells, so that no box leaves float64 or float32


# ---------------------------------------------------------------- FHDR


def pack_spec(spec: FieldSpec) -> bytes:
    """FieldSpec -> FHDR."""
    grid, mlp = spec.grid, spec.mlp
    one_range = len(set(spec.value_offset)) == 1 and len(set(spec.value_scale)) == 1
    full_range = set(zip(spec.value_offset, spec.value_scale)) == {_full_range(spec.dtype)}
    flags = FLAG_CLIP * spec.clip | FLAG_PLACED * (spec.origin is not None) | FLAG_TRUNCATED * (spec.truncation > 0)
    flags |= FLAG_KNEE * (spec.knee > 0) | FLAG_ONE_RANGE * (one_range and not full_range)
    flags |= FLAG_FULL_RANGE * full_range | flags_of(grid)
    w = Writer()
    w.u8(s.KINDS[spec.kind])
    w.u8(flags)
    w.u8(spec.n_dims)
    w.u8(spec.channels)
    w.u8(s.DTYPES[spec.dtype])
    for n in spec.extent:
        w.varint(n)
    for k in range(0 if full_range else 1 if one_range else spec.channels):
        w.f32(spec.value_offset[k])
        w.f32(spec.value_scale[k])
    if spec.origin is not None:
        for x in spec.origin:
            w.f64(x)
        w.f64(spec.cell)
    if spec.truncation > 0:
        w.f32(spec.truncation)
    if spec.knee > 0:
        w.f32(spec.knee)
    for role in spec.roles[1:]:
        w.u8(s.ROLES[role])
    pack_input(w, grid, spec.steps)
    w.u8(s.ACTIVATIONS[mlp.activation])
    w.u8(mlp.n_hidden_layers)
    if mlp.n_hidden_layers:
        w.varint(mlp.n_neurons)
    return w.getvalue()


def unpack_spec(data: bytes) -> FieldSpec:
    """FHDR -> FieldSpec; FormatError or LimitError on anything that is not a field of this draft."""
    r = Reader(data, "the field header")
    spec = read_spec(r)
    r.done()
    return spec


def read_spec(r: Reader) -> FieldSpec:
    """The FieldSpec at the start of `r`, and errors, as `unpack_spec`; whatever follows stays."""
    kind = named(s.KINDS, r.u8(), "kind")
    flags = r.u8()
    n_dims = limited(r.u8(), 1, limits.MAX_DIMS, "dimensions")
    channels = limited(r.u8(), 1, limits.MAX_CHANNELS, "channels")
    dtype = named(s.DTYPES, r.u8(), "dtype")
    extent = tuple(limited(r.varint(), 1, limits.MAX_EXTENT, "extent") for _ in range(n_dims))
    if flags & FLAG_FULL_RANGE:
        ranges = [_full_range(dtype)] * channels
        if ranges[0] is None or flags & FLAG_ONE_RANGE:
            raise FormatError(
                f"reading the field header: got flags {flags:#x} and {dtype}, expected the full range of whole numbers "
                "only, and no other range beside it",
                "fhdr-flags",
            )
    else:
        ranges = [(r.f32(), r.f32()) for _ in range(1 if flags & FLAG_ONE_RANGE else channels)]
        ranges = ranges * channels if flags & FLAG_ONE_RANGE else ranges
    origin, cell = None, 0.0
    if flags & FLAG_PLACED:
        origin = tuple(_within(r.f64(), -MAX_WORLD, MAX_WORLD, "origin") for _ in range(n_dims))
        cell = _within(r.f64(), 1 / MAX_WORLD, MAX_WORLD, "cell")
    truncation = _positive(r.f32(), "truncation") if flags & FLAG_TRUNCATED else 0.0
    knee = _positive(r.f32(), "knee") if flags & FLAG_KNEE else 0.0
    _check_kind(kind, flags, n_dims, channels, dtype)
    roles = ("distance", *(named(s.ROLES, r.u8(), "role") for _ in range(channels - 1))) if kind in s.SURFACE_KINDS else ()
    _check_roles(roles)

    grid, steps = read_input(r, extent, flags)
    activation = named(s.ACTIVATIONS, r.u8(), "activation")
    n_hidden_layers = limited(r.u8(), 0, limits.MAX_MLP_LAYERS - 1, "hidden layers")
    n_neurons = limited(r.varint(), 1, limits.MAX_MLP_WIDTH, "neurons") if n_hidden_layers else 0
    mlp = MlpSpec(grid.n_inputs, n_neurons, n_hidden_layers, channels, activation)
    offset, scale = zip(*ranges)
    clip = bool(flags & FLAG_CLIP)
    return FieldSpec(
        kind, extent, channels, dtype, grid, mlp, steps, offset, scale, knee, clip, origin, cell, truncation, roles
    )


def _full_range(dtype: str) -> tuple[float, float] | None:
    """(offset, scale) of pictures in this dtype, whose black and white are its ends; None for dtypes without white."""
    return {"u1": (0.0, 255.0), "u2": (0.0, 65535.0)}.get(dtype)


def _check_kind(kind: str, flags: int, n_dims: int, channels: int, dtype: str) -> None:
    """What belongs together: surfaces lie in a world of three axes and have float channels, images two axes."""
    surface = kind in s.SURFACE_KINDS
    sound = surface == bool(flags & FLAG_PLACED) and (kind == "tsdf") == bool(flags & FLAG_TRUNCATED)
    if surface:
        sound = sound and (n_dims, dtype) == (3, "f4")
    elif kind == "image":
        sound = sound and n_dims == 2
    if not sound:
        raise FormatError(
            f"reading the field header: got a field of kind {kind} with {n_dims} axes, {channels} channels of {dtype} and "
            f"flags {flags:#x}, expected what its kind has; the file is damaged",
            "fhdr-kind",
        )


def _check_roles(roles: tuple[str, ...]) -> None:
    """Every role is there once, but for "other"; colours come with all their parts."""
    known = [role for role in roles if role != "other"]
    n_colours = sum(role in s.COLOUR_ROLES for role in roles)
    if len(set(known)) < len(known) or n_colours not in (0, len(s.COLOUR_ROLES)):
        raise FormatError(
            f"reading the field header: got channels {', '.join(roles)}, expected each once and red, green and blue "
            "together; the file is damaged",
            "fhdr-role",
        )


def _within(value: float, low: float, high: float, what: str) -> float:
    if not low <= value <= high:
        raise FormatError(f"reading the field header: got {what} {value}, expected {low:g} to {high:g}", f"fhdr-{what}")
    return value


def _positive(value: float, what: str) -> float:
    if value <= 0:
        raise FormatError(f"reading the field header: got {what} {value}, expected more than 0", f"fhdr-{what}")
    return value


# ---------------------------------------------------------------- DNET


def mlp_shapes(spec: MlpSpec) -> list[tuple[int, ...]]:
    """Shapes of the network's tensors in the file's order: weights and bias of each layer, the skip, and where the
    activation has numbers those of each hidden layer."""
    if not spec.n_hidden_layers:
        return [(spec.n_outputs,), (spec.n_outputs, spec.n_inputs)]
    shapes: list[tuple[int, ...]] = []
    for n_in, n_out in zip(spec.widths[:-1], spec.widths[1:]):
        shapes += [(n_out, n_in), (n_out,)]
    n_numbers = len(activations.load(spec.activation).parameters)
    return [*shapes, (spec.n_outputs, spec.n_inputs), *([(spec.n_hidden_layers, n_numbers)] if n_numbers else [])]


def pack_mlp(tensors: list[np.ndarray], shifts: list[int]) -> bytes:
    """Integers of the network, tensor k standing for tensors[k] * 2**-shifts[k] -> DNET."""
    w = Writer()
    for shift in shifts:
        w.u8(shift)
    w.bytes(streams.encode_tensors(tensors))
    return w.getvalue()


def unpack_mlp(spec: MlpSpec, data: bytes) -> Mlp:
    """DNET -> Mlp."""
    r = Reader(data, "the network")
    shapes = mlp_shapes(spec)
    shifts = [check_shift(r.u8()) for _ in shapes]
    tensors = streams.decode_tensors(r, shapes)
    r.done()
    return assemble_mlp(spec, tensors, shifts)


def check_shift(shift: int) -> int:
    """The shift of a network's tensor, if it is within the limits."""
    return limited(shift, 0, MAX_SHIFT, "network shift")


def assemble_mlp(spec: MlpSpec, tensors: list[np.ndarray], shifts: list[int]) -> Mlp:
    """The network that integers and shifts stand for."""
    floats = [t.astype(np.float32) * np.float32(2.0**-shift) for t, shift in zip(tensors, shifts)]
    if not spec.n_hidden_layers:
        return Mlp(spec, [], floats[:1], floats[1], tensors, shifts)
    numbers = floats.pop() if activations.load(spec.activation).parameters else None
    return Mlp(spec, floats[0:-1:2], floats[1:-1:2], floats[-1], tensors, shifts, numbers)
