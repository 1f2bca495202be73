"""What the codecs of volumes share: floats in, the source's dtype out, channel by channel."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np

from ...errors import FormatError
from ...spec import Signal
from .base import Peer

__all__ = ["VolumePeer", "bounds", "join", "planar", "split", "value_range", "work_dtype"]

_LENGTH_BYTES = 8


class VolumePeer(Peer):
    """A codec of scalar lattices of floats. Files of one channel are the codec's own; others hold one such file a channel.

    Integers go in as floats that hold them exactly. What comes out is rounded and clipped to the source's dtype.
    """

    @abstractmethod
    def encode_channel(self, values: np.ndarray, span: float, **setting: Any) -> bytes:
        """One channel: (*extent) float32 or float64, C order. span: the value range of all channels, > 0."""

    @abstractmethod
    def decode_channel(self, data: bytes, extent: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """(*extent) floats. dtype: what `encode_channel` was given."""

    def encode(self, signal: Signal, **setting: Any) -> bytes:
        dtype, span = work_dtype(signal.values.dtype), value_range(signal.values)
        return join([self.encode_channel(channel.astype(dtype), span, **setting) for channel in planar(signal.values)])

    def decode(self, data: bytes, like: Signal) -> np.ndarray:
        dtype = like.values.dtype
        parts = split(data, like.channels)
        channels = (self.decode_channel(part, like.extent, work_dtype(dtype)) for part in parts)
        return np.stack([_fitted(channel, dtype) for channel in channels], axis=-1)


def planar(values: np.ndarray) -> np.ndarray:
    """(*extent, C) as (C, *extent), C order."""
    return np.ascontiguousarray(np.moveaxis(values, -1, 0))


def work_dtype(dtype: np.dtype) -> np.dtype:
    """The float that holds a dtype's values exactly: float64 for float64 and integers of 32 bits, else float32."""
    return np.dtype(np.float64 if dtype == np.float64 or (dtype.kind in "iu" and dtype.itemsize > 2) else np.float32)


def value_range(values: np.ndarray) -> float:
    """Largest - smallest value; of a constant array its magnitude, or 1, so that bounds relative to it are positive."""
    low, high = float(values.min()), float(values.max())
    return high - low or abs(high) or 1.0


def bounds(values: np.ndarray, exponents: np.ndarray) -> list[float]:
    """Powers of two relative to the value range, coarse first.

    Integers end at the first bound below half a step: from there on rounding gives every sample back.
    """
    relative = [float(2.0**exponent) for exponent in sorted(exponents, reverse=True)]
    if values.dtype.kind not in "iub":
        return relative
    half_step = 0.5 / value_range(values)
    n_coarse = sum(bound >= half_step for bound in relative)
    return relative[: n_coarse + 1]


def join(parts: list[bytes]) -> bytes:
    """One part as it is; more with their lengths, 8 bytes each, before them."""
    if len(parts) == 1:
        return parts[0]
    return b"".join([len(part).to_bytes(_LENGTH_BYTES, "little") for part in parts] + parts)


def split(data: bytes, n: int) -> list[bytes]:
    """What `join` was given. FormatError where the lengths do not add up."""
    if n == 1:
        return [data]
    lengths = [int.from_bytes(data[i * _LENGTH_BYTES : (i + 1) * _LENGTH_BYTES], "little") for i in range(n)]
    ends = np.cumsum([n * _LENGTH_BYTES, *lengths]).tolist()
    if ends[-1] != len(data):
        raise FormatError(f"splitting {n} channels: got {len(data)} bytes, expected {ends[-1]}: the file is damaged")
    return [data[start:end] for start, end in zip(ends[:-1], ends[1:])]


def _fitted(values: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Floats in a source's dtype: rounded to nearest where it is integer, clipped to its range."""
    if dtype.kind == "b":
        return values >= 0.5
    if dtype.kind == "f":
        limits = np.finfo(dtype)
        return values if values.dtype == dtype else np.clip(values, limits.min, limits.max).astype(dtype)
    limits = np.iinfo(dtype)
    # float32 has no value next to the limits of 32-bit integers
    return np.clip(np.rint(values.astype(work_dtype(dtype), copy=False)), limits.min, limits.max).astype(dtype)
