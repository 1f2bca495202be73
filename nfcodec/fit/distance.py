"""Exact distances and signs of triangle meshes, for the encoder: what an SDF is fitted to. No torch.

Distance and sign are computed apart: the distance is exact, the sign is where the generalised winding number
(Jacobson et al., SIGGRAPH 2013) passes 0.5. A winding-weighted distance d (1 - 2w) would be wrong near holes.
World coordinates, (x, y, z), float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nfcodec.errors import SignalError, UsageError
from nfcodec.geometry import (
    TriangleTree,
    area_vectors,
    bounding_box_diagonal,
    count_edges,
    face_normals,
    sample_surface,
    weld,
)
from nfcodec.spec import Mesh

__all__ = ["Diagnosis", "MeshDistance", "lattice_distance", "sample_surface"]

_N_PROBES = 20_000  # surface points at which the winding number is looked at from both sides
_PROBE_OFFSET = 1e-5  # of the bounding-box diagonal
_OPEN_TOLERANCE = 0.1  # a winding number this far from an integer sees an opening
_OPEN_LIMIT = 0.2  # share of the area that may see openings; bunny with its five holes has 0.003, a hemisphere 1.0
_TORN_SHARE = 0.01  # share of the area that sees openings from which on walls between bodies are tried without
_UNION_LIMIT = 0.01  # share of the area inside other bodies that is worth a word
_WINDING_ERROR = 0.02  # of the fast winding number, with room
_TOP_BLOCK = 16  # vertices an axis of the blocks that lattice_distance starts with
_FAR_RADII = 3  # a block is filled from one surface point when it is this many of its radii away
_CHUNK = 1 << 20  # lattice vertices filled at once


@dataclass(frozen=True)
class Diagnosis:
    """What a mesh is like as a solid, after equal vertices were joined and faces turned.

    Shares are of the surface's area. ambiguous: a signed distance would not be this surface. advice: one line.
    """

    watertight: bool
    n_boundary_edges: int
    n_components: int
    consistent_winding: bool  # as it came: no two neighbours run through their edge in the same direction
    turned_share: float  # of faces whose orientation had to be reversed
    open_share: float  # from which an opening is seen: the winding number is not an integer
    lost_share: float  # where the sign does not change across the surface: bodies inside bodies, sheets
    ambiguous: bool
    advice: str

    @property
    def is_union(self) -> bool:
        """Whether a signed field loses parts of the surface that are worth a word."""
        return self.lost_share > _UNION_LIMIT


class MeshDistance:
    """Exact unsigned distances to a mesh and, apart from them, its inside.

    The mesh may have holes, several parts, self-intersections, duplicate and zero-area faces, and inverted or
    inconsistent winding: equal vertices are joined, useless faces dropped, orientable patches turned until the winding
    number around them is positive. `flipped` tells whether any were turned, `diagnosis` whether the sign means
    anything. `mesh` is the repaired mesh, `face_normals` (T, 3) the outward unit normals of the faces of the mesh as
    given (zero for dropped ones).

    Raises SignalError for a mesh without area or with vertices that are not finite, MissingExtraError without libigl.
    """

    def __init__(self, mesh: Mesh):
        if not np.isfinite(mesh.vertices).all():
            raise SignalError("measuring a mesh: got NaN or infinite vertices, expected finite ones: repair the input")
        welded = weld(mesh)
        self._face_ids = _useful_faces(welded)
        if len(self._face_ids) == 0:
            raise SignalError(
                f"measuring a mesh: got {len(mesh.faces)} faces of no area, expected a surface: check the input"
            )
        solid = _solid(welded, self._face_ids)
        inner = _is_inner_wall(welded, self._face_ids)
        if inner.any() and not inner.all() and solid.diagnosis.open_share > _TORN_SHARE:
            # two bodies that touch: with one side of their wall, one of them has a hole there
            united = _solid(welded, self._face_ids[~inner], inner_area=_area(welded, self._face_ids[inner]))
            if united.diagnosis.open_share < solid.diagnosis.open_share / 2:
                solid, self._face_ids = united, self._face_ids[~inner]
        self.mesh, self._tree, self.diagnosis = solid.mesh, solid.tree, solid.diagnosis
        self.flipped = self.diagnosis.turned_share > 0
        self.face_normals = np.zeros((len(mesh.faces), 3))
        self.face_normals[self._face_ids] = face_normals(self.mesh)
        self._winding_span = max(1.0, float(np.ptp(np.append(solid.probe.ravel(), 0.0))))

    @property
    def sign_is_reliable(self) -> bool:
        """Whether a signed distance holds this surface; otherwise see `diagnosis.advice`."""
        return not self.diagnosis.ambiguous

    def unsigned(self, points: np.ndarray) -> np.ndarray:
        """Exact distances (N,) float64 of (N, 3) points to the surface, in world units."""
        return self._tree.closest(points)[0]

    def closest(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Closest points (N, 3) float64 on the surface and the ids (N,) int64 of their faces in the mesh as given."""
        _, ids, nearest = self._tree.closest(points)
        return nearest, self._face_ids[ids]

    def winding(self, points: np.ndarray) -> np.ndarray:
        """Generalised winding numbers (N,) float64: 0 outside, 1 inside, more where bodies overlap."""
        return self._tree.winding(points)

    def inside(self, points: np.ndarray) -> np.ndarray:
        """(N,) bool: whether the winding number exceeds 0.5. Holes are closed, overlapping bodies united."""
        return self.winding(points) > 0.5

    def signed(self, points: np.ndarray) -> np.ndarray:
        """Exact distances (N,) float64, negative inside."""
        return np.where(self.inside(points), -1.0, 1.0) * self.unsigned(points)


