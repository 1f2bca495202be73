"""Gabor wavelet, the real part of the activation of WIRE (Saragadam et al. 2023)."""

from __future__ import annotations

import numpy as np

from ..spec import Parameter
from . import Activation


class Member(Activation):
    """cos(omega v) exp(-(s v)^2)"""

    name = "gabor"
    parameters = (Parameter("omega", 0, 1000, 10), Parameter("s", 0, 1000, 5))

    def value(self, v: np.ndarray, omega: np.float32, s: np.float32) -> np.ndarray:
        return np.cos(omega * v) * np.exp(-np.square(s * v))

    def slope(self, v: np.ndarray, omega: np.float32, s: np.float32) -> np.ndarray:
        return -(omega * np.sin(omega * v) + 2 * s * s * v * np.cos(omega * v)) * np.exp(-np.square(s * v))

    def curvature(self, v: np.ndarray, omega: np.float32, s: np.float32) -> np.ndarray:
        wave = 4 * np.square(s * s * v) - 2 * s * s - omega * omega
        return (wave * np.cos(omega * v) + 4 * s * s * v * omega * np.sin(omega * v)) * np.exp(-np.square(s * v))
