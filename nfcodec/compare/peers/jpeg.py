"""JPEG through pillow, with full or halved chroma."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...spec import Signal
from .base import Setting, package_version
from .image import ImagePeer, load_with_pillow, save_with_pillow

__all__ = ["Jpeg"]

_QUALITIES = (5, 10, 15, 20, 30, 40, 50, 60, 70, 80, 85, 90, 95)


class Jpeg(ImagePeer):
    """Baseline samples of 8 bits, no alpha. subsampling: of the chroma, "4:2:0" or "4:4:4"."""

    needs = (("PIL", "pillow"),)
    how = "progressive, optimised Huffman tables"
    aim = "its quantisation tables weigh frequencies by how visible they are, not by squared error"
    channels = (1, 3)
    max_side = 65500  # libjpeg's

    def __init__(self, subsampling: str):
        self.subsampling = subsampling
        self.name = f"JPEG {subsampling}"

    def refuses(self, signal: Signal) -> str | None:
        if signal.channels == 1 and self.subsampling != "4:4:4":
            return f"{self.name} differs from JPEG 4:4:4 in chroma alone, the source is grey"
        return super().refuses(signal)

    def settings(self, signal: Signal) -> list[Setting]:
        return [{"quality": quality} for quality in _QUALITIES]

    def encode(self, signal: Signal, quality: int) -> bytes:
        from PIL import ImageFile

        options: dict[str, Any] = {"quality": quality, "optimize": True, "progressive": True}
        if signal.channels == 3:
            options["subsampling"] = self.subsampling
        # pillow wants all of such a file in one buffer, and what it allots is too little for noise
        before, ImageFile.MAXBLOCK = ImageFile.MAXBLOCK, max(ImageFile.MAXBLOCK, 2 * signal.values.nbytes)
        try:
            return save_with_pillow(signal.values, "JPEG", **options)
        finally:
            ImageFile.MAXBLOCK = before

    def decode(self, data: bytes, like: Signal) -> np.ndarray:
        return load_with_pillow(data, "JPEG", like)

    def version(self) -> str:
        from PIL import features

        turbo = features.version_feature("libjpeg_turbo")
        library = f"libjpeg-turbo {turbo}" if turbo else f"libjpeg {features.version_codec('jpg')}"
        return f"{library} ({package_version('pillow')})"
