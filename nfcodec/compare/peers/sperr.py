"""SPERR: wavelets over the whole volume, coded by significance (SPECK). Through imagecodecs."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...spec import Signal
from .base import Setting, package_version
from .volume import VolumePeer

__all__ = ["Sperr"]

_RATIOS = (1500, 1000, 750, 500, 350, 200, 150, 100, 75, 50, 35, 20, 14, 10)  # to the samples as they are


class Sperr(VolumePeer):
    """bpp: bits a sample. It takes three axes: frames of a fourth are stacked along the first one."""

    name = "SPERR"
    needs = (("imagecodecs._sperr", "imagecodecs"),)
    how = "fixed rate, the volume as one chunk, frames stacked along z, one thread"

    def refuses(self, signal: Signal) -> str | None:
        return "it takes two axes and more" if len(signal.extent) == 1 else super().refuses(signal)

    def settings(self, signal: Signal) -> list[Setting]:
        return [{"bpp": 8 * signal.values.itemsize / ratio} for ratio in _RATIOS]

    def encode_channel(self, values: np.ndarray, span: float, **setting: Any) -> bytes:
        import imagecodecs

        shape = _folded(values.shape)
        # its header in 2-D misleads imagecodecs' decoder; in 3-D there always is one
        return imagecodecs.sperr_encode(values.reshape(shape), setting["bpp"], "bpp", header=len(shape) == 3, numthreads=1)

    def decode_channel(self, data: bytes, extent: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        import imagecodecs

        shape = _folded(extent)
        values = imagecodecs.sperr_decode(data, shape=shape, dtype=dtype, header=len(shape) == 3, numthreads=1)
        return values.reshape(extent)

    def version(self) -> str:
        import imagecodecs

        return f"{imagecodecs.sperr_version()} ({package_version('imagecodecs')})"


def _folded(extent: tuple[int, ...]) -> tuple[int, ...]:
    """(frames x slices, rows, columns); only rows and columns of a single slice, which kills its 3-D decoder."""
    n_slices = int(np.prod(extent[:-2]))
    return extent[-2:] if n_slices == 1 else (n_slices, *extent[-2:])
