"""What encodings without a grid share: features are functions of the coordinate, and there is one level of them."""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import numpy as np

from ..binary import Reader, Writer
from ..choice import numbers_of
from ..entropy import streams
from ..errors import UsageError
from ..spec import CoordinateSpec, InputSpec
from . import Encoding, LevelData

# features, and as many of their first and second derivatives as were asked for
Terms = list[np.ndarray]


class CoordinateEncoding(Encoding):
    """A subclass has `n_features`, `terms`, the numbers it is made with, and the axes it can have."""

    @classmethod
    @abstractmethod
    def n_features(cls, n_dims: int, *numbers: float) -> int:
        """How many features d axes and the numbers of `parameters` give."""

    @abstractmethod
    def terms(self, x: np.ndarray, order: int) -> Terms:
        """x (N, d) float64 in [0, 1] -> [features (N, F), first derivatives (N, d, F), second (N, d, d, F)][: order + 1],
        float64. A function of the integers of `self.levels[0]`, where `level_shapes` says that there are any."""

    @classmethod
    def make(cls, n_dims: int, numbers: tuple[float, ...]) -> CoordinateSpec:
        """The description of d axes and numbers that are within their limits."""
        return CoordinateSpec(cls.name, n_dims, numbers, (cls.n_features(n_dims, *numbers),))

    @classmethod
    def describe(cls, n_dims: int, **numbers: float) -> CoordinateSpec:
        """The description of an encoding of d axes; numbers that are not given have their defaults. UsageError."""
        if n_dims not in cls.dims:
            expected = " or ".join(map(str, cls.dims))
            raise UsageError(f"choosing the encoding {cls.name}: got a signal of {n_dims} axes, expected {expected}")
        return cls.make(n_dims, numbers_of(cls.parameters, numbers, f"the encoding {cls.name}"))

    @classmethod
    def pack_parameters(cls, w: Writer, numbers: tuple[float, ...]) -> None:
        """Writes the numbers of a description."""
        for parameter, value in zip(cls.parameters, numbers):
            w.varint(int(value)) if parameter.is_integer else w.f32(value)

    @classmethod
    def level_shapes(cls, spec: InputSpec, level: int) -> dict[str, tuple[int, ...]]:
        return {}

    @classmethod
    def encode_level(cls, spec: InputSpec, levels: list[LevelData], level: int, net: Any) -> bytes:
        tensors = list(levels[level].values())
        return streams.encode_tensors(tensors) if tensors else b""

    @classmethod
    def decode_level(cls, spec: InputSpec, coarser: list[LevelData], level: int, data: bytes, net: Any) -> LevelData:
        shapes, reader = cls.level_shapes(spec, level), Reader(data, "a level")
        tensors = streams.decode_tensors(reader, list(shapes.values())) if shapes else []
        reader.done()
        return dict(zip(shapes, tensors))

    def features(self, coords: np.ndarray, n_levels: int) -> np.ndarray:
        return self._terms(coords, n_levels, 0)[0]

    def jacobian(self, coords: np.ndarray, n_levels: int) -> tuple[np.ndarray, np.ndarray]:
        return tuple(self._terms(coords, n_levels, 1))

    def hessian(self, coords: np.ndarray, n_levels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return tuple(self._terms(coords, n_levels, 2))

    def _terms(self, coords: np.ndarray, n_levels: int, order: int) -> Terms:
        """As `terms`, float32; beyond the box values are those of its edge."""
        (n, d), f = coords.shape, self.spec.n_inputs
        if not min(n_levels, len(self.levels)):
            return [np.zeros((n, *(d,) * k, f), np.float32) for k in range(order + 1)]
        found = self.terms(np.clip(coords, 0.0, 1.0), order)
        if order:
            inside = ((coords >= 0) & (coords <= 1))[..., None]
            found[1] = found[1] * inside
            if order > 1:
                found[2] = found[2] * (inside[:, :, None] & inside[:, None, :])
        return [x.astype(np.float32) for x in found]


class AxisEncoding(CoordinateEncoding):
    """One whose features each depend on one axis: those of the first axis first."""

    @abstractmethod
    def along(self, x: np.ndarray, axis: int, order: int) -> Terms:
        """x (N,) of an axis -> [features (N, n), derivatives (N, n), second derivatives (N, n)][: order + 1]."""

    def terms(self, x: np.ndarray, order: int) -> Terms:
        n, d = x.shape
        axes = [self.along(x[:, k], k, order) for k in range(d)]
        width = axes[0][0].shape[1]
        out = [np.zeros((n, *(d,) * k, d * width)) for k in range(order + 1)]
        for k, found in enumerate(axes):
            here = slice(k * width, (k + 1) * width)
            for level, values in enumerate(found):
                out[level][(slice(None), *(k,) * level, here)] = values
        return out
