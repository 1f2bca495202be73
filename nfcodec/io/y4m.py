"""YUV4MPEG2, raw video that every tool reads and writes: mjpegtools' yuv4mpeg(5), with FFmpeg's names of deeper samples.

Colours are turned to RGB by BT.601, from 577 rows on by BT.709, and back for the writer; of chroma at half the resolution
each sample is used as often as it is shared, so that what is written again is what was read, but for rounding.
"""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from nfcodec.errors import SignalError
from nfcodec.spec import Signal

from .film import as_frames, check_film, film_signal, rate_of
from .lattice import check_shape

__all__ = ["read", "write"]

_MAGIC = b"YUV4MPEG2"
_MAX_HEADER = 1 << 10
_CHROMA = {"420": (2, 2), "422": (1, 2), "444": (1, 1), "411": (1, 4), "mono": None}  # rows and columns that share a sample
_KNOWN = re.compile(r"(420|422|444|411|mono)(?:jpeg|mpeg2|paldv)?(?:p?(9|10|12|14|16))?")
_KR_KB = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}
_SD_ROWS = 576


def read(path: Path, format: str) -> Signal:
    """A film, uint8 or, of more than 8 bits, uint16 over its whole range; grey of mono."""
    with path.open("rb") as file:
        words = file.readline(_MAX_HEADER).split()
        if not words or words[0] != _MAGIC:
            raise SignalError(f"reading {path.name!r}: its first line is no YUV4MPEG2 header; check the file")
        fields = {word[:1].decode("latin-1"): word[1:].decode("latin-1") for word in words[1:] if word[:1] != b"X"}
        is_full = b"XCOLORRANGE=FULL" in words
        width, height, chroma, bits, rate = _parsed(path.name, fields)
        shared = _CHROMA[chroma]
        planes = [(height, width)] + ([] if shared is None else [(-(-height // shared[0]), -(-width // shared[1]))] * 2)
        dtype = np.dtype(np.uint8 if bits == 8 else "<u2")
        size = sum(h * w for h, w in planes) * dtype.itemsize
        body = path.stat().st_size - file.tell()
        n = body // (size + 6)
        check_film(path.name, n)
        check_shape(path.name, (n, height, width, 3), np.dtype(np.uint8 if bits == 8 else np.uint16))
        matrix = "bt601" if height <= _SD_ROWS else "bt709"
        frames = np.empty((n, height, width, 1 if shared is None else 3), np.uint8 if bits == 8 else np.uint16)
        for k in range(n):
            head = file.readline(_MAX_HEADER)
            data = file.read(size)
            if not head.startswith(b"FRAME") or len(data) != size:
                raise SignalError(f"reading {path.name!r}: frame {k} of {n} is damaged or cut short; export the file again")
            frames[k] = _to_rgb(np.frombuffer(data, dtype), planes, shared, bits, is_full, matrix)
        if file.read(1):
            raise SignalError(f"reading {path.name!r}: data follow frame {n}, or one is cut short; export the file again")
    kept = {"chroma": fields.get("C", "420jpeg"), "matrix": matrix, **({"full_range": True} if is_full else {})}
    if fields.get("A", "1:1") not in ("1:1", "0:0"):
        kept["aspect"] = fields["A"]
    return film_signal(path.name, format, frames, {"frame_rate": rate, "y4m": kept})


def _parsed(name: str, fields: dict[str, str]) -> tuple[int, int, str, int, float]:
    """Width, height, chroma, bits a sample, frames a second."""
    try:
        width, height = int(fields["W"]), int(fields["H"])
        above, below = (int(part) for part in fields.get("F", "25:1").split(":"))
        rate = round(above / below, 9)
    except (KeyError, ValueError, ZeroDivisionError):
        raise SignalError(f"reading {name!r}: its header lacks a size or rate, got {fields}; check the file") from None
    known = _KNOWN.fullmatch(fields.get("C", "420jpeg"))
    if fields.get("I", "p") not in ("p", "?") or known is None or not rate > 0:
        raise SignalError(
            f"reading {name!r}: got interlacing {fields.get('I', 'p')}, chroma {fields.get('C')} and rate {rate:g}, "
            "expected whole frames of 420, 422, 444, 411 or mono; convert it, for example with ffmpeg -vf yadif -pix_fmt "
            "yuv420p"
        )
    return width, height, known[1], int(known[2] or 8), rate


def _levels(bits: int, is_full: bool) -> tuple[float, float, float]:
    """Black, white above it, and the range of chroma."""
    if is_full:
        return 0.0, float((1 << bits) - 1), float((1 << bits) - 1)
    unit = 1 << (bits - 8)
    return 16.0 * unit, 219.0 * unit, 224.0 * unit


def _to_rgb(data: np.ndarray, planes: list, shared: Any, bits: int, is_full: bool, matrix: str) -> np.ndarray:
    """One frame's samples (n,) -> (H, W, C)."""
    black, luma, range_of_chroma = _levels(bits, is_full)
    (height, width), white = planes[0], 255.0 if bits == 8 else 65535.0
    y = (data[: height * width].reshape(height, width) - np.float64(black)) / luma
    if shared is None:
        rgb = y[..., None]
    else:
        at, chroma = height * width, []
        for h, w in planes[1:]:
            plane = (data[at : at + h * w].reshape(h, w) - np.float64(1 << (bits - 1))) / range_of_chroma
            chroma.append(plane.repeat(shared[0], 0).repeat(shared[1], 1)[:height, :width])
            at += h * w
        kr, kb = _KR_KB[matrix]
        red, blue = y + 2 * (1 - kr) * chroma[1], y + 2 * (1 - kb) * chroma[0]
        rgb = np.stack([red, (y - kr * red - kb * blue) / (1 - kr - kb), blue], -1)
    return np.rint(np.clip(rgb, 0, 1) * white).astype(np.uint8 if bits == 8 else np.uint16)


def write(path: Path, values: np.ndarray, meta: dict[str, Any], format: str, name: str) -> None:
    """Frames (T, H, W, C) with the chroma of the source, where that was Y4M; else 444, of 8 or 16 bits, and mono of
    grey."""
    frames = as_frames(values, name)[..., :3]
    kept = meta.get("y4m") if isinstance(meta.get("y4m"), dict) else {}
    deep, (_, height, width, channels) = frames.dtype == np.uint16, frames.shape
    text = kept.get("chroma")
    known = _KNOWN.fullmatch(text) if isinstance(text, str) else None
    if known is None or (known[1] == "mono") != (channels == 1) or (int(known[2] or 8) > 8) != deep:
        text = ("mono" if channels == 1 else "444") + (("" if channels == 1 else "p") + "16" if deep else "")
        known = _KNOWN.fullmatch(text)
    bits, shared, is_full = int(known[2] or 8), _CHROMA[known[1]], kept.get("full_range") is True
    matrix = kept.get("matrix") if kept.get("matrix") in _KR_KB else "bt601" if height <= _SD_ROWS else "bt709"
    aspect = kept.get("aspect")
    aspect = aspect if isinstance(aspect, str) and re.fullmatch(r"\d{1,6}:\d{1,6}", aspect) else "1:1"
    rate = Fraction(rate_of(meta)).limit_denominator(1001)
    full = " XCOLORRANGE=FULL" if is_full else ""
    with path.open("wb") as file:
        file.write(
            f"YUV4MPEG2 W{width} H{height} F{rate.numerator}:{rate.denominator} Ip A{aspect} C{text}{full}\n".encode()
        )
        for frame in frames:
            file.write(b"FRAME\n")
            for plane in _from_rgb(frame, shared, bits, is_full, matrix):
                file.write(plane.astype(np.uint8 if bits == 8 else "<u2").tobytes())


def _from_rgb(frame: np.ndarray, shared: Any, bits: int, is_full: bool, matrix: str) -> list[np.ndarray]:
    """(H, W, C) -> the planes of a frame; chroma is the mean of the samples that share it."""
    black, luma, range_of_chroma = _levels(bits, is_full)
    top = (1 << bits) - 1
    rgb = frame / np.float64(np.iinfo(frame.dtype).max)
    if shared is None:
        return [np.clip(np.rint(black + luma * rgb[..., 0]), 0, top)]
    kr, kb = _KR_KB[matrix]
    red, green, blue = np.moveaxis(rgb, -1, 0)
    y = kr * red + (1 - kr - kb) * green + kb * blue
    planes = [black + luma * y]
    for colour, k in ((blue, kb), (red, kr)):
        chroma = (colour - y) / (2 * (1 - k))
        rows, columns = shared
        chroma = np.pad(chroma, [(0, -len(chroma) % rows), (0, -chroma.shape[1] % columns)], mode="edge")
        chroma = chroma.reshape(len(chroma) // rows, rows, -1, columns).mean((1, 3))
        planes.append((1 << (bits - 1)) + range_of_chroma * chroma)
    return [np.clip(np.rint(plane), 0, top) for plane in planes]
