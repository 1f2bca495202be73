"""What the samples of a file are taken for, where the user says so and not the file: a kind of signal, a quantity."""

from __future__ import annotations

from dataclasses import replace

from nfcodec.errors import UsageError
from nfcodec.limits import MAX_CHANNELS
from nfcodec.spec import Signal

__all__ = ["as_kind", "as_quantity", "may_have_channels"]


def may_have_channels(signal: Signal) -> bool:
    """Whether an array of three axes, which an image has not, may be one of (y, x, channels)."""
    return len(signal.extent) == 3 and signal.channels == 1 and signal.extent[-1] <= MAX_CHANNELS


def as_kind(signal: Signal, kind: str | None, name: str, takes_axes: bool) -> Signal:
    """The signal as one of another kind, if one is given. takes_axes: whether the format has axes named. UsageError."""
    if kind == "image" and len(signal.extent) != 2:
        advice = _naming_channels(takes_axes, "yxc or cyx")
        raise UsageError(f"reading {name!r}: an image has 2 axes, got extent {signal.extent}; {advice}")
    return signal if kind in (None, signal.kind) else replace(signal, kind=kind)


def as_quantity(signal: Signal, quantity: str | None, name: str, takes_axes: bool) -> Signal:
    """The signal with its values taken as a quantity, if one is given. takes_axes: as `as_kind`. UsageError."""
    if quantity is None:
        return signal
    n = {"normals": (3, 3), "flow": (2, 3), "vectors": (2, 4)}.get(quantity, (1, 16))
    has_alpha = signal.meta.get("alpha") is True
    if quantity == "flow" and len(signal.extent) == 1:
        raise UsageError(f"reading {name!r}: got a signal of one axis as flow, expected 2 or more; leave out the quantity")
    if signal.values is None or not n[0] <= signal.channels - has_alpha <= n[1]:
        raise UsageError(
            f"reading {name!r}: got a {signal.kind} of {signal.channels} channels as {quantity}, expected a lattice of "
            f"{n[0]} to {n[1]} channels; {_naming_channels(takes_axes, 'yxc or zyxc')}"
        )
    meta = {key: value for key, value in signal.meta.items() if quantity == "colour" or key != "colour_space"}
    return replace(signal, meta={**meta, "quantity": quantity})


def _naming_channels(takes_axes: bool, names: str) -> str:
    how = "" if takes_axes else "store it as .npy and "
    return f"{how}name its channels with axes, such as {names}"
