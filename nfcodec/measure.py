"""What a file is worth: what it decodes to, compared with the signal. One meaning for encode, verify and compare."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from . import metrics
from .casting import cast
from .errors import UsageError
from .field import Field
from .geometry import TriangleTree, bounding_box_diagonal, count_edges, sample_surface, weld
from .paint import barycentric, colours_at
from .scene import Scene, coloured, joined, placed
from .spec import Mesh, Signal
from .vectors import directions

_N_SURFACE_SAMPLES = 100_000
_N_LEVEL_SAMPLES = 1 << 14


@dataclass(frozen=True)
class Report:
    """What was measured on decoded output.

    psnr_db: images of 8 and 16 bit: PSNR over all pixels and channels, peak = white; other lattices: peak = value range
    (of the colours, where there is alpha); surfaces: 20 log10(diagonal / RMS), source to decoded. Where the last channel is
    alpha (`Signal.has_alpha`), differences of colours are multiplied by the source's opacity, so that what nobody sees
    counts for nothing; this holds for psnr_db, max_error, rms and ssim. log_psnr_db: float images of high dynamic range, of
    which psnr_db sees the brightest parts only: the PSNR of arcsinh(colour / knee) (`metrics.light_knee`). max_error:
    images and volumes: largest difference of a sample, in source units; surfaces: largest distance source to decoded over
    the samples, relative to the diagonal. rms: surfaces: source to decoded, relative to the bounding-box diagonal; else the
    root of the mean squared difference in source units. normal_deg: surfaces: mean angle of normals, source to decoded.
    rms_back, max_back, normal_back_deg: surfaces: decoded to source.
    color_psnr_db: surfaces with colours: PSNR of those at the closest points, source to decoded, sRGB-encoded, peak
    = white. snr_db: of one axis, such as sound: 10 log10 of the variance of the samples over the mean square of the
    differences, of which PSNR sees nothing where a loud moment sets the range. n_wrong_holes: of measurements with samples
    that hold nothing, such as elevations: how many hold something in one of both only; psnr_db, max_error and rms are of
    those that hold something in both. end_point_error, angular_deg: of vectors: mean length of the difference, in source
    units, and mean angle between both (`metrics.angular_error_deg`). ssim: images, iou: surfaces, where both are
    watertight; both only if asked for. None where there is no such thing.
    """

    psnr_db: float
    max_error: float
    rms: float
    rms_back: float | None = None
    normal_deg: float | None = None
    max_back: float | None = None
    normal_back_deg: float | None = None
    ssim: float | None = None
    iou: float | None = None
    log_psnr_db: float | None = None
    color_psnr_db: float | None = None
    snr_db: float | None = None
    n_wrong_holes: int | None = None
    end_point_error: float | None = None
    angular_deg: float | None = None

    @property
    def rms_symmetric(self) -> float:
        """Surfaces: the root of the mean of both squared RMS."""
        return self.rms if self.rms_back is None else math.sqrt((self.rms**2 + self.rms_back**2) / 2)


def measure(field: Field, signal: Signal) -> Report:
    """Decodes at the source's resolution and compares. UsageError where they are of different kinds or shapes."""
    return measure_decoded(decode_for(field, signal), signal)


def measure_scene(scene: Scene, signal: Signal, parts: Sequence[Signal] = ()) -> Report:
    """Decodes each part at its source's resolution and compares all of them with the source's mesh. UsageError for
    others.

    parts: the source's geometries, one for each field. Where some are placed several times each counts once, where it is
    largest, since its error is the same everywhere; lengths stay relative to the diagonal of all.
    """
    if signal.mesh is None:
        raise UsageError(f"measuring: got a scene and a {signal.kind} signal, expected the file's own source")
    chosen = scene.largest_parts()
    if not len(parts) == len(scene.fields) == len(chosen) < len(scene.parts):
        return measure_decoded(scene.own_mesh(), signal)
    source = joined([placed(coloured(one.mesh, one.meta), part) for one, part in zip(parts, chosen)])
    found = measure_decoded(scene.own_mesh(chosen), replace(signal, mesh=source))
    share = bounding_box_diagonal(source) / bounding_box_diagonal(signal.mesh)
    lengths = {name: getattr(found, name) for name in ("max_error", "rms", "rms_back", "max_back")}
    lengths = {name: None if length is None else share * length for name, length in lengths.items()}
    return replace(found, psnr_db=found.psnr_db - 20 * math.log10(share), **lengths)


