"""Super-Gaussian (Ramasinghe & Lucey 2021, Beyond periodicity, table 1)."""

from __future__ import annotations

import numpy as np

from ..spec import Parameter
from . import Activation


class Member(Activation):
    """exp(-v^2 / (2 a^2))^b"""

    name = "super-gaussian"
    parameters = (Parameter("a", 1e-3, 1000, 0.1), Parameter("b", 1e-3, 1000, 2))

    def value(self, v: np.ndarray, a: np.float32, b: np.float32) -> np.ndarray:
        return np.exp(-0.5 * b * np.square(v / a))

    def slope(self, v: np.ndarray, a: np.float32, b: np.float32) -> np.ndarray:
        return -b * v / (a * a) * self.value(v, a, b)

    def curvature(self, v: np.ndarray, a: np.float32, b: np.float32) -> np.ndarray:
        return (np.square(b * v / (a * a)) - b / (a * a)) * self.value(v, a, b)
