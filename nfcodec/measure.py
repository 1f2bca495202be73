"""What a file is worth: its field decoded and compared with the signal. One meaning for encode, verify and the tools."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from . import metrics
from .errors import UsageError
from .field import Field
from .geometry import bounding_box_diagonal, sample_surface
from .spec import Signal

_N_SURFACE_SAMPLES = 100_000


@dataclass(frozen=True)
class Report:
    """What was measured on decoded output.

    psnr_db: images of 8 and 16 bit: RGB PSNR of the pixels; other lattices: peak = value range; surfaces:
    20 log10(diagonal / RMS), source to decoded. max_error: images and volumes: largest difference of a sample, in
    source units; surfaces: largest distance source to decoded over the samples, relative to the diagonal. rms:
    surfaces: source to decoded, relative to the bounding-box diagonal; else the root of the mean squared difference in
    source units. rms_back: surfaces: decoded to source, else None. normal_deg: surfaces: mean angle of normals, source
    to decoded, else None.
    """

    psnr_db: float
    max_error: float
    rms: float
    rms_back: float | None = None
    normal_deg: float | None = None


def measure(field: Field, signal: Signal) -> Report:
    """Decodes at the source's resolution and compares. UsageError where they are of different kinds or shapes."""
    if field.is_surface != (signal.mesh is not None):
        raise UsageError(f"measuring: got a {field.kind} field and a {signal.kind} signal, expected the file's own source")
    if field.is_surface:
        return _surface(field, signal)
    if field.spec.extent != signal.extent or field.spec.channels != signal.channels:
        raise UsageError(
            f"measuring: got a field of {field.spec.extent} x {field.spec.channels} and a signal of {signal.extent} x "
            f"{signal.channels}, expected the file's own source"
        )
    decoded = field.decode()
    # pictures of other dtypes than 8 and 16 bit have no white: their range of values is the peak, as for volumes
    is_picture = field.kind == "image" and field.spec.dtype in ("u1", "u2")
    psnr = metrics.image_psnr_db if is_picture else metrics.volume_psnr_db
    values = signal.values
    return Report(psnr(values, decoded), metrics.max_error(values, decoded), metrics.rms_error(values, decoded))


def _surface(field: Field, signal: Signal) -> Report:
    diagonal = bounding_box_diagonal(signal.mesh)
    if field.kind == "udf":
        # an unsigned field has no surface to extract exactly where it is 0: take its values on the source's surface
        points, _ = sample_surface(signal.mesh, _N_SURFACE_SAMPLES, np.random.default_rng(0))
        values = np.abs(field.sample(field.from_world(points))[:, 0].astype(np.float64)) / diagonal
        rms = float(np.sqrt(np.mean(values**2)))
        return Report(_surface_psnr(rms), float(values.max()), rms)
    errors = metrics.surface_error(signal.mesh, field.to_mesh(max(field.spec.extent)), _N_SURFACE_SAMPLES)
    there, back = errors.source_to_decoded, errors.decoded_to_source
    return Report(_surface_psnr(there.rms), there.hausdorff, there.rms, back.rms, there.normal_deg)


def _surface_psnr(rms: float) -> float:
    return -20 * math.log10(max(rms, 1e-12))
