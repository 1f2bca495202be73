"""Arrays of any axis order <-> the one layout of the project: (*extent, C), axes t z y x then channels, native dtypes.

Axes are named by letters: "t" time, "z", "y", "x" space, "c" channels. What a reader hands over may come in any
order, such as "xyz" or "cyx"; what it gets back is always a subsequence of "tzyx" with the channels last.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from nfcodec.errors import SignalError, UsageError
from nfcodec.limits import MAX_CHANNELS, MAX_EXTENT
from nfcodec.spec import DTYPES, Signal

__all__ = [
    "DEFAULT_AXES",
    "MAX_SOURCE_BYTES",
    "arrange",
    "axes_of",
    "check_shape",
    "native",
    "new_signal",
    "tidy",
    "to_array",
]

ORDER = "tzyxc"
# of the axes that there can be those that are space: none for sound, and so on
_SPACES = ("", "x", "yx", "zyx")
# without a word from the file or the user, a 3-D array is a scalar volume, never an image with channels
DEFAULT_AXES = {1: "x", 2: "yx", 3: "zyx", 4: "tzyx", 5: "tzyxc"}
# no real signal that fits one field is larger, and a compressed file can claim anything
MAX_SOURCE_BYTES = 1 << 33


def check_shape(name: str, shape: tuple[int, ...], dtype: np.dtype) -> None:
    """Refuse an array before it is allocated: shape as claimed by the file, dtype as stored.

    Raises SignalError for a zero-size axis, one above MAX_EXTENT, or more than MAX_SOURCE_BYTES in all.
    """
    if not all(n >= 1 for n in shape):
        raise SignalError(f"reading {name!r}: its shape {shape} holds no samples; every axis needs at least one")
    if max(shape, default=1) > MAX_EXTENT:
        raise SignalError(f"reading {name!r}: an axis of its shape {shape} is above the limit of {MAX_EXTENT}; crop it")
    size = dtype.itemsize
    for n in shape:
        size *= int(n)
    if size > MAX_SOURCE_BYTES:
        raise SignalError(
            f"reading {name!r}: it claims {size} bytes of samples, the limit is {MAX_SOURCE_BYTES}; crop or downsample it"
        )


def native(name: str, array: np.ndarray) -> np.ndarray:
    """The array in native byte order and a dtype of spec.DTYPES, values unchanged.

    64-bit integers become 32-bit ones where all values fit, long doubles become float64.
    Raises SignalError for complex numbers, integers beyond 32 bits and everything that is not a number.
    """
    kind = array.dtype.kind
    if kind == "c":
        raise SignalError(
            f"reading {name!r}: got complex values ({array.dtype}); store magnitude or real and imaginary parts"
        )
    if kind not in "biuf":
        raise SignalError(f"reading {name!r}: got dtype {array.dtype}, expected bool, integer or float values")
    if kind == "f" and array.dtype.itemsize > 8:
        return array.astype(np.float64)
    if kind in "iu" and array.dtype.itemsize == 8:
        low, high = int(array.min()), int(array.max())
        for narrow in (np.int32, np.uint32):
            if np.iinfo(narrow).min <= low and high <= np.iinfo(narrow).max:
                return array.astype(narrow)
        raise SignalError(
            f"reading {name!r}: 64-bit integers from {low} to {high} do not fit 32 bits; store them as float64"
        )
    array = np.asarray(array, dtype=array.dtype.newbyteorder("="))
    assert array.dtype.str[1:] in DTYPES
    return array


def arrange(name: str, array: np.ndarray, axes: str | None = None) -> tuple[np.ndarray, str]:
    """Transpose an array whose axes are named by `axes` (default: DEFAULT_AXES) into (*extent, C).

    Returns (values, axes): values C-contiguous with a channel axis always present; axes a subsequence of "tzyxc" that
    ends in "c" only if the array itself had channels. Raises UsageError if the axes do not fit the array.
    """
    if axes is None:
        if array.ndim not in DEFAULT_AXES:
            what = f"got {array.ndim}-D data of shape {array.shape}"
            raise SignalError(f"reading {name!r}: {what}, expected 1 to 5 axes; split it")
        axes = DEFAULT_AXES[array.ndim]
    axes = axes.lower()
    ordered = "".join(letter for letter in ORDER if letter in axes)
    if len(ordered) != len(axes) or not _is_lattice(ordered.removesuffix("c")):
        raise UsageError(
            f"reading {name!r}: got axes {axes!r}, expected 'x', 'y' and 'x', or 'z', 'y' and 'x', with at most one of 't' "
            "and 'c', or 't' without them"
        )
    if len(axes) != array.ndim:
        raise UsageError(f"reading {name!r}: axes {axes!r} name {len(axes)} axes, but the data have shape {array.shape}")
    values = array.transpose([axes.index(letter) for letter in ordered])
    if "c" not in axes:
        values = values[..., None]
    if values.shape[-1] > MAX_CHANNELS:
        raise SignalError(
            f"reading {name!r}: got {values.shape[-1]} channels, at most {MAX_CHANNELS} are possible; split them"
        )
    return np.ascontiguousarray(values), ordered


def _is_lattice(axes: str) -> bool:
    """Whether letters in their order name the axes of a lattice without channels."""
    return bool(axes) and axes.replace("t", "") in _SPACES


def new_signal(name: str, format: str, array: np.ndarray, axes: str | None, kind: str, meta: dict[str, Any]) -> Signal:
    """The signal of an array as read; `meta` holds what only its format knows, the common keys are added here."""
    stored = array.dtype
    check_shape(name, array.shape, stored)
    values, axes = arrange(name, native(name, array), axes)
    common = {"source": name, "format": format, "dtype": values.dtype.name, "axes": axes}
    if stored.newbyteorder("=") != values.dtype:
        common["stored_dtype"] = stored.name
    finite = values if values.dtype.kind != "f" else values[np.isfinite(values)]
    if finite.size:
        low, high = finite.min(), finite.max()
        common["value_range"] = [tidy(low), tidy(high)] if values.dtype.kind == "f" else [int(low), int(high)]
    return Signal(kind=kind, values=values, meta={**common, **meta})


def tidy(value: Any) -> float:
    """A float without the noise of its storage: what is exactly a float32 is given in its shortest float32 digits."""
    value = float(value)
    short = np.float32(value)
    return float(str(short)) if float(short) == value else value


def axes_of(meta: dict[str, Any], n_dims: int) -> str:
    """The axes of a lattice of n_dims axes without channels, such as "zyx": from meta where it fits, else the default."""
    axes = meta.get("axes")
    if isinstance(axes, str):
        axes = axes.removesuffix("c")
        if len(axes) == n_dims and axes == "".join(letter for letter in "tzyx" if letter in axes) and _is_lattice(axes):
            return axes
    return DEFAULT_AXES.get(n_dims, "tzyx"[-n_dims:])


def to_array(values: np.ndarray, meta: dict[str, Any]) -> tuple[np.ndarray, str]:
    """values (*extent, C) -> (array, axes) as the source had it: one channel loses its axis unless the source had one."""
    axes = axes_of(meta, values.ndim - 1)
    if values.shape[-1] == 1 and not str(meta.get("axes", "")).endswith("c"):
        return values[..., 0], axes
    return values, axes + "c"
