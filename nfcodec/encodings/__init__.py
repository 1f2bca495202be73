"""Coordinate encodings: coordinates (N, d) in [0, 1] -> features (N, F), from the integers of a file.

One file an encoding. Each offers a subclass of `LatticeEncoding` or, where there is no grid, of `CoordinateEncoding`, and
is listed in `spec.ENCODINGS`; `load` imports the file of that name. `composite.py` has several side by side.
"""

from __future__ import annotations

import importlib
import math
from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np

from ..choice import Choice, check_numbers, parse_encoding
from ..limits import MAX_FEATURES_PER_LEVEL, MAX_LEVELS, MAX_RESOLUTION
from ..spec import ENCODINGS, InputSpec, Parameter, Read
from .interpolate import Axes, apply_axes, axis_matrix, axis_span

# what one level holds: the encoding's integer arrays by name
LevelData = dict[str, np.ndarray]

# how levels are laid out, in tiny-cuda-nn's words: features a vertex, and vertices of the coarsest and of the finest level
# along the longest axis of the signal
LEVELS = (
    Parameter("n_levels", 1, MAX_LEVELS, None, is_integer=True),
    Parameter("n_features", 1, MAX_FEATURES_PER_LEVEL, None, is_integer=True),
    Parameter("coarsest", 1, MAX_RESOLUTION, None, is_integer=True),
    Parameter("finest", 1, MAX_RESOLUTION, None, is_integer=True),
)

# a lattice of samples is interpolated by matrices up to so many entries and so many vertices a sample
_MAX_MATRIX = 1 << 22
_MAX_VERTICES_PER_SAMPLE = 32
_FEW_POINTS = 64  # all vertices around so many are looked up at once; numpy's calls take longer than their sums


