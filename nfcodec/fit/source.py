"""From a `Signal` to what the fit sees: a lattice of targets around 0..1 with weights, and the numbers to go back."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ..errors import SignalError
from ..field import UDF_ISO
from ..limits import MAX_CHANNELS, MAX_DIMS
from ..metrics import light_knee
from ..spec import DTYPES, SURFACE_KINDS, Mesh, Signal
from .analysis import detail
from .attributes import further_channels
from .distance import MeshDistance, lattice_distance
from .edges import edge_weights
from .hidden import fill_hidden
from .rims import Rim, is_sheet, open_lattice

_MARGIN = 0.04  # room around a mesh, of its longest edge
_BAND = 6.0  # distance from the surface, in target samples, within which distances are exact
_KNEE = 4.0  # distance, in target samples, from which signed distances are kept on a logarithmic scale
_WIDE = ("f8", "u4", "i4")  # dtypes of more precision than float32
_ALPHA_MARGIN = 0.04  # how far beyond its ends full and no opacity are aimed at: clipped, they are then exact
_DISPLAY_RANGE = 4.0  # of arcsinh(value / knee), that one exposure shows: what is seen at a time, not all, is to be close
_MIN_STEPS = 256  # of float32 numbers between the least and the largest value of a signal of more precision
_PROBE = 64  # samples along the longest axis on which an open surface is tried
_PHANTOM_LIMIT = 0.05  # share of a field's surface that may be none of the mesh
_FALLOFF = 1.0  # distance, in target samples, at which a sample's weight is a quarter
_WIDE_FALLOFF = 2.5  # of kinds whose surface is not where the distance is 0, or which have no slope but there
_FAR_WEIGHT = 3e-4  # of samples anywhere: far distances are to be right within some per cent
_OPEN_FAR_WEIGHT = 3e-3  # where a surface ends: what goes on beyond its rim must not pass through 0 unseen by the trim
SURFACE_ALIGNMENT = 16  # samples: so that vertices halve exactly, three times


@dataclass
class Source:
    """A signal on a lattice, ready to be fitted.

    target: (*extent, C) float32; values = offset + scale * target (see `knee` in FieldSpec). weight: (*extent) float32 of
    squared errors, or None for 1 everywhere. origin, cell, truncation, roles as in FieldSpec. is_judged_by_error: whether
    the mean squared error of targets is what PSNR is made of, so that a fit can be steered by it. lmbda_factor: of the
    weight of a bit, where targets span more than a display shows.
    """

    kind: str
    target: np.ndarray
    dtype: str
    offset: tuple[float, ...]
    scale: tuple[float, ...]
    clip: bool
    knee: float = 0.0
    is_color: bool = False
    weight: np.ndarray | None = None
    origin: tuple[float, ...] | None = None
    cell: float = 0.0
    truncation: float = 0.0
    is_judged_by_error: bool = True
    lmbda_factor: float = 1.0
    roles: tuple[str, ...] = ()

    @property
    def extent(self) -> tuple[int, ...]:
        return self.target.shape[:-1]

    @property
    def channels(self) -> int:
        return self.target.shape[-1]

    @property
    def at_surface(self) -> float | None:
        """The first channel's target at a surface (of an unsigned distance, on the shell around it); None for lattices."""
        if self.kind not in SURFACE_KINDS:
            return None
        away = {"occupancy": 0.5, "udf": UDF_ISO * self.cell}.get(self.kind, 0.0) - self.offset[0]
        return (self.knee * math.asinh(away / self.knee) if self.knee else away) / self.scale[0]

    @cached_property
    def detail(self) -> float:
        """`analysis.detail` of the target."""
        return detail(self.target)


def from_lattice(signal: Signal) -> Source:
    """An image or volume: pictures of 8 and 16 bits keep their full range, everything else its range of values.

    Images of floats with a high dynamic range get a knee; with alpha, colours below no opacity are made up.
    """
    values = signal.values
    name = signal.meta.get("source", "signal")
    if values.size == 0:
        raise SignalError(f"{name}: got an empty {signal.kind} of shape {values.shape}, expected at least one sample")
    n_dims, channels = values.ndim - 1, values.shape[-1]
    if not 1 <= n_dims <= MAX_DIMS or channels > MAX_CHANNELS:
        raise SignalError(
            f"{name}: got shape {values.shape}, expected 1 to {MAX_DIMS} axes and at most {MAX_CHANNELS} channels"
        )
    dtype = values.dtype.str.lstrip("<>|=")
    if dtype not in DTYPES:
        raise SignalError(
            f"{name}: got values of dtype {values.dtype}, expected one of {', '.join(DTYPES)}; convert them first"
        )
    is_color = signal.quantity == "colour" and channels in (3, 4)
    if signal.has_alpha or (signal.kind == "image" and dtype.startswith("f")):
        return _picture(signal, dtype, is_color)
    if signal.is_picture:
        low, high = 0.0, float(np.iinfo(values.dtype).max)
    else:
        low, high = float(values.min()), float(values.max())
    scale = high - low  # 0 for a constant signal, which is then exactly its offset
    _check_range(name, low, high, exceeds_float32=dtype in _WIDE)
    target = _even(values, low, scale, dtype)
    return Source(signal.kind, target, dtype, (low,) * channels, (scale,) * channels, clip=True, is_color=is_color)


