"""Panels of pictures: the whole where it is small, else crops where errors are largest, nfcodec's and the best peer's."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..match import Match
from ..rows import NFCODEC, Comparison
from .colours import ramp
from .gallery import Gallery, Group, Panel, Shown, decoded_of, end_of_scale, panel_of, short

__all__ = ["image_gallery", "largest_box", "pixel_errors", "to_eight_bits"]

_PIXELS = 1_300_000  # of all panels of one layer: bounds the page, about 3 bytes a pixel and layer
_SIDES = (96, 384)  # of a crop
_OVERVIEW = 360  # longest side

Box = tuple[slice, slice]


def image_gallery(comparison: Comparison, matches: Sequence[Match], shown: Sequence[Shown]) -> Gallery:
    """Source and every shown file, in one or two crops."""
    source = comparison.signal.values
    boxes, titles = _crops(comparison, matches, shown)
    errors: list[list[np.ndarray | None]] = []
    pictures: list[list[np.ndarray | None]] = []
    missing: list[str] = []
    low_high = _window(source)
    for file in shown:  # one decoded picture at a time, since they may be large
        decoded, why = decoded_of(comparison, file.row)
        missing.append(why)
        errors.append([None if decoded is None else pixel_errors(source[box], decoded[box]) for box in boxes])
        pictures.append([None if decoded is None else to_eight_bits(decoded[box], low_high) for box in boxes])
        del decoded
    ours = [
        e.ravel() for file, per_box in zip(shown, errors) if file.row.codec == NFCODEC for e in per_box if e is not None
    ]
    end = end_of_scale(
        np.concatenate(ours) if ours else np.empty(0),
        lambda: max((float(e.max()) for per_box in errors for e in per_box if e is not None), default=0.0),
    )
    groups = []
    for i, (box, title) in enumerate(zip(boxes, titles)):
        panels = [Panel("source", None, [], [to_eight_bits(source[box], low_high), None])]
        for file, per_box, picture, why in zip(shown, errors, pictures, missing):
            error = per_box[i]
            line = "" if error is None else f"here RMS {short(_rms(error))}, at most {short(float(error.max()))}"
            layers = [picture[i], None if error is None else ramp(error / end)]
            panels.append(panel_of(comparison, file, layers, line, why))
        groups.append(Group(title, panels))
    unit = "levels" if source.dtype.kind in "ui" else "source units"
    notes = [
        f"An error map shows each pixel's error, the root mean square over the channels in {unit}, in one scale for all "
        "codecs."
    ]
    if source.shape[-1] not in (1, 3):
        kept = {2: "grey", 4: "RGB"}.get(source.shape[-1], "the first channel")
        notes.append(f"Pictures show {kept} only; errors are of all {source.shape[-1]} channels.")
    if source.dtype != np.uint8:
        notes.append(f"Samples from {low_high[0]:g} to {low_high[1]:g} are shown from black to white.")
    height, width = source.shape[:2]
    is_whole = len(boxes) == 1 and source[boxes[0]].shape == source.shape
    places = [
        (b[0].start / height, b[1].start / width, (b[0].stop - b[0].start) / height, (b[1].stop - b[1].start) / width)
        for b in boxes
    ]
    step = math.ceil(max(height, width) / _OVERVIEW)
    return Gallery(
        layers=("picture", "error map"),
        groups=groups,
        end=end,
        unit=unit,
        notes=notes,
        overview=None if is_whole else to_eight_bits(_shrunk(source, step), low_high),
        boxes=() if is_whole else places,
    )


def pixel_errors(source: np.ndarray, decoded: np.ndarray) -> np.ndarray:
    """(h, w) float32: root mean square over the channels of the difference of two (h, w, C) arrays."""
    out = np.zeros(source.shape[:2], np.float32)
    for c in range(source.shape[-1]):  # one channel at a time: pictures may be large
        out += np.square(source[..., c].astype(np.float32) - decoded[..., c].astype(np.float32))
    return np.sqrt(out / source.shape[-1])


def largest_box(errors: np.ndarray, side: int, without: Box | None = None) -> Box:
    """Where the sum of squared errors in a square of `side`, or of what the picture has of it, is largest.

    errors: (h, w). without: a box in which errors do not count.
    """
    squares = np.square(errors, dtype=np.float64)
    if without is not None:
        squares[without] = 0
    height, width = (min(side, n) for n in errors.shape)
    sums = np.zeros((errors.shape[0] + 1, errors.shape[1] + 1))
    np.cumsum(np.cumsum(squares, axis=0), axis=1, out=sums[1:, 1:])
    inside = sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width] + sums[:-height, :-width]
    top, left = np.unravel_index(np.argmax(inside), inside.shape)
    return slice(int(top), int(top) + height), slice(int(left), int(left) + width)


def to_eight_bits(values: np.ndarray, low_high: tuple[float, float]) -> np.ndarray:
    """(h, w) or (h, w, 3) uint8 of (h, w, C): grey of 1 and 2 channels, RGB of 3 and 4, else the first channel."""
    n_channels = values.shape[-1]
    values = values[..., :3] if n_channels in (3, 4) else values[..., 0]
    if values.dtype == np.uint8:
        return np.ascontiguousarray(values)
    low, high = low_high
    scaled = (values.astype(np.float32) - np.float32(low)) * np.float32(255 / (high - low) if high > low else 1)
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def _window(source: np.ndarray) -> tuple[float, float]:
    if source.dtype in (np.uint8, np.uint16):
        return 0.0, float(np.iinfo(source.dtype).max)
    return float(source.min()), float(source.max())


def _rms(errors: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(errors, dtype=np.float64))))


def _shrunk(values: np.ndarray, step: int) -> np.ndarray:
    """Means of step x step pixels, in the same dtype; rests at the far edges are left out."""
    height, width = (max(n // step, 1) for n in values.shape[:2])
    rows, columns = min(step, values.shape[0]), min(step, values.shape[1])
    part = values[: height * rows, : width * columns]
    return part.reshape(height, rows, width, columns, -1).mean(axis=(1, 3)).astype(values.dtype)


def _crops(comparison: Comparison, matches: Sequence[Match], shown: Sequence[Shown]) -> tuple[list[Box], list[str]]:
    """Which parts are shown, and why these."""
    source = comparison.signal.values
    height, width = source.shape[:2]
    n_panels = len(shown) + 1
    if height * width * n_panels <= _PIXELS:
        return [(slice(0, height), slice(0, width))], ["The whole picture"]
    side = int(np.clip(math.sqrt(_PIXELS / (2 * n_panels)), *_SIDES)) // 8 * 8
    boxes: list[Box] = []
    titles: list[str] = []
    for file in _worst(comparison, matches, shown):
        decoded, _ = decoded_of(comparison, file.row)
        if decoded is None:
            continue
        box = largest_box(pixel_errors(source, decoded), side, boxes[0] if boxes else None)
        size = f"{box[0].stop - box[0].start} x {box[1].stop - box[1].start} pixels"
        rest = ", apart from crop 1" if boxes else ""
        boxes.append(box)
        titles.append(f"Crop {len(boxes)}: {size} where the error of {file.row.codec} is largest{rest}")
    if not boxes:
        top, left = max(height - side, 0) // 2, max(width - side, 0) // 2
        return [(slice(top, min(top + side, height)), slice(left, min(left + side, width)))], ["Crop 1: the middle"]
    return boxes, titles


def _worst(comparison: Comparison, matches: Sequence[Match], shown: Sequence[Shown]) -> list[Shown]:
    """nfcodec's file, and that of the peer with the least error at its bytes."""
    by_codec = {file.row.codec: file for file in shown}
    peers = [m for m in matches if m.codec in by_codec and m.db_at_bytes is not None]
    peers = peers or [m for m in matches if m.codec in by_codec]
    best = max(peers, key=lambda m: m.db_at_bytes if m.db_at_bytes is not None else -math.inf, default=None)
    return [by_codec[name] for name in (NFCODEC, *([best.codec] if best else [])) if name in by_codec]
