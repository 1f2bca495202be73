"""Colours on a mesh: of any point of its faces, and of its vertices. sRGB-encoded, 0 to 1."""

from __future__ import annotations

import numpy as np

from .spec import Mesh, Paint

__all__ = ["barycentric", "colours_at", "of_vertices", "some_faces", "vertex_colours"]


def of_vertices(colours: np.ndarray, faces: np.ndarray) -> Paint:
    """The paint of faces (T, 3) whose vertices have colours (V, 3)."""
    return Paint(np.ascontiguousarray(colours[faces], np.float32))


def some_faces(paint: Paint, which: np.ndarray) -> Paint:
    """The paint of the faces that a mask or their ids pick."""
    uv = None if paint.uv is None else paint.uv[which]
    return Paint(paint.corners[which], uv, None if paint.which is None else paint.which[which], paint.textures)


def vertex_colours(mesh: Mesh) -> np.ndarray:
    """Colours (V, 3) float32 of the vertices of a painted mesh: the means over the corners that they are; 0 without any."""
    ids = np.repeat(np.arange(len(mesh.faces)), 3)
    weights = np.tile(np.eye(3), (len(mesh.faces), 1))
    found = colours_at(mesh.paint, ids, weights)
    vertices = mesh.faces.reshape(-1)
    counts = np.maximum(np.bincount(vertices, minlength=len(mesh.vertices)), 1)
    sums = [np.bincount(vertices, found[:, c], minlength=len(mesh.vertices)) for c in range(3)]
    return (np.stack(sums, 1) / counts[:, None]).astype(np.float32)


def colours_at(paint: Paint, ids: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Colours (N, 3) float32 at points of faces `ids` (N,), barycentric weights (N, 3)."""
    weights = weights.astype(np.float32)
    found = np.einsum("nk,nkc->nc", weights, paint.corners[ids])
    if paint.which is None:
        return found
    which = paint.which[ids]
    uv = np.einsum("nk,nkc->nc", weights, paint.uv[ids])
    for k, texture in enumerate(paint.textures):
        here = np.flatnonzero(which == k)
        found[here] *= _texels(texture, uv[here])
    return found


def barycentric(mesh: Mesh, ids: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Barycentric weights (N, 3) of points (N, 3) on the faces `ids` (N,); those a little off are drawn onto the face."""
    a, b, c = (mesh.vertices[mesh.faces[ids, corner]] for corner in range(3))
    u, v, p = b - a, c - a, points - a
    uu, uv, vv = (u * u).sum(1), (u * v).sum(1), (v * v).sum(1)
    pu, pv = (p * u).sum(1), (p * v).sum(1)
    area = np.maximum(uu * vv - uv * uv, np.finfo(float).tiny)
    second, third = (vv * pu - uv * pv) / area, (uu * pv - uv * pu) / area
    weights = np.clip(np.stack([1 - second - third, second, third], 1), 0, 1)
    return weights / weights.sum(1, keepdims=True)


def _texels(texture: np.ndarray, uv: np.ndarray) -> np.ndarray:
    """Bilinear colours (N, 3) of a texture that repeats."""
    height, width = texture.shape[:2]
    x = uv[:, 0].astype(np.float64) % 1.0 * width - 0.5
    y = (1.0 - uv[:, 1].astype(np.float64)) % 1.0 * height - 0.5
    column, row = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    fx, fy = (x - column)[:, None], (y - row)[:, None]
    left, right, top, bottom = column % width, (column + 1) % width, row % height, (row + 1) % height
    upper = texture[top, left] * (1 - fx) + texture[top, right] * fx
    lower = texture[bottom, left] * (1 - fx) + texture[bottom, right] * fx
    return ((upper * (1 - fy) + lower * fy) / 255).astype(np.float32)
