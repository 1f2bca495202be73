"""Sine, the activation of SIREN (Sitzmann et al. 2020, section 3)."""

from __future__ import annotations

import numpy as np

from ..spec import Parameter
from . import Activation


class Member(Activation):
    """sin(omega v)"""

    name = "sine"
    parameters = (Parameter("omega", 1e-3, 1000, 30),)

    def value(self, v: np.ndarray, omega: np.float32) -> np.ndarray:
        return np.sin(omega * v)

    def slope(self, v: np.ndarray, omega: np.float32) -> np.ndarray:
        return omega * np.cos(omega * v)

    def curvature(self, v: np.ndarray, omega: np.float32) -> np.ndarray:
        return -omega * omega * np.sin(omega * v)
