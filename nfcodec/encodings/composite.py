"""Encodings side by side: the network sees the features of all, such as those of a grid and of frequencies."""

from __future__ import annotations

import functools
from typing import Any, ClassVar

import numpy as np

from ..spec import CompositeSpec
from . import Encoding, LevelData, load


class Composite(Encoding):
    """The parts, each with its own levels; made by `compose`, which sets their classes."""

    kinds: ClassVar[tuple[type[Encoding], ...]]

    def __init__(self, spec: CompositeSpec, levels: list[LevelData], steps: tuple[float, ...]):
        super().__init__(spec, levels, steps)
        self.parts, self._firsts, first = [], [], 0
        for kind, part in zip(self.kinds, spec.parts):
            own = slice(first, first + part.n_levels)
            self.parts.append(kind(part, levels[own], steps[own]))
            self._firsts.append(first)
            first += part.n_levels

    @classmethod
    def level_shapes(cls, spec: CompositeSpec, level: int) -> dict[str, tuple[int, ...]]:
        k, first = spec.place(level)
        return cls.kinds[k].level_shapes(spec.parts[k], level - first)

    @classmethod
    def encode_level(cls, spec: CompositeSpec, levels: list[LevelData], level: int, net: Any) -> bytes:
        k, first = spec.place(level)
        own = levels[first : first + spec.parts[k].n_levels]
        return cls.kinds[k].encode_level(spec.parts[k], own, level - first, net)

    @classmethod
    def decode_level(cls, spec: CompositeSpec, coarser: list[LevelData], level: int, data: bytes, net: Any) -> LevelData:
        k, first = spec.place(level)
        return cls.kinds[k].decode_level(spec.parts[k], coarser[first:], level - first, data, net)

    def features(self, coords: np.ndarray, n_levels: int) -> np.ndarray:
        return np.concatenate([part.features(coords, n) for part, n in self._shares(n_levels)], -1)

    def jacobian(self, coords: np.ndarray, n_levels: int) -> tuple[np.ndarray, np.ndarray]:
        return _side_by_side([part.jacobian(coords, n) for part, n in self._shares(n_levels)])

    def hessian(self, coords: np.ndarray, n_levels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return _side_by_side([part.hessian(coords, n) for part, n in self._shares(n_levels)])

    def lattice(self, axes: list[np.ndarray], n_levels: int) -> np.ndarray:
        return np.concatenate([part.lattice(axes, n) for part, n in self._shares(n_levels)], -1)

    def _shares(self, n_levels: int) -> list[tuple[Encoding, int]]:
        """Every part with how many of its levels are among the first n_levels of all."""
        return [(part, max(n_levels - first, 0)) for part, first in zip(self.parts, self._firsts)]


def _side_by_side(found: list[tuple[np.ndarray, ...]]) -> tuple[np.ndarray, ...]:
    return tuple(np.concatenate(arrays, -1) for arrays in zip(*found))


@functools.cache
def compose(name: str) -> type[Composite]:
    """The class of the encodings whose names a "+" joins. KeyError for one that is not there."""
    kinds = tuple(load(part) for part in name.split("+"))
    return type("Composite", (Composite,), {
        "name": name, "kinds": kinds, "uses_context": any(kind.uses_context for kind in kinds),
    })  # fmt: skip
