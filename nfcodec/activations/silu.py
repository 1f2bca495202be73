"""Sigmoid linear unit, or swish (Elfwing et al. 2018)."""

from __future__ import annotations

import numpy as np

from . import Activation, logistic


class Member(Activation):
    """v / (1 + exp(-v))"""

    name = "silu"

    def value(self, v: np.ndarray) -> np.ndarray:
        return v * logistic(v)

    def slope(self, v: np.ndarray) -> np.ndarray:
        s = logistic(v)
        return s + v * s * (1 - s)

    def curvature(self, v: np.ndarray) -> np.ndarray:
        s = logistic(v)
        return s * (1 - s) * (2 + v * (1 - 2 * s))
