"""The part of FHDR that says what the network sees: encodings side by side, each with its own numbers <-> bytes.

One encoding is the common case, and takes no byte more than it would alone. spec/format.md, section 2.
"""

from __future__ import annotations

import math
import struct

from . import limits
from . import spec as s
from .binary import Reader, Writer
from .encodings import load
from .encodings.coordinates import CoordinateEncoding
from .errors import FormatError, LimitError
from .spec import CompositeSpec, CoordinateSpec, GridSpec, InputSpec

__all__ = [
    "BOUNDED", "FLAG_HALVING", "FLAG_SHARED_FEATURES", "boundary_of", "flags_of", "halved", "limited", "named",
    "pack_input", "read_input", "step_code", "step_value",
]  # fmt: skip

FLAG_HALVING, FLAG_SHARED_FEATURES = 32, 64  # of all grids of a field
MORE = 128  # in the byte of an encoding: another one follows
_MOST_LOG2 = {
    "hash": limits.MAX_LOG2_HASHMAP_SIZE, "codebook": limits.MAX_LOG2_CODEBOOK_SIZE, "points": limits.MAX_LOG2_POINTS,
    "mesh": limits.MAX_LOG2_VERTICES,
}  # fmt: skip
BOUNDED = 128  # in the byte of an interpolation: boundaries follow


def flags_of(spec: InputSpec) -> int:
    """The flags that shorten what `pack_input` writes."""
    grids = [part for part in spec.parts if isinstance(part, GridSpec)]
    halving = all(a == halved(b) for grid in grids for a, b in zip(grid.resolutions[:-1], grid.resolutions[1:]))
    shared = all(grid.n_levels > 2 and len(set(grid.n_features[:-1])) == 1 for grid in grids)
    return FLAG_HALVING * (halving and bool(grids)) | FLAG_SHARED_FEATURES * (shared and bool(grids))


def pack_input(w: Writer, spec: InputSpec, steps: tuple[float, ...]) -> None:
    """Writes what the network sees. steps: of all levels."""
    flags, level = flags_of(spec), 0
    for k, part in enumerate(spec.parts):
        w.u8(s.ENCODINGS[part.encoding] | MORE * (k + 1 < len(spec.parts)))
        if isinstance(part, GridSpec):
            _pack_grid(w, part, steps[level : level + part.n_levels], flags)
        else:
            load(part.encoding).pack_parameters(w, part.parameters)
        level += part.n_levels


def read_input(r: Reader, extent: tuple[int, ...], flags: int) -> tuple[InputSpec, tuple[float, ...]]:
    """What `pack_input` wrote: the description and the steps of all levels. FormatError, LimitError."""
    parts: list[GridSpec | CoordinateSpec] = []
    steps: list[float] = []
    more = True
    while more:
        code = r.u8()
        more = bool(code & MORE)
        encoding = named(s.ENCODINGS, code & ~MORE, "encoding")
        if len(extent) not in load(encoding).dims:
            raise FormatError(
                f"reading the field header: got {encoding} with {len(extent)} axes, expected "
                f"{' or '.join(map(str, load(encoding).dims))}",
                "fhdr-encoding",
            )
        if issubclass(load(encoding), CoordinateEncoding):
            parts.append(_read_coordinates(r, encoding, len(extent)))
            steps.append(1.0)
        else:
            grid, own = _read_grid(r, encoding, extent, flags)
            parts.append(grid)
            steps += own
        limited(len(parts), 1, limits.MAX_PARTS, "parts")
        limited(len(steps), 1, limits.MAX_LEVELS, "levels")
    names = [part.encoding for part in parts]
    if len(set(names)) < len(names) or sum(load(name).uses_context for name in names) > 1:
        raise FormatError(
            f"reading the field header: got the encodings {'+'.join(names)}, expected each once, and one with a context "
            "network at most",
            "fhdr-encoding",
        )
    return parts[0] if len(parts) == 1 else CompositeSpec(tuple(parts)), tuple(steps)


def _pack_grid(w: Writer, grid: GridSpec, steps: tuple[float, ...], flags: int) -> None:
    w.u8(s.INTERPOLATIONS[grid.interpolation] | BOUNDED * bool(grid.boundary))
    if grid.boundary:
        w.u8(sum(s.BOUNDARIES[name] << 2 * axis for axis, name in enumerate(grid.boundary)))
    if grid.joining:
        w.u8(s.JOININGS[grid.joining])
    w.u8(grid.log2_size)
    w.u8(grid.n_levels)
    for resolution in grid.resolutions[-1:] if flags & FLAG_HALVING else grid.resolutions:
        for n in resolution:
            w.varint(n)
    for f in grid.n_features[-2:] if flags & FLAG_SHARED_FEATURES else grid.n_features:
        w.u8(f)
    for x in steps:
        w.u16(step_code(x))
    for shape in grid.shapes:
        for x in shape:
            w.i8(round(x * s.SHAPE_PARTS))
    if grid.shapes:
        w.u8(grid.n_surrounded)


