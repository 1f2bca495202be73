"""Dual contouring (Ju et al., SIGGRAPH 2002) with a vertex for every loop of a cell, so that surfaces are manifolds.

A vertex is put where the planes through the crossings of its loop, along the field's gradients there, meet: edges and
corners of the surface stay sharp. It minimises

    sum over crossings p with normals n of (n . (x - p))^2 + WEIGHT |x - mean of p|^2,   x in the cell

so that directions of which the planes say nothing are decided by the middle of the crossings. Each crossed edge of the
lattice joins the vertices around it to a quad. Tangent planes of a curved surface meet outside of it; vertices then
*settle* along their normals until the field at vertices and at the middles of quads is least. Quads are cut along the
diagonal whose middle is nearer to the surface.

A cell that the surface cuts in several loops has as many vertices (Schaefer, Ju and Warren, TVCG 2007). That leaves one
way for four quads to meet at one edge: an ambiguous side that the same loop crosses twice in both of its cells. Such
sides are flipped, which splits both loops.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nfcodec.errors import NfldError

from .cells import AMBIGUOUS, SIDES, loop_table, loops_of
from .crossings import Crossings
from .tiles import Tiles

__all__ = ["contour"]

WEIGHT = 0.05  # of the middle of the crossings, a crossing
_MARGIN = 1e-3  # vertices keep this distance from the sides of their cell, in samples
_N_SWEEPS = 12  # over the axes, for vertices that would leave their cell
_QUADS_WEIGHT = 2.0  # of the field at the middle of a quad, where that at a vertex has 1
_AROUND = np.array([0, 1, 3, 2])  # places of the edges of one direction in a cell -> places of the cells around an edge


def contour(
    lattice: Tiles,
    cells: np.ndarray,
    values: np.ndarray,
    crossings: Crossings,
    sample: Callable[[np.ndarray], np.ndarray],
    gradient: Callable[[np.ndarray], np.ndarray],
) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) float64 in samples and faces (T, 3) int64 of cells (M, 3) with corner values (M, 8) minus the level.

    sample: the field (N,) at coordinates (N, 3), gradient: its derivatives (N, 3) by them. NfldError where every crossing
    lies at the end of the lattice.
    """
    shape = np.array(lattice.shape)

    def offset(positions: np.ndarray) -> np.ndarray:
        return lattice.checked(sample((positions + 0.5) / shape)) - np.float32(lattice.level)

    points = crossings.positions
    slopes = gradient((points + 0.5) / shape).astype(np.float64) / shape
    lengths = np.linalg.norm(slopes, axis=1)
    known = np.isfinite(lengths) & (lengths > 0)
    # where the field is flat nothing is known about the plane
    normals = np.divide(slopes, lengths[:, None], out=np.zeros_like(slopes), where=known[:, None])
    first, loop_of, n = _loops(lattice, cells, values)
    vertex = first[crossings.cell] + loop_of[crossings.cell, crossings.side]  # of every crossed edge of every cell
    low = cells[np.repeat(np.arange(len(cells)), np.diff(first, append=n))].astype(np.float64) + _MARGIN
    sums = _Sums(vertex, crossings.edge, n)
    vertices = _placed(sums, points, normals, low)
    quads, whole = _quads(crossings, vertex)
    if not len(quads):
        raise NfldError(
            f"extracting a surface: got one at the ends of {'x'.join(map(str, lattice.shape))} samples only, "
            "expected it within: choose a finer resolution or marching cubes"
        )
    vertices = _settled(sums, vertices, quads, whole, normals, lengths, low, offset)
    faces = _cut(quads, vertices, offset)
    used = np.zeros(n, bool)
    used[faces] = True
    return (vertices, faces) if used.all() else (vertices[used], (np.cumsum(used) - 1)[faces])


class _Sums:
    """Sums over the crossings of every vertex: incidence i is of vertex[i], one of n, and crossing edge[i]."""

    def __init__(self, vertex: np.ndarray, edge: np.ndarray, n: int):
        self.vertex, self.edge, self.n = vertex, edge, n
        self.counts = np.bincount(vertex, minlength=n)

    def __call__(self, values: np.ndarray) -> np.ndarray:
        """(E,) or (E, k) values of the crossings -> (n,) or (n, k)."""
        if values.ndim == 1:
            return np.bincount(self.vertex, values[self.edge], self.n)
        return np.stack([self(column) for column in values.T], 1)


