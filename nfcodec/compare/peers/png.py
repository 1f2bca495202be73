"""PNG through libpng: the smallest of a few ways to filter, as optipng does it."""

from __future__ import annotations

import numpy as np

from ...spec import Signal
from .base import Setting, package_version
from .image import ImagePeer, plane_or_pixels

__all__ = ["Png"]


class Png(ImagePeer):
    """Lossless, 8 and 16 bits."""

    name = "PNG"
    needs = (("imagecodecs", "imagecodecs"),)
    how = "lossless, level 9, the smallest of five choices of filters and strategy"
    lossless = True
    dtypes = ("uint8", "uint16")
    max_side = 1_000_000  # libpng's guard
    takes = "unsigned integers of 8 or 16 bits"

    def settings(self, signal: Signal) -> list[Setting]:
        return [{}]

    def encode(self, signal: Signal) -> bytes:
        import imagecodecs

        FILTER, STRATEGY = imagecodecs.PNG.FILTER, imagecodecs.PNG.STRATEGY
        # none is best for drawings, fast (none, sub, up) and all for photographs; each strategy wins on some of them
        trials = (
            (FILTER.NONE, STRATEGY.DEFAULT),
            (FILTER.FAST, STRATEGY.DEFAULT),
            (FILTER.FAST, STRATEGY.FILTERED),
            (FILTER.ALL, STRATEGY.DEFAULT),
            (FILTER.ALL, STRATEGY.FILTERED),
        )
        values = plane_or_pixels(signal.values)
        files = [imagecodecs.png_encode(values, level=9, filter=filter, strategy=strategy) for filter, strategy in trials]
        return min(files, key=len)

    def decode(self, data: bytes, like: Signal) -> np.ndarray:
        import imagecodecs

        return imagecodecs.png_decode(data).reshape(like.values.shape)

    def version(self) -> str:
        import imagecodecs

        return f"{imagecodecs.png_version()} ({package_version('imagecodecs')})"
