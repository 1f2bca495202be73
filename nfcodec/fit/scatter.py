"""Where a point cloud of features starts: at the vertices whose kernels explain most of what coarser levels have left.

That is one step of matching pursuit (Mallat & Zhang 1993) a level, with all its points at once; their features are then
those of least squares.
"""

from __future__ import annotations

import numpy as np
from scipy import signal, sparse
from scipy.sparse import linalg

from ..encodings.points import Cloud, n_points, squared_radii
from ..spec import GridSpec

_REACH = 2  # cells of a level's lattice
_SIZES = (0, 6, 10)  # that points start with
_BITS = 12.0  # of a point with its features, roughly
_N_STEPS = 12  # of conjugate gradients
_STEPS_BACK = 1e-3  # damping, against neighbours that undo each other


def scatter(planes: np.ndarray, spec: GridSpec, weight: np.ndarray | None, lmbda: float) -> list[dict[str, np.ndarray]]:
    """planes (*extent, C) float32 -> the levels of a cloud, with features in the units of planes. weight: as in `Source`;
    lmbda: points that save less than they cost are left out."""
    extent, left, out = planes.shape[:-1], planes.astype(np.float32).copy(), []
    axes = [(np.arange(n) + 0.5) / n for n in extent]
    coords = np.stack([g.ravel() for g in np.meshgrid(*axes, indexing="ij")], 1)
    for level, f in enumerate(spec.n_features):
        resolution = spec.resolutions[level]
        explained, sizes = _explained(left[..., :f], resolution, weight)
        order = np.argsort(-explained, kind="stable")[: n_points(spec, level)]
        kept = np.sort(order[explained[order] > _BITS * lmbda])
        positions = np.stack(np.unravel_index(kept, resolution), 1).astype(np.int32)
        data = {"positions": positions, "sizes": sizes[kept].astype(np.int32), "reach": np.array([_REACH], np.int32)}
        flat = left.reshape(-1, left.shape[-1])
        if len(kept):
            matrix = _matrix(Cloud.of(data, resolution), coords)
            root = None if weight is None else np.sqrt(weight.reshape(-1))
            scaled = matrix if root is None else sparse.diags(root) @ matrix
            found = [
                linalg.lsqr(scaled, flat[:, k] * (1 if root is None else root), damp=_STEPS_BACK, iter_lim=_N_STEPS)[0]
                for k in range(f)
            ]
            data["features"] = np.stack(found, 1).astype(np.float32)
            flat[:, :f] -= (matrix @ data["features"]).astype(np.float32)
        else:
            data["features"] = np.zeros((0, f), np.float32)
        out.append(data)
    return out


def _matrix(cloud: Cloud, coords: np.ndarray) -> sparse.csr_matrix:
    """(samples, points): every point's kernel at every sample."""
    parts = [(sample, point, terms[0]) for sample, point, terms in cloud.near(coords, 0)]
    sample, point, kernel = (np.concatenate(part) for part in zip(*parts))
    return sparse.csr_matrix((kernel, (sample, point)), (len(coords), len(cloud.positions)))


def _explained(left: np.ndarray, resolution: tuple[int, ...], weight: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """For each vertex in raster order the most squared error that a point there takes away, alone, and its size then."""
    extent = left.shape[:-1]
    scale = [m / n for m, n in zip(extent, resolution)]  # samples a cell
    vertices = np.ix_(*(np.clip(np.floor((np.arange(n) + 0.5) * s).astype(int), 0, m - 1) for n, s, m in zip(resolution, scale, extent)))
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