def _useful_faces(mesh: Mesh) -> np.ndarray:
    """Ids of the faces of a welded mesh that have area and are the first of their kind, ascending."""
    ids = np.flatnonzero(np.linalg.norm(area_vectors(mesh), axis=1) > 0)
    _, first = np.unique(np.sort(mesh.faces[ids], axis=1), axis=0, return_index=True)
    return ids[np.sort(first)]


def _is_inner_wall(mesh: Mesh, ids: np.ndarray) -> np.ndarray:
    """(len(ids),) bool: whether as many faces as look the one way as the other lie in the place of a face of a welded
    mesh."""
    useful = np.flatnonzero(np.linalg.norm(area_vectors(mesh), axis=1) > 0)
    corners = mesh.faces[useful]
    # one sign for the even permutations of three corners, the other for the odd ones
    sides = np.sign(np.prod(corners[:, [1, 2, 0]] - corners, axis=1, dtype=np.float64))
    _, place = np.unique(np.sort(corners, axis=1), axis=0, return_inverse=True)
    net = np.bincount(place.reshape(-1), sides)
    return net[place.reshape(-1)[np.searchsorted(useful, ids)]] == 0


def _area(mesh: Mesh, ids: np.ndarray) -> float:
    return float(np.linalg.norm(area_vectors(mesh)[ids], axis=1).sum() / 2)


@dataclass(frozen=True)
class _Solid:
    """Faces of a mesh, turned outwards, and what they are like as a solid. probe as of `_probe`."""

    mesh: Mesh
    tree: TriangleTree
    probe: np.ndarray
    diagnosis: Diagnosis


def _solid(mesh: Mesh, ids: np.ndarray, inner_area: float = 0.0) -> _Solid:
    """Those faces of a welded mesh. inner_area: of faces left out since they lie inside."""
    given = Mesh(mesh.vertices, mesh.faces[ids])
    consistent = count_edges(given).contrary == 0
    oriented, tree, probe = _oriented(given, consistent)
    turned = (oriented.faces != given.faces).any(axis=1)
    return _Solid(oriented, tree, probe, _diagnose(oriented, consistent, turned, probe, inner_area))


