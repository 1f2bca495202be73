"""Multiresolution hash grid (Mueller et al. 2022, Instant-NGP, section 3).

A level with at most 2**log2_size vertices keeps a row for each vertex in raster order; a finer one shares
T = 2**log2_size rows between its vertices by

    row = (i_0 * p_0  xor  i_1 * p_1  xor ...) mod T,   uint32 arithmetic, primes p in spec.HASH_PRIMES

with the axes counted from the last (x) to the first, so that p_0 = 1 goes with the fastest axis. Rows are coded with
one Laplace scale for each feature of a level.
"""

from __future__ import annotations

import math

import numpy as np

from ..binary import Reader
from ..entropy import streams
from ..limits import MAX_LOG2_HASHMAP_SIZE
from ..spec import HASH_PRIMES, GridSpec, Parameter
from . import LEVELS, LatticeEncoding, LevelData


def n_rows(spec: GridSpec, level: int) -> int:
    """T: the rows of a level's table."""
    return min(math.prod(spec.resolutions[level]), 1 << spec.log2_size)


def rows(spec: GridSpec, level: int, index: list[np.ndarray]) -> np.ndarray:
    """Rows (...) int64 of a level's table for vertices given by d broadcastable int64 arrays."""
    resolution = spec.resolutions[level]
    if math.prod(resolution) <= 1 << spec.log2_size:
        row = np.zeros((), np.int64)
        for i, n in zip(index, resolution):
            row = row * n + i
        return row
    mixed = np.zeros((), np.uint32)
    for i, prime in zip(reversed(index), HASH_PRIMES):
        mixed = mixed ^ (i.astype(np.uint32) * np.uint32(prime))
    return (mixed & np.uint32((1 << spec.log2_size) - 1)).astype(np.int64)


class Grid(LatticeEncoding):
    """levels[l] = {"table": (T, F) int32}."""

    name = "hash"
    parameters = (*LEVELS, Parameter("log2_size", 1, MAX_LOG2_HASHMAP_SIZE, None, is_integer=True))

    @classmethod
    def level_shapes(cls, spec: GridSpec, level: int) -> dict[str, tuple[int, ...]]:
        return {"table": (n_rows(spec, level), spec.n_features[level])}

    @classmethod
    def encode_level(cls, spec: GridSpec, levels: list[LevelData], level: int, net) -> bytes:
        return streams.encode_columns(levels[level]["table"])

    @classmethod
    def decode_level(cls, spec: GridSpec, coarser: list[LevelData], level: int, data: bytes, net) -> LevelData:
        reader = Reader(data)
        table = streams.decode_columns(reader, cls.level_shapes(spec, level)["table"])
        reader.done()
        return {"table": table}

    def integers(self, level: int, index: list[np.ndarray]) -> np.ndarray:
        return self.levels[level]["table"][rows(self.spec, level, index)]