class Encoding(ABC):
    """An encoding's description and the integers of its levels, coarse first; levels may be missing at the end.

    steps: (L,) the float value of one integer step of each level's features.
    """

    name: str
    uses_context = False  # whether levels are coded with the file's context network
    is_interpolated: ClassVar[bool] = False  # whether features come from lattices, which `fixed` reads in integers
    dims: ClassVar[tuple[int, ...]] = (1, 2, 3, 4)  # numbers of axes that it is there for
    parameters: ClassVar[tuple[Parameter, ...]] = ()  # numbers that people may choose

    def __init__(self, spec: InputSpec, levels: list[LevelData], steps: tuple[float, ...]):
        self.spec = spec
        self.levels = levels
        self.steps = steps

    @classmethod
    @abstractmethod
    def level_shapes(cls, spec: InputSpec, level: int) -> dict[str, tuple[int, ...]]:
        """Names and shapes of the integer arrays of a level; what a file may make a reader allocate."""

    @classmethod
    @abstractmethod
    def encode_level(cls, spec: InputSpec, levels: list[LevelData], level: int, net: Any) -> bytes:
        """The payload of a level. `net` is the file's context network or None."""

    @classmethod
    @abstractmethod
    def decode_level(cls, spec: InputSpec, coarser: list[LevelData], level: int, data: bytes, net: Any) -> LevelData:
        """The inverse of `encode_level`; raises FormatError on bytes that are not such a payload."""

    @abstractmethod
    def features(self, coords: np.ndarray, n_levels: int) -> np.ndarray:
        """coords (N, d) -> (N, F) float32; features of levels from n_levels on are 0."""

    @abstractmethod
    def jacobian(self, coords: np.ndarray, n_levels: int) -> tuple[np.ndarray, np.ndarray]:
        """coords (N, d) -> features (N, F) and their derivatives (N, d, F), float32."""

    @abstractmethod
    def hessian(self, coords: np.ndarray, n_levels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As `jacobian`, and second derivatives (N, d, d, F) float32; where there are none, those from one side."""

    def lattice(self, axes: list[np.ndarray], n_levels: int) -> np.ndarray:
        """Features (M_1 .. M_d, F) at the product of the coordinates axes[k] (M_k,)."""
        coords = np.stack([g.ravel() for g in np.meshgrid(*axes, indexing="ij")], 1)
        return self.features(coords, n_levels).reshape(*(len(a) for a in axes), -1)


class LatticeEncoding(Encoding):
    """An encoding with a feature vector at every vertex of a lattice; a subclass says how to look one up."""

    is_interpolated = True
    parameters = LEVELS

    @abstractmethod
    def integers(self, level: int, index: list[np.ndarray]) -> np.ndarray:
        """The file's integers (..., F_l) int32 at vertices given by d broadcastable int64 arrays of indices."""

    def vertices(self, level: int, index: list[np.ndarray]) -> np.ndarray:
        """Features (..., F_l) float32 at vertices, which are `integers` times the level's step."""
        return self.integers(level, index).astype(np.float32) * np.float32(self.steps[level])

    def block(self, level: int, starts: list[int], counts: list[int]) -> np.ndarray:
        """Features (F_l, *counts) float32 at runs of vertices along each axis; what lies beyond the lattice is up to its
        boundaries."""
        runs = self.axes(Read(level, ())).fold([np.arange(a, a + k) for a, k in zip(starts, counts)])
        return np.ascontiguousarray(np.moveaxis(self.vertices(level, list(np.ix_(*runs))), -1, 0))

    def reads(self, n_levels: int):
        """Yields (`spec.Read`, slice of the features) for the levels below n_levels that the file has."""
        start = 0
        for read in self.spec.reads:
            f = self.spec.n_features[read.level]
            if read.level < min(n_levels, len(self.levels)):
                yield read, slice(start, start + f)
            start += f

    def axes(self, read: Read) -> Axes:
        """How a read's level is interpolated along each axis; a read without a shift is at the coordinate."""
        spec, level = self.spec, read.level
        return Axes(spec.resolutions[level], spec.kernel(level), spec.shift(read) if read.shift else (), spec.boundary)

    def features(self, coords: np.ndarray, n_levels: int) -> np.ndarray:
        out = np.zeros((len(coords), self.spec.n_inputs), np.float32)
        for read, part in self.reads(n_levels):
            out[:, part] = self._level(coords, read)
        return out

    def jacobian(self, coords: np.ndarray, n_levels: int) -> tuple[np.ndarray, np.ndarray]:
        n, d = coords.shape
        out = np.zeros((n, self.spec.n_inputs), np.float32)
        slope = np.zeros((n, d, self.spec.n_inputs), np.float32)
        for read, part in self.reads(n_levels):
            for index, weight, gradient in self.axes(read).corners(coords):
                v = self.vertices(read.level, list(index.T))
                out[:, part] += v * weight[:, None]
                slope[:, :, part] += v[:, None, :] * gradient[:, :, None]
        return out, slope

    def hessian(self, coords: np.ndarray, n_levels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        n, d = coords.shape
        bend = np.zeros((n, d, d, self.spec.n_inputs), np.float32)
        for read, part in self.reads(n_levels):
            for index, second in self.axes(read).curvatures(coords):
                bend[..., part] += self.vertices(read.level, list(index.T))[:, None, None, :] * second[..., None]
        return *self.jacobian(coords, n_levels), bend

    def lattice(self, axes: list[np.ndarray], n_levels: int) -> np.ndarray:
        """As `Encoding.lattice`, by one small matrix an axis instead of T**d gathers a point."""
        out = np.zeros((*(len(a) for a in axes), self.spec.n_inputs), np.float32)
        for read, part in self.reads(n_levels):
            if self._suits_matrices(axes, read):
                where = self.axes(read)
                runs = [axis_matrix(a, *axis) for a, axis in zip(axes, where)]
                index = np.ix_(*where.fold([np.arange(first, first + m.shape[1]) for first, m in runs]))
                out[..., part] = apply_axes(self.vertices(read.level, list(index)), [m for _, m in runs])
            else:
                coords = np.stack([g.ravel() for g in np.meshgrid(*axes, indexing="ij")], 1)
                out[..., part] = self._level(coords, read).reshape(*out.shape[:-1], -1)
        return out

    def _level(self, coords: np.ndarray, read: Read) -> np.ndarray:
        """Features (N, F_l) of one level at coords (N, d)."""
        level, axes = read.level, self.axes(read)
        if len(coords) <= _FEW_POINTS:
            # added one by one, as below
            index, weight = axes.all_corners(coords)
            return np.add.accumulate(self.vertices(level, index) * weight[..., None], axis=1)[:, -1]
        out = np.zeros((len(coords), self.spec.n_features[level]), np.float32)
        for index, weight, _ in axes.corners(coords):
            out += self.vertices(level, list(index.T)) * weight[:, None]
        return out

    def _suits_matrices(self, axes: list[np.ndarray], read: Read) -> bool:
        """Whether the matrices are small and most vertices between the samples are used; few samples of a fine
        level would gather all of it."""
        shape = [len(a) for a in axes]
        spans = [axis_span(a, *axis)[1] for a, axis in zip(axes, self.axes(read))]
        small = all(m * k <= _MAX_MATRIX for m, k in zip(shape, spans))
        return small and math.prod(spans) <= _MAX_VERTICES_PER_SAMPLE * math.prod(shape)


def checked(text: str) -> tuple[Choice, ...]:
    """`choice.parse_encoding`, with numbers that each encoding has, within their limits. UsageError."""
    parts = parse_encoding(text)
    for part in parts:
        check_numbers(load(part.name).parameters, part.numbers, f"the encoding {part.name}")
    return parts


def load(name: str) -> type[Encoding]:
    """The class of the encoding of that name, or of those that a "+" joins."""
    if "+" in name:
        return importlib.import_module(f"{__name__}.composite").compose(name)
    if name not in ENCODINGS:
        raise KeyError(name)
    return importlib.import_module(f"{__name__}.{name.replace('-', '_')}").Grid