def _even(values: np.ndarray, low: float, scale: float, dtype: str) -> np.ndarray:
    """Values as parts of their range, float32."""
    target = values.astype(np.float64 if dtype in _WIDE else np.float32) - low
    return (target / (scale or 1.0)).astype(np.float32)


def _picture(signal: Signal, dtype: str, is_color: bool) -> Source:
    """An image with alpha or of floats: colours and alpha have a range each, wide ranges of floats a knee."""
    values, n_colors = signal.values, signal.channels - signal.has_alpha
    parts = [values[..., :n_colors]] + [values[..., n_colors:]] * signal.has_alpha
    is_light = dtype.startswith("f") and signal.quantity == "colour"
    knee = light_knee(parts[0]) if is_light else 0.0
    targets, ranges, clip = [], [], True
    for part in parts:
        low, high = float(part.min()), float(part.max())
        if signal.is_picture:
            low, high = 0.0, float(np.iinfo(values.dtype).max)
        _check_range(signal.meta.get("source", "signal"), low, high, exceeds_float32=dtype in _WIDE)
        if knee:
            # measured from 0, where both sides of it look alike; a range below 0 cannot be clipped from there
            clip, largest = clip and low >= 0, max(abs(low), abs(high))
            low, scale = 0.0, knee * math.asinh(largest / knee)
            targets.append((np.arcsinh(part.astype(np.float64) / knee) * (knee / (scale or 1.0))).astype(np.float32))
        else:
            scale = high - low
            targets.append(_even(part, low, scale, dtype))
        ranges += [(low, scale)] * part.shape[-1]
    if signal.has_alpha:
        seen = parts[1][..., 0] > 0
        targets[0] = fill_hidden(targets[0], seen)
        if signal.is_picture or signal.quantity != "colour":
            targets[1] = targets[1] + _ALPHA_MARGIN * ((targets[1] >= 1).astype(np.float32) - (targets[1] <= 0))
    offset, scale = zip(*ranges)
    source = Source(signal.kind, np.concatenate(targets, -1), dtype, offset, scale, clip, knee, is_color)
    source.is_judged_by_error = not (knee or signal.has_alpha)
    if knee:
        source.lmbda_factor = min(1.0, (_DISPLAY_RANGE * knee / max(scale[:n_colors])) ** 2)
    return source


def _check_range(name: str, low: float, high: float, exceeds_float32: bool) -> None:
    """Fields compute in float32: values must lie within its range, and not so close together that it rounds them to
    a few."""
    most, least = float(np.finfo(np.float32).max), float(np.finfo(np.float32).tiny)
    largest = max(abs(low), abs(high))
    if high - low > most or largest > most or 0 < largest < least:
        raise SignalError(
            f"{name}: got values from {low:g} to {high:g}, expected a range that float32 can hold; rescale them"
        )
    if exceeds_float32 and 0 < high - low < _MIN_STEPS * np.spacing(np.float32(largest)):
        raise SignalError(
            f"{name}: got values from {low!r} to {high!r}, closer together than float32 can tell apart; subtract "
            f"{low:g} from them first"
        )


def from_mesh(signal: Signal, distance: MeshDistance, resolution: int, rim: Rim | None = None) -> Source:
    """A surface, as distances on a lattice of about `resolution` cells along the longest axis, and its further channels.

    sdf: signed distance, exact near the surface. tsdf: the same cut at `truncation`. udf: without sign. occupancy: 1
    inside, 0 outside, with a ramp two cells wide so that the surface lies between samples as in the mesh. rim: where to
    end the surface; None closes holes.
    """
    name = signal.meta.get("source", "mesh")
    origin, cell, shape = _box(distance.mesh, resolution, name)
    distances, apart, band = *_distances(distance, rim, origin, cell, shape), _BAND * cell
    extra = further_channels(signal.mesh, distance, rim, distances, apart, origin, cell)
    knee, truncation, clip, scale = _KNEE * cell, 0.0, False, 2 * cell
    falloff = _FALLOFF if signal.kind in ("sdf", "tsdf") else _WIDE_FALLOFF
    far = _FAR_WEIGHT if rim is None or distance.sign_is_reliable else _OPEN_FAR_WEIGHT
    weight = np.maximum(1.0 / np.square(1.0 + np.square(apart / (falloff * cell))), far)
    if signal.kind in ("sdf", "tsdf"):
        weight *= edge_weights(distance.mesh, apart, origin, cell)
    if signal.kind == "udf":
        distances = np.abs(distances)
    elif signal.kind == "tsdf":
        truncation, knee = band, 0.0
        distances = np.clip(distances, -truncation, truncation)
    elif signal.kind == "occupancy":
        distances, scale, knee, clip = np.clip(0.5 - distances / (4 * cell), 0, 1), 1.0, 0.0, True
    if knee:
        distances = knee * np.arcsinh(distances / np.float32(knee))
    # the mean over channels that a fit takes is to be the sum: a colour makes no distance worse
    root = math.sqrt(1 + len(extra.roles))
    scales = tuple(float(np.float32(x / root)) for x in (scale, *extra.scales))
    target = np.concatenate([distances[..., None], extra.values], -1) / np.array(scales, np.float32)
    return Source(
        signal.kind,
        target.astype(np.float32),
        "f4",
        (0.0,) * len(scales),
        scales,
        clip=clip,
        knee=knee,
        is_color="red" in extra.roles,
        weight=weight.astype(np.float32),
        origin=tuple(float(x) for x in origin[::-1]),
        cell=cell,
        truncation=truncation,
        roles=("distance", *extra.roles),
    )


