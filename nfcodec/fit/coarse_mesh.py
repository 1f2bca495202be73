"""The coarse meshes that carry features: the signal's own surface, its vertices moved to those of a level's lattice."""

from __future__ import annotations

import numpy as np
from skimage.measure import marching_cubes

from ..encodings.mesh import Surface, in_order, is_flat
from ..encodings.points import n_points
from ..spec import FACES_A_VERTEX, GridSpec
from .scatter import least_squares, matrix_of

__all__ = ["on_meshes"]


def on_meshes(
    planes: np.ndarray, spec: GridSpec, weight: np.ndarray | None, value: float | None, count: int | None = None
) -> list[dict[str, np.ndarray]]:
    """planes (*extent, C) float32 -> the levels of a field on a surface, with features in the units of planes.

    value: of the first plane at the surface; None for signals that are none, which have one at the median. count: vertices
    that a level has at most, if fewer than `spec` says.
    """
    extent, left, out = planes.shape[:-1], planes.astype(np.float32).copy(), []
    first = planes[..., 0]
    vertices, faces = _isosurface(first, float(np.median(first)) if value is None else value)
    for level, f in enumerate(spec.n_features):
        most = min(count or n_points(spec, level), n_points(spec, level))
        data = _snapped(vertices / extent * spec.resolutions[level] - 0.5, faces, spec.resolutions[level], most)
        surface = Surface(data, spec.resolutions[level])
        data["features"] = least_squares(surface, left[..., :f], weight)
        for block in np.array_split(np.arange(first.size), -(-first.size // (1 << 17))):
            left.reshape(-1, left.shape[-1])[block, :f] -= matrix_of(surface, extent, block) @ data["features"]
        out.append(data)
    return out


def _isosurface(values: np.ndarray, value: float) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) in samples from the box's corner, and faces; none without a surface."""
    try:
        vertices, faces, _, _ = marching_cubes(values, value)
        return vertices + 0.5, faces
    except (ValueError, RuntimeError):  # no sample is on the other side, or there are too few
        return np.zeros((0, 3)), np.zeros((0, 3), np.int64)


def _snapped(places: np.ndarray, faces: np.ndarray, resolution: tuple[int, ...], most: int) -> dict[str, np.ndarray]:
    """The mesh whose vertices are the lattice's next to `places` (V, 3), those that meet being one; of every second vertex
    of the lattice, or every third and so on, until there are not more than `most`."""
    index = np.clip(np.rint(places), 0, np.array(resolution) - 1).astype(np.int64)
    stride = 1
    while True:
        positions, which = np.unique(index // stride * stride, axis=0, return_inverse=True)
        found = np.unique(np.sort(which.reshape(-1)[faces], axis=1), axis=0)
        found = found[(found[:, 0] < found[:, 1]) & (found[:, 1] < found[:, 2])]
        found = found[~is_flat(positions, found)]
        used = np.unique(found)
        if len(used) <= most and len(found) <= FACES_A_VERTEX * most:
            data = {"positions": positions[used].astype(np.int32), "faces": np.searchsorted(used, found).astype(np.int32)}
            return in_order(data)[0]
        stride += 1
