"""Pictures of meshes without a GPU or a display: which face a pixel sees, its light, its distance to another mesh.

Orthographic, one normal a face, every (triangle, pixel) pair looked at once; a million faces take seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...geometry import TriangleTree, face_normals
from ...spec import Mesh

__all__ = ["View", "distances", "rasterise", "seen_points", "shade"]

_PAIRS = 1 << 22  # (triangle, pixel) pairs looked at at once
_FRONT = np.array([0.78, 0.80, 0.84])
_BACK = np.array([0.80, 0.30, 0.25])
_RELIEF = 0.4  # of the light, where the colour carries the figure


@dataclass(frozen=True)
class View:
    """An orthographic camera: rows of `axes` are right, up and towards the eye; one pixel is `scale` world units."""

    axes: np.ndarray
    centre: np.ndarray
    scale: float
    size: int

    @classmethod
    def around(cls, mesh: Mesh, azimuth_deg: float, elevation_deg: float, up: str, size: int) -> View:
        """Looks at the middle of the mesh's box from the given direction, with `up` (an axis: y or z) upwards."""
        a, e = np.radians([azimuth_deg, elevation_deg])
        right = np.array([np.cos(a), 0, -np.sin(a)])
        eye = np.array([np.sin(a) * np.cos(e), np.sin(e), np.cos(a) * np.cos(e)])
        axes = np.stack([right, np.cross(eye, right), eye])
        if up == "z":
            axes = axes[:, [0, 2, 1]] * [1, -1, 1]
        vertices = mesh.vertices[np.unique(mesh.faces)]
        spread = vertices @ axes.T
        centre = (spread.min(axis=0) + spread.max(axis=0)) / 2 @ axes
        scale = np.ptp(spread[:, :2], axis=0).max() * 1.06 / size
        return cls(axes, centre, float(scale), size)


def rasterise(mesh: Mesh, view: View) -> tuple[np.ndarray, np.ndarray]:
    """The face seen by each pixel, (size, size) int64 with -1 for none, and its depth towards the eye, world units."""
    seen = (mesh.vertices - view.centre) @ view.axes.T
    pixels = np.stack([seen[:, 0] / view.scale, -seen[:, 1] / view.scale], axis=1) + view.size / 2
    corners, depths = pixels[mesh.faces], seen[mesh.faces, 2]  # (T, 3, 2), (T, 3)
    first = np.clip(np.ceil(corners.min(axis=1) - 0.5), 0, view.size).astype(np.int64)
    last = np.clip(np.floor(corners.max(axis=1) - 0.5) + 1, 0, view.size).astype(np.int64)
    width, height = np.maximum(last - first, 0).T
    (ax, ay), (bx, by), (cx, cy) = corners.transpose(1, 2, 0)
    double_area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
    ends = np.cumsum(width * height * (double_area != 0))
    depth = np.full(view.size**2, -np.inf)
    face = np.full(view.size**2, -1, np.int64)
    for start in range(0, int(ends[-1]), _PAIRS):
        pair = np.arange(start, min(start + _PAIRS, ends[-1]))
        t = np.searchsorted(ends, pair, side="right")
        nth = pair - (ends[t] - width[t] * height[t])
        column, row = first[t, 0] + nth % width[t], first[t, 1] + nth // width[t]
        x, y = column + 0.5, row + 0.5
        u = ((bx[t] - x) * (cy[t] - y) - (cx[t] - x) * (by[t] - y)) / double_area[t]
        v = ((cx[t] - x) * (ay[t] - y) - (ax[t] - x) * (cy[t] - y)) / double_area[t]
        hit = (u >= 0) & (v >= 0) & (u + v <= 1)
        t, u, v, at = t[hit], u[hit], v[hit], (row * view.size + column)[hit]
        z = u * depths[t, 0] + v * depths[t, 1] + (1 - u - v) * depths[t, 2]
        np.maximum.at(depth, at, z)
        front = z == depth[at]
        face[at[front]] = t[front]
    return face.reshape(view.size, view.size), depth.reshape(view.size, view.size)


def shade(mesh: Mesh, face: np.ndarray, view: View, colour: np.ndarray | None = None) -> np.ndarray:
    """Lit picture (size, size, 4) RGBA in [0, 1], one normal a face, no alpha where nothing is seen.

    Faces seen from behind are red, so that inverted ones show. colour: (size, size, 3) in place of grey and red.
    """
    normals = (face_normals(mesh) @ view.axes.T)[face]  # (size, size, 3), towards the eye: z > 0
    back = normals[..., 2] < 0
    normals = np.where(back[..., None], -normals, normals)
    key, fill = np.array([-0.45, 0.60, 0.66]), np.array([0.80, -0.10, 0.59])
    light = 0.22 + 0.62 * np.maximum(normals @ key, 0) + 0.22 * np.maximum(normals @ fill, 0)
    if colour is None:
        colour = np.where(back[..., None], _BACK, _FRONT)
    else:
        light = 1 - _RELIEF + _RELIEF * light
    seen = (face >= 0)[..., None]
    return np.concatenate([np.where(seen, np.clip(colour * light[..., None], 0, 1), 0), seen], axis=-1)


def seen_points(face: np.ndarray, depth: np.ndarray, view: View) -> np.ndarray:
    """World positions (n, 3) of what the n pixels with a face see, in the order of `face[face >= 0]`."""
    row, column = np.nonzero(face >= 0)
    right, up = (column + 0.5 - view.size / 2) * view.scale, -(row + 0.5 - view.size / 2) * view.scale
    return np.stack([right, up, depth[row, column]], axis=1) @ view.axes + view.centre


def distances(face: np.ndarray, depth: np.ndarray, view: View, other: TriangleTree) -> np.ndarray:
    """World distance (size, size) of what each pixel sees to another mesh, 0 where nothing is seen."""
    out = np.zeros(face.shape)
    out[face >= 0] = other.closest(seen_points(face, depth, view))[0]
    return out
