"""Where a point cloud of features starts: at the vertices whose kernels explain most of what coarser levels have left.

That is one step of matching pursuit (Mallat & Zhang 1993) a level, with all its points at once; their features are then
those of least squares.
"""

from __future__ import annotations

import math

import numpy as np
from scipy import signal, sparse
from scipy.sparse import linalg

from ..encodings.points import Cloud, n_points, squared_radii
from ..kernels import use_numba
from ..kernels.entries import Entries
from ..spec import GridSpec

_REACH = 2  # cells of a level's lattice
_SIZES = (0, 6, 10)  # that points start with
_BITS = 12.0  # of a point with its features, roughly
_N_STEPS = 12  # of conjugate gradients
_DAMPING = 1e-3  # against neighbours that undo each other
_SAMPLES_A_CELL = 2  # along an axis, which least squares see of coarse levels
_AT_ONCE = 1 << 17  # samples


def scatter(
    planes: np.ndarray, spec: GridSpec, weight: np.ndarray | None, lmbda: float, count: int | None = None
) -> list[dict[str, np.ndarray]]:
    """planes (*extent, C) float32 -> the levels of a cloud, with features in the units of planes. weight: as in `Source`;
    lmbda: points that save less than they cost are left out, unless `count` says how many a level has (fewer where its
    lattice has fewer vertices)."""
    extent, left, out = planes.shape[:-1], planes.astype(np.float32).copy(), []
    for level, f in enumerate(spec.n_features):
        resolution = spec.resolutions[level]
        explained, sizes = _explained(left[..., :f], resolution, weight)
        order = np.argsort(-explained, kind="stable")[: count or n_points(spec, level)]
        kept = np.sort(order[explained[order] > _BITS * lmbda] if count is None else order)
        positions = np.stack(np.unravel_index(kept, resolution), 1).astype(np.int32)
        data = {"positions": positions, "sizes": sizes[kept].astype(np.int32), "reach": np.array([_REACH], np.int32)}
        cloud = Cloud.of(data, resolution)
        near = Entries.of([cloud], [f])
        data["features"] = least_squares(cloud, left[..., :f], weight, near)
        for start in range(0, math.prod(extent), _AT_ONCE):
            index = np.arange(start, min(start + _AT_ONCE, math.prod(extent)))
            left.reshape(-1, left.shape[-1])[index, :f] -= matrix_of(cloud, extent, index, near) @ data["features"]
        out.append(data)
    return out


def least_squares(
    cloud: Cloud, target: np.ndarray, weight: np.ndarray | None, near: Entries | None = None
) -> np.ndarray:
    """Features (P, F) float32 of the points whose sums come close to target (*extent, F), on some samples of each cell.
    near: as in `matrix_of`."""
    extent, f = target.shape[:-1], target.shape[-1]
    strides = [max(1, m // (_SAMPLES_A_CELL * n)) for m, n in zip(extent, cloud.resolution.tolist())]
    seen = np.zeros(extent, bool)
    seen[tuple(slice(stride // 2, None, stride) for stride in strides)] = True
    index = np.flatnonzero(seen)
    matrix, values = matrix_of(cloud, extent, index, near), target.reshape(-1, f)[index]
    if weight is not None:
        root = np.sqrt(weight.reshape(-1)[index])
        matrix, values = sparse.diags(root) @ matrix, values * root[:, None]
    if not len(cloud.positions):
        return np.zeros((0, f), np.float32)
    found = [linalg.lsqr(matrix, column, damp=_DAMPING, iter_lim=_N_STEPS)[0] for column in values.T]
    return np.stack(found, 1).astype(np.float32)


def matrix_of(
    cloud: Cloud, extent: tuple[int, ...], index: np.ndarray, near: Entries | None = None
) -> sparse.csr_matrix:
    """(samples, points): every point's kernel at the samples of an extent with these indices. near: the cloud's entries,
    for which there are kernels."""
    coords = (np.stack(np.unravel_index(index, extent), 1) + 0.5) / np.array(extent)
    if near is not None and use_numba(len(coords)):
        from ..kernels.cloud import pairs

        fixed = (
            coords.reshape(-1), len(extent), near.info, near.keys, near.begins, near.ends, near.places, near.inverses,
            near.points,
        )  # fmt: skip
        rows, columns, kernels = np.zeros(len(coords) + 1, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)
        pairs(*fixed, rows, columns, kernels)
        columns, kernels = np.empty(rows[-1], np.int64), np.empty(rows[-1], np.float32)
        pairs(*fixed, rows, columns, kernels)
        return sparse.csr_matrix((kernels, columns, rows), (len(coords), len(cloud.positions)))
    parts = [(np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32))]
    parts += [(sample, point, terms[0]) for sample, point, terms in cloud.near(coords, 0)]
    sample, point, kernel = (np.concatenate(part) for part in zip(*parts))
    return sparse.csr_matrix((kernel, (sample, point)), (len(coords), len(cloud.positions)))


def _explained(left: np.ndarray, resolution: tuple[int, ...], weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """For each vertex in raster order the most squared error that a point there takes away, alone, and its size then."""
    extent = left.shape[:-1]
    scale = [m / n for m, n in zip(extent, resolution)]  # samples a cell
    vertices = np.ix_(*((2 * np.arange(n) + 1) * m // (2 * n) for n, m in zip(resolution, extent)))  # the samples there
    best, sizes = np.full(resolution, -1.0), np.zeros(resolution, np.int64)
    weighted = left if weight is None else left * weight[..., None]
    for size in _SIZES:
        square = squared_radii(np.array([size]), _REACH)[0]
        reach = [int(np.floor(np.sqrt(square) * s)) for s in scale]
        away = np.meshgrid(*(np.arange(-r, r + 1) / s for r, s in zip(reach, scale)), indexing="ij")
        kernel = np.maximum(1 - sum(np.square(a) for a in away) / square, 0) ** 3
        total = np.square(kernel).sum()
        gain = sum(
            np.square(signal.oaconvolve(weighted[..., k], kernel, mode="same")[vertices]) for k in range(left.shape[-1])
        )
        if weight is not None:
            total = np.maximum(signal.oaconvolve(weight, np.square(kernel), mode="same")[vertices], 1e-3 * total)
        better = gain / total > best
        best, sizes = np.where(better, gain / total, best), np.where(better, size, sizes)
    return best.ravel(), sizes.ravel()