def _probe(tree: TriangleTree, mesh: Mesh) -> tuple[np.ndarray, np.ndarray]:
    """Winding numbers (n, 2) just outside and just inside of surface points, and the points' face ids (n,)."""
    points, ids = sample_surface(mesh, _N_PROBES, np.random.default_rng(0))
    step = face_normals(mesh)[ids] * (_PROBE_OFFSET * bounding_box_diagonal(mesh))
    return np.stack([tree.winding(points + step), tree.winding(points - step)], axis=1), ids


def _oriented(mesh: Mesh, consistent: bool) -> tuple[Mesh, TriangleTree, np.ndarray]:
    """The mesh with each patch turned outwards, its tree and its probe.

    Across a rightly turned surface the winding number falls from 1 to 0, across an inverted one from 0 to -1: the
    sign of the mean of both sides decides. A cavity inside a body has 1 and 0 as well, so it stays one; an open sheet
    has +0.5 and -0.5 and is left alone.
    """
    tree = TriangleTree(mesh.vertices, mesh.faces)
    probe, ids = _probe(tree, mesh)
    if consistent and probe.mean(axis=1).min() > -0.25:
        return mesh, tree, probe
    import igl

    faces, patch = igl.bfs_orient(mesh.faces)
    mesh = Mesh(mesh.vertices, faces)
    tree = TriangleTree(mesh.vertices, faces)
    probe, ids = _probe(tree, mesh)
    total = np.bincount(patch[ids], probe.mean(axis=1), minlength=patch.max() + 1)
    turned = (total < -0.25 * np.bincount(patch[ids], minlength=len(total)))[patch]
    if turned.any():
        mesh = Mesh(mesh.vertices, np.where(turned[:, None], faces[:, ::-1], faces))
        tree = TriangleTree(mesh.vertices, mesh.faces)
        probe, _ = _probe(tree, mesh)
    return mesh, tree, probe


def _diagnose(
    mesh: Mesh, consistent: bool, turned: np.ndarray, probe: np.ndarray, inner_area: float = 0.0
) -> Diagnosis:
    import igl

    edges = count_edges(mesh)
    areas = np.linalg.norm(area_vectors(mesh), axis=1)
    open_share = float((np.abs(probe - np.round(probe)) > _OPEN_TOLERANCE).mean())
    lost_share = float(((probe[:, 0] > 0.5) == (probe[:, 1] > 0.5)).mean())
    lost_share += (1 - lost_share) * inner_area / (inner_area + areas.sum() / 2)
    ambiguous = open_share > _OPEN_LIMIT
    if ambiguous:
        advice = f"{open_share:.0%} of the surface is open or of unclear orientation: encode it with --kind udf"
    elif lost_share > _UNION_LIMIT:
        advice = (
            f"{lost_share:.0%} of the surface lies inside other bodies and is lost: a signed field keeps only their union"
        )
        advice += "; for a file of each body pass --parts"
    elif edges.boundary:
        advice = f"holes ({edges.boundary} boundary edges) will be closed: judge the error from source to decoded"
    else:
        advice = "closed: a signed distance holds it"
    return Diagnosis(
        watertight=edges.watertight,
        n_boundary_edges=edges.boundary,
        n_components=int(igl.facet_components(mesh.faces)[0]),
        consistent_winding=consistent,
        turned_share=float(areas[turned].sum() / areas.sum()),
        open_share=open_share,
        lost_share=lost_share,
        ambiguous=ambiguous,
        advice=advice,
    )


