"""Encodings whose features are products and sums of those of lattices over fewer axes: what they share.

A *factor* is a lattice over some of the axes, so that a coordinate's other components do not matter to it; it is
interpolated like a dense level (`interpolate`). A *term* is the product of some factors, feature by feature. The terms of a
level are summed, or stand side by side. What the factors and terms are is all that such an encoding says.
"""

from __future__ import annotations

import functools
import itertools
import operator
from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from ..binary import Reader, Writer
from ..entropy import streams
from ..spec import GridSpec
from . import LEVELS, Encoding, LevelData, dense

Factor = tuple[int, ...]  # its axes, ascending


def factor_spec(spec: GridSpec, axes: Factor) -> GridSpec:
    """The lattices of a factor over these axes of a field, one for each level."""
    resolutions = tuple(tuple(resolution[k] for k in axes) for resolution in spec.resolutions)
    boundary = tuple(spec.boundary[k] for k in axes) if spec.boundary else ()
    return replace(spec, encoding="dense", resolutions=resolutions, joining="", boundary=boundary)


def name_of(factor: int) -> str:
    """The key of a factor's integers in `LevelData`."""
    return f"factor{factor}"


class FactoredEncoding(Encoding):
    """levels[l] = {"factor0": (F, *resolution along its axes) int32, ..}, in the order of `factors`.

    Integers are coded with one Laplace scale for each feature of a factor.
    """

    is_interpolated = True
    parameters = LEVELS

    def __init__(self, spec: GridSpec, levels: list[LevelData], steps: tuple[float, ...]):
        super().__init__(spec, levels, steps)
        self.lattices = [
            dense.Grid(factor_spec(spec, axes), [{"latents": level[name_of(k)]} for level in levels], steps)
            for k, axes in enumerate(self.factors(spec))
        ]

    @classmethod
    @abstractmethod
    def factors(cls, spec: GridSpec) -> list[Factor]:
        """The axes of each factor."""

    @classmethod
    @abstractmethod
    def terms(cls, spec: GridSpec) -> list[tuple[int, ...]]:
        """The factors of each term."""

    @classmethod
    def join(cls, spec: GridSpec, found: list[Any], times: Callable = operator.mul, concatenate: Callable = np.concatenate):
        """found: for each factor (.., sum of F) of all levels, that broadcast to each other -> (.., n_inputs).

        times, concatenate: for arrays of another kind; the latter as numpy's, along the last axis.
        """
        terms = [functools.reduce(times, [found[k] for k in term]) for term in cls.terms(spec)]
        if spec.n_parts == 1:
            return functools.reduce(operator.add, terms)
        ends = [0, *itertools.accumulate(spec.n_features)]
        levels = [[term[..., a:b] for term in terms] for a, b in itertools.pairwise(ends)]
        return concatenate([part for level in levels for part in level], -1)

    @classmethod
    def sources(cls, spec: GridSpec) -> np.ndarray:
        """What `join` makes every input of: (n_inputs, terms, factors of a term, 2) int64, a factor and which of its
        features, counted over all levels."""
        found = [np.empty(sum(spec.n_features), object) for _ in cls.factors(spec)]
        for k, row in enumerate(found):
            for f in range(len(row)):
                row[f] = [[(k, f)]]  # a list of terms, each a list of factors: lists are added end to end
        times = np.frompyfunc(lambda a, b: [x + y for x in a for y in b], 2, 1)
        return np.array(cls.join(spec, found, times).tolist(), np.int64)

    @classmethod
    def level_shapes(cls, spec: GridSpec, level: int) -> dict[str, tuple[int, ...]]:
        resolution, f = spec.resolutions[level], spec.n_features[level]
        return {name_of(k): (f, *(resolution[axis] for axis in axes)) for k, axes in enumerate(cls.factors(spec))}

    @classmethod
    def encode_level(cls, spec: GridSpec, levels: list[LevelData], level: int, net: Any) -> bytes:
        writer = Writer()
        for values in levels[level].values():
            writer.bytes(streams.encode_columns(values.reshape(len(values), -1).T))
        return writer.getvalue()

    @classmethod
    def decode_level(cls, spec: GridSpec, coarser: list[LevelData], level: int, data: bytes, net: Any) -> LevelData:
        reader, out = Reader(data), {}
        for name, shape in cls.level_shapes(spec, level).items():
            table = streams.decode_columns(reader, (int(np.prod(shape[1:])), shape[0]))
            out[name] = np.ascontiguousarray(table.T).reshape(shape)
        reader.done()
        return out

    def features(self, coords: np.ndarray, n_levels: int) -> np.ndarray:
        return self.join(self.spec, [grid.features(coords[:, axes], n_levels) for grid, axes in self.parts()])

    def jacobian(self, coords: np.ndarray, n_levels: int) -> tuple[np.ndarray, np.ndarray]:
        joined = self._jets(coords, [grid.jacobian(coords[:, axes], n_levels) for grid, axes in self.parts()])
        return joined[:, 0], joined[:, 1:]

    def hessian(self, coords: np.ndarray, n_levels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        n, d = coords.shape
        joined = self._jets(coords, [grid.hessian(coords[:, axes], n_levels) for grid, axes in self.parts()])
        return joined[:, 0], joined[:, 1 : 1 + d], joined[:, 1 + d :].reshape(n, d, d, -1)

    def _jets(self, coords: np.ndarray, found: list[tuple[np.ndarray, ...]]) -> np.ndarray:
        """Joined (N, 1 + d .., n_inputs) values, derivatives by all axes and, where found has them, second ones. found: of
        each factor its values and derivatives by its own axes.

        A value with its derivatives is a number whose product knows the rule: (v, v') (w, w') = (v w, v w' + v' w).
        """
        n, d = coords.shape
        jets = []
        for (_, axes), (v, slope, *bend) in zip(self.parts(), found):
            jet = np.zeros((n, 1 + d + d * d * len(bend), v.shape[-1]), np.float32)
            jet[:, 0] = v
            jet[:, 1 : 1 + d][:, axes] = slope
            for second in bend:
                jet[:, 1 + d :].reshape(n, d, d, -1)[:, np.array(axes)[:, None], axes] = second
            jets.append(jet)

        def times(a: np.ndarray, b: np.ndarray) -> np.ndarray:
            out = a[:, :1] * b + a * b[:, :1]
            out[:, 0] = a[:, 0] * b[:, 0]
            if out.shape[1] > 1 + d:
                da, db = a[:, 1 : 1 + d], b[:, 1 : 1 + d]
                out[:, 1 + d :] += (da[:, :, None] * db[:, None] + db[:, :, None] * da[:, None]).reshape(n, d * d, -1)
            return out

        return self.join(self.spec, jets, times)

    def lattice(self, axes: list[np.ndarray], n_levels: int) -> np.ndarray:
        """As `Encoding.lattice`: every factor at the product of its own axes, and the rest by broadcasting."""
        shape = tuple(map(len, axes))
        found = [spread(grid.lattice([axes[k] for k in own], n_levels), own, len(shape)) for grid, own in self.parts()]
        whole = [np.broadcast_to(x, (*shape, x.shape[-1])) for x in found] if self.spec.n_parts > 1 else found
        return np.ascontiguousarray(np.broadcast_to(self.join(self.spec, whole), (*shape, self.spec.n_inputs)))

    def parts(self) -> Iterator[tuple[dense.Grid, list[int]]]:
        """Every factor's lattice and its axes."""
        return zip(self.lattices, map(list, self.factors(self.spec)))


def spread(x: np.ndarray, axes: list[int] | Factor, n_dims: int) -> np.ndarray:
    """x (M for each of its axes, F) with axes of length 1 for the others of n_dims."""
    sizes = dict(zip(axes, x.shape))
    return x.reshape(*(sizes.get(k, 1) for k in range(n_dims)), x.shape[-1])
