"""Variable-periodic sine (FINER, Liu et al. 2024)."""

from __future__ import annotations

import numpy as np

from ..spec import Parameter
from . import Activation


class Member(Activation):
    """sin(omega (|v| + 1) v)"""

    name = "finer"
    parameters = (Parameter("omega", 1e-3, 1000, 30),)

    def value(self, v: np.ndarray, omega: np.float32) -> np.ndarray:
        return np.sin(omega * (np.abs(v) + 1) * v)

    def slope(self, v: np.ndarray, omega: np.float32) -> np.ndarray:
        u = omega * (np.abs(v) + 1) * v
        return omega * (2 * np.abs(v) + 1) * np.cos(u)

    def curvature(self, v: np.ndarray, omega: np.float32) -> np.ndarray:
        u = omega * (np.abs(v) + 1) * v
        return 2 * omega * np.sign(v) * np.cos(u) - np.square(omega * (2 * np.abs(v) + 1)) * np.sin(u)
