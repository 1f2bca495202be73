"""Blosc2: bits of equal weight side by side, then zstd in blocks that fit the cache. Through imagecodecs."""

from __future__ import annotations

import numpy as np

from ...spec import Signal
from .base import Peer, Setting, package_version
from .volume import planar

__all__ = ["Blosc2"]

_LEVEL = 9
_MAX_BYTES = 2**31 - 1 - 32  # of one buffer, less blosc2's own overhead


class Blosc2(Peer):
    """Channel after channel, as one buffer."""

    name = "Blosc2"
    needs = (("imagecodecs._blosc2", "imagecodecs"),)
    how = f"lossless, bitshuffle over whole samples, zstd level {_LEVEL}, one thread"
    lossless = True

    def refuses(self, signal: Signal) -> str | None:
        n_bytes = signal.values.nbytes
        return f"Blosc2 holds buffers below 2 GiB, the source has {n_bytes} bytes" if n_bytes > _MAX_BYTES else None

    def settings(self, signal: Signal) -> list[Setting]:
        return [{}]

    def encode(self, signal: Signal) -> bytes:
        import imagecodecs

        # the size of a sample is taken from the array: bytes would be shuffled as if they were samples of 8 bytes
        samples = planar(signal.values)
        samples = samples.view(np.uint8) if samples.dtype == np.bool_ else samples
        samples = samples.view(np.uint16) if samples.dtype == np.float16 else samples
        return imagecodecs.blosc2_encode(samples, _LEVEL, compressor="zstd", shuffle="bitshuffle", numthreads=1)

    def decode(self, data: bytes, like: Signal) -> np.ndarray:
        import imagecodecs

        samples = np.frombuffer(imagecodecs.blosc2_decode(data, numthreads=1), like.values.dtype)
        return np.moveaxis(samples.reshape(like.channels, *like.extent), 0, -1)

    def version(self) -> str:
        import imagecodecs

        return f"{imagecodecs.blosc2_version()} ({package_version('imagecodecs')})"