def _read_grid(r: Reader, encoding: str, extent: tuple[int, ...], flags: int) -> tuple[GridSpec, tuple[float, ...]]:
    code = r.u8()
    interpolation = named(s.INTERPOLATIONS, code & ~BOUNDED, "interpolation")
    boundary = boundary_of(r.u8(), len(extent)) if code & BOUNDED else ()
    joining = named(s.JOININGS, r.u8(), "joining") if encoding == "triplane" else ""
    if encoding in s.SCATTERED and code != s.INTERPOLATIONS["linear"]:
        raise FormatError(
            f"reading the field header: got interpolation {code} of {encoding}, expected 0", "fhdr-interpolation"
        )
    log2_size = limited(r.u8(), 0, _MOST_LOG2.get(encoding, 0), "log2_size")
    n_levels = limited(r.u8(), 1, limits.MAX_LEVELS, "levels")
    resolutions = [
        tuple(limited(r.varint(), 1, limits.MAX_RESOLUTION, "resolution") for _ in extent)
        for _ in range(1 if flags & FLAG_HALVING else n_levels)
    ]
    if flags & FLAG_HALVING:
        while len(resolutions) < n_levels:
            resolutions.insert(0, halved(resolutions[0]))
    n_counts = 2 if flags & FLAG_SHARED_FEATURES else n_levels
    n_features = tuple(limited(r.u8(), 1, limits.MAX_FEATURES_PER_LEVEL, "features") for _ in range(n_counts))
    if flags & FLAG_SHARED_FEATURES:
        if n_levels < 2:
            raise FormatError(
                "reading the field header: got shared features for one level, expected two or more", "fhdr-flags"
            )
        n_features = n_features[:1] * (n_levels - 1) + n_features[1:]
    steps = tuple(step_value(r.u16()) for _ in range(n_levels))
    n_shapes = n_levels if interpolation == "mitchell" else 0
    shapes = tuple((r.i8() / s.SHAPE_PARTS, r.i8() / s.SHAPE_PARTS) for _ in range(n_shapes))
    most = n_levels if encoding == "dense" and resolutions[-1] == extent else 0
    n_surrounded = limited(r.u8(), 0, most, "surrounded levels") if shapes else 0
    kept = tuple(resolutions), n_features, interpolation, log2_size, shapes, n_surrounded, boundary, joining
    return GridSpec(encoding, *kept), steps


def boundary_of(code: int, n_dims: int) -> tuple[str, ...]:
    """What lies beyond the ends of each axis, 2 bits an axis, not clamp along all of them."""
    if not 0 < code < 1 << 2 * n_dims:
        raise FormatError(
            f"reading the field header: got boundaries {code:#x} of {n_dims} axes, expected 2 bits for each, not all 0",
            "fhdr-boundary",
        )
    return tuple(named(s.BOUNDARIES, code >> 2 * axis & 3, "boundary") for axis in range(n_dims))


def _read_coordinates(r: Reader, encoding: str, n_dims: int) -> CoordinateSpec:
    kind = load(encoding)
    numbers = []
    for parameter in kind.parameters:
        value = r.varint() if parameter.is_integer else r.f32()
        if not parameter.low <= value <= parameter.high:
            raise FormatError(
                f"reading the field header: got {parameter.name} {value:g} of {encoding}, expected {parameter.low:g} to "
                f"{parameter.high:g}",
                "fhdr-parameter",
            )
        numbers.append(value)
    return kind.make(n_dims, tuple(numbers))


def halved(resolution: tuple[int, ...]) -> tuple[int, ...]:
    """The next coarser resolution of a halving pyramid."""
    return tuple((n + 1) // 2 for n in resolution)


def step_code(step: float) -> int:
    """The upper 16 bits of the float32 nearest to a positive step: 8 bits of precision."""
    bits = struct.unpack("<I", struct.pack("<f", step))[0]
    return min(max((bits + 0x8000) >> 16, 1), 0x7F7F)


def step_value(code: int) -> float:
    """The inverse of `step_code`."""
    value = struct.unpack("<f", struct.pack("<I", code << 16))[0]
    if not (math.isfinite(value) and value > 0):
        raise FormatError(f"reading the field header: got a step of {value}, expected a positive number", "fhdr-step")
    return value


def named(table: dict[str, int], value: int, what: str) -> str:
    """The name that a table has for an id."""
    for name, number in table.items():
        if number == value:
            return name
    raise FormatError(f"reading the field header: got {what} {value}, expected one of {table}", f"fhdr-{what}")


def limited(value: int, low: int, high: int, what: str) -> int:
    """The value, if it is within the limits."""
    if not low <= value <= high:
        code = "limit-" + what.replace(" ", "-")
        raise LimitError(f"reading the field header: got {value} for {what}, expected {low} to {high}", code)
    return value
