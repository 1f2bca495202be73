"""What a scene answers at points and along rays: of every part that could be the one, its field is asked in its own box.

A part is a node that places a field. The tree of boxes names the parts that could be nearer than what is known already, or
that a ray enters before the hit at hand; all points of a part go to its field in one call.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..boxes import BoxTree
from ..errors import NfldError, UsageError
from ..queries import ClosestPoints, RayHits
from .placement import Similarity

if TYPE_CHECKING:
    from ..field import Field

__all__ = ["Part", "Parts", "SceneHits", "ScenePoints"]

_CHUNK = 1 << 15  # points or rays at a time: pairs with boxes are more


@dataclass(frozen=True)
class ScenePoints(ClosestPoints):
    """As `ClosestPoints`; nodes (N,) int64: of which node the closest point is."""

    nodes: np.ndarray


@dataclass(frozen=True)
class SceneHits(RayHits):
    """As `RayHits`; nodes (N,) int64: the node that is hit, -1 without a hit."""

    nodes: np.ndarray


@dataclass(frozen=True)
class Part:
    """A field where a node places it. node: the node's number."""

    node: int
    field: Field
    world: Similarity

    @property
    def size(self) -> float:
        """The longest edge of its box, in the world."""
        return abs(self.world.scale) * float(self.field.box_size.max())

    def corners(self) -> np.ndarray:
        """(8, 3): those of its box, in the world."""
        low = np.asarray(self.field.spec.origin)[::-1]
        size = self.field.box_size[::-1]
        unit = np.stack(np.meshgrid([0, 1], [0, 1], [0, 1], indexing="ij"), -1).reshape(-1, 3)
        return self.world.to_world(low + unit * size)

    def level(self, level: int | None) -> int | None:
        """The level of detail of a scene in this field, which may have fewer."""
        return None if level is None else min(level, self.field.n_levels - 1)

    def distance(self, points: np.ndarray, level: int | None) -> np.ndarray:
        """(N,) float64, by spec/scene.md, section 4: in its box the field's value v, beyond it the root of
        g^2 + max(v, 0)^2, where g is the distance from the box and v the value at the box's closest point."""
        coords = self.field.from_world(self.world.to_local(points))
        inside = np.clip(coords, 0.0, 1.0)
        beyond = (coords - inside) * self.field.box_size
        gap = np.sqrt((beyond * beyond).sum(axis=1))
        values = self.field.sample(inside, self.level(level))[:, 0].astype(np.float64)
        outside = np.sqrt(gap * gap + np.maximum(values, 0.0) ** 2)
        return abs(self.world.scale) * np.where(gap > 0, outside, values)


