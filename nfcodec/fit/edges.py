"""Where a surface is sharp, and how much more its errors count there: what is seen first of a part that was drawn with
edges.

An edge is sharp where the faces beside it turn by far more than these turn from one of their other neighbours: at the edges
of a box or a rim that was cut, but not all over a rough scan or a coarse ball.
"""

from __future__ import annotations

import numpy as np

from ..geometry import area_vectors, bounding_box_diagonal
from ..spec import Mesh

__all__ = ["edge_weights", "is_edged", "sharp_edges"]

_LEAST_ANGLE = np.radians(30)
_CONTRAST = 3.0  # how much further than their other neighbours its faces turn at a sharp edge
_CHAIN = 3  # sharp edges that follow each other in both directions: single ones are noise
# the weight of errors at a sharp edge, and the distance in samples at which a quarter of it is left
_BOOST, _REACH = 4.0, 2.0
_LEAST_LENGTH = 1.0  # of all sharp edges, in diagonals of the box, from which a mesh is one of a part with edges
_CHUNK = 1 << 20


def sharp_edges(mesh: Mesh) -> np.ndarray:
    """Vertices (E, 2) int64 of the sharp edges of a welded mesh: those of two faces, as above."""
    directed = mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    keys = np.sort(directed, axis=1)
    order = np.lexsort(keys.T)
    ordered = keys[order]
    starts = np.flatnonzero(np.append(True, (ordered[1:] != ordered[:-1]).any(axis=1)))
    pairs = starts[np.diff(np.append(starts, len(ordered))) == 2]
    first, second = order[pairs], order[pairs + 1]  # places in `directed`, three a face
    normals = area_vectors(mesh)
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), np.finfo(float).tiny)
    cosines = (normals[first // 3] * normals[second // 3]).sum(axis=1)
    angles = np.full(len(directed), np.pi)
    angles[first] = angles[second] = np.arccos(np.clip(cosines, -1, 1))
    by_face = angles.reshape(-1, 3)
    # of the other two edges of the face the one at which it turns less
    smoothest = np.minimum(np.roll(by_face, -1, axis=1), np.roll(by_face, -2, axis=1)).reshape(-1)
    angle = angles[first]
    is_sharp = (angle > _LEAST_ANGLE) & (_CONTRAST * np.maximum(smoothest[first], smoothest[second]) < angle)
    edges = keys[first[is_sharp]]
    for _ in range(_CHAIN):  # edges that go on at both ends
        is_inside = (np.bincount(edges.reshape(-1), minlength=len(mesh.vertices)) > 1)[edges].all(axis=1)
        edges = edges[is_inside]
    return np.ascontiguousarray(edges)


def is_edged(mesh: Mesh) -> bool:
    """Whether a welded mesh is of a part that was drawn with edges: they are longer than its box's diagonal."""
    start, stop = mesh.vertices[sharp_edges(mesh).T]
    return float(np.linalg.norm(stop - start, axis=1).sum()) > _LEAST_LENGTH * bounding_box_diagonal(mesh)


def edge_weights(mesh: Mesh, apart: np.ndarray, low: np.ndarray, cell: float) -> np.ndarray:
    """What weights of squared errors are multiplied by, (nz, ny, nx) float32, 1 away from sharp edges.

    apart: unsigned distances on the lattice of `distance.lattice_distance` (low, cell).
    """
    import igl

    out, edges = np.ones(apart.shape, np.float32), sharp_edges(mesh)
    if not len(edges):
        return out
    tree = igl.AABB()
    tree.init(mesh.vertices, edges)
    near = np.flatnonzero(apart.reshape(-1) <= 2 * _REACH * cell)
    flat = out.reshape(-1)
    for start in range(0, len(near), _CHUNK):
        places = near[start : start + _CHUNK]
        index = np.stack(np.unravel_index(places, apart.shape), 1)
        points = low + cell * (index[:, ::-1] + 0.5)
        squared = tree.squared_distance(mesh.vertices, edges, points)[0]
        flat[places] += (_BOOST - 1) / np.square(1 + squared / (_REACH * cell) ** 2)
    return out
