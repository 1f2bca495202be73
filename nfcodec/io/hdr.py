"""Radiance pictures (.hdr) through imagecodecs and portable float maps (.pfm): linear light as float32, no alpha.

Radiance keeps 8 bits of a channel beside an exponent that three channels share (G. Ward, "Real Pixels", Graphics Gems II):
nothing below 0, and a dim channel beside a bright one is coarse. PFM keeps float32 exactly, rows from the bottom up.
"""

from __future__ import annotations

import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from nfcodec.errors import MissingExtraError, SignalError, UsageError
from nfcodec.spec import Signal

from .lattice import check_shape, new_signal
from .placement import number

__all__ = ["read_pfm", "read_radiance", "write_pfm", "write_radiance"]

_MAX_HEADER = 1 << 16  # bytes: a header is a few lines
_MAX_RADIANCE = 2.0**127 * (255 / 256)  # the largest number of an exponent that Radiance has
_PFM = re.compile(rb"(PF|Pf)\s+(\d{1,9})\s+(\d{1,9})\s+([-+]?[0-9.]+(?:[eE][-+]?\d+)?)\s")


def _imagecodecs(what: str):
    try:
        import imagecodecs
    except ImportError as err:
        raise MissingExtraError.of("imagecodecs", "encode", what) from err
    if not imagecodecs.RGBE.available:
        raise MissingExtraError.of("imagecodecs", "encode", what)
    return imagecodecs


# ---- Radiance


def read_radiance(path: Path, format: str) -> Signal:
    """An image signal (H, W, 3) float32 of kind "image"; what EXPOSURE lines say is noted and not applied."""
    data = path.read_bytes()
    codecs = _imagecodecs("reading Radiance HDR")
    if not data.startswith((b"#?RADIANCE", b"#?RGBE")):
        raise ValueError("no #?RADIANCE at its start")
    lines, _, after = data[:_MAX_HEADER].partition(b"\n\n")
    lines, size = lines.decode("latin-1").splitlines(), re.match(rb"([-+][XY]) (\d{1,9}) ([-+][XY]) (\d{1,9})\n", after)
    if size is None:
        raise ValueError("its header has no size")
    layout = size[1] + b" " + size[3]
    if layout != b"-Y +X":
        raise SignalError(f"reading {path.name!r}: got rows laid out as {layout.decode()}, expected -Y +X; save it upright")
    named = [line.split("=", 1) for line in lines if "=" in line and not line.startswith("#")]
    coding = next((value.strip() for key, value in named if key == "FORMAT"), "32-bit_rle_rgbe")
    if coding != "32-bit_rle_rgbe":
        raise SignalError(f"reading {path.name!r}: got pixels as {coding}, expected 32-bit_rle_rgbe; convert it to RGB")
    shape = int(size[2]), int(size[4]), 3
    check_shape(path.name, shape, np.dtype(np.float32))
    # four bytes a pixel, or runs of at most 127 of one byte in two
    if len(data) * 64 < shape[0] * shape[1]:
        raise ValueError(f"{len(data)} bytes cannot hold {shape[0]} x {shape[1]} pixels")
    meta: dict[str, Any] = {"colour_space": "linear"}
    exposure = [number(_float(value)) for key, value in named if key == "EXPOSURE"]
    if exposure and all(e is not None and e > 0 for e in exposure):
        meta["exposure"] = float(np.prod(exposure))
    values = np.asarray(codecs.rgbe_decode(data), np.float32).reshape(shape)
    return new_signal(path.name, format, values, "yxc", "image", meta)


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def write_radiance(path: Path, values: np.ndarray, meta: dict[str, Any], format: str, name: str) -> None:
    """Write (H, W, 3), or grey as three equal channels; what lies below 0 becomes 0, with a warning."""
    values = _linear(values, name, "Radiance HDR")
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > _MAX_RADIANCE:
        got = f"values from {low:g} to {high:g}"
        warnings.warn(f"{name}: got {got}, Radiance HDR holds 0 to {_MAX_RADIANCE:.3g}, so they are cut", stacklevel=3)
    values = np.clip(np.broadcast_to(values, (*values.shape[:2], 3)), 0, _MAX_RADIANCE)
    # the coder cuts off what lies below 8 bits: round here, to the middle of what it keeps
    step = np.exp2(np.frexp(values.max(-1, keepdims=True))[1] - 8.0)
    rounded = (np.minimum(np.rint(values / step), 255) + 0.25) * step * (values.max(-1, keepdims=True) > 0)
    data = _imagecodecs("writing Radiance HDR").rgbe_encode(rounded.astype(np.float32), header=True, rle=True)
    exposure = number(meta.get("exposure"))
    if exposure and exposure > 0:
        data = data.replace(b"\n\n", f"\nEXPOSURE={exposure:.9g}\n\n".encode(), 1)
    path.write_bytes(data)


# ---- portable float maps


def read_pfm(path: Path, format: str) -> Signal:
    """An image signal (H, W, 1 or 3) float32 of kind "image"."""
    data = path.read_bytes()
    header = _PFM.match(data[:_MAX_HEADER])
    scale = number(_float(header[4].decode())) if header else None
    if not scale:
        raise ValueError("no header of a portable float map")
    width, height, channels = int(header[2]), int(header[3]), 3 if header[1] == b"PF" else 1
    check_shape(path.name, (height, width, channels), np.dtype(np.float32))
    expected, left = 4 * height * width * channels, len(data) - header.end()
    if left != expected:
        raise SignalError(
            f"reading {path.name!r}: got {left} bytes of samples, expected {expected} for {width} x {height} x {channels}; "
            "the file is damaged or cut short"
        )
    values = np.frombuffer(data, "<f4" if scale < 0 else ">f4", offset=header.end()).reshape(height, width, channels)
    values = values[::-1].astype(np.float32)
    array, axes = (values[..., 0], "yx") if channels == 1 else (values, "yxc")
    return new_signal(path.name, format, array, axes, "image", {"colour_space": "linear"})


def write_pfm(path: Path, values: np.ndarray, meta: dict[str, Any], format: str, name: str) -> None:
    """Write (H, W, 1 or 3) as little-endian float32."""
    values = _linear(values, name, "PFM")
    kind = b"PF" if values.shape[-1] == 3 else b"Pf"
    head = kind + f"\n{values.shape[1]} {values.shape[0]}\n-1.0\n".encode()
    path.write_bytes(head + np.ascontiguousarray(values[::-1], "<f4").tobytes())


def _linear(values: np.ndarray, name: str, what: str) -> np.ndarray:
    """The values as float64, or a UsageError where the format cannot hold them."""
    if values.ndim != 3 or values.shape[-1] not in (1, 3):
        raise UsageError(f"writing {name!r}: {what} holds (H, W, 1 or 3), got shape {values.shape}; write .tif or .npy")
    if values.dtype.kind != "f":
        raise UsageError(
            f"writing {name!r}: {what} holds floats of linear light, got {values.dtype}; write .png or .tif, or decode "
            "with dtype f4 if the values are linear"
        )
    return values.astype(np.float64)