def _loops(lattice: Tiles, cells: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
    """The first vertex of every cell (M,) int64, the loop of each of its edges (M, 12), and the number of vertices."""
    counts, loops = loop_table()
    case = ((values < 0) << np.arange(8)).sum(axis=1)
    n_loops, loop_of = counts[case].astype(np.int64), loops[case]
    flipped: dict[int, int] = {}
    for sides in _doubled(cells, case, loop_of):
        # a flip splits loops; an earlier one may have cured this side
        if all(np.ptp(loop_of[cell, SIDES[side]]) == 0 for cell, side in sides):
            for cell, side in sides:
                flipped[cell] = flipped.get(cell, 0) | 1 << side
                found = loops_of(int(case[cell]), flipped[cell])
                n_loops[cell] = len(found)
                for i, loop in enumerate(found):
                    loop_of[cell, loop] = i
    ends = np.cumsum(n_loops)
    return ends - n_loops, loop_of, int(ends[-1])


def _doubled(cells: np.ndarray, case: np.ndarray, loop_of: np.ndarray) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """The sides that one loop of either cell crosses twice, each as (cell, side) and (cell behind, its side)."""
    some = np.flatnonzero(AMBIGUOUS[case].any(axis=1))
    twice = AMBIGUOUS[case[some]] & (np.ptp(loop_of[some][:, SIDES], axis=2) == 0)
    place = {cell: i for cell, i, known in zip(map(tuple, cells[some].tolist()), some.tolist(), twice.any(axis=1)) if known}
    is_doubled = dict(zip(some.tolist(), twice.tolist()))
    found = []
    for (z, y, x), i in place.items():
        for side, behind in ((1, (z, y, x + 1)), (3, (z, y + 1, x)), (5, (z + 1, y, x))):
            j = place.get(behind)
            if j is not None and is_doubled[i][side] and is_doubled[j][side - 1]:
                found.append(((i, side), (j, side - 1)))
    return found


def _placed(sums: _Sums, points: np.ndarray, normals: np.ndarray, low: np.ndarray) -> np.ndarray:
    """Vertices (V, 3) where the planes of crossings (E, 3) meet; low (V, 3): the least they may be in their cell."""
    middle = sums(points) / sums.counts[:, None]
    matrix = np.empty((3, 3, sums.n))
    for i in range(3):
        for j in range(i, 3):
            matrix[i, j] = matrix[j, i] = sums(normals[:, i] * normals[:, j])
    right = sums(normals * np.einsum("ij,ij->i", normals, points)[:, None]).T - np.einsum("ijn,nj->in", matrix, middle)
    for i in range(3):
        matrix[i, i] += WEIGHT * sums.counts
    moved = _solved(matrix, right)
    least, most = (low - middle).T, (low + (1 - 2 * _MARGIN) - middle).T
    out = np.flatnonzero(((moved < least) | (moved > most)).any(axis=0))
    moved[:, out] = _in_box(matrix[..., out], right[:, out], least[:, out], most[:, out])
    return middle + moved.T


def _solved(matrix: np.ndarray, right: np.ndarray) -> np.ndarray:
    """x (3, N) of symmetric positive definite matrix (3, 3, N) x = right (3, N), by L D L^T."""
    (a, b, c), (_, d, e), (_, _, f) = matrix
    l10, l20 = b / a, c / a
    d1 = d - l10 * b
    l21 = (e - l20 * b) / d1
    d2 = f - l20 * c - l21 * l21 * d1
    y0 = right[0]
    y1 = right[1] - l10 * y0
    y2 = right[2] - l20 * y0 - l21 * y1
    x2 = y2 / d2
    x1 = y1 / d1 - l21 * x2
    return np.stack([y0 / a - l10 * x1 - l20 * x2, x1, x2])


def _in_box(matrix: np.ndarray, right: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """x (3, N) with low <= x <= high that minimise x . matrix x / 2 - right . x, axis by axis."""
    x = np.clip(0.0, low, high)
    for _ in range(_N_SWEEPS):
        for i in range(3):
            j, k = (i + 1) % 3, (i + 2) % 3
            x[i] = np.clip((right[i] - matrix[i, j] * x[j] - matrix[i, k] * x[k]) / matrix[i, i], low[i], high[i])
    return x


def _quads(crossings: Crossings, vertex: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The vertices around each edge that four cells share (Q, 4), against the clock seen from outside, and which edges
    these are (Q,). Edges at the end of the lattice have fewer: there the surface stays open."""
    quads = np.full((len(crossings.axis), 4), -1, np.int64)
    quads[crossings.edge, _AROUND[crossings.side % 4]] = vertex
    whole = np.flatnonzero((quads >= 0).all(axis=1))
    quads = quads[whole]
    turned = crossings.grows[whole] ^ (crossings.axis[whole] != 1)
    quads[turned] = quads[turned, ::-1]
    return quads, whole


def _settled(
    sums: _Sums,
    vertices: np.ndarray,
    quads: np.ndarray,
    whole: np.ndarray,
    normals: np.ndarray,
    slopes: np.ndarray,
    low: np.ndarray,
    offset: Callable[[np.ndarray], np.ndarray],
) -> np.ndarray:
    """Vertices moved once along their normals, by the distances of vertices and middles of quads from the surface.

    normals (E, 3), slopes (E,): of the crossings, by samples; offset: the field minus the level.
    """
    slope = np.maximum(sums(slopes) / sums.counts, np.finfo(np.float32).tiny)
    normal = sums(normals)
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), np.finfo(float).tiny)
    of_quads = offset(vertices[quads].mean(axis=1)) / np.maximum(slopes[whole], np.finfo(np.float32).tiny)
    step, weight = offset(vertices) / slope, np.ones(len(vertices))
    for corner in quads.T:
        # a quad's middle moves by a quarter; half of it is left to the other corners
        step += _QUADS_WEIGHT / 4 * np.bincount(corner, of_quads, len(step))
        weight += _QUADS_WEIGHT / 8 * np.bincount(corner, minlength=len(step))
    return np.clip(vertices - normal * (step / weight)[:, None], low, low + (1 - 2 * _MARGIN))


def _cut(quads: np.ndarray, vertices: np.ndarray, offset: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Two triangles (2 Q, 3) of each quad."""
    a, b, c, d = (vertices[corner] for corner in quads.T)
    along_ac = np.abs(offset((a + c) / 2)) <= np.abs(offset((b + d) / 2))
    ac, bd = quads[:, [0, 1, 2, 0, 2, 3]], quads[:, [1, 2, 3, 1, 3, 0]]
    return np.where(along_ac[:, None], ac, bd).reshape(-1, 3)
