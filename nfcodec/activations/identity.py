"""The identity: a network of it is linear."""

from __future__ import annotations

import numpy as np

from . import Activation


class Member(Activation):
    """v"""

    name = "identity"

    def value(self, v: np.ndarray) -> np.ndarray:
        return v

    def slope(self, v: np.ndarray) -> np.ndarray:
        return np.ones_like(v)

    def curvature(self, v: np.ndarray) -> np.ndarray:
        return np.zeros_like(v)
