"""Rays against a field's surface: sphere tracing (Hart, The Visual Computer 1996) to a change of sign, then its zero.

A ray goes on by a part of the offset at hand, which for a distance cannot lead through the surface, and at least by a
part of a source cell. Fields are distances near their surface, about distances elsewhere, and cut off beyond a truncation,
where rays make steps of that length. A hit is where the sign changes: it is bracketed by the last step and
closed in on by false position; of unsigned distances see `creases`. Where a trim cuts the surface off, the ray goes on
behind the change of sign.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ..errors import UsageError
from ..roots import zeros
from .creases import next_passes, normals_at
from .surface import Surface, in_chunks, normals_of

if TYPE_CHECKING:
    from ..field import Field

__all__ = ["RayHits", "cast_rays"]

_PART = 0.9  # of the offset that a step takes: fitted fields are not quite distances
_LEAST_STEP = 0.25  # source cells
_CLOSE = 1e-4  # source cells: an offset that is as good as 0
_POINTS_PER_RAY = 8  # more or less
_N_STEPS = 24  # evaluations from the change of sign on, at most; 3 as a rule


@dataclass(frozen=True)
class RayHits:
    """Where N rays first cross the surface.

    hit (N,) bool; t (N,) float64: the hit is at origin + t * direction, infinite without one; points, normals (N, 3)
    float64 as (x, y, z) in world units, NaN without a hit. Normals are unit vectors and point outwards, also for rays that
    come from inside; those of unsigned distances to where the ray comes from.
    """

    hit: np.ndarray
    t: np.ndarray
    points: np.ndarray
    normals: np.ndarray


def cast_rays(
    field: Field,
    origins: np.ndarray,
    directions: np.ndarray,
    least: float,
    most: float,
    level: int | None,
    iso: float | None,
) -> RayHits:
    """As `Field.raycast`, for origins and directions (N, 3) or (1, 3) that are finite; least, most: its distances."""
    if len(origins) != len(directions) and 1 not in (len(origins), len(directions)):
        raise UsageError(f"casting rays: got {len(origins)} origins and {len(directions)} directions, expected as many")
    if not (directions != 0).any(axis=1).all():
        raise UsageError("casting rays: got a direction of length 0, expected others")
    if not 0 <= least <= most:
        raise UsageError(f"casting rays: got distances from {least} to {most}, expected 0 <= min_distance <= max_distance")
    origins, directions = np.broadcast_arrays(origins, directions)
    surface, n = Surface(field, level, iso), len(origins)
    hits = RayHits(np.zeros(n, bool), np.full(n, np.inf), np.full((n, 3), np.nan), np.full((n, 3), np.nan))

    def work(part: slice) -> None:
        start, along = (np.ascontiguousarray(a[part, ::-1]) for a in (origins, directions))
        lengths = np.linalg.norm(along, axis=1)
        along = along / lengths[:, None]
        which, t = _first_crossings(surface, start, along, least, most)
        points = start[which] + t[:, None] * along[which]
        places = which + part.start
        hits.hit[places], hits.t[places] = True, t / lengths[which]
        hits.points[places] = points[:, ::-1]
        slopes = normals_at(surface, points, along[which]) if surface.draws_in else surface.slope(points)[1]
        hits.normals[places] = normals_of(slopes)[:, ::-1]

    in_chunks(work, n, field._evaluation.is_quick_at_points(_POINTS_PER_RAY * n))
    return hits


def _first_crossings(
    surface: Surface, start: np.ndarray, along: np.ndarray, least: float, most: float
) -> tuple[np.ndarray, np.ndarray]:
    """Which rays (axes z, y, x; unit directions) cross the surface, and at what distance."""
    enter, leave = _within_box(surface, start, along, least, most)
    which = np.flatnonzero(enter < leave)
    t, end = enter[which], leave[which]
    offset = surface.offset(start[which] + t[:, None] * along[which])
    found: list[tuple[np.ndarray, np.ndarray]] = []
    find = _passes if surface.draws_in else _crossings
    while len(which):
        hit, at, (which, t, end, offset) = find(surface, start, along, which, t, end, offset)
        found.append((hit, at))
    if not found:
        return np.empty(0, np.int64), np.empty(0)
    return tuple(np.concatenate(parts) for parts in zip(*found))


def _crossings(
    surface: Surface, start: np.ndarray, along: np.ndarray, *marks: np.ndarray
) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, ...]]:
    """The next crossings of rays at marks (which, t, end, offset): which, at what distances, and marks of those that go
    on."""
    which, near, far, low, high, end = _next_changes(surface, start, along, *marks)
    at = near + _zeros(surface, start[which], along[which], near, far, low, high) * (far - near)
    there = surface.is_there(start[which] + at[:, None] * along[which])
    return which[there], at[there], tuple(a[~there] for a in (which, far, end, high))


def _passes(
    surface: Surface, start: np.ndarray, along: np.ndarray, *marks: np.ndarray
) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, ...]]:
    """As `_crossings`, of an unsigned distance: rays go to the shell, and through it."""
    inside = marks[-1] < 0
    which, _, far, _, high, end = _next_changes(surface, start, along, *(a[~inside] for a in marks))
    within = (np.concatenate([a[inside], entered]) for a, entered in zip(marks, (which, far, end, high)))
    return next_passes(surface, start, along, *within)


def _next_changes(
    surface: Surface,
    start: np.ndarray,
    along: np.ndarray,
    which: np.ndarray,
    t: np.ndarray,
    end: np.ndarray,
    offset: np.ndarray,
) -> tuple[np.ndarray, ...]:
    """Of rays `which` at distances t with these offsets, those whose sign changes before the end: which, the distances
    before and behind the change, the offsets there, and ends."""
    found: list[tuple[np.ndarray, ...]] = [tuple(a[:0] for a in (which, t, t, offset, offset, end))]
    least_step = _LEAST_STEP * surface.cell
    while len(which):
        step = np.maximum(_PART * np.abs(offset), least_step) if surface.is_distance else least_step
        further = np.minimum(t + step, end)
        there = surface.offset(start[which] + further[:, None] * along[which])
        crossed = (there < 0) != (offset < 0)
        found.append(tuple(a[crossed] for a in (which, t, further, offset, there, end)))
        go_on = ~crossed & (further < end)
        which, t, end, offset = which[go_on], further[go_on], end[go_on], there[go_on]
    return tuple(np.concatenate(parts) for parts in zip(*found))


def _zeros(
    surface: Surface,
    start: np.ndarray,
    along: np.ndarray,
    near: np.ndarray,
    far: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
) -> np.ndarray:
    """Where between `near` (0) and `far` (1) the offsets of rays, `low` and `high` there, are 0: (N,)."""

    def value(some: np.ndarray, part: np.ndarray) -> np.ndarray:
        at = near[some] + part * (far - near)[some]
        return surface.offset(start[some] + at[:, None] * along[some])

    # offsets of an occupancy are no distances: there a part of their change along the step counts
    close = np.full(len(near), _CLOSE * surface.cell) if surface.is_distance else _CLOSE * np.abs(high - low)
    return zeros(value, low, high, close, _N_STEPS)


def _within_box(
    surface: Surface, start: np.ndarray, along: np.ndarray, least: float, most: float
) -> tuple[np.ndarray, np.ndarray]:
    """Distances at which rays enter and leave the field's box, between least and most."""
    with np.errstate(divide="ignore", invalid="ignore"):
        near, far = (surface.low - start) / along, (surface.low + surface.size - start) / along
    inside = (start >= surface.low) & (start <= surface.low + surface.size)
    # a ray along a side of the box is within it for ever or never
    still = along == 0
    near, far = np.minimum(near, far), np.maximum(near, far)
    near[still], far[still] = np.where(inside[still], -np.inf, np.inf), np.where(inside[still], np.inf, -np.inf)
    return np.maximum(near.max(axis=1), least), np.minimum(far.min(axis=1), most)
