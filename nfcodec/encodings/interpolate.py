"""Interpolation between lattice vertices: one meaning for every encoding that keeps features on lattices.

Vertex i of n along an axis lies at coordinate (i + 0.5) / n, so a lattice with as many vertices as the source has
samples coincides with them. Outside the first and last vertex the edge value is repeated.

A kernel (`spec.Kernel`) is None for linear interpolation (2 taps an axis), or the (b, c) of a cubic (4 taps; Mitchell &
Netravali 1988, section 3). (0, 1/2) is Catmull-Rom; with b = 0 a cubic goes through its vertices, with more it smooths. All of
them are continuous, so the rounding of a coordinate next to a vertex never matters.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence

import numpy as np

from ..spec import Kernel

# of the 4 taps the factors of f^3, f^2, f, 1: of a cubic with b = c = 0, and what b and c add to them
CUBIC = np.array([[0, 0, 0, 0], [2, -3, 0, 1], [-2, 3, 0, 0], [0, 0, 0, 0]], np.float64)
CUBIC_B = np.array([[-1, 3, -3, 1], [-9, 12, 0, -2], [9, -15, 3, 1], [1, 0, 0, 0]], np.float64) / 6
CUBIC_C = np.array([[-1, 2, -1, 0], [-1, 1, 0, 0], [1, -2, 1, 0], [1, -1, 0, 0]], np.float64)


def n_taps(kernel: Kernel) -> int:
    """Vertices along an axis that a coordinate touches."""
    return 2 if kernel is None else 4


def tap_weights(f: np.ndarray, kernel: Kernel) -> tuple[np.ndarray, np.ndarray]:
    """Weights (N, T) and their derivatives by f (N, T) of the taps for fractions f (N,) in [0, 1)."""
    if kernel is None:
        one = np.ones_like(f)
        return np.stack([1 - f, f], 1), np.stack([-one, one], 1)
    factors = (CUBIC + kernel[0] * CUBIC_B + kernel[1] * CUBIC_C).T
    powers, slopes = np.stack([f * f * f, f * f, f, np.ones_like(f)], 1), np.stack([3 * f * f, 2 * f, np.ones_like(f)], 1)
    return powers @ factors, slopes @ factors[:3]


def taps(x: np.ndarray, n: int, kernel: Kernel, shift: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Neighbouring vertices of coordinates x (N,), or of what lies `shift` vertices from them, on an axis of n vertices.

    Returns indices (N, T) int64 in [0, n), weights (N, T) float32 that sum to 1, and the weights' derivatives by x
    (N, T) float32.
    """
    x = np.asarray(x, np.float64)
    u = np.clip(x, 0.0, 1.0) * n - 0.5 + shift
    first = np.floor(u)
    w, d = tap_weights(u - first, kernel)
    t = n_taps(kernel)
    index = first.astype(np.int64)[:, None] + np.arange(1 - t // 2, 1 + t // 2)
    inside = (x >= 0) & (x <= 1)  # beyond the box values are constant
    return np.clip(index, 0, n - 1), w.astype(np.float32), (d * (n * inside)[:, None]).astype(np.float32)


def axis_span(x: np.ndarray, n: int, kernel: Kernel, shift: float = 0.0) -> tuple[int, int]:
    """The contiguous run of vertices that coordinates x (M,) touch: the first one and their number."""
    # as in `taps`, in plain floats: this is called for every level, axis and block of a lattice
    low, high = (math.floor(min(max(float(end), 0.0), 1.0) * n - 0.5 + shift) for end in (np.min(x), np.max(x)))
    reach = n_taps(kernel) // 2
    first = min(max(low + 1 - reach, 0), n - 1)
    return first, min(max(high + reach, 0), n - 1) - first + 1


def axis_matrix(x: np.ndarray, n: int, kernel: Kernel, shift: float = 0.0) -> tuple[int, np.ndarray]:
    """The interpolation at sorted or unsorted coordinates x (M,) as a matrix over a contiguous run of vertices.

    Returns (first, A): A (M, K) float32 so that values = A @ vertices[first : first + K].
    """
    index, w, _ = taps(x, n, kernel, shift)
    first = int(index.min())
    matrix = np.zeros((len(index), int(index.max()) - first + 1), np.float32)
    np.add.at(matrix, (np.arange(len(index))[:, None], index - first), w)
    return first, matrix


def corners(coords: np.ndarray, resolution: tuple[int, ...], kernel: Kernel, shift: Sequence[float] = ()):
    """Yields, for each of the T**d vertices around coords (N, d): indices (N, d) int64, weight (N,), and the
    weight's gradient (N, d), both float32."""
    axes = [taps(coords[:, k], n, kernel, shift[k] if shift else 0.0) for k, n in enumerate(resolution)]
    d = len(axes)
    for choice in itertools.product(range(n_taps(kernel)), repeat=d):
        index = np.stack([axes[k][0][:, t] for k, t in enumerate(choice)], 1)
        weights = [axes[k][1][:, t] for k, t in enumerate(choice)]
        weight = functools.reduce(np.multiply, weights)
        gradient = np.empty((len(index), d), np.float32)
        for k in range(d):
            others = [axes[k][2][:, choice[k]] if j == k else weights[j] for j in range(d)]
            gradient[:, k] = functools.reduce(np.multiply, others)
        yield index, weight, gradient


def curvatures(coords: np.ndarray, resolution: tuple[int, ...], kernel: Kernel, shift: Sequence[float] = ()):
    """Yields, for each of the T**d vertices around coords (N, d): indices (N, d) int64 and the second derivatives of the
    weight (N, d, d) float32, which on the seams between vertices are those to their right."""
    d, axes = len(resolution), []
    for k, n in enumerate(resolution):
        index, weight, slope = taps(coords[:, k], n, kernel, shift[k] if shift else 0.0)
        axes.append((index, weight, slope, _bends(coords[:, k], n, kernel, shift[k] if shift else 0.0)))
    for choice in itertools.product(range(n_taps(kernel)), repeat=d):
        index = np.stack([axes[k][0][:, t] for k, t in enumerate(choice)], 1)
        second = np.empty((len(coords), d, d), np.float32)
        for i, j in itertools.product(range(d), repeat=2):
            order = [1 + (k == i) + (k == j) for k in range(d)]
            second[:, i, j] = functools.reduce(np.multiply, [axes[k][order[k]][:, t] for k, t in enumerate(choice)])
        yield index, second


def _bends(x: np.ndarray, n: int, kernel: Kernel, shift: float) -> np.ndarray:
    """Second derivatives (N, T) float32 of the weights of `taps` by x."""
    if kernel is None:
        return np.zeros((len(x), 2), np.float32)
    u = np.clip(x, 0.0, 1.0) * n - 0.5 + shift
    f = u - np.floor(u)
    factors = (CUBIC + kernel[0] * CUBIC_B + kernel[1] * CUBIC_C).T
    bends = np.stack([6 * f, np.full_like(f, 2.0)], 1) @ factors[:2]
    return (bends * (np.square(float(n)) * ((x >= 0) & (x <= 1)))[:, None]).astype(np.float32)


def all_corners(
    coords: np.ndarray, resolution: tuple[int, ...], kernel: Kernel, shift: Sequence[float] = ()
) -> tuple[list[np.ndarray], np.ndarray]:
    """What `corners` yields, at once and without gradients: d arrays of indices (N, T**d), weights (N, T**d) float32."""
    axes = [taps(coords[:, k], n, kernel, shift[k] if shift else 0.0) for k, n in enumerate(resolution)]
    n, d, t = len(coords), len(axes), n_taps(kernel)

    def spread(values: np.ndarray, axis: int) -> np.ndarray:
        return values.reshape(n, *(t if k == axis else 1 for k in range(d)))

    weight = functools.reduce(np.multiply, [spread(w, k) for k, (_, w, _) in enumerate(axes)])
    index = [np.broadcast_to(spread(i, k), weight.shape).reshape(n, -1) for k, (i, _, _) in enumerate(axes)]
    return index, weight.reshape(n, -1)


def apply_axes(block: np.ndarray, matrices: list[np.ndarray]) -> np.ndarray:
    """Separable interpolation: block (K_1 .. K_d, F), matrices of shape (M_k, K_k) -> (M_1 .. M_d, F)."""
    for k, matrix in enumerate(matrices):
        moved = np.moveaxis(block, k, 0)
        flat = matrix @ np.ascontiguousarray(moved).reshape(matrix.shape[1], -1)
        block = np.moveaxis(flat.reshape(matrix.shape[0], *moved.shape[1:]), 0, k)
    return np.ascontiguousarray(block)
