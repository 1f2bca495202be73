"""AVIF with full chroma through pillow (libavif, aom)."""

from __future__ import annotations

import numpy as np

from ...spec import Signal
from .base import Setting, package_version
from .image import ImagePeer, load_with_pillow, save_with_pillow

__all__ = ["Avif"]

_QUALITIES = (5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95)


class Avif(ImagePeer):
    """8 bits; grey as 4:0:0, grey + alpha as RGB + alpha."""

    name = "AVIF 4:4:4"
    needs = (("PIL._avif", "pillow"),)
    how = "aom, speed 4, tune=psnr, 4:4:4, tiles as libavif chooses them, one thread"
    takes = "unsigned integers of 8 bits (with 10 and 12, the most that it holds, there is no tune=psnr)"
    max_side = 32768  # of libavif's decoder

    def settings(self, signal: Signal) -> list[Setting]:
        return [{"quality": quality} for quality in _QUALITIES]

    def between(self, a: Setting, b: Setting) -> Setting | None:
        middle = super().between(a, b)
        steps = [_quantiser(setting["quality"]) for setting in (a, b, middle or a)]
        return middle if steps[2] not in steps[:2] else None

    def encode(self, signal: Signal, quality: int) -> bytes:
        return save_with_pillow(
            signal.values,
            "AVIF",
            codec="aom",
            quality=quality,
            subsampling="4:0:0" if signal.channels == 1 else "4:4:4",
            speed=4,
            max_threads=1,  # the file depends on it
            advanced={"tune": "psnr"},
        )

    def decode(self, data: bytes, like: Signal) -> np.ndarray:
        return load_with_pillow(data, "AVIF", like)

    def version(self) -> str:
        from PIL import AvifImagePlugin, features

        aom = AvifImagePlugin.get_codec_version("aom")
        return f"libavif {features.version_module('avif')}, aom {aom} ({package_version('pillow')})"


def _quantiser(quality: int) -> int:
    """The step 0..63 that libavif makes of a quality 0..100 (avifQualityToQuantizer): neighbours may share one."""
    return ((100 - quality) * 63 + 50) // 100
