"""Interpolation between lattice vertices: one meaning for every encoding that keeps features on lattices.

Vertex i of n along an axis lies at coordinate (i + 0.5) / n, so a lattice with as many vertices as the source has
samples coincides with them. Outside the first and last vertex the edge value is repeated.

kinds: "linear" (2 taps an axis) and "cubic" (4 taps, Keys 1981 with a = -1/2, Catmull-Rom). Both are continuous, so
the rounding of a coordinate next to a vertex never matters.
"""

from __future__ import annotations

import functools
import itertools
import math

import numpy as np

N_TAPS = {"linear": 2, "cubic": 4}


def tap_weights(f: np.ndarray, kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Weights (N, T) and their derivatives by f (N, T) of the taps for fractions f (N,) in [0, 1)."""
    if kind == "linear":
        one = np.ones_like(f)
        return np.stack([1 - f, f], 1), np.stack([-one, one], 1)
    f2, f3 = f * f, f * f * f
    w = np.stack([-f3 + 2 * f2 - f, 3 * f3 - 5 * f2 + 2, -3 * f3 + 4 * f2 + f, f3 - f2], 1) * 0.5
    d = np.stack([-3 * f2 + 4 * f - 1, 9 * f2 - 10 * f, -9 * f2 + 8 * f + 1, 3 * f2 - 2 * f], 1) * 0.5
    return w, d


def taps(x: np.ndarray, n: int, kind: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Neighbouring vertices of coordinates x (N,) on an axis of n vertices.

    Returns indices (N, T) int64 in [0, n), weights (N, T) float32 that sum to 1, and the weights' derivatives by x
    (N, T) float32.
    """
    x = np.asarray(x, np.float64)
    u = np.clip(x, 0.0, 1.0) * n - 0.5
    first = np.floor(u)
    w, d = tap_weights(u - first, kind)
    t = N_TAPS[kind]
    index = first.astype(np.int64)[:, None] + np.arange(1 - t // 2, 1 + t // 2)
    inside = (x >= 0) & (x <= 1)  # beyond the box values are constant
    return np.clip(index, 0, n - 1), w.astype(np.float32), (d * (n * inside)[:, None]).astype(np.float32)


def axis_span(x: np.ndarray, n: int, kind: str) -> tuple[int, int]:
    """The contiguous run of vertices that coordinates x (M,) touch: the first one and their number."""
    # as in `taps`, in plain floats: this is called for every level, axis and block of a lattice
    low, high = (math.floor(min(max(float(end), 0.0), 1.0) * n - 0.5) for end in (np.min(x), np.max(x)))
    first = min(max(low + 1 - N_TAPS[kind] // 2, 0), n - 1)
    return first, min(max(high + N_TAPS[kind] // 2, 0), n - 1) - first + 1


def axis_matrix(x: np.ndarray, n: int, kind: str) -> tuple[int, np.ndarray]:
    """The interpolation at sorted or unsorted coordinates x (M,) as a matrix over a contiguous run of vertices.

    Returns (first, A): A (M, K) float32 so that values = A @ vertices[first : first + K].
    """
    index, w, _ = taps(x, n, kind)
    first = int(index.min())
    matrix = np.zeros((len(index), int(index.max()) - first + 1), np.float32)
    np.add.at(matrix, (np.arange(len(index))[:, None], index - first), w)
    return first, matrix


def corners(coords: np.ndarray, resolution: tuple[int, ...], kind: str):
    """Yields, for each of the T**d vertices around coords (N, d): indices (N, d) int64, weight (N,), and the
    weight's gradient (N, d), both float32."""
    axes = [taps(coords[:, k], n, kind) for k, n in enumerate(resolution)]
    d = len(axes)
    for choice in itertools.product(range(N_TAPS[kind]), repeat=d):
        index = np.stack([axes[k][0][:, t] for k, t in enumerate(choice)], 1)
        weights = [axes[k][1][:, t] for k, t in enumerate(choice)]
        weight = functools.reduce(np.multiply, weights)
        gradient = np.empty((len(index), d), np.float32)
        for k in range(d):
            others = [axes[k][2][:, choice[k]] if j == k else weights[j] for j in range(d)]
            gradient[:, k] = functools.reduce(np.multiply, others)
        yield index, weight, gradient


def apply_axes(block: np.ndarray, matrices: list[np.ndarray]) -> np.ndarray:
    """Separable interpolation: block (K_1 .. K_d, F), matrices of shape (M_k, K_k) -> (M_1 .. M_d, F)."""
    for k, matrix in enumerate(matrices):
        moved = np.moveaxis(block, k, 0)
        flat = matrix @ np.ascontiguousarray(moved).reshape(matrix.shape[1], -1)
        block = np.moveaxis(flat.reshape(matrix.shape[0], *moved.shape[1:]), 0, k)
    return np.ascontiguousarray(block)
