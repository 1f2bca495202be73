"""numba twin of `encodings.mesh.Surface.closest`: each point walks down the tree of boxes alone, nearer halves first."""

from __future__ import annotations

import numpy as np
from numba import njit

from ..boxes import BoxTree

__all__ = ["closest_faces"]

_TIGHT = 1 - 1e-12  # of the squared distance from a box: no rounding may leave a face out that is as near
_DEEPEST = 64  # boxes that wait: the tree halves its faces


def closest_faces(u: np.ndarray, corners: np.ndarray, tree: BoxTree) -> np.ndarray:
    """The number (N,) of the face that is closest to points (N, 3), of several the least. corners: (T, 3, 3)."""
    out = np.empty(len(u), np.int64)
    _walk(np.ascontiguousarray(u, np.float64), corners, tree.low, tree.high, tree.children, tree.item, out)
    return out


@njit(error_model="numpy", cache=True, nogil=True)
def _walk(u, corners, low, high, children, item, out):
    waiting, gaps = np.empty(_DEEPEST, np.int64), np.empty(_DEEPEST)
    for n in range(len(u)):
        x, y, z = u[n, 0], u[n, 1], u[n, 2]
        best, least, depth = -1, np.inf, 1
        waiting[0], gaps[0] = 0, 0.0
        while depth:
            depth -= 1
            node = waiting[depth]
            if gaps[depth] > least:
                continue
            if item[node] >= 0:
                square = _square(x, y, z, corners[item[node]])
                if square < least or (square == least and item[node] < best):
                    best, least = item[node], square
                continue
            a, b = children[node, 0], children[node, 1]
            gap_a, gap_b = _gap(x, y, z, low[a], high[a]), _gap(x, y, z, low[b], high[b])
            if gap_a < gap_b:
                a, b, gap_a, gap_b = b, a, gap_b, gap_a
            waiting[depth], gaps[depth] = a, gap_a * _TIGHT
            waiting[depth + 1], gaps[depth + 1] = b, gap_b * _TIGHT
            depth += 2
        out[n] = best


@njit(error_model="numpy", cache=True, nogil=True)
def _gap(x, y, z, low, high):
    dx = max(max(low[0] - x, x - high[0]), 0.0)
    dy = max(max(low[1] - y, y - high[1]), 0.0)
    dz = max(max(low[2] - z, z - high[2]), 0.0)
    return dx * dx + dy * dy + dz * dz


@njit(error_model="numpy", cache=True, nogil=True)
def _square(x, y, z, c):
    """The squared distance of a point from a triangle: spec/format.md, section 4.9."""
    abx, aby, abz = c[1, 0] - c[0, 0], c[1, 1] - c[0, 1], c[1, 2] - c[0, 2]
    acx, acy, acz = c[2, 0] - c[0, 0], c[2, 1] - c[0, 1], c[2, 2] - c[0, 2]
    px, py, pz = x - c[0, 0], y - c[0, 1], z - c[0, 2]
    d1, d2 = abx * px + aby * py + abz * pz, acx * px + acy * py + acz * pz
    px, py, pz = x - c[1, 0], y - c[1, 1], z - c[1, 2]
    d3, d4 = abx * px + aby * py + abz * pz, acx * px + acy * py + acz * pz
    px, py, pz = x - c[2, 0], y - c[2, 1], z - c[2, 2]
    d5, d6 = abx * px + aby * py + abz * pz, acx * px + acy * py + acz * pz
    va, vb, vc = d3 * d6 - d5 * d4, d5 * d2 - d1 * d6, d1 * d4 - d3 * d2
    wa, wb, wc = 0.0, 0.0, 0.0
    if d1 <= 0 and d2 <= 0:
        wa = 1.0
    elif d3 >= 0 and d4 <= d3:
        wb = 1.0
    elif d6 >= 0 and d5 <= d6:
        wc = 1.0
    elif vc <= 0 and d1 >= 0 and d3 <= 0:
        wb = d1 / (d1 - d3)
        wa = 1 - wb
    elif vb <= 0 and d2 >= 0 and d6 <= 0:
        wc = d2 / (d2 - d6)
        wa = 1 - wc
    elif va <= 0 and d4 >= d3 and d5 >= d6:
        wc = (d4 - d3) / ((d4 - d3) + (d5 - d6))
        wb = 1 - wc
    else:
        total = va + vb + vc
        wa, wb, wc = va / total, vb / total, vc / total
    dx = x - (wa * c[0, 0] + wb * c[1, 0] + wc * c[2, 0])
    dy = y - (wa * c[0, 1] + wb * c[1, 1] + wc * c[2, 1])
    dz = z - (wa * c[0, 2] + wb * c[1, 2] + wc * c[2, 2])
    return dx * dx + dy * dy + dz * dz
