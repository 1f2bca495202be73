"""Closest points of a field's surface: from two starts to a foot point, by steps along the surface in a trust region.

Values of a fitted field are distances near the surface only, so that they alone do not lead to the closest point from afar.
One start follows the field's value and gradient; the other is the nearest of a few thousand points of the surface, kept in
a coarse lattice around the box. The nearer one is brought onto the surface and moved along it towards the point asked
for, with steps by Barzilai and Borwein (IMA J. Numer. Anal. 1988), until the line between both is a normal, or leads beyond
the rim of a surface that ends.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..roots import zeros
from ..shell import drawn_in
from ..spec import Mesh
from .descent import CLOSE, REACH, descend, distance_left, tangent, towards
from .surface import Surface, in_chunks, normals_of

if TYPE_CHECKING:
    from ..field import Field

__all__ = ["ClosestPoints", "Seeds", "closest_points"]

_SEED_RESOLUTION = 128  # at most, of the mesh whose vertices are seeds
_SEED_CELLS = 64  # of a lattice of seeds, on the longest axis
_BEYOND = (0.05, 1.0)  # how far lattices go beyond the box on every side, in boxes
_N_ROUNDS = 2  # over the axes, to spread seeds
_N_STEPS = 24  # along the surface
_SMALL = 1e-3  # of the distance: a step along the surface that is as good as 0
_SHORT, _GAIN = 1e-2, 1e-8  # source cells, of the distance: steps and gains that end the search
_OFF = 1e-2  # source cells: what is farther from the surface is nowhere
_FACTORS = (0.05, 20.0)  # of the tangent: what a step may be
_WIDTHS = (0.25, 0.5, 1.0, 2.0)  # source cells, in which a change of sign is looked for at the end
_N_ZERO = 16


@dataclass(frozen=True)
class ClosestPoints:
    """For each of N points the closest one of the surface.

    points, normals (N, 3) float64 as (x, y, z) in world units; normals are unit vectors and point outwards. distances
    (N,) float64: signed, negative inside.
    """

    points: np.ndarray
    distances: np.ndarray
    normals: np.ndarray


class Seeds:
    """Points of the surface (K, 3) float64, axes (z, y, x), K >= 1, and lattices that know for each vertex about the
    closest one: a fine lattice for points in the box, a coarse one for those around it."""

    def __init__(self, points: np.ndarray, low: np.ndarray, size: np.ndarray):
        self.points = points
        self.lattices = [_Lattice(points, low - beyond * size, (1 + 2 * beyond) * size) for beyond in _BEYOND]

    @classmethod
    def of(cls, surface: Surface, mesh: Mesh) -> Seeds:
        """From the vertices of a mesh of the surface."""
        return cls(np.ascontiguousarray(mesh.vertices[:, ::-1]), surface.low, surface.size)

    def near(self, points: np.ndarray) -> np.ndarray:
        """Seeds (N, 3) about as near to points (N, 3) as any; beyond all lattices, those of the nearest place within."""
        out = np.empty_like(points)
        rest = np.arange(len(points))
        for lattice in self.lattices:
            here = lattice.holds(points[rest]) if lattice is not self.lattices[-1] else np.ones(len(rest), bool)
            out[rest[here]] = self.points[lattice.nearest(points[rest[here]])]
            rest = rest[~here]
        return out


class _Lattice:
    """For each vertex of a lattice over a box the number of a nearby seed (V, V, V)."""

    def __init__(self, seeds: np.ndarray, low: np.ndarray, size: np.ndarray):
        self.seeds, self.low, self.step = seeds, low, float(size.max()) / _SEED_CELLS
        shape = np.maximum(2, np.ceil(size / self.step).astype(int) + 1)
        axes = [a + np.arange(n) * self.step for a, n in zip(low, shape)]
        self.vertices = np.stack(np.meshgrid(*axes, indexing="ij"), -1)
        self.ids, self.squares = np.full(shape, -1, np.int32), np.full(shape, np.inf)
        index = self._cells(seeds)
        for corner in itertools.product((0, 1), repeat=3):
            self._offer(tuple((index + corner).T), np.arange(len(seeds)))
        for _ in range(_N_ROUNDS):
            for axis in range(3):
                self._sweep(axis)
        del self.vertices, self.squares

    def holds(self, points: np.ndarray) -> np.ndarray:
        """Which points (N, 3) lie within the lattice, (N,) bool."""
        return ((points >= self.low) & (points <= self.low + self.step * (np.array(self.ids.shape) - 1))).all(axis=1)

    def nearest(self, points: np.ndarray) -> np.ndarray:
        """The nearest (N,) of the seeds at the corners of the cells of points (N, 3)."""
        index = self._cells(points)
        best, least = np.zeros(len(points), np.int64), np.full(len(points), np.inf)
        for corner in itertools.product((0, 1), repeat=3):
            ids = self.ids[tuple((index + corner).T)]
            squares = ((points - self.seeds[ids]) ** 2).sum(axis=1)
            nearer = squares < least
            best[nearer], least[nearer] = ids[nearer], squares[nearer]
        return best

    def _cells(self, points: np.ndarray) -> np.ndarray:
        """The first vertices (N, 3) of the cells that hold points, or are nearest to them."""
        return np.clip((points - self.low) // self.step, 0, np.array(self.ids.shape) - 2).astype(np.int64)

    def _offer(self, where: tuple[np.ndarray, ...], ids: np.ndarray) -> None:
        """Keeps those seeds (M,) at vertices `where` that are nearer than what is there, in whatever order they come."""
        squares = ((self.vertices[where] - self.seeds[ids]) ** 2).sum(axis=-1)
        order = np.argsort(-squares, kind="stable")  # of several for one vertex the last one stays
        order = order[squares[order] < self.squares[where][order]]
        where = tuple(i[order] for i in where)
        self.ids[where], self.squares[where] = ids[order], squares[order]

    def _sweep(self, axis: int) -> None:
        """Hands seeds on along an axis, up and down."""
        n = self.ids.shape[axis]
        vertices, ids, squares = (np.moveaxis(a, axis, 0) for a in (self.vertices, self.ids, self.squares))
        for i, before in (*((i, i - 1) for i in range(1, n)), *((i, i + 1) for i in range(n - 2, -1, -1))):
            there = ((vertices[i] - self.seeds[ids[before]]) ** 2).sum(axis=-1)
            there[ids[before] < 0] = np.inf
            nearer = there < squares[i]
            ids[i][nearer], squares[i][nearer] = ids[before][nearer], there[nearer]


def closest_points(field: Field, points: np.ndarray, level: int | None, iso: float | None) -> ClosestPoints:
    """As `Field.closest_point`, for points (N, 3) float64 that are finite."""
    surface, n = Surface(field, level, iso), len(points)
    key = surface.n_levels, surface.iso
    with field._lock:
        if key not in field._seeds:
            resolution = min(_SEED_RESOLUTION, 2 * max(field.spec.extent))
            mesh = field.to_mesh(resolution, level, surface.iso, "marching-cubes", sharp=False)
            field._seeds[key] = Seeds.of(surface, mesh)
        seeds = field._seeds[key]
    out = ClosestPoints(np.empty((n, 3)), np.empty(n), np.empty((n, 3)))

    def work(part: slice) -> None:
        here = np.ascontiguousarray(points[part, ::-1])
        offset, slope = surface.slope(here)
        found = _slide(surface, here, *_starts(surface, seeds, here, offset, slope))
        left, slope = surface.slope(found)
        signs = np.where(offset < 0, -1.0, 1.0)
        if surface.draws_in:
            found = drawn_in(found, left + surface.iso, slope, lambda at: surface.offset(at) + surface.iso)
            signs = 1.0
        out.points[part], out.normals[part] = found[:, ::-1], normals_of(slope)[:, ::-1]
        out.distances[part] = signs * np.linalg.norm(here - found, axis=1)

    in_chunks(work, n, field._evaluation.is_quick_at_points(n))
    return out


def _starts(
    surface: Surface, seeds: Seeds, points: np.ndarray, offset: np.ndarray, slope: np.ndarray
) -> tuple[np.ndarray, ...]:
    """Of both starts the nearer one, on the surface: as `descend`."""
    values = np.abs(offset)
    # where a distance is flat, it was cut off there and leads anywhere
    direct = list(descend(surface, towards(points, offset, slope, 2 * values if surface.is_distance else np.inf)))
    others = np.arange(len(points))
    if surface.is_distance:
        # near the surface values are distances, and what agrees with them needs no other guess
        far = np.linalg.norm(points - direct[0], axis=1)
        sure = (values < REACH * surface.cell) & (direct[1] < CLOSE * surface.cell)
        sure &= far < 1.2 * values + _OFF * surface.cell
        others = np.flatnonzero(~sure)
    seeded = descend(surface, seeds.near(points[others]))
    lost = direct[1][others] > _OFF * surface.cell
    nearer = ((points[others] - seeded[0]) ** 2).sum(axis=1) < ((points[others] - direct[0][others]) ** 2).sum(axis=1)
    for ours, theirs in zip(direct, seeded):
        ours[others[nearer | lost]] = theirs[nearer | lost]
    return tuple(direct)


def _slide(
    surface: Surface, points: np.ndarray, x: np.ndarray, left: np.ndarray, slope: np.ndarray, rim: np.ndarray
) -> np.ndarray:
    """Points (N, 3) of the surface near x that are no farther from `points` than what lies around them."""
    best = x.copy()
    least = np.linalg.norm(points - x, axis=1) + left
    which, along = np.arange(len(points)), tangent(points - x, slope, rim)
    factor, radius = np.ones(len(points)), np.maximum(0.5 * least, REACH * surface.cell)
    for _ in range(_N_STEPS):
        length = np.linalg.norm(along, axis=1)
        go_on = length > _SMALL * np.maximum(least[which], surface.cell)
        if not go_on.any():
            break
        which, along, factor, radius, length = (a[go_on] for a in (which, along, factor, radius, length))
        factor = np.minimum(factor, radius / length)
        there, left, slope, rim = descend(surface, best[which] + factor[:, None] * along)
        distance = np.linalg.norm(points[which] - there, axis=1)
        better = (distance + left < least[which]) & (left <= _OFF * surface.cell)
        turned = tangent(points[which] - there, slope, rim)
        moved, change = there - best[which], along - turned
        bend = np.einsum("ij,ij->i", moved, change)
        bowed = np.einsum("ij,ij->i", moved, moved) / np.where(bend > 0, bend, np.inf)
        gain = np.where(better, least[which] - distance - left, np.inf)
        radius = np.where(better, 2 * radius, 0.25 * factor * length)
        factor = np.where(better, np.where(bend > 0, np.clip(bowed, *_FACTORS), 2 * factor), 0.25 * factor)
        along = np.where(better[:, None], turned, along)
        best[which[better]], least[which[better]] = there[better], distance[better]
        # at an edge of the surface the tangent does not vanish, but steps and gains do
        go_on = (radius > _SHORT * surface.cell) & (gain > _GAIN * np.maximum(distance, surface.cell))
        which, along, factor, radius = (a[go_on] for a in (which, along, factor, radius))
    return _closed_in(surface, best)


def _closed_in(surface: Surface, x: np.ndarray) -> np.ndarray:
    """x (N, 3); those that steps have left off the surface are moved along their normals to where the sign changes."""
    offset, slope = surface.slope(x)
    some = np.flatnonzero(~(distance_left(offset, slope) <= CLOSE * surface.cell))
    normals = normals_of(slope)[some] * -np.sign(offset[some])[:, None]
    for width in _WIDTHS:
        if not len(some):
            break
        far = surface.offset(x[some] + width * surface.cell * normals)
        across = np.flatnonzero((far < 0) != (offset[some] < 0))
        line = (x[some[across]].copy(), width * surface.cell * normals[across])
        low = offset[some[across]]
        along = zeros(
            lambda k, t, line=line: surface.offset(line[0][k] + t[:, None] * line[1][k]),
            low, far[across], CLOSE * np.maximum(np.abs(low), np.abs(far[across])), _N_ZERO,
        )  # fmt: skip
        x[some[across]] = line[0] + along[:, None] * line[1]
        rest = np.setdiff1d(np.arange(len(some)), across)
        some, normals = some[rest], normals[rest]
    return x
