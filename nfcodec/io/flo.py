"""Optical flow as Middlebury's .flo (Baker et al. 2011, A database and evaluation methodology for optical flow): u and v of
every pixel, in pixels, along x and y; unknown where either is above 10^9.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import numpy as np

from nfcodec.errors import SignalError, UsageError
from nfcodec.spec import Signal

from . import geotiff
from .lattice import check_shape, new_signal
from .placement import number

__all__ = ["read", "write"]

_MAGIC = b"PIEH"
_UNKNOWN, _LIMIT = 1.66666e9, 1e9


def read(path: Path, format: str) -> Signal:
    """Flow (H, W, 2) float32, and where some of it is unknown a channel of alpha."""
    data = path.read_bytes()
    if len(data) < 12 or data[:4] != _MAGIC:
        raise SignalError(f"reading {path.name!r}: it does not begin with {_MAGIC.decode()}, as .flo does; check the file")
    width, height = struct.unpack("<ii", data[4:12])
    check_shape(path.name, (max(height, 0), max(width, 0), 2), np.dtype(np.float32))
    if len(data) != 12 + 8 * width * height:
        raise SignalError(
            f"reading {path.name!r}: got {len(data)} bytes, expected {12 + 8 * width * height} for {width} x {height} "
            "pixels; copy the file again"
        )
    flow = np.frombuffer(data, "<f4", offset=12).reshape(height, width, 2)
    meta: dict[str, Any] = {"quantity": "flow"}
    unknown = ~(np.abs(flow) <= _LIMIT).all(-1)
    if unknown.any():
        found = geotiff.find_holes(np.where(unknown[..., None], np.float32(np.nan), flow), {}, None)
        if found is None:
            raise SignalError(f"reading {path.name!r}: no pixel's flow is known; check the file")
        flow, meta["opaque"] = found
        meta["alpha"] = True
    return new_signal(path.name, format, flow, "yxc", "image", meta)


def write(path: Path, values: np.ndarray, meta: dict[str, Any], format: str, name: str) -> None:
    """Flow (H, W, 2), or with a channel of alpha."""
    opaque = number(meta.get("opaque"))
    if values.ndim != 3 or values.shape[-1] != 2 + bool(opaque) or values.dtype.kind != "f":
        raise UsageError(
            f"writing {name!r}: .flo holds 2 floats of each pixel, got {values.dtype} of shape {values.shape}; write .npy"
        )
    flow = values[..., :2].astype("<f4")
    if opaque:
        flow[values[..., 2] < opaque / 2] = _UNKNOWN
    path.write_bytes(_MAGIC + struct.pack("<ii", flow.shape[1], flow.shape[0]) + flow.tobytes())
