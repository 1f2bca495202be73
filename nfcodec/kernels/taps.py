"""Weights of interpolation as polynomials of the fraction between two vertices: what kernels of fields share.

Needs numpy only. The meaning is `encodings.interpolate`. Kernels always weigh 4 vertices an axis, i - 1 .. i + 2 with
i = floor(u); those that linear interpolation does not use weigh 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..encodings.interpolate import CUBIC, CUBIC_B, CUBIC_C
from ..spec import LINEAR, NEAREST, SMOOTHSTEP, Kernel

__all__ = ["N_TAPS", "AxisTaps", "axis_taps", "coefficients", "offset"]

N_TAPS = 4
_ON_VERTEX = 1e-9  # of a cell: sums of fractions are rounded


def coefficients(kernel: Kernel) -> np.ndarray:
    """(4 taps, 4 powers) float64: the weight of tap t for a fraction f is the sum of row t times 1, f, f^2, f^3."""
    if isinstance(kernel, str):
        of_next = {NEAREST: [0, 0, 0, 0], LINEAR: [0, 1, 0, 0], SMOOTHSTEP: [0, 0, 3, -2]}[kernel]
        of_next = np.array(of_next, np.float64)
        return np.stack([0 * of_next, [1, 0, 0, 0] - of_next, of_next, 0 * of_next])
    return (CUBIC + kernel[0] * CUBIC_B + kernel[1] * CUBIC_C)[:, ::-1]


def offset(kernel: Kernel) -> float:
    """Vertices from a coordinate to what the kernels look at: i is the nearest vertex, with NEAREST, half of one ahead."""
    return 0.5 * (kernel == NEAREST)


@dataclass(frozen=True)
class AxisTaps:
    """Interpolation of M samples along an axis: a run of vertices, and 4 taps in it for each sample.

    start, count: the run, not clamped to the axis: it may begin before its first vertex and end after its last vertex.
    first (M,) int32: the first tap of every sample in the run; weights (M, 4) float32. is_run: the samples are the vertices
    of the run.
    """

    start: int
    count: int
    first: np.ndarray
    weights: np.ndarray
    is_run: bool


def axis_taps(x: np.ndarray, n: int, table: np.ndarray, shift: float = 0.0) -> AxisTaps:
    """Taps of what lies `shift` vertices from coordinates x (M,), M >= 1, on an axis of n vertices, by a level's
    `coefficients`."""
    u = np.clip(x, 0.0, 1.0) * n - 0.5 + shift
    if table[:, 1:].any():  # else weights jump where u is a whole number, and it must not be moved
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
