"""Interpolation between lattice vertices: one meaning for every encoding that keeps features on lattices.

Vertex i of n along an axis lies at coordinate (i + 0.5) / n, so a lattice with as many vertices as the source has
samples coincides with them. What lies beyond the first and last vertex is up to the axis' boundary (`spec.BOUNDARIES`):
the edge again, the axis anew, or the axis backwards.

A kernel (`spec.Kernel`) is NEAREST (1 tap an axis), LINEAR or SMOOTHSTEP (2 taps, the latter by 3 f^2 - 2 f^3, which is
flat at vertices), or the (b, c) of a cubic (4 taps; Mitchell & Netravali 1988, section 3). (0, 1/2) is Catmull-Rom; with
b = 0 a cubic goes through its vertices, with more it smooths. All but NEAREST are continuous, so the rounding of a
coordinate next to a vertex never matters.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence

import numpy as np

from ..spec import LINEAR, NEAREST, SMOOTHSTEP, Kernel

# of the 4 taps the factors of f^3, f^2, f, 1: of a cubic with b = c = 0, and what b and c add to them
CUBIC = np.array([[0, 0, 0, 0], [2, -3, 0, 1], [-2, 3, 0, 0], [0, 0, 0, 0]], np.float64)
CUBIC_B = np.array([[-1, 3, -3, 1], [-9, 12, 0, -2], [9, -15, 3, 1], [1, 0, 0, 0]], np.float64) / 6
CUBIC_C = np.array([[-1, 2, -1, 0], [-1, 1, 0, 0], [1, -2, 1, 0], [1, -1, 0, 0]], np.float64)


def n_taps(kernel: Kernel) -> int:
    """Vertices along an axis that a coordinate touches."""
    return {NEAREST: 1, LINEAR: 2, SMOOTHSTEP: 2}.get(kernel, 4)


def fold(index: np.ndarray, n: int, boundary: str) -> np.ndarray:
    """The vertices of n that those of any index stand for."""
    if boundary == "wrap":
        return index % n
    if boundary == "reflect":
        index = index % (2 * n)
        return np.where(index < n, index, 2 * n - 1 - index)
    return np.clip(index, 0, n - 1)


def placed(x: np.ndarray, boundary: str) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates x (N,) brought into [0, 1], and the derivative (N,) of that by x."""
    if boundary == "wrap":
        return x - np.floor(x), np.ones_like(x)
    if boundary == "reflect":
        there = x - 2 * np.floor(x / 2)
        return np.where(there <= 1, there, 2 - there), np.where(there <= 1, 1.0, -1.0)
    return np.clip(x, 0.0, 1.0), ((x >= 0) & (x <= 1)).astype(np.float64)


def tap_weights(f: np.ndarray, kernel: Kernel) -> tuple[np.ndarray, np.ndarray]:
    """Weights (N, T) and their derivatives by f (N, T) of the taps for fractions f (N,) in [0, 1)."""
    one = np.ones_like(f)
    if kernel == NEAREST:
        return one[:, None], np.zeros((len(f), 1))
    if kernel in (LINEAR, SMOOTHSTEP):
        w, d = (f, one) if kernel == LINEAR else (f * f * (3 - 2 * f), 6 * f * (1 - f))
        return np.stack([1 - w, w], 1), np.stack([-d, d], 1)
    factors = (CUBIC + kernel[0] * CUBIC_B + kernel[1] * CUBIC_C).T
    powers, slopes = np.stack([f * f * f, f * f, f, one], 1), np.stack([3 * f * f, 2 * f, one], 1)
    return powers @ factors, slopes @ factors[:3]


def tap_bends(f: np.ndarray, kernel: Kernel) -> np.ndarray:
    """Second derivatives (N, T) by f of the weights of `tap_weights`."""
    if kernel in (NEAREST, LINEAR):
        return np.zeros((len(f), n_taps(kernel)))
    if kernel == SMOOTHSTEP:
        return np.stack([12 * f - 6, 6 - 12 * f], 1)
    factors = (CUBIC + kernel[0] * CUBIC_B + kernel[1] * CUBIC_C).T
    return np.stack([6 * f, np.full_like(f, 2.0)], 1) @ factors[:2]


