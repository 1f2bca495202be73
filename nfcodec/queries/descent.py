"""Steps onto a field's surface and along it. Where a trim ends the surface, at its rim.

On the surface the offset is 0 and the trim at most 0. A step is the shortest one that does away, to first order, with an
offset and with a trim above 0: along the normal, and within the surface against the slope of the trim. On a rim what leads
beyond it is no direction along the surface.
"""

from __future__ import annotations

import numpy as np

from .surface import Surface, normals_of

__all__ = ["CLOSE", "REACH", "descend", "distance_left", "tangent", "towards"]

_N_NEWTON = 4  # onto the surface, from wherever a step along it has led
REACH = 2.0  # source cells: the longest step onto the surface; values are distances within so much
CLOSE = 1e-3  # source cells: a distance that is as good as 0


def descend(surface: Surface, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """x (N, 3) after steps of Newton's method onto the surface, to first order the distance (N,) left to it, slopes (N, 3),
    and, for points on a rim, the unit vectors (N, 3) that lead beyond it; 0 for others."""
    x, which = x.copy(), np.arange(len(x))
    left, slopes, rims = np.empty(len(x)), np.empty_like(x), np.zeros_like(x)
    for n in range(_N_NEWTON + 1):
        offset, slope, trim = surface.slopes(x[which])
        step, rim = _onto(offset, slope, trim, CLOSE * surface.cell)
        slopes[which], rims[which] = slope, rim
        left[which] = length = _lengths(step, offset, slope)
        far = length > CLOSE * surface.cell
        if n == _N_NEWTON or not far.any():
            break
        which = which[far]
        x[which] += _limited(step[far], REACH * surface.cell)
    return x, left, slopes, rims


def distance_left(offset: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """The distance (N,) to the surface or what continues it, were the slope the same on the way; infinite without one."""
    length = np.linalg.norm(slope, axis=1)
    sound = np.isfinite(length) & (length > 0)
    return np.divide(np.abs(offset), length, out=np.full(len(offset), np.inf), where=sound)


def towards(x: np.ndarray, offset: np.ndarray, slope: np.ndarray, reach: float | np.ndarray) -> np.ndarray:
    """x (N, 3) after one step of Newton's method along the slope, at most `reach` long."""
    step = np.minimum(distance_left(offset, slope), reach)
    step[~np.isfinite(step)] = 0.0
    return x - (np.sign(offset) * step)[:, None] * normals_of(slope)


def tangent(vectors: np.ndarray, slope: np.ndarray, rim: np.ndarray) -> np.ndarray:
    """What of vectors (N, 3) lies along the surface and does not lead beyond its rim."""
    along = _within(vectors, normals_of(slope))
    beyond = np.maximum(np.einsum("ij,ij->i", along, rim), 0.0)
    return along - beyond[:, None] * rim


def _onto(
    offset: np.ndarray, slope: np.ndarray, trim: tuple[np.ndarray, np.ndarray] | None, close: float
) -> tuple[np.ndarray, np.ndarray]:
    """Steps (N, 3) that lead onto the surface to first order, and the vectors beyond the rim of points on one."""
    normal = normals_of(slope)
    step = -(np.sign(offset) * np.nan_to_num(distance_left(offset, slope), posinf=0.0))[:, None] * normal
    rim = np.zeros_like(step)
    if trim is None:
        return step, rim
    value, change = trim
    value = value + np.einsum("ij,ij->i", change, step)
    ends = np.flatnonzero(value > -close)
    beyond = _within(change[ends], normal[ends])
    length = np.linalg.norm(beyond, axis=1)
    sound = np.isfinite(length) & (length > 0)
    rim[ends] = np.where(sound[:, None], beyond / np.where(sound, length, 1.0)[:, None], 0.0)
    back = np.divide(np.maximum(value[ends], 0.0), length, out=np.zeros(len(ends)), where=sound)
    step[ends] -= back[:, None] * rim[ends]
    return step, rim


def _lengths(step: np.ndarray, offset: np.ndarray, slope: np.ndarray) -> np.ndarray:
    """Lengths (N,) of steps, infinite where there was no slope to follow."""
    return np.where(np.isfinite(distance_left(offset, slope)), np.linalg.norm(step, axis=1), np.inf)


def _limited(step: np.ndarray, reach: float) -> np.ndarray:
    """Steps (N, 3) at most `reach` long."""
    length = np.linalg.norm(step, axis=1, keepdims=True)
    return step * np.minimum(1.0, reach / np.maximum(length, np.finfo(float).tiny))


def _within(vectors: np.ndarray, normal: np.ndarray) -> np.ndarray:
    """What of vectors (N, 3) is at a right angle to unit normals."""
    return vectors - np.einsum("ij,ij->i", vectors, normal)[:, None] * normal
