"""Metadata without what a file says anyway: in the file of an icon they would be the largest part."""

from __future__ import annotations

from typing import Any

from nfcodec.spec import Signal

from .lattice import DEFAULT_AXES

__all__ = ["compact_meta"]


def compact_meta(signal: Signal, format_of_source: str | None) -> dict[str, Any]:
    """The metadata of a signal without the keys whose absence means the same.

    Of lattices: dtype and value_range, which the field's header has (for images of 8 and 16 bit the range is that of the
    dtype), the usual axes, sRGB, and alpha where the channels are 2 or 4. Of all: the format, where the suffix of the
    source's name, whose format is `format_of_source`, says it.
    """
    meta = dict(signal.meta)
    implied: dict[str, Any] = {"format": format_of_source}
    if signal.values is not None:
        axes = DEFAULT_AXES.get(len(signal.extent), "") + ("c" if signal.channels > 1 else "")
        implied |= {"dtype": signal.values.dtype.name, "axes": axes}
        meta.pop("value_range", None)
    if signal.kind == "image":
        implied["colour_space"] = "sRGB"
        if signal.has_alpha and signal.quantity == "colour" and signal.channels in (2, 4):
            implied["alpha"] = True
    return {key: value for key, value in meta.items() if key not in implied or value != implied[key]}
