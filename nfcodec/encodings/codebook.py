"""Codebook grid (Takikawa et al. 2022, Variable Bitrate Neural Fields, section 4).

Every vertex of a level keeps an index into the level's codebook of 2**log2_size learned feature vectors. Indices are
coded with one static table of frequencies a level, codebooks with one Laplace scale a feature.
"""

from __future__ import annotations

import math

import numpy as np

from ..binary import Reader, Writer
from ..entropy import streams
from ..limits import MAX_LOG2_CODEBOOK_SIZE
from ..spec import GridSpec, Parameter
from . import LEVELS, LatticeEncoding, LevelData


class Grid(LatticeEncoding):
    """levels[l] = {"indices": resolution int32, "codebook": (K, F) int32}."""

    name = "codebook"
    parameters = (*LEVELS, Parameter("log2_size", 1, MAX_LOG2_CODEBOOK_SIZE, None, is_integer=True))

    @classmethod
    def level_shapes(cls, spec: GridSpec, level: int) -> dict[str, tuple[int, ...]]:
        return {"indices": spec.resolutions[level], "codebook": (1 << spec.log2_size, spec.n_features[level])}

    @classmethod
    def encode_level(cls, spec: GridSpec, levels: list[LevelData], level: int, net) -> bytes:
        writer = Writer()
        writer.bytes(streams.encode_columns(levels[level]["codebook"]))
        writer.bytes(streams.encode_indices(levels[level]["indices"].ravel(), 1 << spec.log2_size))
        return writer.getvalue()

    @classmethod
    def decode_level(cls, spec: GridSpec, coarser: list[LevelData], level: int, data: bytes, net) -> LevelData:
        shapes = cls.level_shapes(spec, level)
        reader = Reader(data)
        codebook = streams.decode_columns(reader, shapes["codebook"])
        indices = streams.decode_indices(reader, math.prod(shapes["indices"]), 1 << spec.log2_size)
        reader.done()
        return {"indices": indices.reshape(shapes["indices"]), "codebook": codebook}

    def integers(self, level: int, index: list[np.ndarray]) -> np.ndarray:
        data = self.levels[level]
        return data["codebook"][data["indices"][tuple(index)]]
