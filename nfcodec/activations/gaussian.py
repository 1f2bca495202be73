"""Gaussian (Ramasinghe & Lucey 2021, Beyond periodicity, table 1)."""

from __future__ import annotations

import numpy as np

from ..spec import Parameter
from . import Activation


class Member(Activation):
    """exp(-v^2 / (2 a^2))"""

    name = "gaussian"
    parameters = (Parameter("a", 1e-3, 1000, 0.07),)

    def value(self, v: np.ndarray, a: np.float32) -> np.ndarray:
        return np.exp(-0.5 * np.square(v / a))

    def slope(self, v: np.ndarray, a: np.float32) -> np.ndarray:
        return -(v / (a * a)) * self.value(v, a)

    def curvature(self, v: np.ndarray, a: np.float32) -> np.ndarray:
        return (np.square(v / (a * a)) - 1 / (a * a)) * self.value(v, a)
