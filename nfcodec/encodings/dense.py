"""Dense grid: every vertex of every level has its own features, coded by the integer context network.

A pyramid of such levels, with resolutions that halve, is the latent pyramid of Cool-Chic (Ladune et al. 2023) and C3
(Kim et al. 2024), kept as a field: levels are interpolated at the coordinate and go to a per-point network.
"""

from __future__ import annotations

import numpy as np

from ..entropy import levels as coder
from ..spec import GridSpec
from . import LatticeEncoding, LevelData


class Grid(LatticeEncoding):
    """levels[l] = {"latents": (F, *resolution) int32}."""

    name = "dense"
    uses_context = True

    @classmethod
    def level_shapes(cls, spec: GridSpec, level: int) -> dict[str, tuple[int, ...]]:
        return {"latents": (spec.n_features[level], *spec.resolutions[level])}

    @classmethod
    def encode_level(cls, spec: GridSpec, levels: list[LevelData], level: int, net) -> bytes:
        return coder.encode_smallest(net, [v["latents"] for v in levels], level)

    @classmethod
    def decode_level(cls, spec: GridSpec, coarser: list[LevelData], level: int, data: bytes, net) -> LevelData:
        shape = cls.level_shapes(spec, level)["latents"]
        latents = coder.decode_level(net, [v["latents"] for v in coarser], spec.n_levels, shape, data)
        return {"latents": latents}

    def integers(self, level: int, index: list[np.ndarray]) -> np.ndarray:
        picked = self.levels[level]["latents"][(slice(None), *index)]  # (F, ...)
        return np.moveaxis(picked, 0, -1)
