"""Closed and open surfaces with known areas, volumes and distances, for the tests."""

import numpy as np

from nfcodec.spec import Mesh


def sphere(n_halvings=4, radius=1.0, centre=(0.0, 0.0, 0.0)) -> Mesh:
    """An octahedron whose faces are quartered n times and pushed onto the sphere; outward, watertight."""
    vertices = np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], float)
    faces = np.array([[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4], [2, 0, 5], [1, 2, 5], [3, 1, 5], [0, 3, 5]])
    for _ in range(n_halvings):
        a, b, c = faces.T
        sides = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
        unique, inverse = np.unique(sides, axis=0, return_inverse=True)
        ab, bc, ca = inverse.reshape(3, -1) + len(vertices)
        vertices = np.concatenate([vertices, vertices[unique].mean(axis=1)])
        faces = np.concatenate([np.stack(t, axis=1) for t in ((a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca))])
    vertices /= np.linalg.norm(vertices, axis=1, keepdims=True)
    return Mesh(vertices * radius + np.array(centre), faces.astype(np.int64))


def box(low=(0.0, 0.0, 0.0), high=(1.0, 1.0, 1.0)) -> Mesh:
    """Twelve outward triangles."""
    corners = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], float)
    quads = [[0, 1, 3, 2], [4, 6, 7, 5], [0, 4, 5, 1], [2, 3, 7, 6], [0, 2, 6, 4], [1, 5, 7, 3]]
    faces = [triangle for a, b, c, d in quads for triangle in ((a, b, c), (a, c, d))]
    return Mesh(np.array(low) + corners * (np.array(high) - np.array(low)), np.array(faces, np.int64))


def sheet(height=0.0, side=1.0) -> Mesh:
    """A square of two triangles at z = height, normal upwards."""
    corners = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], float) * side + [0, 0, height]
    return Mesh(corners, np.array([[0, 1, 2], [0, 2, 3]], np.int64))


def joined(*meshes: Mesh) -> Mesh:
    """All parts in one mesh."""
    starts = np.cumsum([0] + [len(m.vertices) for m in meshes])
    return Mesh(
        np.concatenate([m.vertices for m in meshes]), np.concatenate([m.faces + s for m, s in zip(meshes, starts)])
    )


def inverted(mesh: Mesh) -> Mesh:
    """The same surface seen from the other side."""
    return Mesh(mesh.vertices, mesh.faces[:, ::-1])


def without(mesh: Mesh, faces: np.ndarray) -> Mesh:
    """The mesh without the masked faces."""
    return Mesh(mesh.vertices, mesh.faces[~faces])


def volume(mesh: Mesh) -> float:
    """Signed volume by the divergence theorem, positive for outward faces."""
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    return float(np.sum(a * np.cross(b, c)) / 6)