def taps(
    x: np.ndarray, n: int, kernel: Kernel, shift: float = 0.0, boundary: str = "clamp"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Neighbouring vertices of coordinates x (N,), or of what lies `shift` vertices from them, on an axis of n vertices.

    Returns indices (N, T) int64 in [0, n), weights (N, T) float32 that sum to 1, and the weights' derivatives by x
    (N, T) float32.
    """
    index, w, d = _unfolded(x, n, kernel, shift, boundary)
    return fold(index, n, boundary), w, d


def bends(x: np.ndarray, n: int, kernel: Kernel, shift: float = 0.0, boundary: str = "clamp") -> np.ndarray:
    """Second derivatives (N, T) float32 of the weights of `taps` by x."""
    inside, slope = placed(np.asarray(x, np.float64), boundary)
    u = inside * n - 0.5 + shift
    return (tap_bends(u - np.floor(u), kernel) * np.square(n * slope)[:, None]).astype(np.float32)


def _unfolded(x: np.ndarray, n: int, kernel: Kernel, shift: float, boundary: str):
    """As `taps`, but for indices, which may lie beyond the ends."""
    inside, slope = placed(np.asarray(x, np.float64), boundary)
    u = inside * n - 0.5 + shift
    first = np.floor(u + 0.5 * (kernel == NEAREST))
    w, d = tap_weights(u - first, kernel)
    t = n_taps(kernel)
    index = first.astype(np.int64)[:, None] + np.arange(t) - (t - 1) // 2
    return index, w.astype(np.float32), (d * (n * slope)[:, None]).astype(np.float32)


def axis_span(x: np.ndarray, n: int, kernel: Kernel, shift: float = 0.0, boundary: str = "clamp") -> tuple[int, int]:
    """The contiguous run of vertices that coordinates x (M,) touch: the first one and their number. Unless the boundary is
    clamp the run may begin before the axis and end after it: see `fold`."""
    if boundary != "clamp":
        x = placed(np.asarray(x, np.float64), boundary)[0]
    # as in `_unfolded`, in plain floats: this is called for every level, axis and block of a lattice
    half = 0.5 * (kernel == NEAREST)
    low, high = (math.floor(min(max(float(end), 0.0), 1.0) * n - 0.5 + shift + half) for end in (np.min(x), np.max(x)))
    t = n_taps(kernel)
    first, last = low - (t - 1) // 2, high + t // 2
    if boundary == "clamp":
        first, last = min(max(first, 0), n - 1), min(max(last, 0), n - 1)
    return first, last - first + 1


def axis_taps(
    x: np.ndarray, n: int, kernel: Kernel, shift: float = 0.0, boundary: str = "clamp"
) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (M, T) int64 in the run of `axis_span` and weights (M, T) float32 at coordinates x (M,)."""
    index, w, _ = _unfolded(x, n, kernel, shift, boundary)
    return fold(index, n, boundary) if boundary == "clamp" else index, w


def axis_matrix(
    x: np.ndarray, n: int, kernel: Kernel, shift: float = 0.0, boundary: str = "clamp"
) -> tuple[int, np.ndarray]:
    """The interpolation at sorted or unsorted coordinates x (M,) as a matrix over a run of vertices as in `axis_span`.

    Returns (first, A): A (M, K) float32 so that values = A @ vertices[first : first + K].
    """
    index, w = axis_taps(x, n, kernel, shift, boundary)
    first = int(index.min())
    matrix = np.zeros((len(index), int(index.max()) - first + 1), np.float32)
    np.add.at(matrix, (np.arange(len(index))[:, None], index - first), w)
    return first, matrix


class Axes:
    """The axes of a level, as a coordinate, or what lies `shift` vertices from it, is interpolated along each."""

    def __init__(
        self, resolution: Sequence[int], kernel: Kernel, shift: Sequence[float] = (), boundaries: Sequence[str] = ()
    ):
        d = len(resolution)
        self.resolution, self.kernel = tuple(resolution), kernel
        self.shift, self.boundaries = tuple(shift) or (0.0,) * d, tuple(boundaries) or ("clamp",) * d

    def __iter__(self):
        """For each axis the arguments of `taps` after x."""
        return zip(self.resolution, (self.kernel,) * len(self.resolution), self.shift, self.boundaries)

    def fold(self, runs: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The vertices along each axis that those of any index stand for."""
        return [fold(run, n, boundary) for run, n, boundary in zip(runs, self.resolution, self.boundaries)]

    def corners(self, coords: np.ndarray):
        """Yields, for each of the T**d vertices around coords (N, d): indices (N, d) int64, weight (N,), and the
        weight's gradient (N, d), both float32."""
        axes = [taps(coords[:, k], *axis) for k, axis in enumerate(self)]
        d = len(axes)
        for choice in itertools.product(range(n_taps(self.kernel)), repeat=d):
            index = np.stack([axes[k][0][:, t] for k, t in enumerate(choice)], 1)
            weights = [axes[k][1][:, t] for k, t in enumerate(choice)]
            weight = functools.reduce(np.multiply, weights)
            gradient = np.empty((len(index), d), np.float32)
            for k in range(d):
                others = [axes[k][2][:, choice[k]] if j == k else weights[j] for j in range(d)]
                gradient[:, k] = functools.reduce(np.multiply, others)
            yield index, weight, gradient

    def curvatures(self, coords: np.ndarray):
        """Yields, for each of the T**d vertices around coords (N, d): indices (N, d) int64 and the second derivatives of
        the weight (N, d, d) float32, which on the seams between vertices are those to their right."""
        axes = [(*taps(coords[:, k], *axis), bends(coords[:, k], *axis)) for k, axis in enumerate(self)]
        d = len(axes)
        for choice in itertools.product(range(n_taps(self.kernel)), repeat=d):
            index = np.stack([axes[k][0][:, t] for k, t in enumerate(choice)], 1)
            second = np.empty((len(coords), d, d), np.float32)
            for i, j in itertools.product(range(d), repeat=2):
                order = [1 + (k == i) + (k == j) for k in range(d)]
                second[:, i, j] = functools.reduce(np.multiply, [axes[k][order[k]][:, t] for k, t in enumerate(choice)])
            yield index, second

    def all_corners(self, coords: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
        """What `corners` yields, at once, without gradients: d arrays of indices (N, T**d), weights (N, T**d) float32."""
        axes = [taps(coords[:, k], *axis) for k, axis in enumerate(self)]
        n, d, t = len(coords), len(axes), n_taps(self.kernel)

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