def lattice_distance(
    distance: MeshDistance, low: np.ndarray, cell: float, shape: tuple[int, int, int], band: float
) -> np.ndarray:
    """Signed distances (nz, ny, nx) float32 at the vertices of a lattice: exact near the surface, signed everywhere.

    Vertex (k, j, i) lies at low + cell * (i + 0.5, j + 0.5, k + 0.5), low being (x, y, z). Within `band` (world units)
    of the surface the distance is exact; farther out it is an upper bound (the distance to the point of the surface
    that is closest to the middle of a block of vertices), at most twice the exact one and usually 1 % above it. The
    sign is right in the whole box. Raises UsageError for numbers that are not positive.

    An octree of blocks: one is finished without looking at its vertices when it is out of the band and its sign is
    proved. The proof: away from the surface the winding number w is harmonic, so |grad w| <= 0.75 span / d at
    distance d, and over a block of radius r whose middle has distance d it changes by at most
    0.75 span log(d / (d - r)).
    """
    if min(shape) < 1 or not cell > 0 or not band >= 0:
        raise UsageError(f"sampling a lattice: got shape {shape}, cell {cell}, band {band}, expected positive numbers")
    low = np.asarray(low, np.float64)
    out = np.empty(shape, np.float32)
    size = _TOP_BLOCK
    corners = np.stack(np.meshgrid(*(np.arange(0, n, size) for n in shape), indexing="ij"), axis=-1).reshape(-1, 3)
    signs = np.zeros(len(corners))  # 0: not proved yet
    while size > 1 and len(corners):
        radius = cell * np.sqrt(3) * (size - 1) / 2
        middles = low + cell * (corners[:, ::-1] + size / 2)
        distances, _, nearest = distance._tree.closest(middles)
        unknown = np.flatnonzero((signs == 0) & (distances > 2 * radius))  # nearer, the bound proves nothing
        winding = distance.winding(middles[unknown])
        change = 0.75 * distance._winding_span * np.log(distances[unknown] / (distances[unknown] - radius))
        proved = np.abs(winding - 0.5) > change + _WINDING_ERROR
        signs[unknown[proved]] = np.where(winding[proved] > 0.5, -1.0, 1.0)
        done = (signs != 0) & (distances > np.maximum(band + radius, _FAR_RADII * radius))
        _fill_blocks(out, corners[done], signs[done], nearest[done], low, cell, size)
        size //= 2
        corners, signs = _split(corners[~done], signs[~done], size, shape)
    if len(corners):
        vertices = low + cell * (corners[:, ::-1] + 0.5)
        unknown = np.flatnonzero(signs == 0)
        signs[unknown] = np.where(distance.inside(vertices[unknown]), -1.0, 1.0)
        out[tuple(corners.T)] = signs * distance.unsigned(vertices)
    return out


def _split(
    corners: np.ndarray, signs: np.ndarray, size: int, shape: tuple[int, int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """The eight children of `size` of each block that have a vertex in the lattice, and their inherited signs."""
    octants = size * np.array([[z, y, x] for z in (0, 1) for y in (0, 1) for x in (0, 1)])
    children = (corners[:, None] + octants).reshape(-1, 3)
    within = (children < shape).all(axis=1)
    return children[within], np.repeat(signs, 8)[within]


def _fill_blocks(
    out: np.ndarray,
    corners: np.ndarray,
    signs: np.ndarray,
    nearest: np.ndarray,
    low: np.ndarray,
    cell: float,
    size: int,
) -> None:
    """Writes, for each block of size**3 vertices, its sign times the distance to its one nearest surface point."""
    n_blocks = max(1, _CHUNK // size**3)
    for start in range(0, len(corners), n_blocks):
        part = slice(start, start + n_blocks)
        index = corners[part, :, None] + np.arange(size)  # (blocks, axis, size)
        world = low[::-1, None] + cell * (index + 0.5)
        offset = (world - nearest[part, ::-1, None]) ** 2
        z, y, x = (offset[:, axis] for axis in range(3))
        values = np.sqrt(z[:, :, None, None] + y[:, None, :, None] + x[:, None, None, :])
        values *= signs[part, None, None, None]
        shape = (len(index), size, size, size)
        index = [np.broadcast_to(index[:, axis].reshape(-1, *np.roll((size, 1, 1), axis)), shape) for axis in range(3)]
        within = np.logical_and.reduce([i < n for i, n in zip(index, out.shape)])
        out[tuple(i[within] for i in index)] = values[within]
