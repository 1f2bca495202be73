"""Features at the vertices of a coarse mesh, interpolated on its faces: a field on a surface, such as colours without UVs.

A point takes what the closest point of the mesh has, so that features do not change along normals. Vertices are vertices of
the level's lattice and faces name them by their numbers, so that integers say what the mesh is; which face is the closest
is for float64 to say, with formulas that spec/format.md, section 4.9, states and that Ericson derives (Real-Time Collision
Detection, 2005, section 5.1.5).
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np

from ..binary import Reader, Writer
from ..boxes import BoxTree
from ..entropy import streams
from ..entropy.faces import decode_faces, encode_faces
from ..entropy.laplace import MAX_VALUE
from ..errors import FormatError, LimitError
from ..kernels import use_numba
from ..limits import MAX_LOG2_VERTICES
from ..spec import FACES_A_VERTEX, GridSpec, Parameter
from . import LEVELS, LevelData
from .points import Grid as Points
from .points import n_points

_CHUNK = 1 << 14  # samples that are looked at together
_WORK = 1 << 5  # what a point takes, in units of `use_numba`
_LOOSE = 1e-9  # by how much a bound on distances may be too small


class Grid(Points):
    """levels[l] = {"positions": (V, 3), "faces": (T, 3), "features": (V, F)} int32, with V and T for each level.

    No face is without area. Without faces features are 0. A file numbers vertices and faces as the walk of
    `nfcodec.entropy.faces` comes to them, see `in_order`.
    """

    name = "mesh"
    parameters = (*LEVELS, Parameter("n_vertices", 4, 1 << MAX_LOG2_VERTICES, None, is_integer=True))
    dims = (3,)

    def _cloud(self, level: LevelData, resolution: tuple[int, ...]) -> Surface:
        return Surface(level, resolution)

    @classmethod
    def level_shapes(cls, spec: GridSpec, level: int) -> dict[str, tuple[int, ...]]:
        n = n_points(spec, level)
        return {"positions": (n, 3), "faces": (FACES_A_VERTEX * n, 3), "features": (n, spec.n_features[level])}

    @classmethod
    def encode_level(cls, spec: GridSpec, levels: list[LevelData], level: int, net: Any) -> bytes:
        data, walk = in_order(levels[level])
        writer = Writer().varint(len(data["positions"])).varint(len(data["faces"])).bytes(walk)
        rows = np.concatenate([data["positions"], data["features"]], 1).tolist()
        below = _below(data["faces"], len(rows))
        rest = [[x - y for x, y in zip(row, _expected(rows, below[v], v))] for v, row in enumerate(rows)]
        table = np.array(rest, np.int64).reshape(len(rows), 3 + data["features"].shape[1])
        return writer.bytes(streams.encode_columns(table)).getvalue()

    @classmethod
    def decode_level(cls, spec: GridSpec, coarser: list[LevelData], level: int, data: bytes, net: Any) -> LevelData:
        reader, resolution, most = Reader(data), np.array(spec.resolutions[level]), n_points(spec, level)
        n, n_faces = reader.varint(), reader.varint()
        if n > most or n_faces > FACES_A_VERTEX * most:
            raise LimitError(
                f"reading a mesh: got {n} vertices and {n_faces} faces, expected at most {most} and "
                f"{FACES_A_VERTEX * most}",
                "limit-mesh",
            )
        faces = decode_faces(reader, n, n_faces) if n_faces else np.zeros((0, 3), np.int64)
        table = streams.decode_columns(reader, (n, 3 + spec.n_features[level])).tolist()
        reader.done()
        below, rows = _below(faces, n), []
        for v, rest in enumerate(table):
            rows.append([x + y for x, y in zip(rest, _expected(rows, below[v], v))] if v else rest)
            if max(rows[-1]) > MAX_VALUE or min(rows[-1]) < -MAX_VALUE:
                raise FormatError(
                    f"reading a mesh: got numbers beyond {MAX_VALUE} at vertex {v}; the file is damaged", "mesh-value"
                )
        found = np.array(rows, np.int64).reshape(-1, 3 + spec.n_features[level])
        positions = found[:, :3]
        if ((positions < 0) | (positions >= resolution)).any():
            raise FormatError(
                f"reading a mesh: got vertices outside of {tuple(resolution)}; the file is damaged", "mesh-place"
            )
        if is_flat(positions, faces).any():
            raise FormatError("reading a mesh: got faces without area; the file is damaged", "mesh-face")
        integers = {"positions": positions, "faces": faces, "features": found[:, 3:]}
        return {key: np.ascontiguousarray(array, np.int32) for key, array in integers.items()}


def in_order(data: dict[str, np.ndarray]) -> tuple[dict[str, np.ndarray], bytes]:
    """A level as a file numbers it, vertices without faces last, and the bytes of its walk; features may be missing."""
    if not len(data["faces"]):
        return data, b""
    walk, order, faces = _walked(data)
    moved = {key: data[key][order] for key in ("positions", "features") if key in data}
    return {**moved, "faces": faces.astype(np.int32)}, walk


def likely_from(data: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (P,) of a level and those (P,) whose rounded mean is likely there, as files tell them; without one 0 is."""
    n = len(data["positions"])
    order, faces = np.arange(n), data["faces"]
    if len(faces):
        _, order, faces = _walked(data)
    sources = [below or [v - 1][:v] for v, below in enumerate(_below(faces, n))]
    which = np.repeat(np.arange(n), [len(some) for some in sources])
    return order[which], order[np.array([k for some in sources for k in some], np.int64)]


