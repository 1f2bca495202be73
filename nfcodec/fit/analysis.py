"""A first pyramid from the signal itself, so that fitting starts at a decent codec instead of noise.

Coarse to fine, each level takes what the coarser ones leave, averaged onto its lattice (a Laplacian pyramid, Burt &
Adelson 1983, with the field's own interpolation). The linear skip of the network then gives back the signal.
"""

from __future__ import annotations

import numpy as np
from scipy import sparse

from ..encodings.interpolate import apply_axes, axis_matrix, taps
from ..header import halved
from ..spec import GridSpec

# rows: luma, green-magenta, orange-blue of RGB; orthogonal, so that errors weigh the same in both spaces
_RGB_TO_LUMA = np.array([[1, 1, 1], [-1, 2, -1], [1, 0, -1]], np.float64)
_COST = 4.0  # bits that a feature other than 0 takes at least, roughly
_GREY = 1e-6  # share of the variance below which a second colour is noise
_RGB_TO_LUMA /= np.linalg.norm(_RGB_TO_LUMA, axis=1, keepdims=True)


def channel_transform(target: np.ndarray, is_color: bool, first: int = 0) -> np.ndarray:
    """An orthogonal matrix (C, C) from the channels of target (*extent, C) to planes, the most telling first; alpha comes
    second. Colours are turned to the principal axes of the fine detail. first: the channel with which they begin."""
    channels = target.shape[-1]
    matrix = np.eye(channels)
    if is_color and channels >= first + 3:
        colours = slice(first, first + 3)
        matrix[colours, colours] = _principal_axes(target[..., colours])
        if channels == 4 and not first:
            matrix = matrix[[0, 3, 1, 2]]
    return matrix.astype(np.float32)


def _principal_axes(colours: np.ndarray) -> np.ndarray:
    """(3, 3) rows: the principal axes of differences between neighbours of colours (*extent, 3), those of most variance
    first; luma and two differences where these are as good as grey."""
    covariance = np.zeros((3, 3))
    for axis in range(colours.ndim - 1):
        step = np.diff(colours, axis=axis).reshape(-1, 3).astype(np.float64)
        covariance += step.T @ step
    variances, axes = np.linalg.eigh(covariance)
    if variances[1] <= _GREY * variances[2]:
        return _RGB_TO_LUMA
    axes = axes.T[::-1]
    return axes * np.where(axes[:, 1:2] < 0, -1, 1)


def pyramid(planes: np.ndarray, spec: GridSpec, weight: np.ndarray | None = None, lmbda: float = 0.0) -> list[np.ndarray]:
    """planes (*extent, C) float32 -> for each level (F_l, *resolution) float32, in the units of planes.

    Level l takes the first F_l planes. weight (*extent), where there is one: of squared errors; what saves less of them
    than it costs at lmbda is 0 from the start.
    """
    left = planes.copy()
    out = []
    for level, f in enumerate(spec.n_features):
        up, down, plain = resampling(planes.shape[:-1], spec, level)
        low = apply_axes(left[..., :f], down)
        if weight is not None:
            low *= apply_axes(weight[..., None], plain) * low * low > _COST * lmbda
        out.append(np.ascontiguousarray(np.moveaxis(low, -1, 0)))
        left[..., :f] -= apply_axes(low, up)
    return out


def resampling(extent: tuple[int, ...], spec: GridSpec, level: int) -> tuple[list, list, list]:
    """(up, down, plain), each a sparse matrix an axis as `apply_axes` takes them: from a level's vertices to the samples of
    a source, and back, as averages and as sums."""
    up, down, plain = [], [], []
    for m, n, boundary in zip(extent, spec.resolutions[level], spec.boundaries):
        index, weights, _ = taps((np.arange(m) + 0.5) / m, n, spec.kernel(level), boundary=boundary)
        row = np.repeat(np.arange(m), index.shape[1])
        up.append(sparse.csr_matrix((weights.ravel(), (row, index.ravel())), (m, n)))
        near = sparse.csr_matrix((np.maximum(weights, 0).ravel(), (row, index.ravel())), (m, n))
        # averages must not overshoot, so what lies below 0 is left out
        plain.append(near.T.tocsr().astype(np.float32))
        down.append((near @ sparse.diags(1 / np.maximum(near.sum(0).A1, 1e-6))).T.tocsr().astype(np.float32))
    return up, down, plain


def detail(target: np.ndarray) -> float:
    """Mean squared error of target (*extent, C) when a lattice of half its resolution is all that a field has."""
    extent, channels = target.shape[:-1], target.shape[-1]
    spec = GridSpec("dense", (halved(extent),), (channels,), "cubic")
    (low,) = pyramid(target, spec)
    matrices = [axis_matrix((np.arange(n) + 0.5) / n, m, spec.kernel(0))[1] for n, m in zip(extent, spec.resolutions[0])]
    return float(np.square(target - apply_axes(np.moveaxis(low, 0, -1), matrices)).mean(dtype=np.float64))
