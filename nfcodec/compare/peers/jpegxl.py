"""JPEG XL through imagecodecs (libjxl)."""

from __future__ import annotations

import numpy as np

from ...spec import Signal
from .base import Setting, package_version
from .image import ImagePeer, plane_or_pixels

__all__ = ["JpegXl"]

# what cjxl makes of the qualities 5, 10, 20, 30 ... 90, 95 (JxlEncoderDistanceFromQuality)
_DISTANCES = (19.6917, 15.2667, 9.0667, 6.4, 5.5, 4.6, 3.7, 2.8, 1.9, 1.0, 0.55)


class JpegXl(ImagePeer):
    """8 and 16 bits, alpha lossless. distance: Butteraugli's, 1 is about the first visible difference."""

    name = "JPEG XL"
    needs = (("imagecodecs", "imagecodecs"),)
    how = "effort 7, alpha lossless"
    aim = "it minimises Butteraugli, a model of what is seen, not squared error"
    dtypes = ("uint8", "uint16")
    takes = "unsigned integers of 8 or 16 bits"

    def refuses(self, signal: Signal) -> str | None:
        why = super().refuses(signal)
        if why is None and signal.channels in (2, 4):
            colours, alpha = signal.values[..., :-1], signal.values[..., -1]
            if colours[alpha == 0].any():
                # libjxl can be told to keep them, imagecodecs cannot tell it
                why = f"{self.name} drops the colours under alpha 0 here, and they are measured like all others"
        return why

    def settings(self, signal: Signal) -> list[Setting]:
        return [{"distance": distance} for distance in _DISTANCES]

    def encode(self, signal: Signal, distance: float) -> bytes:
        import imagecodecs

        return imagecodecs.jpegxl_encode(plane_or_pixels(signal.values), distance=distance, effort=7, numthreads=1)

    def decode(self, data: bytes, like: Signal) -> np.ndarray:
        import imagecodecs

        return imagecodecs.jpegxl_decode(data, numthreads=1).reshape(like.values.shape)

    def version(self) -> str:
        import imagecodecs

        return f"{imagecodecs.jpegxl_version()} ({package_version('imagecodecs')})"
