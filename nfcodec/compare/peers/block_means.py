"""Means over blocks, as a multigrid or a preview would have them, upsampled by cubic splines."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import zstandard

from ...spec import Signal
from .base import Setting, package_version
from .volume import VolumePeer

__all__ = ["BlockMeans"]

_LEVEL = 19
_HEADER = struct.Struct("<BBdd")  # block, bits, the smallest and the largest mean
_DEPTHS = {8: np.uint8, 16: np.uint16}  # bits a mean


class BlockMeans(VolumePeer):
    """block: samples along every axis. Blocks that stick out repeat the last sample.

    Means are integers over their own range, of 8 bits unless that loses more than a decibel, then of 16; their differences
    along the last axis go through zstd.
    """

    name = "block means"
    needs = (("scipy.ndimage", "scipy"),)
    how = f"means of 8 bits where these do, else of 16, differences, zstd level {_LEVEL}, cubic spline about block centres"

    def settings(self, signal: Signal) -> list[Setting]:
        return [{"block": block} for block in (8, 6, 4, 3, 2)]

    def encode_channel(self, values: np.ndarray, span: float, **setting: Any) -> bytes:
        """bits: of the means, 8 or 16, to choose them by hand."""
        block = setting["block"]
        means = _means(values, block)
        low, high = float(means.min()), float(means.max())
        bits = setting.get("bits") or _bits(values, _upsampled(means, block, values.shape, values.dtype), high - low)
        top = 2**bits - 1
        integers = np.rint((means - low) * (top / (high - low) if high > low else 0)).astype(_DEPTHS[bits])
        differences = np.diff(integers, axis=-1, prepend=integers.dtype.type(0))  # modulo 2**bits
        packed = zstandard.ZstdCompressor(level=_LEVEL).compress(differences.tobytes())
        return _HEADER.pack(block, bits, low, high) + packed

    def decode_channel(self, data: bytes, extent: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        block, bits, low, high = _HEADER.unpack_from(data)
        packed = data[_HEADER.size :]
        differences = np.frombuffer(zstandard.ZstdDecompressor().decompress(packed), _DEPTHS[bits])
        integers = np.cumsum(differences.reshape([-(-n // block) for n in extent]), axis=-1, dtype=_DEPTHS[bits])
        means = low + integers * ((high - low) / (2**bits - 1))
        return _upsampled(means, block, extent, dtype)

    def version(self) -> str:
        return f"{package_version('scipy')}, {package_version('zstandard')}"


def _means(values: np.ndarray, block: int) -> np.ndarray:
    """(*extent) -> (*ceil(extent / block)) float64."""
    padded = np.pad(values, [(0, -n % block) for n in values.shape], mode="edge")
    blocks = padded.reshape([n for size in padded.shape for n in (size // block, block)])
    return blocks.mean(axis=tuple(range(1, blocks.ndim, 2)), dtype=np.float64)


def _upsampled(means: np.ndarray, block: int, extent: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """(*extent): a cubic spline through the means at the centres of their blocks, constant beyond the outer ones."""
    from scipy import ndimage

    whole = ndimage.zoom(means, block, output=dtype, order=3, mode="nearest", grid_mode=True)
    return whole[tuple(slice(n) for n in extent)]


def _bits(values: np.ndarray, ideal: np.ndarray, span: float) -> int:
    """8, or 16 where rounding to steps of span / 255 would add more than a quarter (1 dB) to the mean squared error.

    ideal: what means that are not rounded decode to.
    """
    return 8 if (span / 255) ** 2 / 12 <= 0.25 * np.mean((ideal - values) ** 2, dtype=np.float64) else 16
