"""Encodings and activations as people choose them: "dense:n_levels=3+frequency:n_frequencies=6", "sine:omega=60"."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from .errors import UsageError
from .limits import MAX_MLP_LAYERS, MAX_MLP_WIDTH, MAX_PARTS
from .spec import ACTIVATIONS, ENCODINGS, Parameter

__all__ = ["Choice", "check_numbers", "parse_activation", "parse_encoding", "parse_network", "numbers_of"]


class Choice(NamedTuple):
    """A name, and the numbers that were given with it."""

    name: str
    numbers: dict[str, float]


def parse_encoding(text: str) -> tuple[Choice, ...]:
    """One encoding or several with "+" between them, each once. UsageError."""
    parts = tuple(_parse(part, ENCODINGS, "an encoding") for part in text.split("+"))
    names = [part.name for part in parts]
    if len(set(names)) < len(names) or len(parts) > MAX_PARTS:
        raise UsageError(f"choosing an encoding: got {text}, expected each once, and {MAX_PARTS} at most")
    return parts


def parse_activation(text: str) -> Choice:
    """An activation. UsageError."""
    return _parse(text, ACTIVATIONS, "an activation")


def parse_network(text: str) -> tuple[int, int]:
    """ "256x4" -> neurons and hidden layers of the network. UsageError."""
    width, _, depth = text.partition("x")
    if width.isdecimal() and depth.isdecimal() and 1 <= int(width) <= MAX_MLP_WIDTH and 1 <= int(depth) < MAX_MLP_LAYERS:
        return int(width), int(depth)
    raise UsageError(
        f"choosing a network: got {text!r}, expected 1 to {MAX_MLP_WIDTH} neurons x 1 to {MAX_MLP_LAYERS - 1} hidden "
        "layers, such as 256x4"
    )


def check_numbers(parameters: tuple[Parameter, ...], given: dict[str, float], whose: str) -> None:
    """UsageError for numbers that are none of `parameters`, or beyond their limits."""
    known = {p.name: p for p in parameters}
    for name, value in given.items():
        if name not in known:
            expected = ", ".join(known) or "no numbers"
            raise UsageError(f"choosing {whose}: got {name}, expected {expected}")
        p = known[name]
        if not p.low <= value <= p.high or (p.is_integer and value != int(value)):
            limits = f"an integer from {p.low} to {p.high}" if p.is_integer else f"{p.low:g} to {p.high:g}"
            raise UsageError(f"choosing {whose}: got {name} {value:g}, expected {limits}")


def numbers_of(parameters: tuple[Parameter, ...], given: dict[str, float], whose: str) -> tuple[float, ...]:
    """The numbers that a file holds, in the order of `parameters`, from those given by name. UsageError."""
    check_numbers(parameters, given, whose)
    values = ((p, given.get(p.name, p.default)) for p in parameters)
    return tuple(int(value) if p.is_integer else float(np.float32(value)) for p, value in values)


def _parse(text: str, known: Collection[str], what: str) -> Choice:
    name, _, rest = text.partition(":")
    if name not in known:
        alone = () if name == "auto" else ("auto",)  # which has no numbers, and nothing beside it
        raise UsageError(f"choosing {what}: got {name!r}, expected {', '.join((*alone, *known))}")
    numbers = {}
    for pair in rest.split(",") if rest else []:
        key, _, value = pair.partition("=")
        try:
            numbers[key] = float(value)
        except ValueError:
            raise UsageError(f"choosing {what}: got {pair!r} with {name}, expected such as sigma=10") from None
    return Choice(name, numbers)
