"""SZ3: interpolation or regression predicts each sample, errors are quantised and entropy coded. Through imagecodecs."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...spec import Signal
from .base import Setting, package_version
from .volume import VolumePeer, bounds

__all__ = ["Sz3"]

_EXPONENTS = np.arange(-12.5, -1, 0.75)


class Sz3(VolumePeer):
    """bound: relative to the value range. 2 to 4 axes, each as it is."""

    name = "SZ3"
    needs = (("imagecodecs._sz3", "imagecodecs"),)
    how = "its default algorithm, absolute error bound, relative to the value range"
    aim = "it bounds the largest error of a sample; the mean is not what it minimises"

    def settings(self, signal: Signal) -> list[Setting]:
        return [{"bound": bound} for bound in bounds(signal.values, _EXPONENTS)]

    def encode_channel(self, values: np.ndarray, span: float, **setting: Any) -> bytes:
        import imagecodecs

        return imagecodecs.sz3_encode(values, mode="abs", abs=setting["bound"] * span)

    def decode_channel(self, data: bytes, extent: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        import imagecodecs

        return imagecodecs.sz3_decode(data, extent, dtype)

    def version(self) -> str:
        import imagecodecs

        return f"{imagecodecs.sz3_version()} ({package_version('imagecodecs')})"
