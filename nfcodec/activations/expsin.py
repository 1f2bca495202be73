"""Exponential of a sine (Ramasinghe & Lucey 2021, Beyond periodicity, table 1)."""

from __future__ import annotations

import numpy as np

from ..spec import Parameter
from . import Activation


class Member(Activation):
    """exp(-sin(a v))"""

    name = "expsin"
    parameters = (Parameter("a", 1e-3, 1000, 5),)

    def value(self, v: np.ndarray, a: np.float32) -> np.ndarray:
        return np.exp(-np.sin(a * v))

    def slope(self, v: np.ndarray, a: np.float32) -> np.ndarray:
        return -a * np.cos(a * v) * self.value(v, a)

    def curvature(self, v: np.ndarray, a: np.float32) -> np.ndarray:
        return a * a * (np.square(np.cos(a * v)) + np.sin(a * v)) * self.value(v, a)
