"""Errors of differences between neighbouring samples, told to `synthesis.squared_error` as shifted targets.

The meaning is `fit.step.slope_error`. At given outputs the gradient of weight * (output - aim)^2 is that of both errors
together if aim = target - slope * g / weight, where g is half the gradient of the differences' errors.
"""

from __future__ import annotations

import numpy as np
from numba import njit

__all__ = ["shift_targets"]


@njit(error_model="numpy", nogil=True, cache=True)
def shift_targets(first, last, n_rows, n_columns, outputs, target, weight, slope, least, aim):
    """Fills aim (M,) for planes first..last - 1 of n_rows * n_columns samples each, M being whole planes.

    outputs, target, weight (M,) float32; samples of a weight of `least` or below have no neighbours. Returns what the
    squared error grows by, sum of weight * ((outputs - aim)^2 - (outputs - target)^2).
    """
    plane = n_rows * n_columns
    slope, least, excess = np.float32(slope), np.float32(least), 0.0
    for i in range(first, last):
        for row in range(n_rows):
            for column in range(n_columns):
                j = i * plane + row * n_columns + column
                aim[j] = target[j]
                w = weight[j]
                if w <= least:
                    continue
                error, pull = outputs[j] - target[j], np.float32(0)
                for step, is_there in (
                    (-plane, j >= plane), (plane, j + plane < len(target)),
                    (-n_columns, row > 0), (n_columns, row < n_rows - 1),
                    (-1, column > 0), (1, column < n_columns - 1),
                ):  # fmt: skip
                    if is_there and weight[j + step] > least:
                        pull += min(w, weight[j + step]) * (error - (outputs[j + step] - target[j + step]))
                shift = slope * pull / w
                aim[j] -= shift
                excess += w * shift * (2 * error + shift)
    return excess
