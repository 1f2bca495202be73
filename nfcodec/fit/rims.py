"""Signed fields of open surfaces: beyond its rim a surface is continued, and a second field says where to cut.

At a point x whose closest point p lies on the rim, the distance becomes the height (x - p) n over the tangent plane in p,
which is 0 on the surface's continuation and passes smoothly into the distance elsewhere; the trim is how far x lies
beyond p within that plane, and where p is no point of the rim, minus the distance from p to the rim. A surface and its
rim are then where the distance is 0 and the trim is below 0. Signs of open surfaces are those of pseudonormals
(Baerentzen and Aanaes 2005), those of closed ones with holes the winding number's.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from ..encodings.interpolate import apply_axes, axis_matrix
from ..geometry import area_vectors, bounding_box_diagonal, count_edges
from ..paint import barycentric
from ..spec import LINEAR, Mesh
from .distance import MeshDistance

__all__ = ["Rim", "is_sheet", "open_lattice", "phantoms", "trim_lattice"]

_ON = 1e-9  # barycentric weight, and distance by the diagonal, that count for none
_BLOCK = 8  # samples an axis of the blocks of which far ones take the values of their middles
_CHUNK = 1 << 20  # points at a time
_TRUE = 1.5  # samples: a crossing whose both ends are further from the surface is none
_BEYOND, _BESIDE = 1e-3, 1e-4  # of an edge's length: how far beyond it, and to both sides, it is looked whether it is open
_N_LOOKS = 4  # along an edge, of which a part may be open
_WHOLE = 0.1  # how close to an integer a winding number is that sees no opening


class Rim:
    """The rim of a surface, and distances that know of it. World coordinates, (x, y, z)."""

    def __init__(self, distance: MeshDistance):
        import igl

        self.distance, self.mesh = distance, distance.mesh
        directed = self.mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
        keys = np.sort(directed, axis=1)
        names = keys[:, 0] * len(self.mesh.vertices) + keys[:, 1]
        edges, index, counts = np.unique(names, return_inverse=True, return_counts=True)
        lonely = np.flatnonzero(counts[index] == 1)
        lonely = lonely[_is_open(distance, directed[lonely], lonely // 3)]
        self.edges = np.ascontiguousarray(keys[lonely])
        self._index = index.reshape(-1, 3)  # face -> its edges, that of corners 0 and 1 first
        self._n_edges = len(edges)
        self._tolerance = _ON * bounding_box_diagonal(self.mesh)
        self._tree = igl.AABB()
        if len(self.edges):
            self._tree.init(self.mesh.vertices, self.edges)

    def __len__(self) -> int:
        return len(self.edges)

    def at(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """For points (N, 3): distances (N,), heights (N,) with the sign of the pseudonormal, trim (N,), and whether the
        closest point is on the rim (N,) bool."""
        distances, ids, nearest = self.distance._tree.closest(points)
        offset = points - nearest
        heights = (offset * self._normals(ids, nearest)).sum(axis=1)
        squared = self._tree.squared_distance(self.mesh.vertices, self.edges, nearest)[0]
        to_rim = np.sqrt(squared)
        on_rim = to_rim <= self._tolerance
        beyond = np.sqrt(np.maximum(distances**2 - heights**2, 0))
        signed = np.where(on_rim, heights, np.where(heights < 0, -distances, distances))
        return distances, signed, np.where(on_rim, beyond, -to_rim), on_rim

    def far(self, low: np.ndarray, cell: float, blocks: tuple[int, int, int]) -> tuple[np.ndarray, ...]:
        """Distances, heights and trim, each (*blocks), in the middles of the blocks of a lattice (low, cell)."""
        middles = np.stack(np.meshgrid(*(np.arange(n) for n in blocks), indexing="ij"), -1).reshape(-1, 3)
        found = self.at(low + cell * _BLOCK * (middles[:, ::-1] + 0.5))
        return tuple(x.reshape(blocks) for x in found[:3])

    def _normals(self, ids: np.ndarray, nearest: np.ndarray) -> np.ndarray:
        """Unit pseudonormals (N, 3) at points on faces `ids`: of the face, of its edge, or of its vertex."""
        faces, vertices = self._face_normals, self._vertex_normals
        out = faces[ids].copy()
        small = barycentric(self.mesh, ids, nearest) < _ON
        n_small = small.sum(axis=1)
        edge = np.flatnonzero(n_small == 1)
        # the edge opposite corner k is that from corner k + 1 on
        out[edge] = self._edge_normals[self._index[ids[edge], (small[edge].argmax(axis=1) + 1) % 3]]
        corner = np.flatnonzero(n_small >= 2)
        out[corner] = vertices[self.mesh.faces[ids[corner], (~small[corner]).argmax(axis=1)]]
        lengths = np.linalg.norm(out, axis=1, keepdims=True)
        return out / np.maximum(lengths, np.finfo(float).tiny)

    @cached_property
    def _face_normals(self) -> np.ndarray:
        vectors = area_vectors(self.mesh)
        return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.finfo(float).tiny)

    @cached_property
    def _edge_normals(self) -> np.ndarray:
        """(edges, 3), sums over the faces at each edge."""
        normals = np.repeat(self._face_normals, 3, axis=0)
        return np.stack([np.bincount(self._index.reshape(-1), x, self._n_edges) for x in normals.T], 1)

    @cached_property
    def _vertex_normals(self) -> np.ndarray:
        """(V, 3), sums over the faces at each vertex, weighted by their angles there."""
        corners = self.mesh.vertices[self.mesh.faces]
        weights = []
        for k in range(3):
            a, b = (corners[:, (k + j) % 3] - corners[:, k] for j in (1, 2))
            lengths = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
            cosines = (a * b).sum(axis=1) / np.maximum(lengths, np.finfo(float).tiny)
            weights.append(np.arccos(np.clip(cosines, -1, 1)))
        weights = np.stack(weights, 1).reshape(-1)
        normals = np.repeat(self._face_normals, 3, axis=0) * weights[:, None]
        return np.stack([np.bincount(self.mesh.faces.reshape(-1), x, len(self.mesh.vertices)) for x in normals.T], 1)


def _is_open(distance: MeshDistance, edges: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """(N,) bool: whether the surface ends at edges (N, 2) of one face each. It does not where another face begins without
    sharing the edge's corners, as at the T-junctions of CAD: beyond such an edge the winding number jumps across the next
    face, or of a solid whose next face is turned away it is whole."""
    mesh, at = distance.mesh, ((np.arange(_N_LOOKS) + 0.5) / _N_LOOKS)[:, None, None]
    start, stop = mesh.vertices[edges[:, 0]], mesh.vertices[edges[:, 1]]
    normals = area_vectors(mesh)[faces]
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    outward = np.cross(stop - start, normals)  # as long as the edge
    beyond = (start + at * (stop - start) + _BEYOND * outward).reshape(-1, 3)
    step = np.tile(_BESIDE * np.linalg.norm(outward, axis=1, keepdims=True) * normals, (_N_LOOKS, 1))
    sides = np.stack([distance.winding(beyond + step), distance.winding(beyond - step)])
    goes_on = np.abs(sides[1] - sides[0]) > 0.5
    is_whole = (np.abs(sides - np.round(sides)) < _WHOLE).all(axis=0)  # as it is beside flat sheets
    is_open = ~(goes_on | is_whole & distance.sign_is_reliable)
    return is_open.reshape(_N_LOOKS, -1).any(axis=0)


def is_sheet(mesh: Mesh) -> bool:
    """Whether a welded, oriented mesh has two sides everywhere: no edge of three faces, and neighbours that agree."""
    edges = count_edges(mesh)
    return edges.boundary > 0 and edges.crowded == edges.contrary == 0


def open_lattice(
    rim: Rim, low: np.ndarray, cell: float, shape: tuple[int, int, int], band: float
) -> tuple[np.ndarray, np.ndarray]:
    """Distances with the pseudonormal's sign and those without sign, each (nz, ny, nx) float32, of an open surface.

    Lattice and band as in `distance.lattice_distance`: exact within the band, interpolated from the middles of blocks
    beyond it.
    """
    low, coarse = np.asarray(low, np.float64), tuple(-(-n // _BLOCK) for n in shape)
    distances, signed, _ = rim.far(low, cell, coarse)
    values = [_spread(x, shape) for x in (signed, distances)]
    radius = cell * np.sqrt(3) * _BLOCK / 2
    near = np.argwhere(distances <= band + radius) * _BLOCK
    offsets = np.stack(np.meshgrid(*(np.arange(_BLOCK),) * 3, indexing="ij"), -1).reshape(-1, 3)
    n_blocks = _CHUNK // len(offsets)
    for start in range(0, len(near), n_blocks):
        index = (near[start : start + n_blocks, None] + offsets).reshape(-1, 3)
        index = index[(index < shape).all(axis=1)]
        distances, signed, _, _ = rim.at(low + cell * (index[:, ::-1] + 0.5))
        values[0][tuple(index.T)], values[1][tuple(index.T)] = signed, distances
    return values[0], values[1]


def trim_lattice(rim: Rim, low: np.ndarray, cell: float, shape: tuple[int, int, int]) -> np.ndarray:
    """The trim (nz, ny, nx) float32 where it needs not be exact."""
    return _spread(rim.far(low, cell, tuple(-(-n // _BLOCK) for n in shape))[2], shape)


def _spread(middles: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Values at the middles of blocks -> values (*shape) float32 at their samples, linearly."""
    matrices = []
    for n, m in zip(shape, middles.shape):
        first, matrix = axis_matrix((np.arange(n) + 0.5) / (m * _BLOCK), m, LINEAR)
        matrices.append(np.pad(matrix, ((0, 0), (first, m - first - matrix.shape[1]))))  # vertices that nothing takes
    return apply_axes(middles[..., None].astype(np.float32), matrices)[..., 0]


def phantoms(signed: np.ndarray, apart: np.ndarray, trim: np.ndarray, cell: float) -> tuple[np.ndarray, float]:
    """Samples beside sign changes within the trim that lie far from the surface, and their share of all sign changes.

    Where sides that face each other are of one sign, the field passes through 0 between them, and no trim of the rim
    helps.
    """
    n_crossed, n_phantom = 0, 0
    found = np.zeros(signed.shape, bool)
    for axis in range(3):
        a, b = (tuple(s if k == axis else slice(None) for k in range(3)) for s in (slice(None, -1), slice(1, None)))
        crossed = ((signed[a] < 0) != (signed[b] < 0)) & (trim[a] < 0) & (trim[b] < 0)
        far = crossed & (np.minimum(apart[a], apart[b]) > _TRUE * cell)
        found[a] |= far
        found[b] |= far
        n_crossed, n_phantom = n_crossed + int(crossed.sum()), n_phantom + int(far.sum())
    return found, n_phantom / max(n_crossed, 1)
