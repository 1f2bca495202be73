"""JPEG 2000 through OpenJPEG: pillow for 8 bits, imagecodecs for 16, which pillow holds in grey alone."""

from __future__ import annotations

import numpy as np

from ...spec import Signal
from .base import Setting, package_version
from .image import ImagePeer, load_with_pillow, plane_or_pixels, save_with_pillow

__all__ = ["Jpeg2000"]

_RATES = (256.0, 192.0, 128.0, 96.0, 64.0, 48.0, 32.0, 24.0, 16.0, 12.0, 8.0, 6.0, 4.0)
_PSNRS_DB = tuple(range(25, 75, 5))


class Jpeg2000(ImagePeer):
    """8 bits by rate (raw bytes : file), 16 bits by the PSNR to aim at, since imagecodecs has no rates."""

    name = "JPEG 2000"
    needs = (("PIL", "pillow"), ("imagecodecs", "imagecodecs"))
    how = "irreversible 9-7 wavelet, colour transform on, one tile, one layer, JP2"
    dtypes = ("uint8", "uint16")
    takes = "unsigned integers of 8 or 16 bits"

    def settings(self, signal: Signal) -> list[Setting]:
        if signal.values.dtype == np.uint16:
            return [{"aimed_db": float(psnr)} for psnr in _PSNRS_DB]
        return [{"rate": rate} for rate in _RATES]

    def encode(self, signal: Signal, rate: float = 0.0, aimed_db: float = 0.0) -> bytes:
        colour = signal.channels >= 3
        if signal.values.dtype == np.uint16:
            import imagecodecs

            values = plane_or_pixels(signal.values)
            return imagecodecs.jpeg2k_encode(values, level=aimed_db, reversible=False, mct=colour, numthreads=1)
        return save_with_pillow(
            signal.values, "JPEG2000", quality_mode="rates", quality_layers=[rate], irreversible=True, mct=int(colour)
        )

    def decode(self, data: bytes, like: Signal) -> np.ndarray:
        if like.values.dtype == np.uint16:
            import imagecodecs

            return imagecodecs.jpeg2k_decode(data, numthreads=1).reshape(like.values.shape)
        return load_with_pillow(data, "JPEG2000", like)

    def version(self) -> str:
        import imagecodecs
        from PIL import features

        eight, sixteen = features.version_codec("jpg_2000"), imagecodecs.jpeg2k_version()
        return f"OpenJPEG {eight} ({package_version('pillow')}); 16 bits: {sixteen} ({package_version('imagecodecs')})"