def _walked(data: dict[str, np.ndarray]) -> tuple[bytes, np.ndarray, np.ndarray]:
    """As `encode_faces`, with vertices that have no face after the others."""
    walk, order, faces = encode_faces(data["faces"])
    return walk, np.concatenate([order, np.setdiff1d(np.arange(len(data["positions"])), order)]), faces


def _below(faces: np.ndarray, n: int) -> list[list[int]]:
    """For each vertex those with lower numbers that an edge joins to it."""
    edges = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    out: list[list[int]] = [[] for _ in range(n)]
    for low, high in np.unique(edges, axis=0).tolist():
        out[high].append(low)
    return out


def _expected(rows: list[list[int]], below: list[int], v: int) -> list[int]:
    """What is likely at vertex v: the rounded mean of those `below`; without them the row before; 0 at first."""
    if not below:
        return rows[v - 1] if v else [0] * len(rows[0])
    n = len(below)
    return [(2 * sum(column) + n) // (2 * n) for column in zip(*(rows[k] for k in below))]


def is_flat(positions: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """Which faces have no area, (T,) bool; exact, of integers below 2^22."""
    a, b, c = (positions[faces[:, k]].astype(np.int64) for k in range(3))
    return (np.cross(b - a, c - a) == 0).all(axis=1)


class Surface:
    """The mesh of a level, which knows its closest point: what `points.Cloud` is to a cloud."""

    def __init__(self, level: LevelData, resolution: tuple[int, ...]):
        self.resolution, self.positions = np.array(resolution, np.int64), level["positions"].astype(np.int64)
        self.faces = level["faces"].astype(np.int64)
        self.corners = self.positions[self.faces].astype(np.float64)  # (T, 3, 3)

    @cached_property
    def tree(self) -> BoxTree:
        """Over the faces."""
        return BoxTree(self.corners.min(axis=1), self.corners.max(axis=1))

    def near(self, coords: np.ndarray, order: int) -> Iterator[tuple[np.ndarray, np.ndarray, list[np.ndarray]]]:
        """Yields samples of coords (N, 3) and vertices of their closest faces, and the weights of these, float32; with
        order 1 also their derivatives by each axis, with 2 second ones, which are 0."""
        for start in range(0, len(coords) if len(self.faces) else 0, _CHUNK):
            here = coords[start : start + _CHUNK]
            u = np.clip(here, 0.0, 1.0) * self.resolution - 0.5
            face = self.closest(u)
            weights, slopes = _weights(u, self.corners[face], order > 0)
            moves = ((here >= 0) & (here <= 1)) * self.resolution
            samples = np.arange(start, start + len(here))
            for k in range(3):
                terms = [weights[:, k]]
                terms += [slopes[:, k, axis] * moves[:, axis] for axis in range(3 if order else 0)]
                terms += [np.zeros(len(here))] * (9 if order > 1 else 0)
                yield samples, self.faces[face, k], [term.astype(np.float32) for term in terms]

    def closest(self, u: np.ndarray) -> np.ndarray:
        """The number (N,) of the face that is closest to points (N, 3) in units of the lattice, of several the least."""
        if use_numba(len(u) * _WORK, "faces"):
            from ..kernels.faces import closest_faces

            return closest_faces(u, self.corners, self.tree)
        first = self.tree.guess(u)
        bound = np.sqrt(self._squares(u, first)) * (1 + _LOOSE) + _LOOSE
        which, face, _ = self.tree.near(u, bound)
        squares = self._squares(u[which], face)
        order = np.lexsort((face, squares, which))
        which, face = which[order], face[order]
        best = first.copy()
        starts = np.flatnonzero(np.concatenate([[True], which[1:] != which[:-1]])) if len(which) else which
        best[which[starts]] = face[starts]
        return best

    def _squares(self, u: np.ndarray, face: np.ndarray) -> np.ndarray:
        corners = self.corners[face]
        weights, _ = _weights(u, corners, False)
        a, b, c = (weights[:, k, None] * corners[:, k] for k in range(3))
        away = u - (a + b + c)
        return _dot(away, away)


def _dot(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(N,) of rows (N, 3), summed in order."""
    return x[:, 0] * y[:, 0] + x[:, 1] * y[:, 1] + x[:, 2] * y[:, 2]


def _weights(u: np.ndarray, corners: np.ndarray, with_slopes: bool) -> tuple[np.ndarray, np.ndarray | None]:
    """Barycentric weights (N, 3) of the points of triangles (N, 3, 3) that are closest to u (N, 3), and their derivatives
    (N, 3, 3) by u: corner, axis."""
    a, b, c = (corners[:, k] for k in range(3))
    ab, ac = b - a, c - a

    d1, d2, d3, d4, d5, d6 = (_dot(edge, u - corner) for corner in (a, b, c) for edge in (ab, ac))
    va, vb, vc = d3 * d6 - d5 * d4, d5 * d2 - d1 * d6, d1 * d4 - d3 * d2
    with np.errstate(divide="ignore", invalid="ignore"):
        on_ab, on_ac, on_bc = d1 / (d1 - d3), d2 / (d2 - d6), (d4 - d3) / ((d4 - d3) + (d5 - d6))
        inner = np.stack([va, vb, vc], 1) / (va + vb + vc)[:, None]
    zero, one = np.zeros(len(u)), np.ones(len(u))
    cases = [
        ((d1 <= 0) & (d2 <= 0), (one, zero, zero)),
        ((d3 >= 0) & (d4 <= d3), (zero, one, zero)),
        ((d6 >= 0) & (d5 <= d6), (zero, zero, one)),
        ((vc <= 0) & (d1 >= 0) & (d3 <= 0), (1 - on_ab, on_ab, zero)),
        ((vb <= 0) & (d2 >= 0) & (d6 <= 0), (1 - on_ac, zero, on_ac)),
        ((va <= 0) & (d4 >= d3) & (d5 >= d6), (zero, 1 - on_bc, on_bc)),
    ]
    region = np.select([here for here, _ in cases], range(6), 6)
    where = [here for here, _ in cases]
    weights = np.stack([np.select(where, [w[k] for _, w in cases], inner[:, k]) for k in range(3)], 1)
    if not with_slopes:
        return weights, None
    slopes = np.zeros((len(u), 3, 3))
    for number, (start, end) in {3: (0, 1), 4: (0, 2), 5: (1, 2)}.items():
        here = np.flatnonzero(region == number)
        edge = corners[here, end] - corners[here, start]
        along = edge / _dot(edge, edge)[:, None]
        slopes[here, end], slopes[here, start] = along, -along
    here = np.flatnonzero(region == 6)
    ab, ac = ab[here], ac[here]
    bb, bc, cc = (_dot(x, y)[:, None] for x, y in ((ab, ab), (ab, ac), (ac, ac)))
    area = bb * cc - bc * bc
    slopes[here, 1], slopes[here, 2] = (cc * ab - bc * ac) / area, (bb * ac - bc * ab) / area
    slopes[here, 0] = -slopes[here, 1] - slopes[here, 2]
    return weights, slopes
