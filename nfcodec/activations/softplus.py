"""Softplus, a smooth ReLU (Ramasinghe & Lucey 2021, Beyond periodicity, table 1)."""

from __future__ import annotations

import numpy as np

from ..spec import Parameter
from . import Activation, logistic


class Member(Activation):
    """log(1 + exp(a v)) / a"""

    name = "softplus"
    parameters = (Parameter("a", 1e-3, 1000, 20),)

    def value(self, v: np.ndarray, a: np.float32) -> np.ndarray:
        return np.logaddexp(np.float32(0), a * v) / a

    def slope(self, v: np.ndarray, a: np.float32) -> np.ndarray:
        return logistic(a * v)

    def curvature(self, v: np.ndarray, a: np.float32) -> np.ndarray:
        s = logistic(a * v)
        return a * s * (1 - s)
