"""From a field to triangles: its zeros on a lattice, closed at the box, drawn in, cut and coloured as the field asks
for."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import numpy as np

from .attributes import dressed
from .creases import Creases, find_creases
from .isosurface import isosurface
from .shell import GAP, drawn_in
from .spec import Mesh

if TYPE_CHECKING:
    from .field import Field

__all__ = ["mesh_of"]

_AT_EDGES = 4.0  # reaches from the surface, beyond which no edge is looked for


def mesh_of(
    field: Field, shape: tuple[int, ...], level: int | None, iso: float | None, method: str, is_sharp: bool
) -> Mesh:
    """As `Field.to_mesh`, from a lattice of `shape` samples."""
    n_levels, step = field._levels(level), field.box_size / np.array(shape)

    def sample(places: np.ndarray) -> np.ndarray:
        """Distances (N,) at places (N, 3) from the box's low corner, axes in array order."""
        return field._evaluation.sample(places / field.box_size, n_levels)[:, 0]

    creases = _creases_of(field, level, iso) if is_sharp else None
    vertices, faces = _Lattice(field, shape, level, iso, creases).extract(method)
    # what leaves the box is closed there; a surface with a rim has no inside that could be
    if not field.spec.channels_of("trim") and ((vertices < 1).any() or (vertices > np.array(shape) - 2).any()):
        vertices, faces = _BoxedLattice(field, shape, level, iso, creases).extract(method)
    places = (vertices + 0.5) * step
    if field.draws_in(iso):
        values, slopes = field._evaluation.gradient(places / field.box_size, n_levels)
        places = drawn_in(places, values[:, 0], slopes[:, 0] / field.box_size, sample, GAP * field.spec.cell)
    world = np.asarray(field.spec.origin) + places
    mesh = Mesh(np.ascontiguousarray(world[:, ::-1]), faces)
    return dressed(mesh, field.spec, lambda points: field.sample(field.from_world(points), level))


