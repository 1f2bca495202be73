"""Compressed video through PyAV, which brings FFmpeg: MP4, MOV, MKV, WebM and AVI in, MP4 and MKV out.

An extra of its own, that no other extra brings: PyAV itself is of the BSD licence, but FFmpeg in its wheels is built with
x264 and thus under the GPL. Who wants none of it takes Y4M, which ffmpeg and every editor write.
"""

from __future__ import annotations

import warnings
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from nfcodec.errors import MissingExtraError
from nfcodec.spec import Signal

from .film import as_frames, check_film, film_signal, rate_of
from .lattice import check_shape

__all__ = ["read", "write"]

_CODEC, _QUALITY = "libx264", "12"  # CRF: what differs nobody sees


def _av(what: str):
    try:
        import av
    except ImportError as err:
        raise MissingExtraError.of("av", "video", what) from err
    return av


def read(path: Path, format: str) -> Signal:
    """The first stream of video as a film of RGB, 8 bits; sound is left out."""
    av = _av(f"reading {path.suffix}")
    with av.open(str(path)) as container:
        check_film(path.name, len(container.streams.video))
        stream = container.streams.video[0]
        rate = float(stream.average_rate or stream.guessed_rate or 25)
        if container.streams.audio:
            warnings.warn(f"{path.name}: its sound is not kept", stacklevel=2)
        frames = []
        for frame in container.decode(stream):
            frames.append(frame.to_ndarray(format="rgb24"))
            check_shape(path.name, (len(frames), *frames[0].shape), np.dtype(np.uint8))
    check_film(path.name, len(frames))
    return film_signal(path.name, format, np.stack(frames), {"frame_rate": round(rate, 9)})


def write(path: Path, values: np.ndarray, meta: dict[str, Any], format: str, name: str) -> None:
    """Frames (T, H, W, C) as H.264, close to without loss; chroma of half the resolution where both sides are even."""
    av = _av(f"writing {path.suffix}")
    frames = as_frames(values, name)
    if frames.dtype == np.uint16:
        warnings.warn(f"{name}: {format} holds 8 bits, 16-bit values are rounded", stacklevel=3)
        frames = ((frames.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8)
    if frames.shape[-1] == 4:
        warnings.warn(f"{name}: {format} has no alpha, which is left out; write .png to keep it", stacklevel=3)
    rgb = np.broadcast_to(frames[..., :3], (*frames.shape[:3], 3))
    is_even = not (rgb.shape[1] % 2 or rgb.shape[2] % 2)
    with av.open(str(path), "w", format={"mp4": "mp4", "mkv": "matroska"}[format]) as container:
        stream = container.add_stream(
            _CODEC, rate=Fraction(rate_of(meta)).limit_denominator(1001), options={"crf": _QUALITY}
        )
        stream.height, stream.width = rgb.shape[1:3]
        stream.pix_fmt = "yuv420p" if is_even else "yuv444p"
        for array in rgb:
            for packet in stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(array), format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
