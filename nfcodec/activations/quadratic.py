"""Quadratic (Ramasinghe & Lucey 2021, Beyond periodicity, table 1)."""

from __future__ import annotations

import numpy as np

from ..spec import Parameter
from . import Activation


class Member(Activation):
    """1 / (1 + (a v)^2)"""

    name = "quadratic"
    parameters = (Parameter("a", 1e-3, 1000, 10),)

    def value(self, v: np.ndarray, a: np.float32) -> np.ndarray:
        return 1 / (1 + np.square(a * v))

    def slope(self, v: np.ndarray, a: np.float32) -> np.ndarray:
        q = self.value(v, a)
        return -2 * a * a * v * q * q

    def curvature(self, v: np.ndarray, a: np.float32) -> np.ndarray:
        q = self.value(v, a)
        return 2 * a * a * q * q * (4 * q * np.square(a * v) - 1)
