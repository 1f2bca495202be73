"""Panels of volumes: the middle slice across each axis, source and decoded, with error maps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..rows import NFCODEC, Comparison
from .colours import ramp
from .gallery import Gallery, Group, Panel, Shown, decoded_of, end_of_scale, panel_of, short
from .images import to_eight_bits

__all__ = ["slices_of", "volume_gallery"]

_PIXELS = 3_500_000  # of all panels of one layer: bounds the page, about 1 byte a pixel and layer
_STRIP = 12  # longest side of a panel by its shortest; thinner slices are drawn thicker


def volume_gallery(comparison: Comparison, shown: Sequence[Shown]) -> Gallery:
    """Source and every shown file, in the middle slices."""
    source = comparison.signal.values
    n_panels = (len(shown) + 1) * min(len(comparison.signal.extent), 3)
    side = max(int(math.sqrt(_PIXELS / n_panels)), 64)
    titles, sources, step = slices_of(source, side)
    low_high = float(source.min()), float(source.max())
    slices: list[list[np.ndarray] | None] = []
    missing: list[str] = []
    for file in shown:  # one decoded volume at a time, since they may be large
        decoded, why = decoded_of(comparison, file.row)
        missing.append(why)
        slices.append(None if decoded is None else slices_of(decoded, side)[1])
        del decoded
    errors = [
        None if parts is None else [np.abs(a.astype(np.float64) - b.astype(np.float64)) for a, b in zip(sources, parts)]
        for parts in slices
    ]
    ours = [e.ravel() for file, parts in zip(shown, errors) if file.row.codec == NFCODEC and parts for e in parts]
    end = end_of_scale(
        np.concatenate(ours) if ours else np.empty(0),
        lambda: max((float(e.max()) for parts in errors if parts for e in parts), default=0.0),
    )
    groups = []
    for i, title in enumerate(titles):
        panels = [Panel("source", None, [], [_grey(sources[i], low_high), None])]
        for file, parts, error, why in zip(shown, slices, errors, missing):
            line, layers = "", [None, None]
            if parts is not None:
                rms = float(np.sqrt(np.mean(np.square(error[i]))))
                line = f"here RMS {short(rms)}, at most {short(float(error[i].max()))}"
                layers = [_grey(parts[i], low_high), ramp(_thickened(error[i]) / end)]
            panels.append(panel_of(comparison, file, layers, line, why))
        groups.append(Group(title, panels))
    notes = [
        f"Samples from {low_high[0]:g} to {low_high[1]:g}, the source's range, are shown from black to white; an error "
        "map shows each sample's absolute error in source units, in one scale for all codecs. A sample is a square "
        "whatever the spacing."
    ]
    if comparison.signal.channels > 1:
        notes.append(f"The first of {comparison.signal.channels} channels is shown.")
    if step > 1:
        notes.append(f"Every {_ordinal(step)} sample of a slice is shown along each axis.")
    return Gallery(("values", "error map"), groups, end, "source units", notes)


def slices_of(values: np.ndarray, side: int) -> tuple[list[str], list[np.ndarray], int]:
    """Titles and first channels (h, w) of the middle slices of (*extent, C), and the step between samples shown.

    Three slices of 3 axes; of 4 axes (t, z, y, x) those of the middle frame; 1 and 2 axes are one slice. Slices are
    thinned to at most `side` samples an axis.
    """
    where = ""
    volume = values[..., 0]
    if volume.ndim == 4:
        frame = volume.shape[0] // 2
        where = f", frame {frame} of {volume.shape[0]}"
        volume = volume[frame]
    step = math.ceil(max(volume.shape) / (side if volume.ndim > 1 else side * _STRIP))
    if volume.ndim < 3:
        plane = volume.reshape(-1, volume.shape[-1])
        return ["All samples"], [plane[::step, ::step]], step
    titles, planes = [], []
    for axis, name in enumerate("zyx"):
        middle = volume.shape[axis] // 2
        titles.append(f"Slice {name} = {middle} of {volume.shape[axis]}{where}")
        planes.append(np.take(volume, middle, axis=axis)[::step, ::step])
    return titles, planes, step


def _grey(plane: np.ndarray, low_high: tuple[float, float]) -> np.ndarray:
    low, high = low_high
    if plane.dtype == np.uint8 and (low, high) == (0, 255):
        return _thickened(plane)
    return to_eight_bits(_thickened(plane)[..., None].astype(np.float64), low_high)


def _thickened(plane: np.ndarray) -> np.ndarray:
    """Thin slices repeated across, so that they can be seen."""
    height, width = (max(1, math.ceil(max(plane.shape) / (_STRIP * n))) for n in plane.shape)
    return np.repeat(np.repeat(plane, height, axis=0), width, axis=1)


def _ordinal(n: int) -> str:
    return {2: "second", 3: "third"}.get(n, f"{n}th")
