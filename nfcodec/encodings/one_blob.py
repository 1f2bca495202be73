"""One-blob encoding: a Gaussian as wide as a bin, at the centres of bins (Mueller et al. 2019, Neural importance sampling,
section 4.3; 2020, Neural control variates)."""

from __future__ import annotations

import numpy as np

from ..spec import Parameter
from .coordinates import AxisEncoding, Terms


class Grid(AxisEncoding):
    """For each axis exp(-(x - c)^2 n^2 / 2) for the centres c of n bins."""

    name = "one-blob"
    parameters = (Parameter("n_bins", 1, 256, 32, is_integer=True),)

    @classmethod
    def n_features(cls, n_dims: int, *numbers: float) -> int:
        return n_dims * int(numbers[0])

    def along(self, x: np.ndarray, axis: int, order: int) -> Terms:
        n = int(self.spec.parameters[0])
        u = x[:, None] * n - (np.arange(n) + 0.5)
        blob = np.exp(-0.5 * u * u)
        return [blob, -n * u * blob, n * n * (u * u - 1) * blob][: order + 1]