def _creases_of(field: Field, level: int | None, iso: float | None) -> Creases | None:
    """The sharp edges of a surface that levels up to `level` have rounded, in world lengths from the box's low corner."""
    n_levels, extent = field._levels(level), np.array(field.spec.extent)
    finest = max(field.spec.grid.resolutions[:n_levels], key=lambda n: max(n or field.spec.extent)) or field.spec.extent
    # half of what lies between two features, which is a cell of the source
    coarser = max(float((extent / finest).max()) / 2, 1.0)
    shape = tuple(np.maximum(np.rint(extent / coarser).astype(int), 2))
    vertices, faces = _Lattice(field, shape, level, iso).extract("dual-contouring")

    def look(places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        values, slopes = field._evaluation.gradient(places / field.box_size, n_levels)
        return values[:, 0].astype(np.float64) - field._iso(iso), slopes[:, 0].astype(np.float64) / field.box_size

    return find_creases((vertices + 0.5) * field.box_size / shape, faces, look, coarser * field.spec.cell, field.box_size)


class _Lattice:
    """Samples of a field that `isosurface` asks for, below `iso` inside. creases: what counts at sharp edges."""

    def __init__(
        self, field: Field, shape: tuple[int, ...], level: int | None, iso: float | None, creases: Creases | None = None
    ):
        self.field, self.shape, self.level, self.creases = field, tuple(shape), level, creases
        self.n_levels, self.sign = field._levels(level), field._outward
        self.iso = float(self.sign) * field._iso(iso)

    def extract(self, method: str) -> tuple[np.ndarray, np.ndarray]:
        """Vertices (V, 3) in samples and faces."""
        is_distance = self.field.kind != "occupancy"
        return isosurface(
            self.evaluate,
            self.shape,
            self.iso,
            method=method,
            step=tuple(self.field.box_size / np.array(self.shape)) if is_distance else None,
            truncation=self.field.spec.truncation or None,
            points=self.points,
            is_quick=self.field._evaluation.is_quick_at_points(max(self.shape) ** 2),
            gradient=self.gradient,
        )

    def evaluate(self, axes: list[np.ndarray]) -> np.ndarray:
        values = self.field.sample_lattice(axes, self.level)[..., 0] * self.sign
        if self.creases is not None:
            coords = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
            values = self._sharpened(coords, values.reshape(-1)).reshape(values.shape)
        return values

    def points(self, coords: np.ndarray) -> np.ndarray:
        values = self.field._evaluation.sample(coords, self.n_levels)[:, 0] * self.sign
        return values if self.creases is None else self._sharpened(coords, values)

    def gradient(self, coords: np.ndarray) -> np.ndarray:
        slopes = self.field._evaluation.gradient(coords, self.n_levels)[1][:, 0] * self.sign
        if self.creases is None:
            return slopes
        slopes, size = slopes.copy(), self.field.box_size
        rows, _, normals, weights = self.creases.near(coords * size)
        slopes[rows] += weights[:, None] * (normals * size - slopes[rows])
        return slopes

    def _sharpened(self, coords: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Values (N,) at coordinates (N, 3), with those at sharp edges in place of the field's own."""
        values = values.copy()
        some = np.flatnonzero(np.abs(values - self.iso) < _AT_EDGES * self.creases.reach)
        rows, heights, _, weights = self.creases.near(coords[some] * self.field.box_size)
        rows = some[rows]
        values[rows] += (weights * (self.iso + heights - values[rows])).astype(values.dtype)
        return values


class _BoxedLattice(_Lattice):
    """The same with a sample more on every side, of the field's intersection with its box: the larger of two distances."""

    def __init__(
        self, field: Field, shape: tuple[int, ...], level: int | None, iso: float | None, creases: Creases | None = None
    ):
        super().__init__(field, shape, level, iso, creases)
        self.inner = np.array(shape)
        self.shape = tuple(n + 2 for n in shape)
        self.stretch = np.array(self.shape) / self.inner  # of coordinates
        # an occupancy falls from 1 to 0 over a few cells
        self.size = field.box_size / (1.0 if field.kind != "occupancy" else 4 * field.spec.cell)

    def extract(self, method: str) -> tuple[np.ndarray, np.ndarray]:
        vertices, faces = super().extract(method)
        return vertices - 1, faces

    def evaluate(self, axes: list[np.ndarray]) -> np.ndarray:
        axes = [self._own(a, k) for k, a in enumerate(axes)]
        beyond = functools.reduce(np.maximum, np.ix_(*(self._beyond(a, k) for k, a in enumerate(axes))))
        return np.maximum(super().evaluate([np.clip(a, 0, 1) for a in axes]), self.iso + beyond)

    def points(self, coords: np.ndarray) -> np.ndarray:
        own = self._own(coords)
        return np.maximum(super().points(np.clip(own, 0, 1)), self.iso + self._beyond(own).max(axis=1)).astype(np.float32)

    def gradient(self, coords: np.ndarray) -> np.ndarray:
        own = self._own(coords)
        beyond, inside = self._beyond(own), np.clip(own, 0, 1)
        axis = beyond.argmax(axis=1)
        out = super().gradient(inside).astype(np.float64)
        rows = np.flatnonzero(self.iso + beyond.max(axis=1) > super().points(inside))
        out[rows] = 0.0
        out[rows, axis[rows]] = (np.sign(own - 0.5) * self.size)[rows, axis[rows]]
        return out * self.stretch

    def _own(self, coords: np.ndarray, axis: int | None = None) -> np.ndarray:
        """Coordinates of this lattice -> those of the field, which leave 0 to 1 by half a sample."""
        n = self.inner if axis is None else self.inner[axis]
        return (coords * (n + 2) - 1) / n

    def _beyond(self, own: np.ndarray, axis: int | None = None) -> np.ndarray:
        """How far beyond the box's sides coordinates lie."""
        return (np.abs(own - 0.5) - 0.5) * (self.size if axis is None else self.size[axis])
