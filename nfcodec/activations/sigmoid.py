"""The logistic function."""

from __future__ import annotations

import numpy as np

from . import Activation, logistic


class Member(Activation):
    """1 / (1 + exp(-v))"""

    name = "sigmoid"

    def value(self, v: np.ndarray) -> np.ndarray:
        return logistic(v)

    def slope(self, v: np.ndarray) -> np.ndarray:
        s = logistic(v)
        return s * (1 - s)

    def curvature(self, v: np.ndarray) -> np.ndarray:
        s = logistic(v)
        return s * (1 - s) * (1 - 2 * s)
