"""Frequencies an octave apart, or positional encoding (Vaswani et al. 2017, section 3.5; NeRF, Mildenhall et al. 2020,
equation 4)."""

from __future__ import annotations

import numpy as np

from ..spec import Parameter
from .coordinates import AxisEncoding, Terms


class Grid(AxisEncoding):
    """For each axis sin(2^k pi x), cos(2^k pi x) for k below n_frequencies."""

    name = "frequency"
    parameters = (Parameter("n_frequencies", 1, 24, 8, is_integer=True),)

    @classmethod
    def n_features(cls, n_dims: int, *numbers: float) -> int:
        return 2 * n_dims * int(numbers[0])

    def along(self, x: np.ndarray, axis: int, order: int) -> Terms:
        rates = np.pi * 2.0 ** np.arange(int(self.spec.parameters[0]))
        phase = x[:, None] * rates
        sine, cosine = np.sin(phase), np.cos(phase)
        found = [(sine, cosine), (rates * cosine, -rates * sine), (-np.square(rates) * sine, -np.square(rates) * cosine)]
        return [np.stack(pair, -1).reshape(len(x), -1) for pair in found[: order + 1]]
