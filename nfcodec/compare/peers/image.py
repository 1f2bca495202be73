"""What the codecs of pictures share: which samples they hold, and files through pillow."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from ...spec import Signal
from .base import Peer

__all__ = ["ImagePeer", "load_with_pillow", "plane_or_pixels", "save_with_pillow"]

_MODES = ("L", "LA", "RGB", "RGBA")  # of 1 to 4 channels: nfcodec.io reads grey, grey + alpha, RGB and RGB + alpha


class ImagePeer(Peer):
    """A codec of pictures of 1 to 4 channels; the second of two and the fourth of four are put through as alpha."""

    dtypes: tuple[str, ...] = ("uint8",)
    takes: str = "unsigned integers of 8 bits"
    channels: tuple[int, ...] = (1, 2, 3, 4)
    max_side: int = 1 << 31  # samples

    def refuses(self, signal: Signal) -> str | None:
        """One line, or None: see `Peer.refuses`."""
        if len(signal.extent) != 2 or signal.channels not in self.channels:
            shape = " x ".join(map(str, signal.extent))
            names = [("grey", "grey + alpha", "RGB", "RGB + alpha")[c - 1] for c in self.channels]
            return f"{self.name} holds {', '.join(names)}, the source is {shape} with {signal.channels} channels"
        if signal.values.dtype.name not in self.dtypes:
            return f"{self.name} takes {self.takes} here, the source is {signal.values.dtype}"
        if max(signal.extent) > self.max_side:
            return f"{self.name} holds sides of up to {self.max_side} samples, the source has {max(signal.extent)}"
        return None


def save_with_pillow(values: np.ndarray, format: str, **options: Any) -> bytes:
    """The file of (H, W, C) uint8, C of 1 to 4, without metadata. Raises what pillow raises."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(plane_or_pixels(values)).save(file, format, **options)
    return file.getvalue()


def load_with_pillow(data: bytes, format: str, like: Signal) -> np.ndarray:
    """(H, W, C) uint8 with the channels of `like`: formats without grey give it back as three equal channels."""
    from PIL import Image

    # pillow's guard is for files of strangers; this one is as large as the source, which was read already
    limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        with Image.open(io.BytesIO(data), formats=[format]) as image:
            return np.array(image.convert(_MODES[like.channels - 1])).reshape(like.values.shape)
    finally:
        Image.MAX_IMAGE_PIXELS = limit


def plane_or_pixels(values: np.ndarray) -> np.ndarray:
    """(H, W, C) as libraries want it: (H, W) for one channel."""
    return np.ascontiguousarray(values[..., 0] if values.shape[-1] == 1 else values)