class Parts:
    """All parts of a scene, at least one, and the tree of their boxes."""

    def __init__(self, parts: list[Part]):
        self.parts = parts
        corners = np.stack([part.corners() for part in parts])
        self.low, self.high = corners.min(axis=1), corners.max(axis=1)
        self.tree = BoxTree(self.low, self.high)

    def distance(self, points: np.ndarray, level: int | None) -> np.ndarray:
        """As `Scene.distance`."""
        for part in self.parts:
            if part.field.kind == "occupancy":
                raise UsageError(
                    "finding distances: got a part of kind occupancy, whose values are none; use closest_point"
                )
        out = np.full(len(points), np.inf)

        def ask(item: int, rows: np.ndarray) -> None:
            out[rows] = np.minimum(out[rows], self.parts[item].distance(points[rows], level))

        self._ask_nearest(points, ask, lambda rows: out[rows])
        return out

    def closest(self, points: np.ndarray, level: int | None, iso: float | None) -> ScenePoints:
        """As `Scene.closest_point`."""
        n = len(points)
        out = ScenePoints(np.full((n, 3), np.nan), np.full(n, np.inf), np.full((n, 3), np.nan), np.full(n, -1))
        inside = np.zeros(n, bool)

        def ask(item: int, rows: np.ndarray) -> None:
            part = self.parts[item]
            found = _unless_nowhere(lambda: part.field.closest_point(
                part.world.to_local(points[rows]), part.level(level), iso
            ))  # fmt: skip
            if found is None:
                return
            distances = abs(part.world.scale) * found.distances
            inside[rows] |= distances < 0
            nearer = np.abs(distances) < out.distances[rows]
            chosen = rows[nearer]
            out.distances[chosen], out.nodes[chosen] = np.abs(distances[nearer]), part.node
            out.points[chosen] = part.world.to_world(found.points[nearer])
            out.normals[chosen] = part.world.turned(found.normals[nearer])

        self._ask_nearest(points, ask, lambda rows: out.distances[rows])
        if n and (out.nodes < 0).any():
            raise NfldError("finding closest points: got a scene whose parts are nowhere at this level; choose another one")
        out.distances[inside] *= -1
        return out

    def cast(
        self, origins: np.ndarray, directions: np.ndarray, least: float, most: float, level: int | None, iso: float | None
    ) -> SceneHits:
        """As `Scene.raycast`, for arrays of as many rows."""
        n = len(origins)
        hits = SceneHits(
            np.zeros(n, bool), np.full(n, np.inf), np.full((n, 3), np.nan), np.full((n, 3), np.nan), np.full(n, -1)
        )
        for rows in _chunks(n):
            start, along = origins[rows], directions[rows]
            lengths = np.linalg.norm(along, axis=1)
            rays, items, entries = self.tree.hit(start, along, least / lengths, most / lengths)
            for turn in _turns(rays):
                ray, item = rays[turn], items[turn]
                ahead = entries[turn] < hits.t[rows[ray]]
                for k, some in _grouped(item[ahead], rows[ray[ahead]]):
                    self._cast_at(self.parts[k], some, origins[some], directions[some], (least, most), level, iso, hits)
        return hits

    def _cast_at(
        self, part: Part, rows: np.ndarray, origins: np.ndarray, directions: np.ndarray, span: tuple[float, float],
        level: int | None, iso: float | None, hits: SceneHits,
    ) -> None:  # fmt: skip
        """Rays `rows` against one part: what it has before the hits so far replaces them."""
        scale = abs(part.world.scale)
        found = part.field.raycast(
            part.world.to_local(origins), part.world.to_local_directions(directions),
            span[0] / scale, span[1] / scale, part.level(level), iso,
        )  # fmt: skip
        nearer = found.t < hits.t[rows]
        chosen = rows[nearer]
        hits.hit[chosen], hits.t[chosen], hits.nodes[chosen] = True, found.t[nearer], part.node
        hits.points[chosen] = part.world.to_world(found.points[nearer])
        hits.normals[chosen] = part.world.turned(found.normals[nearer])

    def _ask_nearest(
        self, points: np.ndarray, ask: Callable[[int, np.ndarray], None], known: Callable[[np.ndarray], np.ndarray]
    ) -> None:
        """ask(part, rows) for every point and each part that could be nearer than `known` (rows) says, or hold it."""
        for rows in _chunks(len(points)):
            here = points[rows]
            first = self.tree.guess(here)
            for item, some in _grouped(first, rows):
                ask(item, some)
            which, items, gaps = self.tree.near(here, np.abs(known(rows)))
            others = items != first[which]
            which, items, gaps = which[others], items[others], gaps[others]
            for turn in _turns(which):  # nearest boxes first
                could = (gaps[turn] < np.abs(known(rows[which[turn]]))) | (gaps[turn] == 0)
                for item, some in _grouped(items[turn][could], rows[which[turn][could]]):
                    ask(item, some)


def _unless_nowhere(call: Callable[[], ClosestPoints]) -> ClosestPoints | None:
    """None where a field has no surface at its level."""
    try:
        return call()
    except NfldError as error:
        if type(error) is not NfldError:
            raise
        return None


def _chunks(n: int) -> Iterator[np.ndarray]:
    for start in range(0, n, _CHUNK):
        yield np.arange(start, min(start + _CHUNK, n))


def _turns(which: np.ndarray) -> Iterator[np.ndarray]:
    """Of sorted numbers (P,) the places of every first occurrence, then of every second one, and so on."""
    starts = np.flatnonzero(np.concatenate([[True], which[1:] != which[:-1]])) if len(which) else which
    nth = np.arange(len(which)) - np.repeat(starts, np.diff([*starts, len(which)]))
    for k in range(int(nth.max()) + 1 if len(nth) else 0):
        yield np.flatnonzero(nth == k)


def _grouped(keys: np.ndarray, rows: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """(key, its rows) for each key, ascending."""
    order = np.argsort(keys, kind="stable")
    keys, rows = keys[order], rows[order]
    ends = np.flatnonzero(np.diff(keys)) + 1
    for part in np.split(np.arange(len(keys)), ends) if len(keys) else ():
        yield int(keys[part[0]]), rows[part]


def span_of(least: float, most: float) -> tuple[float, float]:
    """Checked distances of rays."""
    if not 0 <= least <= most or math.isnan(most):
        raise UsageError(f"casting rays: got distances from {least} to {most}, expected 0 <= min_distance <= max_distance")
    return least, most
