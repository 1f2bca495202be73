"""Weights of interpolation as polynomials of the fraction between two vertices: what kernels of fields share.

Needs numpy only. The meaning is `encodings.interpolate`. Kernels always weigh 4 vertices an axis, i - 1 .. i + 2 with
i = floor(u); those that a kind does not use weigh 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..spec import GridSpec

__all__ = ["N_TAPS", "AxisTaps", "axis_taps", "coefficients", "level_coefficients"]

N_TAPS = 4
_ON_VERTEX = 1e-9  # of a cell: sums of fractions are rounded


def coefficients(kind: str, b: float = 0.0, c: float = 0.5) -> np.ndarray:
    """(4 taps, 4 powers) float64: the weight of tap t for a fraction f is the sum of row t times 1, f, f^2, f^3.

    b, c: the cubic kernels of Mitchell and Netravali (SIGGRAPH 1988, equation 8); (0, 1/2) is Catmull-Rom.
    """
    if kind == "linear":
        return np.array([[0, 0, 0, 0], [1, -1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]], np.float64)
    near = np.array([6 - 2 * b, 0, -18 + 12 * b + 6 * c, 12 - 9 * b - 6 * c]) / 6  # at distances below 1
    far = np.array([8 * b + 24 * c, -12 * b - 48 * c, 6 * b + 30 * c, -b - 6 * c]) / 6  # from 1 to 2
    # distances of the taps: 1 + f, f, 1 - f, 2 - f
    return np.array([_shifted(far, 1, 1), near, _shifted(near, 1, -1), _shifted(far, 2, -1)])


def _shifted(p: np.ndarray, start: float, sign: float) -> np.ndarray:
    """Coefficients of p(start + sign f) by powers of f."""
    polynomial = np.polynomial.Polynomial(p)(np.polynomial.Polynomial([start, sign]))
    return np.pad(polynomial.coef, (0, len(p) - len(polynomial.coef)))


def level_coefficients(spec: GridSpec, level: int) -> np.ndarray:
    """`coefficients` of a level of a grid: the one place that knows how a level is interpolated."""
    return coefficients(spec.interpolation)


@dataclass(frozen=True)
class AxisTaps:
    """Interpolation of M samples along an axis: a run of vertices, and 4 taps in it for each sample.

    start, count: the run, not clamped to the axis: it may begin at -2 and end after its last vertex. first (M,) int32: the
    first tap of every sample in the run; weights (M, 4) float32. is_run: the samples are the vertices of the run.
    """

    start: int
    count: int
    first: np.ndarray
    weights: np.ndarray
    is_run: bool


def axis_taps(x: np.ndarray, n: int, table: np.ndarray) -> AxisTaps:
    """Taps of coordinates x (M,) on an axis of n vertices, by a level's `coefficients`; M >= 1."""
    u = np.clip(x, 0.0, 1.0) * n - 0.5
    near = np.rint(u)
    u = np.where(np.abs(u - near) < _ON_VERTEX, near, u)
    floor = np.floor(u)
    first = floor.astype(np.int64) - 1
    weights = ((table[:, 3] * (f := (u - floor)[:, None]) + table[:, 2]) * f + table[:, 1]) * f + table[:, 0]
    start, stop = int(first.min()), int(first.max()) + N_TAPS
    # a copy of vertices needs no sums
    if stop - start == len(x) + N_TAPS - 1 and not weights[:, [0, 2, 3]].any() and (weights[:, 1] == 1).all():
        if (np.diff(first) == 1).all():
            return AxisTaps(start + 1, len(x), np.arange(len(x), dtype=np.int32), weights.astype(np.float32), True)
    return AxisTaps(start, stop - start, (first - start).astype(np.int32), weights.astype(np.float32), False)
