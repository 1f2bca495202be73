"""WAV: sound as a lattice of one axis, time, whose channels are those of the file. scipy reads it; what scipy does not
write, 24 bits, the standard library does.
"""

from __future__ import annotations

import struct
import warnings
import wave
from pathlib import Path
from typing import Any

import numpy as np

from nfcodec.errors import MissingExtraError, SignalError, UsageError
from nfcodec.spec import Signal

from .lattice import check_shape, new_signal, to_array
from .placement import number

__all__ = ["read", "write"]

_USUAL_RATE = 44100
_MAX_RATE = (1 << 32) - 1
_ROUNDED = 1e-3  # of the rate, which WAV holds as a whole number: a change of pitch that nobody hears
_WRITTEN = ("uint8", "int16", "int32", "float32", "float64")


def _wavfile(what: str):
    try:
        from scipy.io import wavfile
    except ImportError as err:
        raise MissingExtraError.of("scipy", "encode", what) from err
    return wavfile


def read(path: Path, format: str) -> Signal:
    """Samples (N, C) uint8, int16, int32, float32 or float64 as they are stored; those of 24 bits in int32, from -2^23 to
    2^23 - 1."""
    wavfile = _wavfile("reading WAV")
    bits = _bits(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", wavfile.WavFileWarning)  # of chunks that it does not know
        warnings.filterwarnings("error", "Reached EOF", wavfile.WavFileWarning)
        rate, array = wavfile.read(path)
    check_shape(path.name, array.shape, array.dtype)
    meta: dict[str, Any] = {"sample_rate": int(rate)}
    if bits == 24:
        array, meta["bit_depth"] = array >> 8, 24  # scipy fills them up from below
    elif bits not in (8, 16, 32, 64):
        raise SignalError(f"reading {path.name!r}: got {bits} bits a sample, expected 8, 16, 24 or 32; convert it")
    return new_signal(path.name, format, array, "t" if array.ndim == 1 else "tc", "volume", meta)


def _bits(path: Path) -> int:
    """Bits a sample, of the chunk "fmt "; 0 where there is none."""
    with path.open("rb") as file:
        order = ">" if file.read(12)[:4] == b"RIFX" else "<"
        while len(head := file.read(8)) == 8:
            name, size = struct.unpack(order + "4sI", head)
            if name == b"fmt ":
                body = file.read(16)
                return struct.unpack(order + "H", body[14:16])[0] if len(body) == 16 else 0
            file.seek(size + size % 2, 1)
    return 0


def write(path: Path, values: np.ndarray, meta: dict[str, Any], format: str, name: str) -> None:
    """Samples (N, C); int32 in 24 bits where meta says that the source had them."""
    if values.ndim != 2:
        raise UsageError(f"writing {name!r}: WAV holds one axis, time, got shape {values.shape[:-1]}; write .npy")
    if values.dtype == np.float16:
        values = values.astype(np.float32)
    if values.dtype.name not in _WRITTEN:
        raise UsageError(
            f"writing {name!r}: WAV holds {', '.join(_WRITTEN)}, got {values.dtype}; choose one of these as the dtype"
        )
    array, rate = to_array(values, meta)[0], _rate(meta, name)
    if values.dtype == np.int32 and meta.get("bit_depth") == 24:
        _write_24(path, values, rate)
    else:
        _wavfile("writing WAV").write(path, rate, array)


def _rate(meta: dict[str, Any], name: str) -> int:
    rate = number(meta.get("sample_rate"))
    if rate is None or not 1 <= round(rate) <= _MAX_RATE:
        warnings.warn(f"{name}: no sample rate is known, {_USUAL_RATE} Hz is stated", stacklevel=4)
        return _USUAL_RATE
    if abs(round(rate) - rate) > _ROUNDED * rate:
        warnings.warn(f"{name}: WAV holds whole numbers of samples a second, {rate:g} is rounded", stacklevel=4)
    return round(rate)


def _write_24(path: Path, values: np.ndarray, rate: int) -> None:
    low, high = -(1 << 23), (1 << 23) - 1
    three = np.clip(values, low, high).astype("<i4")[..., None].view(np.uint8)[..., :3]
    with wave.open(str(path), "wb") as file:
        file.setnchannels(values.shape[1])
        file.setsampwidth(3)
        file.setframerate(rate)
        file.writeframes(np.ascontiguousarray(three).tobytes())
