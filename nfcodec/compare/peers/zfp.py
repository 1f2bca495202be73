"""ZFP: blocks of 4 samples an axis, transformed, coded by bit planes. Through imagecodecs."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...spec import Signal
from .base import Setting, package_version
from .volume import VolumePeer, bounds

__all__ = ["Zfp"]

# its errors are about a tenth of its tolerance, which may therefore exceed the value range
_EXPONENTS = np.arange(-8, 7)


class Zfp(VolumePeer):
    """tolerance: relative to the value range. 2 to 4 axes, each as it is."""

    name = "ZFP"
    needs = (("imagecodecs._zfp", "imagecodecs"),)
    how = "accuracy mode, tolerance relative to the value range, one thread"
    aim = "it bounds the largest error of a sample, by a wide margin; the mean is not what it minimises"

    def settings(self, signal: Signal) -> list[Setting]:
        return [{"tolerance": bound} for bound in bounds(signal.values, _EXPONENTS)]

    def between(self, a: Setting, b: Setting) -> Setting | None:
        """Nothing: it rounds tolerances down to powers of two."""
        return None

    def encode_channel(self, values: np.ndarray, span: float, **setting: Any) -> bytes:
        import imagecodecs

        bound = setting["tolerance"] * span
        # blocks of float64 cost 3 bits more each, in vain where float32 rounds far below the tolerance
        largest = max(abs(float(values.min())), abs(float(values.max())))
        if largest * 2.0**-24 < bound * 2.0**-10 and largest < np.finfo(np.float32).max:
            values = values.astype(np.float32)
        return imagecodecs.zfp_encode(values, bound, mode="accuracy", numthreads=1)

    def decode_channel(self, data: bytes, extent: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        import imagecodecs

        return imagecodecs.zfp_decode(data, numthreads=1).reshape(extent).astype(dtype, copy=False)

    def version(self) -> str:
        import imagecodecs

        return f"{imagecodecs.zfp_version()} ({package_version('imagecodecs')})"