def level_psnr(field: Field, signal: Signal) -> list[float]:
    """PSNR in dB of the field's levels 0..k for every k, as `measure` has it, but from some thousands of samples.

    Surfaces: 20 log10(diagonal / RMS) of the values on the source's surface, which for occupancy mean nothing: [] then.
    """
    rng = np.random.default_rng(0)
    if signal.mesh is not None:
        if field.kind == "occupancy":
            return []
        points, _ = sample_surface(signal.mesh, _N_LEVEL_SAMPLES, rng)
        coords, diagonal = field.from_world(points), bounding_box_diagonal(signal.mesh)
        values = [field.sample(coords, level)[:, 0].astype(np.float64) for level in range(field.n_levels)]
        return [_surface_psnr(float(np.sqrt(np.mean(np.square(v)))) / diagonal) for v in values]
    flat = signal.values.reshape(-1, signal.channels)
    low, high = (int(pick(flat)) // signal.channels for pick in (np.argmin, np.argmax))  # so that the range is the signal's
    chosen = np.concatenate([[low, high], rng.integers(0, len(flat), _N_LEVEL_SAMPLES)])
    places = np.stack(np.unravel_index(chosen, signal.extent), 1)
    coords = (places + 0.5) / np.array(signal.extent)
    some = replace(signal, values=flat[chosen].reshape(-1, *[1] * (signal.kind == "image"), signal.channels))
    values = [cast(field.sample(coords, level), some.values.dtype) for level in range(field.n_levels)]
    return [measure_decoded(v.reshape(some.values.shape), some).psnr_db for v in values]


def decode_for(field: Field | Scene, signal: Signal) -> np.ndarray | Mesh:
    """The field at the resolution of its source: values (*extent, C) in its dtype, or a mesh.

    UsageError where field and signal are of different kinds or shapes, and for scenes.
    """
    if isinstance(field, Scene):
        raise UsageError(
            "measuring: got a scene of several fields, expected one field; verify compares a scene with its source"
        )
    if field.is_surface != (signal.mesh is not None):
        raise UsageError(f"measuring: got a {field.kind} field and a {signal.kind} signal, expected the file's own source")
    if field.is_surface:
        return field.to_mesh(max(field.spec.extent))
    if field.spec.extent != signal.extent or field.spec.channels != signal.channels:
        raise UsageError(
            f"measuring: got a field of {field.spec.extent} x {field.spec.channels} and a signal of {signal.extent} x "
            f"{signal.channels}, expected the file's own source"
        )
    return field.decode()


def measure_decoded(decoded: np.ndarray | Mesh, signal: Signal, *, full: bool = False) -> Report:
    """Compares what any codec gave back with its source: values (*extent, C) or a mesh.

    full: SSIM and IoU too, which take seconds. UsageError for other shapes, SignalError for a mesh without area.
    """
    if signal.mesh is not None:
        return _surface(decoded, signal.mesh, full)
    values = signal.values
    colours = values
    if signal.has_alpha and signal.quantity != "colour":
        return _holed(decoded, signal)
    if signal.has_alpha:
        decoded, colours = metrics.as_seen(values, decoded), values[..., :-1]
    # what has no white has its range of values as the peak, as volumes have
    is_picture = signal.is_picture
    if signal.has_alpha:
        peak = float(np.iinfo(values.dtype).max) if is_picture else float(colours.max()) - float(colours.min())
        psnr = metrics.psnr_db(values, decoded, peak)
    else:
        psnr = (metrics.image_psnr_db if is_picture else metrics.volume_psnr_db)(values, decoded)
    ssim = log_psnr = None
    if full and is_picture and signal.kind == "image" and min(signal.extent) >= metrics.SSIM_WINDOW:
        ssim = metrics.ssim(values, decoded, float(np.iinfo(values.dtype).max))
    is_light = signal.kind == "image" and signal.quantity == "colour" and values.dtype.kind == "f"
    if is_light and (knee := metrics.light_knee(colours)):
        log_psnr = metrics.log_psnr_db(colours, decoded[..., : colours.shape[-1]], knee)
    error, rms = metrics.max_error(values, decoded), metrics.rms_error(values, decoded)
    snr = None
    if len(signal.extent) == 1:
        snr = metrics.psnr_db(values, decoded, float(values.std(dtype=np.float64)))
    found = _vectors(values, decoded, signal.quantity)
    return replace(found, psnr_db=psnr, max_error=error, rms=rms, ssim=ssim, log_psnr_db=log_psnr, snr_db=snr)


def _vectors(values: np.ndarray, decoded: np.ndarray, quantity: str) -> Report:
    """A report of (..., C) as vectors alone, where they are some."""
    if quantity not in ("vectors", "flow", "normals"):
        return Report(0.0, 0.0, 0.0)
    if quantity == "normals":
        values, decoded = directions(values), directions(decoded)
    return Report(
        0.0, 0.0, 0.0, end_point_error=metrics.end_point_error(values, decoded),
        angular_deg=metrics.angular_error_deg(values, decoded, is_flow=quantity == "flow"),
    )  # fmt: skip


def _holed(decoded: np.ndarray, signal: Signal) -> Report:
    """Of measurements with holes: of what is there in both, and where only one has a hole."""
    there, found = (a[..., -1].astype(np.float64) >= signal.opaque / 2 for a in (signal.values, decoded))
    values, others = (a[..., :-1][there & found] for a in (signal.values, decoded))
    n_holes = int((there != found).sum())
    if not len(values):
        return Report(-math.inf, math.inf, math.inf, n_wrong_holes=n_holes)
    found, psnr = _vectors(values, others, signal.quantity), metrics.volume_psnr_db(values, others)
    error, rms = metrics.max_error(values, others), metrics.rms_error(values, others)
    return replace(found, psnr_db=psnr, max_error=error, rms=rms, n_wrong_holes=n_holes)


def _surface(decoded: Mesh, source: Mesh, full: bool) -> Report:
    errors = metrics.surface_error(source, decoded, _N_SURFACE_SAMPLES)
    there, back = errors.source_to_decoded, errors.decoded_to_source
    closed = full and all(count_edges(weld(mesh)).boundary == 0 for mesh in (source, decoded))
    return Report(
        psnr_db=_surface_psnr(there.rms),
        max_error=there.hausdorff,
        rms=there.rms,
        rms_back=back.rms,
        normal_deg=there.normal_deg,
        max_back=back.hausdorff,
        normal_back_deg=back.normal_deg,
        iou=metrics.volumetric_iou(source, decoded) if closed else None,
        color_psnr_db=_colour_psnr(source, decoded),
    )


def _colour_psnr(source: Mesh, decoded: Mesh) -> float | None:
    """Of the colours at samples of the source, and at the closest points of the decoded surface."""
    if source.paint is None or decoded.paint is None:
        return None
    points, ids = sample_surface(source, _N_SURFACE_SAMPLES, np.random.default_rng(0))
    _, other_ids, nearest = TriangleTree(decoded.vertices, decoded.faces).closest(points)
    given = colours_at(source.paint, ids, barycentric(source, ids, points))
    found = colours_at(decoded.paint, other_ids, barycentric(decoded, other_ids, nearest))
    return metrics.psnr_db(given, found, 1.0)


def _surface_psnr(rms: float) -> float:
    return -20 * math.log10(max(rms, 1e-12))
