"""Multi-quadratic (Ramasinghe & Lucey 2021, Beyond periodicity, table 1)."""

from __future__ import annotations

import numpy as np

from ..spec import Parameter
from . import Activation


class Member(Activation):
    """1 / sqrt(1 + (a v)^2)"""

    name = "multi-quadratic"
    parameters = (Parameter("a", 1e-3, 1000, 20),)

    def value(self, v: np.ndarray, a: np.float32) -> np.ndarray:
        return 1 / np.sqrt(1 + np.square(a * v))

    def slope(self, v: np.ndarray, a: np.float32) -> np.ndarray:
        m = self.value(v, a)
        return -a * a * v * m**3

    def curvature(self, v: np.ndarray, a: np.float32) -> np.ndarray:
        m = self.value(v, a)
        return a * a * m**3 * (3 * np.square(a * v * m) - 1)
