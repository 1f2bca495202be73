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



def _distance(field: Field, points: np.ndarray, level: int | None) -> np.ndarray:
    """(N,) float64 at local points (N, 3), by spec/scene.md, section 4: in its box the field's value v, beyond it the root
    of g^2 + max(v, 0)^2, where g is the distance from the box and v the value at the box's closest point."""
    coords = field.from_world(points)
    inside = np.clip(coords, 0.0, 1.0)
    beyond = (coords - inside) * field.box_size
    gap = np.sqrt((beyond * beyond).sum(axis=1))
    values = field.sample(inside, level)[:, 0].astype(np.float64)
    return np.where(gap > 0, np.sqrt(gap * gap + np.maximum(values, 0.0) ** 2), values)


class _Placements:
    """The places of all parts as arrays, so that points of several parts are moved at a time."""

    def __init__(self, parts: list[Part]):
        self.turns = np.stack([part.world.turn for part in parts])
        self.shifts = np.array([part.world.translation for part in parts])
        self.scales = np.array([part.world.scale for part in parts])

    def to_local(self, items: np.ndarray, points: np.ndarray) -> np.ndarray:
        """World points (N, 3) in the fields of parts (N,)."""
        return self.to_local_directions(items, points - self.shifts[items])

    def to_local_directions(self, items: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        """World directions, shorter by the scale: a ray has the same parameter in both."""
        return np.einsum("ni,nij->nj", vectors, self.turns[items]) / self.scales[items, None]

    def to_world(self, items: np.ndarray, points: np.ndarray) -> np.ndarray:
        return self.scales[items, None] * np.einsum("nij,nj->ni", self.turns[items], points) + self.shifts[items]

    def turned(self, items: np.ndarray, vectors: np.ndarray) -> np.ndarray:
        """Local normals in the world; of the same length."""
        return np.sign(self.scales[items, None]) * np.einsum("nij,nj->ni", self.turns[items], vectors)


class Parts:
    """All parts of a scene, at least one, and the tree of their boxes. Parts of one field are asked together, since many
    small calls cost more than the points in them."""

    def __init__(self, parts: list[Part]):
        self.parts = parts
        corners = np.stack([part.corners() for part in parts])
        self.low, self.high = corners.min(axis=1), corners.max(axis=1)
        self.tree = BoxTree(self.low, self.high)
        self.places = _Placements(parts)
        self.nodes = np.array([part.node for part in parts])
        first: dict[int, int] = {}
        self.alike = np.array([first.setdefault(id(part.field), k) for k, part in enumerate(parts)])  # first of its field

    def distance(self, points: np.ndarray, level: int | None) -> np.ndarray:
        """As `Scene.distance`."""
        for part in self.parts:
            if part.field.kind == "occupancy":
                raise UsageError(
                    "finding distances: got a part of kind occupancy, whose values are none; use closest_point"
                )
        out = np.full(len(points), np.inf)

        def ask(part: Part, items: np.ndarray, rows: np.ndarray) -> None:
            found = _distance(part.field, self.places.to_local(items, points[rows]), part.level(level))
            out[rows] = np.minimum(out[rows], np.abs(self.places.scales[items]) * found)

        self._ask_nearest(points, ask, lambda rows: out[rows])
        return out

    def closest(self, points: np.ndarray, level: int | None, iso: float | None) -> ScenePoints:
        """As `Scene.closest_point`."""
        n = len(points)
        out = ScenePoints(np.full((n, 3), np.nan), np.full(n, np.inf), np.full((n, 3), np.nan), np.full(n, -1))
        inside = np.zeros(n, bool)

        def ask(part: Part, items: np.ndarray, rows: np.ndarray) -> None:
            local = self.places.to_local(items, points[rows])
            found = _unless_nowhere(lambda: part.field.closest_point(local, part.level(level), iso))
            if found is None:
                return
            distances = np.abs(self.places.scales[items]) * found.distances
            inside[rows] |= distances < 0
            nearer = np.abs(distances) < out.distances[rows]
            chosen, which = rows[nearer], items[nearer]
            out.distances[chosen], out.nodes[chosen] = np.abs(distances[nearer]), self.nodes[which]
            out.points[chosen] = self.places.to_world(which, found.points[nearer])
            out.normals[chosen] = self.places.turned(which, found.normals[nearer])

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
                item, ray = item[ahead], rows[ray[ahead]]
                for some in self._together(item, is_scaled=least > 0 or most < math.inf):
                    self._cast_at(item[some], ray[some], origins, directions, (least, most), level, iso, hits)
        return hits

    def _cast_at(
        self, items: np.ndarray, rows: np.ndarray, origins: np.ndarray, directions: np.ndarray, span: tuple[float, float],
        level: int | None, iso: float | None, hits: SceneHits,
    ) -> None:  # fmt: skip
        """Rays `rows` against parts of one field, and of one scale where a span counts: what they have before the hits so
        far replaces these."""
        part, places = self.parts[items[0]], self.places
        scale = abs(part.world.scale)
        found = part.field.raycast(
            places.to_local(items, origins[rows]), places.to_local_directions(items, directions[rows]),
            span[0] / scale, span[1] / scale, part.level(level), iso,
        )  # fmt: skip
        nearer = found.t < hits.t[rows]
        chosen, which = rows[nearer], items[nearer]
        hits.hit[chosen], hits.t[chosen], hits.nodes[chosen] = True, found.t[nearer], self.nodes[which]
        hits.points[chosen] = places.to_world(which, found.points[nearer])
        hits.normals[chosen] = places.turned(which, found.normals[nearer])

    def _together(self, items: np.ndarray, is_scaled: bool = False) -> Iterator[np.ndarray]:
        """Places in items (N,) of those that can be asked in one call: of one field, and if is_scaled of one scale."""
        keys = self.alike[items]
        if is_scaled:
            pairs = np.stack([keys, np.abs(self.places.scales[items])])
            keys = np.unique(pairs, axis=1, return_inverse=True)[1].reshape(-1)
        order = np.argsort(keys, kind="stable")
        ends = np.flatnonzero(np.diff(keys[order])) + 1
        yield from np.split(order, ends) if len(order) else ()

    def _ask_nearest(
        self, points: np.ndarray, ask: Callable[[Part, np.ndarray, np.ndarray], None],
        known: Callable[[np.ndarray], np.ndarray],
    ) -> None:  # fmt: skip
        """ask(one of the parts, parts (N,) of its field, rows (N,)) for every point and each part that could be nearer than
        `known` (rows) says, or hold it."""

        def ask_all(items: np.ndarray, rows: np.ndarray) -> None:
            for some in self._together(items):
                ask(self.parts[items[some[0]]], items[some], rows[some])

        for rows in _chunks(len(points)):
            here = points[rows]
            first = self.tree.guess(here)
            ask_all(first, rows)
            which, items, gaps = self.tree.near(here, np.abs(known(rows)))
            others = items != first[which]
            which, items, gaps = which[others], items[others], gaps[others]
            for turn in _turns(which):  # nearest boxes first
                could = (gaps[turn] < np.abs(known(rows[which[turn]]))) | (gaps[turn] == 0)
                ask_all(items[turn][could], rows[which[turn][could]])


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


def span_of(least: float, most: float) -> tuple[float, float]:
    """Checked distances of rays."""
    if not 0 <= least <= most or math.isnan(most):
        raise UsageError(f"casting rays: got distances from {least} to {most}, expected 0 <= min_distance <= max_distance")
    return least, most
