"""A first pyramid from the signal itself, so that fitting starts at a decent codec instead of noise.

Coarse to fine, each level takes what the coarser ones leave, averaged onto its lattice (a Laplacian pyramid, Burt &
Adelson 1983, with the field's own interpolation). The linear skip of the network then gives back the signal.
"""

from __future__ import annotations

import numpy as np

from ..encodings.interpolate import apply_axes, axis_matrix
from ..spec import GridSpec

# rows: luma, green-magenta, orange-blue of RGB; orthogonal, so that errors weigh the same in both spaces
_RGB_TO_LUMA = np.array([[1, 1, 1], [-1, 2, -1], [1, 0, -1]], np.float64)
_RGB_TO_LUMA /= np.linalg.norm(_RGB_TO_LUMA, axis=1, keepdims=True)


def channel_transform(channels: int, is_color: bool) -> np.ndarray:
    """An orthogonal matrix (C, C) from channels to planes, the most telling first; alpha comes second."""
    matrix = np.eye(channels)
    if is_color and channels >= 3:
        matrix[:3, :3] = _RGB_TO_LUMA
        if channels == 4:
            matrix = matrix[[0, 3, 1, 2]]
    return matrix.astype(np.float32)


def pyramid(planes: np.ndarray, spec: GridSpec) -> list[np.ndarray]:
    """planes (*extent, C) float32 -> for each level (F_l, *resolution) float32, in the units of planes.

    Level l takes the first F_l planes.
    """
    axes = [(np.arange(n) + 0.5) / n for n in planes.shape[:-1]]
    left = planes.copy()
    out = []
    for resolution, f in zip(spec.resolutions, spec.n_features):
        up, down = [], []
        for x, n in zip(axes, resolution):
            first, run = axis_matrix(x, n, spec.interpolation)
            matrix = np.zeros((len(x), n), np.float32)
            matrix[:, first : first + run.shape[1]] = run
            near = np.maximum(matrix, 0)  # averages must not overshoot
            up.append(matrix)
            down.append((near / np.maximum(near.sum(0), 1e-6)).T)
        low = apply_axes(left[..., :f], down)
        out.append(np.ascontiguousarray(np.moveaxis(low, -1, 0)))
        left[..., :f] -= apply_axes(low, up)
    return out
