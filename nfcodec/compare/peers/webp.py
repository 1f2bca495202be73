"""WebP, lossy, through pillow."""

from __future__ import annotations

import numpy as np

from ...spec import Signal
from .base import Setting, package_version
from .image import ImagePeer, load_with_pillow, save_with_pillow

__all__ = ["WebP"]

_QUALITIES = (1.0, 5.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0, 95.0)


class WebP(ImagePeer):
    """8 bits, chroma always halved (4:2:0), alpha lossless; grey is stored with chroma that says nothing."""

    name = "WebP"
    needs = (("PIL._webp", "pillow"),)
    how = "lossy, method 6, 4:2:0 (it has no other), alpha lossless"
    aim = "its spatial noise shaping, which pillow leaves on, favours looks over squared error"
    max_side = 16383

    def settings(self, signal: Signal) -> list[Setting]:
        return [{"quality": quality} for quality in _QUALITIES]

    def encode(self, signal: Signal, quality: float) -> bytes:
        # exact: colours under alpha 0 are measured like all others
        return save_with_pillow(signal.values, "WEBP", quality=quality, method=6, exact=True)

    def decode(self, data: bytes, like: Signal) -> np.ndarray:
        return load_with_pillow(data, "WEBP", like)

    def version(self) -> str:
        from PIL import features

        return f"libwebp {features.version_module('webp')} ({package_version('pillow')})"
