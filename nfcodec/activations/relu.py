"""Rectified linear unit, the usual one."""

from __future__ import annotations

import numpy as np

from . import Activation


class Member(Activation):
    """max(v, 0)"""

    name = "relu"

    def value(self, v: np.ndarray) -> np.ndarray:
        return np.maximum(v, 0)

    def slope(self, v: np.ndarray) -> np.ndarray:
        return (v > 0).astype(np.float32)

    def curvature(self, v: np.ndarray) -> np.ndarray:
        return np.zeros_like(v)
