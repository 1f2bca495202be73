"""Where samples lie in the world: spacing, origin, affine and resolution, and how they follow a change of the lattice.

Pure functions on meta dictionaries (keys: see `nfcodec.io`). Meta may come from a file that nobody vouches for, so the
getters return None for anything malformed. Samples are cell-centred: centre i of n lies at (i + 0.5) / n of the axis.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nfcodec.regions import in_samples

from . import geotiff
from .lattice import axes_of

__all__ = [
    "affine_of", "affine_ras", "number", "numbers", "rescale_meta", "samples_per_second", "spatial_axes", "spacing_of",
]  # fmt: skip

_RATES = ("sample_rate", "frame_rate")
_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}
# what each letter of a frame's name means for the sign of a world axis, against R(ight) A(nterior) S(uperior)
_RAS = {"R": (0, 1), "L": (0, -1), "A": (1, 1), "P": (1, -1), "S": (2, 1), "I": (2, -1)}


def number(value: Any) -> float | None:
    """The value as a finite float, or None."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        return None
    return float(value) if math.isfinite(value) else None


def numbers(value: Any, n: int) -> list[float] | None:
    """The value as n finite floats, or None."""
    if not isinstance(value, (list, tuple, np.ndarray)) or len(value) != n:
        return None
    found = [number(v) for v in value]
    return None if None in found else found


def spatial_axes(meta: dict[str, Any], n_dims: int) -> str:
    """The axes of a lattice that are space, in array order: "zyx", "yx", "x" or "" for sound."""
    return axes_of(meta, n_dims).replace("t", "")


def spacing_of(meta: dict[str, Any], n_dims: int) -> list[float] | None:
    """Spacing of the spatial axes in array order, or None if it is unknown or malformed."""
    spacing = numbers(meta.get("spacing"), len(spatial_axes(meta, n_dims)))
    return spacing if spacing and all(s > 0 for s in spacing) else None


def _stored_affine(meta: dict[str, Any]) -> np.ndarray | None:
    rows = meta.get("affine")
    if not isinstance(rows, (list, tuple)) or len(rows) != 4:
        return None
    rows = [numbers(row, 4) for row in rows]
    if None in rows or rows[3] != [0, 0, 0, 1]:
        return None
    affine = np.array(rows)
    return affine if abs(np.linalg.det(affine)) > 0 else None


def affine_of(meta: dict[str, Any], n_dims: int) -> np.ndarray | None:
    """(4, 4) float64, sample index (x, y, z, 1) -> world (x, y, z, 1): as stored, else by spacing and origin, else None."""
    affine = _stored_affine(meta)
    if affine is not None:
        return affine
    spacing = spacing_of(meta, n_dims)
    origin = numbers(meta.get("origin"), len(spatial_axes(meta, n_dims)))
    if spacing is None and origin is None:
        return None
    affine = np.eye(4)
    for i, step in enumerate(reversed(spacing or [])):
        affine[i, i] = step
    for i, start in enumerate(reversed(origin or [])):
        affine[i, 3] = start
    return affine


def affine_ras(affine: np.ndarray, space: Any) -> np.ndarray:
    """The affine (4, 4) in NIfTI's frame, RAS; frames other than permutations of RAS/LPI are left as they are."""
    if not isinstance(space, str) or len(space) != 3 or not set(space) <= set(_RAS):
        return affine
    if len({_RAS[s][0] for s in space}) != 3:
        return affine
    turned = np.eye(4)
    for row, letter in enumerate(space):
        world, sign = _RAS[letter]
        turned[world] = sign * affine[row]
    return turned


def samples_per_second(meta: dict[str, Any]) -> float | None:
    """Along the axis of time: of sound its sample rate, of a film its frame rate, else what the time step says; None where
    nothing is known."""
    for key in _RATES:
        rate = number(meta.get(key))
        if rate and rate > 0:
            return rate
    step, unit = number(meta.get("time_step")), meta.get("time_units", "s")
    known = step is not None and step > 0 and isinstance(unit, str) and unit in _SECONDS
    return 1 / (step * _SECONDS[unit]) if known else None


def rescale_meta(
    meta: dict[str, Any],
    source_extent: tuple[int, ...],
    region: tuple[tuple[float, float], ...] | None,
    out_shape: tuple[int, ...],
) -> dict[str, Any]:
    """A copy of meta for a lattice of out_shape samples over `region`, such that the physical box stays what it was.

    source_extent: samples of the source an axis, array order; region: for each axis (start, stop) as fractions in [0, 1]
    of the source's box, None for all of it; out_shape: samples an axis of the new lattice. Along an axis of n source
    samples, sample j of m in [a, b] lies at source index n * (a + (j + 0.5) * (b - a) / m) - 0.5: spacing is scaled by
    n * (b - a) / m and the first centre moves. Changes spacing, origin, affine, time_step, time_origin and dpi where
    present, the rates of samples and of frames, and raster positions of geotiff.
    """
    region = tuple(region) if region is not None else ((0.0, 1.0),) * len(source_extent)
    bounds = [in_samples(a, b, n) for n, (a, b) in zip(source_extent, region, strict=True)]
    scale = [(stop - start) / m for (start, stop), m in zip(bounds, out_shape, strict=True)]
    first = [start + 0.5 * s - 0.5 for (start, _), s in zip(bounds, scale)]
    if all(s == 1.0 for s in scale) and not any(first):
        return dict(meta)

    out = dict(meta)
    n_dims = len(source_extent)
    axes = axes_of(meta, n_dims)
    space = [i for i, letter in enumerate(axes) if letter != "t"]
    spacing = spacing_of(meta, n_dims)
    if spacing:
        out["spacing"] = [step * scale[i] for step, i in zip(spacing, space)]
    origin = numbers(meta.get("origin"), len(space))
    affine = _stored_affine(meta)
    if origin or (spacing and affine is None and any(first[i] for i in space)):
        # an origin that was not given was zero; it has to be stated once the first centre moves
        steps = spacing or [1.0] * len(space)
        out["origin"] = [o + first[i] * s for o, i, s in zip(origin or [0.0] * len(space), space, steps)]
    if affine is not None:
        index = np.eye(4)
        for i, axis in enumerate(reversed(space)):  # the affine counts x first
            index[i, i], index[i, 3] = scale[axis], first[axis]
        out["affine"] = (affine @ index).tolist()
    if "geotiff" in meta and n_dims == 2:
        corners = [(start, s) for (start, _), s in zip(bounds, scale)]
        out["geotiff"] = geotiff.rescaled(meta["geotiff"], *zip(*corners[::-1]))
    if "t" in axes:
        t = axes.index("t")
        step = number(meta.get("time_step"))
        if step:
            out["time_step"] = step * scale[t]
            start = number(meta.get("time_origin")) or 0.0
            if start or first[t]:
                out["time_origin"] = start + first[t] * step
        for key in _RATES:
            if rate := number(meta.get(key)):
                out[key] = rate / scale[t]
    dpi = numbers(meta.get("dpi"), 2)
    if dpi and min(dpi) > 0:
        out["dpi"] = [dpi[0] / scale[-1], dpi[1] / scale[-2]]
    return out