def _box(mesh: Mesh, resolution: int, name: str) -> tuple[np.ndarray, float, tuple[int, int, int]]:
    """The low corner (x, y, z), the cell and the shape of a lattice around a mesh."""
    used = mesh.vertices[np.unique(mesh.faces)]
    low, high = used.min(0), used.max(0)
    longest = float((high - low).max())
    if not (np.isfinite(longest) and longest > 0):
        raise SignalError(f"{name}: got a mesh of size {longest}, expected a positive one")
    cell = longest * (1 + 2 * _MARGIN) / resolution
    # in whole blocks, so that the finest level has exactly half as many vertices, and the next ones half of theirs
    room = (high - low) + 2 * _MARGIN * longest
    extent = np.maximum(
        SURFACE_ALIGNMENT * np.ceil(room / (SURFACE_ALIGNMENT * cell) - 1e-9).astype(int), SURFACE_ALIGNMENT
    )
    return (low + high) / 2 - extent * cell / 2, cell, tuple(int(n) for n in extent[::-1])


def _distances(
    distance: MeshDistance, rim: Rim | None, low: np.ndarray, cell: float, shape: tuple[int, int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Distances with and without sign, exact within the band around the surface."""
    if rim is not None and not distance.sign_is_reliable:
        return open_lattice(rim, low, cell, shape, _BAND * cell)
    distances = lattice_distance(distance, low, cell, shape, _BAND * cell)
    return distances, np.abs(distances)


def measure_mesh(
    signal: Signal, kind_is_free: bool, closes_holes: bool = False
) -> tuple[Signal, MeshDistance, Rim | None]:
    """The exact surface, the signal with the kind that suits it, and the rim at which to end the surface.

    Where no sign makes sense (soups, sheets that face each other) a kind that nobody asked for becomes udf; one that was
    asked for stays, with a warning. closes_holes: never ends a surface at a rim.
    """
    mesh = signal.mesh
    name = signal.meta.get("source", "mesh")
    if mesh is None or not len(mesh.faces) or not len(mesh.vertices):
        raise SignalError(f"{name}: got a mesh without faces, expected at least one triangle")
    if mesh.vertices.shape[1:] != (3,) or mesh.faces.shape[1:] != (3,):
        raise SignalError(
            f"{name}: got vertices and faces of shapes {mesh.vertices.shape} and {mesh.faces.shape}, expected (V, 3) and "
            "(T, 3)"
        )
    if mesh.faces.min() < 0 or mesh.faces.max() >= len(mesh.vertices):
        raise SignalError(
            f"{name}: got faces of vertices {mesh.faces.min()} to {mesh.faces.max()}, expected 0 to "
            f"{len(mesh.vertices) - 1}; repair the mesh"
        )
    distance = MeshDistance(mesh)
    rim = None if signal.kind == "udf" or closes_holes else _rim(distance, name)
    if signal.kind != "udf" and rim is None and not distance.sign_is_reliable:
        if kind_is_free:
            signal = replace(signal, kind="udf")
            share = f"{distance.diagnosis.open_share:.0%} of the surface is open or of unclear orientation"
            warnings.warn(f"{name}: {share}, so it becomes a udf; for a signed field pass --kind sdf", stacklevel=2)
        else:
            warnings.warn(f"{name}: {distance.diagnosis.advice}", stacklevel=2)
    elif signal.kind != "udf" and distance.sign_is_reliable and distance.diagnosis.is_union:
        warnings.warn(f"{name}: {distance.diagnosis.advice}", stacklevel=2)
    return signal, distance, rim


def _rim(distance: MeshDistance, name: str) -> Rim | None:
    """The rim of a surface that a signed field with a trim holds."""
    if not (distance.sign_is_reliable or is_sheet(distance.mesh)):
        return None
    rim = Rim(distance)
    if not len(rim):
        return None
    if distance.sign_is_reliable:
        return rim
    low, cell, shape = _box(distance.mesh, _PROBE, name)
    signed, apart = open_lattice(rim, low, cell, shape, _BAND * cell)
    extra = further_channels(distance.mesh, distance, rim, signed, apart, low, cell)
    return rim if extra.phantom_share < _PHANTOM_LIMIT else None
