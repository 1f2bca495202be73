"""The parts of a mesh's file: the instances of a scene, or of a single one the pieces that no vertex joins."""

from __future__ import annotations

import numpy as np

from nfcodec.errors import UsageError
from nfcodec.paint import some_faces
from nfcodec.spec import Mesh

from .source import Source

__all__ = ["chosen", "piece", "piece_ids"]


def chosen(source: Source, part: int | None, name: str) -> list[int]:
    """The nodes with triangles that are wanted: all of them, or of several the one with the number `part`."""
    if part is None or len(source.drawn) < 2:
        return source.drawn
    return [source.drawn[_checked(part, len(source.drawn), name)]]


def piece_ids(mesh: Mesh) -> np.ndarray:
    """(T,) int64: the number of the piece that each face belongs to, in the order of their first faces."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    edges = mesh.faces[:, [0, 1, 1, 2]].reshape(-1, 2)
    n = len(mesh.vertices)
    graph = coo_matrix((np.ones(len(edges), bool), (edges[:, 0], edges[:, 1])), (n, n))
    labels = connected_components(graph, directed=False)[1][mesh.faces[:, 0]]
    _, first, index = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[index.reshape(-1)]


def piece(mesh: Mesh, part: int, name: str) -> Mesh:
    """The piece of a mesh with the number `part`; its vertices are those of the mesh."""
    ids = piece_ids(mesh)
    faces = ids == _checked(part, int(ids.max()) + 1, name)
    return Mesh(mesh.vertices, mesh.faces[faces], None if mesh.paint is None else some_faces(mesh.paint, faces))


def _checked(part: int, n_parts: int, name: str) -> int:
    if part not in range(n_parts):
        raise UsageError(f"reading {name!r}: got part {part}, expected 0 to {n_parts - 1}")
    return part
