"""Rays against the surface of an unsigned distance, which does not change its sign there but has its least values.

Outside a shell around the surface a ray goes by the distance, as `rays` has it. Within the shell it makes even steps, and
where the distance begins to grow again from a value that is small, it has passed the surface: a parabola through the last
three values says where. Rays that leave the shell without go on.
"""

from __future__ import annotations

import numpy as np

from .surface import Surface, normals_of

__all__ = ["next_passes", "normals_at"]

_STEP = 0.25  # source cells
_SMALL = 0.7  # source cells: a least distance along a ray that is the surface; fits round the crease off by as much
_BACK = 1.0  # source cells from the surface, where a distance has a slope


def next_passes(
    surface: Surface,
    start: np.ndarray,
    along: np.ndarray,
    which: np.ndarray,
    t: np.ndarray,
    end: np.ndarray,
    offset: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, ...]]:
    """Of rays `which` within the shell at distances t, with these offsets, those that pass the surface before they leave
    it, and at what distances; and which, t, end and offset of those that leave."""
    step, small = _STEP * surface.cell, _SMALL * surface.cell
    hits, left = [], []
    before = np.full(len(which), -np.inf)  # a ray that starts in the shell has to come nearer first
    while len(which):
        further = t + step
        there = surface.offset(start[which] + further[:, None] * along[which])
        passed = (before >= offset) & (there > offset) & (offset + surface.iso < small)
        hits.append((which[passed], t[passed] + step * _least(before[passed], offset[passed], there[passed])))
        out = ~passed & (there >= 0) & (further < end)
        left.append(tuple(a[out] for a in (which, further, end, there)))
        go_on = ~passed & (there < 0) & (further < end)
        which, t, end, before, offset = (a[go_on] for a in (which, further, end, offset, there))
    if not hits:
        return which, t, (which, t, end, offset)
    found, at = (np.concatenate(parts) for parts in zip(*hits))
    return found, at, tuple(np.concatenate(parts) for parts in zip(*left))


def normals_at(surface: Surface, points: np.ndarray, along: np.ndarray) -> np.ndarray:
    """Slopes (N, 3) of the distance over points (N, 3) of the surface, on the side that rays come from."""
    before = normals_of(surface.slope(points - _BACK * surface.cell * along)[1])
    return surface.slope(points + _BACK * surface.cell * before)[1]


def _least(before: np.ndarray, here: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Where the parabola through values at -1, 0 and 1 is least."""
    bend = before - 2 * here + there
    return np.divide(before - there, 2 * bend, out=np.zeros(len(here)), where=bend > 0)
