"""Sharp edges put back where a field has rounded them: what a lattice of features cannot hold of parts drawn with edges.

A field as fine as its finest features turns an edge into a bend some samples wide, but is right beside it. From a point in
the bend one walks down either side, along the surface and across the edge, to where it is flat again. The two tangent
planes found there meet at the edge; near it the field becomes the greater of their heights (the lesser one at an inner
edge), and passes into itself farther out. Planes of neighbours along the edge are averaged, which takes the waves out of
it.

Bends that are no edges stay: sides have to be much flatter than the bend (a ball turns everywhere alike), and the edge has
to be near. On rough scans some pass nevertheless, so that this is for surfaces known to have edges.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["Creases", "find_creases"]

Look = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]

_STEP = 0.5  # of a walk, in reaches
_NEAR, _BEYOND = 5, 3  # steps to where a side's plane is taken, and on to where it has to be flat still
_LEAST_BEND = np.cos(np.radians(10))  # between the normals of a face's corners, from which on an edge may be there
_LEAST_TURN, _CONTRAST = np.radians(30), 4.0  # of sides from each other; how much more than a side turns by itself
_FARTHEST = 0.75  # reaches from the bend to where the planes meet
_FULL, _NONE = 0.5, 1.25  # reaches from an edge within which its planes count alone, and from which on they do not
_N_NEIGHBOURS = 4
_ALONG, _N_ALONG = 2.0, 32  # reaches over which planes are averaged, and neighbours at most
_ALIKE = np.cos(np.radians(30))  # between normals of neighbours' planes that are averaged


@dataclass(frozen=True)
class Creases:
    """Points (K, 3) on sharp edges, the planes beside them and what they make of a field.

    normals (2, K, 3), offsets (2, K): of both planes, whose heights at x are normals . x - offsets; sense (K,): 1 where the
    greater height counts, -1 where the lesser one does. reach: as in `find_creases`.
    """

    points: np.ndarray
    normals: np.ndarray
    offsets: np.ndarray
    sense: np.ndarray
    reach: float

    def __post_init__(self):
        from scipy.spatial import cKDTree

        object.__setattr__(self, "_tree", cKDTree(self.points))

    def near(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Which of the places (N, 3) lie at edges (M,), the heights there (M,), the normals (M, 3) and their weights (M,):
        the field there is weight * height + (1 - weight) * what it was."""
        rows, apart, ids = self._neighbours(places, _N_NEIGHBOURS, _NONE * self.reach)
        normals, offsets = self._averaged(apart, ids, self.reach)
        heights = np.einsum("kmi,mi->km", normals, places[rows]) - offsets
        sense = self.sense[ids[:, 0]]
        is_first = sense * heights[0] >= sense * heights[1]
        far = np.clip((apart[:, 0] / self.reach - _FULL) / (_NONE - _FULL), 0, 1)
        weights = 1 - far * far * (3 - 2 * far)
        return rows, np.where(is_first, *heights), np.where(is_first[:, None], *normals), weights

    def smoothed(self) -> Creases:
        """With the planes of every point averaged over its neighbours along the edge."""
        _, apart, ids = self._neighbours(self.points, _N_ALONG, 2 * _ALONG * self.reach)
        return Creases(self.points, *self._averaged(apart, ids, _ALONG * self.reach), self.sense, self.reach)

    def _neighbours(self, places: np.ndarray, n: int, most: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Places (M,) that have a point within `most`, and their nearest ones, at most n: distances (M, n), the closest
        first and infinite for none, and which these are (M, n)."""
        apart, ids = self._tree.query(places, k=range(1, min(n, len(self.points)) + 1), distance_upper_bound=most)
        rows = np.flatnonzero(np.isfinite(apart[:, 0]))
        return rows, apart[rows], np.where(np.isfinite(apart[rows]), ids[rows], ids[rows, :1])

    def _averaged(self, apart: np.ndarray, ids: np.ndarray, scale: float) -> tuple[np.ndarray, np.ndarray]:
        """Normals (2, M, 3) and offsets (2, M) of planes averaged over neighbours that are of the same edge as the
        first."""
        first, second = self.normals[:, ids]  # (M, n, 3)
        own, other = first[:, :1], second[:, :1]

        def alike(a: np.ndarray, b: np.ndarray) -> np.ndarray:
            return (a * b).sum(axis=2)

        # a neighbour's planes may come in the other order
        swapped = alike(own, second) + alike(other, first) > alike(own, first) + alike(other, second)
        normals = np.where(swapped[..., None], np.stack([second, first]), np.stack([first, second]))
        offsets = np.where(swapped, self.offsets[::-1, ids], self.offsets[:, ids])
        share = np.exp((np.square(apart[:, :1]) - np.square(apart)) / scale**2)  # 0 for none
        share *= (alike(own, normals[0]) > _ALIKE) & (alike(other, normals[1]) > _ALIKE)
        share *= self.sense[ids] == self.sense[ids[:, :1]]
        share[:, 0] = 1.0  # like itself, also where averaging has left its normals much shorter than 1
        share /= share.sum(axis=1, keepdims=True)
        return np.einsum("mn,kmni->kmi", share, normals), (share * offsets).sum(axis=2)


def find_creases(places: np.ndarray, faces: np.ndarray, look: Look, reach: float, size: np.ndarray) -> Creases | None:
    """The sharp edges of a surface given as a mesh of about a vertex a `reach`; None where there are none.

    places (V, 3), faces (T, 3); look: the heights above the surface and their slopes at places (N, 3), (N,) and (N, 3);
    reach: over how much a field rounds its edges, in the units of places; size (3,): of the box, from 0 on, in which the
    field is known.
    """
    normals = _unit(look(places)[1])
    corners = normals[faces]
    bends = np.zeros(len(places), bool)
    for k in range(3):
        is_bent = (corners[:, k] * corners[:, k - 1]).sum(axis=1) < _LEAST_BEND
        bends[faces[is_bent]] = True
    places, normals = places[bends], normals[bends]
    if not len(places):
        return None
    across, sense = _across(places, normals, look, _STEP * reach)
    sides, is_inside = [], np.ones(len(places), bool)
    for direction in (across, -across):
        y, u, n = _walked(places, direction, normals, look, _STEP * reach, _NEAR)
        end, _, farther = _walked(y, u, n, look, _STEP * reach, _BEYOND)
        is_inside &= ((end > reach) & (end < size - reach)).all(axis=1)
        sides.append((y, n, _angle(n, farther)))
    (y1, n1, turn1), (y2, n2, turn2) = sides
    turn = _angle(n1, n2)
    # where the planes meet, seen from the bend: the shortest way that takes both heights to 0
    heights = np.stack([((places - y) * n).sum(axis=1) for y, n, _ in sides], 1)
    cosine = np.cos(turn)
    determinant = np.maximum(1 - cosine**2, np.finfo(float).tiny)
    shares = (heights - cosine[:, None] * heights[:, ::-1]) / determinant[:, None]
    way = -(shares[:, :1] * n1 + shares[:, 1:] * n2)
    is_sharp = is_inside & (turn > _LEAST_TURN) & (_CONTRAST * np.maximum(turn1, turn2) < turn)
    is_sharp &= np.linalg.norm(way, axis=1) < _FARTHEST * reach
    if not is_sharp.any():
        return None
    y, n = np.stack([y1, y2])[:, is_sharp], np.stack([n1, n2])[:, is_sharp]
    return Creases((places + way)[is_sharp], n, (y * n).sum(axis=2), sense[is_sharp], reach).smoothed()


def _across(places: np.ndarray, normals: np.ndarray, look: Look, step: float) -> tuple[np.ndarray, np.ndarray]:
    """The unit directions (N, 3) within the surface along which its normal turns most, and whether towards them (1) or away
    from them (-1)."""
    change = np.empty((len(places), 3, 3))
    for axis, offset in enumerate(np.eye(3) * step):
        change[..., axis] = _unit(look(places + offset)[1]) - _unit(look(places - offset)[1])
    within = np.eye(3) - normals[:, :, None] * normals[:, None]
    bends, directions = np.linalg.eigh(within @ (change + change.transpose(0, 2, 1)) @ within)
    most = np.abs(bends).argmax(axis=1)
    rows = np.arange(len(places))
    return directions[rows, :, most], np.where(bends[rows, most] > 0, 1.0, -1.0)


def _walked(
    y: np.ndarray, u: np.ndarray, n: np.ndarray, look: Look, step: float, n_steps: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Places, directions and normals (N, 3) after so many steps along the surface, straight on."""
    for _ in range(n_steps):
        y = y + step * u
        heights, slopes = look(y)
        squared = np.maximum((slopes * slopes).sum(axis=1), np.finfo(float).tiny)
        y = y - np.clip(heights / squared, -step, step)[:, None] * slopes
        n = _unit(slopes)
        u = _unit(u - (u * n).sum(axis=1, keepdims=True) * n)
    return y, u, n


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(float).tiny)


def _angle(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.arccos(np.clip((a * b).sum(axis=1), -1, 1))
