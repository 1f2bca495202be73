"""Films: animated GIF, PNG, WebP and AVIF through pillow, as lattices (t, y, x) with colours.

Frames are as many as the file shows, evenly spaced in time: where it shows them for different times, their mean is taken.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from nfcodec.errors import SignalError, UsageError
from nfcodec.spec import Signal

from .image import pillow, writable_colours
from .lattice import check_shape, new_signal
from .placement import number

__all__ = ["COLOURS", "as_frames", "film_signal", "rate_of", "read", "read_gif", "write", "write_gif"]

COLOURS = {"quantity": "colour", "colour_space": "sRGB"}
USUAL_RATE = 25.0
_SHOWN = 0.1  # seconds that browsers show a frame of a GIF that says 0
_ROUNDED = 0.02  # of the rate: more than that is told
_NAMES = {"gif": "GIF", "png": "PNG", "webp": "WEBP", "avif": "AVIF"}
_OPTIONS = {"webp": {"lossless": True, "exact": True}, "avif": {"quality": 90, "subsampling": "4:4:4"}}
_MILLISECONDS = {"gif": 10}  # that a duration is a multiple of; others 1


def read_gif(path: Path, format: str) -> Signal:
    """A film, or an image where there is one frame only."""
    signal = read(path, format)
    if signal.extent[0] > 1:
        return signal
    array, meta = signal.values[0], {k: v for k, v in signal.meta.items() if k not in ("frame_rate", "quantity", "axes")}
    channels = array.shape[-1]
    meta |= {"alpha": True} if channels in (2, 4) else {}
    return new_signal(
        path.name, format, array if channels > 1 else array[..., 0], "yxc" if channels > 1 else "yx", "image", meta
    )


def read(path: Path, format: str) -> Signal:
    """A film of 8 bits: grey, RGB, or RGB and alpha where something shines through."""
    image = pillow(f"reading {format.upper()}").open(path, formats=[_NAMES[format]])
    n = getattr(image, "n_frames", 1)
    check_shape(path.name, (n, image.height, image.width, 4), np.dtype(np.uint8))
    frames, seconds = np.empty((n, image.height, image.width, 4), np.uint8), []
    for k in range(n):
        image.seek(k)
        frames[k] = np.asarray(image.convert("RGBA"))
        seconds.append((number(image.info.get("duration")) or 0.0) / 1000 or _SHOWN)
    if max(seconds) > (1 + _ROUNDED) * min(seconds):
        warnings.warn(
            f"{path.name}: its frames are shown for {min(seconds):g} to {max(seconds):g} s; they are taken as "
            "evenly spaced",
            stacklevel=2,
        )
    meta: dict[str, Any] = {"frame_rate": round(n / sum(seconds), 6)}
    loop = image.info.get("loop")
    if isinstance(loop, int):
        meta["loop"] = loop
    return film_signal(path.name, format, frames, meta)


def film_signal(name: str, format: str, frames: np.ndarray, meta: dict[str, Any]) -> Signal:
    """A film of frames (T, H, W, C), without an alpha that is full everywhere, and grey where all colours are equal."""
    if frames.shape[-1] == 4 and (frames[..., 3] == np.iinfo(frames.dtype).max).all():
        frames = frames[..., :3]
    if frames.shape[-1] == 3 and all((frames[..., 0] == frames[..., k]).all() for k in (1, 2)):
        frames = frames[..., :1]
    axes = "tyxc" if frames.shape[-1] > 1 else "tyx"
    return new_signal(name, format, frames if axes == "tyxc" else frames[..., 0], axes, "volume", {**COLOURS, **meta})


def as_frames(values: np.ndarray, name: str) -> np.ndarray:
    """values (T, H, W, C) as frames (T, H, W, 1, 3 or 4) uint8 or uint16; UsageError for what is no film."""
    if values.ndim != 4 or values.shape[-1] not in (1, 3, 4):
        raise UsageError(
            f"writing {name!r}: a film has 3 axes (time, y, x) and 1, 3 or 4 channels, got shape {values.shape}; write .npy"
        )
    return writable_colours(values, name)


def rate_of(meta: dict[str, Any]) -> float:
    """Frames a second, of a film that does not say it the usual ones."""
    rate = number(meta.get("frame_rate"))
    return rate if rate and rate > 0 else USUAL_RATE


def write(path: Path, values: np.ndarray, meta: dict[str, Any], format: str, name: str) -> None:
    """Frames (T, H, W, C) as an animation, lossless but for GIF's 256 colours a frame and for AVIF."""
    frames = as_frames(values, name)
    if frames.dtype == np.uint16:
        warnings.warn(f"{name}: animated {format.upper()} holds 8 bits, 16-bit values are rounded", stacklevel=3)
        frames = ((frames.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    if format not in _NAMES:
        raise UsageError(f"writing {name!r}: {format.upper()} holds no films; write .gif, .png, .webp or .y4m")
    Image = pillow(f"writing {format.upper()}")
    images = [Image.fromarray(frame[..., 0] if frame.shape[-1] == 1 else frame) for frame in frames]
    if format == "gif" and frames.shape[-1] > 1:
        warnings.warn(f"{name}: GIF holds 256 colours a frame; write .png, .webp or .y4m to keep all", stacklevel=3)
        images = [image.quantize(256, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE) for image in images]
    unit, rate = _MILLISECONDS.get(format, 1), rate_of(meta)
    duration = max(unit, round(1000 / rate / unit) * unit)
    if abs(1000 / duration - rate) > _ROUNDED * rate:
        found = f"{rate:g} a second become {1000 / duration:g}"
        warnings.warn(f"{name}: {format.upper()} shows frames for whole multiples of {unit} ms, {found}", stacklevel=3)
    options = dict(_OPTIONS.get(format, {}))
    loop = meta.get("loop", 0)
    options["loop"] = loop if isinstance(loop, int) and 0 <= loop < 1 << 16 else 0
    if len(images) == 1:
        images[0].save(path, _NAMES[format])
        return
    images[0].save(path, _NAMES[format], save_all=True, append_images=images[1:], duration=duration, **options)


def write_gif(path: Path, values: np.ndarray, meta: dict[str, Any], format: str, name: str) -> None:
    """A film, or an image (H, W, C) as one frame."""
    write(path, values[None] if values.ndim == 3 else values, meta, format, name)


def check_film(name: str, n: int) -> None:
    """SignalError for a film without frames."""
    if not n:
        raise SignalError(f"reading {name!r}: it has no frames, expected one at least; check the file")
