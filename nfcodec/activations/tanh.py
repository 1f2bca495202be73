"""Hyperbolic tangent."""

from __future__ import annotations

import numpy as np

from . import Activation


class Member(Activation):
    """tanh(v)"""

    name = "tanh"

    def value(self, v: np.ndarray) -> np.ndarray:
        return np.tanh(v)

    def slope(self, v: np.ndarray) -> np.ndarray:
        return 1 - np.square(np.tanh(v))

    def curvature(self, v: np.ndarray) -> np.ndarray:
        t = np.tanh(v)
        return -2 * t * (1 - t * t)
