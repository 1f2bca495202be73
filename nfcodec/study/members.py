"""What a study fits: encodings with their usual activation, and activations with one encoding."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .. import activations as activations_room
from ..choice import check_numbers, parse_activation
from ..encodings import checked
from ..spec import ACTIVATIONS, COORDINATE_ENCODINGS, GRID_ENCODINGS

__all__ = ["ACTIVATIONS_USUAL", "ALL", "ENCODINGS_USUAL", "GROUPS", "Member", "members_of"]

GROUPS = {"structure": "structures", "encoding": "encodings of coordinates", "activation": "activations"}
ALL = "all"
# of every kind something, and what each signal has most use for
ENCODINGS_USUAL = ("dense", "hash", "triplane", "vm", "identity", "frequency", "random-fourier")
ACTIVATIONS_USUAL = ("relu", "sine", "gaussian", "finer")


@dataclass(frozen=True)
class Member:
    """One field to fit. group: a key of GROUPS; encoding, activation: as of `encode`."""

    group: str
    encoding: str
    activation: str

    @property
    def name(self) -> str:
        """What tells it from the others of its group."""
        return self.activation if self.group == "activation" else self.encoding


def members_of(encodings: Iterable[str], activations: Iterable[str], on: str) -> list[Member]:
    """Structures, then encodings of coordinates, then activations on the encoding `on`, each once, in the order given.
    "all" stands for all there are. UsageError for unknown names and numbers."""
    from ..fit.presets import usual_activation  # with scipy

    found: dict[Member, None] = {}
    for encoding in _expanded(encodings, {**GRID_ENCODINGS, **COORDINATE_ENCODINGS}):
        parts = checked(encoding)
        is_grid = any(part.name in GRID_ENCODINGS for part in parts)
        found[Member("structure" if is_grid else "encoding", encoding, usual_activation(parts))] = None
    checked(on)
    for activation in _expanded(activations, ACTIVATIONS):
        name, numbers = parse_activation(activation)
        check_numbers(activations_room.load(name).parameters, numbers, f"the activation {name}")
        found[Member("activation", on, activation)] = None
    return sorted(found, key=lambda member: list(GROUPS).index(member.group))


def _expanded(names: Iterable[str], known: Iterable[str]) -> list[str]:
    return [name for given in names for name in (known if given == ALL else [given])]
