"""The samples as they are, through zstd: what every other codec of volumes has to beat."""

from __future__ import annotations

import numpy as np
import zstandard

from ...spec import Signal
from .base import Peer, Setting, package_version
from .volume import planar

__all__ = ["RawZstd"]

_LEVEL = 19


class RawZstd(Peer):
    """Channel after channel, little-endian, without a header."""

    name = "raw + zstd"
    how = f"lossless, zstd level {_LEVEL}"
    lossless = True

    def settings(self, signal: Signal) -> list[Setting]:
        return [{}]

    def encode(self, signal: Signal) -> bytes:
        return zstandard.ZstdCompressor(level=_LEVEL).compress(planar(signal.values).data)

    def decode(self, data: bytes, like: Signal) -> np.ndarray:
        samples = np.frombuffer(zstandard.ZstdDecompressor().decompress(data), like.values.dtype)
        return np.moveaxis(samples.reshape(like.channels, *like.extent), 0, -1)

    def version(self) -> str:
        return f"zstd {'.'.join(map(str, zstandard.ZSTD_VERSION))} ({package_version('zstandard')})"
