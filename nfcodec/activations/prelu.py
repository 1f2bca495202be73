"""ReLU with a learned slope below 0 (He et al. 2015, Delving deep into rectifiers, equation 1)."""

from __future__ import annotations

import numpy as np

from ..spec import Parameter
from . import Activation


class Member(Activation):
    """v where v > 0, else slope * v"""

    name = "prelu"
    parameters = (Parameter("slope", -8, 8, 0.25),)

    def value(self, v: np.ndarray, slope: np.float32) -> np.ndarray:
        return np.where(v > 0, v, slope * v)

    def slope(self, v: np.ndarray, slope: np.float32) -> np.ndarray:
        return np.where(v > 0, np.float32(1), slope)

    def curvature(self, v: np.ndarray, slope: np.float32) -> np.ndarray:
        return np.zeros_like(v)
