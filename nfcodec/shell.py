"""The surface that an unsigned distance is of: a thin closed shell around it, drawn together onto it.

Where a distance has no sign it has a crease at the surface, which no lattice holds and no fit either. Some cells away it is
a distance as any other: there the shell is extracted, and its points go back by their distance, against its slope. Behind
the surface, as far on, the field knows the distance once more, and where both agree the middle counts: both sides of the
shell then lie on one another and not through each other. The mesh is a closed one still, and shows a sheet from both sides.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["GAP", "drawn_in"]

GAP = 0.05  # source cells: what sides of a mesh keep from the surface, so that either hides the other
_AGREE = 0.4  # of the distance: how much both sides may differ, beyond which another part of the surface is near


def drawn_in(
    points: np.ndarray,
    distances: np.ndarray,
    slopes: np.ndarray,
    sample: Callable[[np.ndarray], np.ndarray],
    gap: float = 0.0,
) -> np.ndarray:
    """Points (N, 3) moved to `gap` from the surface that lies at these distances (N,), against their slopes (N, 3).

    sample: the field's distances (M,) at points (M, 3). All in the same units, axes in the same order. Points without a
    slope stay.
    """
    lengths = np.linalg.norm(slopes, axis=1)
    sound = np.isfinite(lengths) & (lengths > 0) & np.isfinite(distances)
    moved, depth = points.copy(), distances[sound].astype(np.float64)
    normals = slopes[sound] / lengths[sound, None]
    behind = sample(points[sound] - 2 * depth[:, None] * normals)
    agree = np.abs(behind - depth) < _AGREE * depth
    depth = np.where(agree, (3 * depth - behind) / 2, depth)
    moved[sound] -= (depth - gap)[:, None] * normals
    return moved
