"""Laplacian (Ramasinghe & Lucey 2021, Beyond periodicity, table 1)."""

from __future__ import annotations

import numpy as np

from ..spec import Parameter
from . import Activation


class Member(Activation):
    """exp(-|v| / a)"""

    name = "laplacian"
    parameters = (Parameter("a", 1e-3, 1000, 0.1),)

    def value(self, v: np.ndarray, a: np.float32) -> np.ndarray:
        return np.exp(-np.abs(v) / a)

    def slope(self, v: np.ndarray, a: np.float32) -> np.ndarray:
        return -np.sign(v) / a * self.value(v, a)

    def curvature(self, v: np.ndarray, a: np.float32) -> np.ndarray:
        return self.value(v, a) / (a * a)
