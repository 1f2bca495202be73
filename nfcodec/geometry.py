"""Triangle soups: exact closest points, winding numbers, samples, topology. Needs libigl where a tree is searched.

The one place that talks to libigl: metrics, the encoder's distances and the tools all ask here. libigl was chosen
because its distances are exact in float64 and its fast winding number signs holes and soups without error; it uses
every core by itself.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nfcodec.errors import MissingExtraError, SignalError, UsageError
from nfcodec.spec import Mesh

__all__ = [
    "EdgeCounts",
    "TriangleTree",
    "area_vectors",
    "bounding_box_diagonal",
    "count_edges",
    "face_normals",
    "morton_order",
    "sample_surface",
    "weld",
]

_MORTON_BITS = 10  # an axis; 2**30 cells are plenty for cache locality and fit in uint32


def morton_order(points: np.ndarray) -> np.ndarray:
    """The order that walks (N, 3) points along a Z curve, (N,) int64. Searched in it, a tree stays in the cache.

    Measured with libigl on meshes of 40 to 200 thousand faces: twice as many queries a second.
    """
    low = points.min(axis=0)
    span = float((points.max(axis=0) - low).max()) or 1.0
    cells = ((points - low) * ((2**_MORTON_BITS - 1) / span)).astype(np.uint32)
    cells = (cells | (cells << np.uint32(16))) & np.uint32(0x030000FF)
    cells = (cells | (cells << np.uint32(8))) & np.uint32(0x0300F00F)
    cells = (cells | (cells << np.uint32(4))) & np.uint32(0x030C30C3)
    cells = (cells | (cells << np.uint32(2))) & np.uint32(0x09249249)
    return np.argsort(cells[:, 0] | cells[:, 1] << np.uint32(1) | cells[:, 2] << np.uint32(2))


class TriangleTree:
    """Exact closest points on, and generalised winding numbers of, a set of triangles.

    vertices: (V, 3) float64, finite; faces: (T, 3) int64, T >= 1. Both hierarchies are built at their first use.
    Raises SignalError for an empty or non-finite mesh, MissingExtraError without libigl.
    """

    def __init__(self, vertices: np.ndarray, faces: np.ndarray):
        try:
            import igl
        except ImportError as error:
            raise MissingExtraError.of("libigl", "encode", "searching a mesh") from error
        self._igl = igl
        self.vertices = np.ascontiguousarray(vertices, np.float64)
        self.faces = np.ascontiguousarray(faces, np.int64)
        if len(self.faces) == 0:
            raise SignalError("searching a mesh: got no faces, expected at least one triangle: check the input")
        if not np.isfinite(self.vertices).all():
            raise SignalError("searching a mesh: got NaN or infinite vertices, expected finite ones: repair the input")
        # libigl's winding number computes in float32, which far from the origin cannot tell points apart
        self._middle = (self.vertices.min(axis=0) + self.vertices.max(axis=0)) / 2
        self._boxes = None
        self._dipoles = None

    def closest(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """For (N, 3) points: distances (N,) float64, face ids (N,) int64, closest points (N, 3) float64. Exact."""
        points = _checked(points)
        if self._boxes is None:
            self._boxes = self._igl.AABB()
            self._boxes.init(self.vertices, self.faces)
        squared, ids, nearest = (np.empty(len(points)), np.empty(len(points), np.int64), np.empty_like(points))
        if len(points):
            order = morton_order(points)
            squared[order], ids[order], nearest[order] = self._boxes.squared_distance(
                self.vertices, self.faces, points[order]
            )
        return np.sqrt(squared), ids, nearest

    def winding(self, points: np.ndarray) -> np.ndarray:
        """Generalised winding numbers (N,) float64 of (N, 3) points: 1 inside a closed outward surface, 0 outside.

        Barill et al., Fast Winding Numbers for Soups and Clouds (SIGGRAPH 2018), second order, beta 2: within
        about 0.01 of the exact value.
        """
        points = _checked(points)
        if self._dipoles is None:
            self._dipoles = self._igl.FastWindingNumberBVH()
            self._dipoles.init(self.vertices - self._middle, self.faces)
        winding = np.empty(len(points))
        if len(points):
            order = morton_order(points)
            winding[order] = self._dipoles.winding_number(points[order] - self._middle)
        return winding


def _checked(points: np.ndarray) -> np.ndarray:
    points = np.ascontiguousarray(points, np.float64)
    if points.ndim != 2 or points.shape[1] != 3:
        raise UsageError(f"searching a mesh: got points of shape {points.shape}, expected (N, 3): reshape them")
    # libigl answers a NaN with an arbitrary triangle
    if not np.isfinite(points).all():
        raise UsageError("searching a mesh: got NaN or infinite points, expected finite ones: remove them first")
    return points


def area_vectors(mesh: Mesh) -> np.ndarray:
    """(T, 3) float64: along each face's normal by the right-hand rule, as long as the face's area."""
    first, second, third = (mesh.vertices[mesh.faces[:, corner]] for corner in range(3))
    return np.cross(second - first, third - first) / 2


def face_normals(mesh: Mesh) -> np.ndarray:
    """(T, 3) float64 unit normals by the right-hand rule; zero for faces without area."""
    vectors = area_vectors(mesh)
    areas = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, areas, out=np.zeros_like(vectors), where=areas > 0)


def bounding_box_diagonal(mesh: Mesh) -> float:
    """Length of the diagonal of the box around the vertices that faces use, in world units."""
    used = mesh.vertices[np.unique(mesh.faces)]
    return float(np.linalg.norm(np.ptp(used, axis=0))) if len(used) else 0.0


def sample_surface(mesh: Mesh, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """n points spread evenly over the area: points (n, 3) float64 and face ids (n,) int64, in the order of the faces.

    Stratified: the area is cut into n equal shares and each holds one sample, which lowers the variance of every
    mean over the samples. Raises SignalError when the mesh has no area.
    """
    areas = np.linalg.norm(area_vectors(mesh), axis=1)
    total = np.cumsum(areas)
    if len(total) == 0 or not total[-1] > 0:
        raise SignalError(
            f"sampling a surface: got {len(total)} faces of no area, expected a positive area: check the input"
        )
    ids = np.searchsorted(total, (np.arange(n) + rng.random(n)) * (total[-1] / n), side="right")
    # rounding may step over the last face, or onto one without area behind it
    ids = np.minimum(ids, np.flatnonzero(areas)[-1])
    root, along = np.sqrt(rng.random((n, 1))), rng.random((n, 1))
    first, second, third = (mesh.vertices[mesh.faces[ids, corner]] for corner in range(3))
    return (1 - root) * first + root * (1 - along) * second + root * along * third, ids


def weld(mesh: Mesh) -> Mesh:
    """The same faces over vertices of distinct positions: equal positions become one vertex. Faces keep their ids."""
    vertices, inverse = np.unique(mesh.vertices, axis=0, return_inverse=True)
    return Mesh(vertices, inverse.reshape(-1)[mesh.faces].astype(np.int64), mesh.paint)


@dataclass(frozen=True)
class EdgeCounts:
    """How the edges of a mesh are shared. Zero in all three means watertight."""

    boundary: int  # edges of one face
    crowded: int  # edges of three or more faces
    contrary: int  # directed edges that two faces run through in the same direction

    @property
    def watertight(self) -> bool:
        """Every edge joins two faces, which run through it in opposite directions."""
        return self.boundary == self.crowded == self.contrary == 0


def count_edges(mesh: Mesh) -> EdgeCounts:
    """Counts the edges of a welded mesh (see `weld`)."""
    directed = mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    n_vertices = len(mesh.vertices)
    _, either = np.unique(directed.min(axis=1) * n_vertices + directed.max(axis=1), return_counts=True)
    _, along = np.unique(directed[:, 0] * n_vertices + directed[:, 1], return_counts=True)
    return EdgeCounts(int((either == 1).sum()), int((either > 2).sum()), int((along > 1).sum()))
