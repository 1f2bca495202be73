"""Super-Gaussians around equally spaced places, of learned widths (Ramasinghe & Lucey 2021, A learnable radial basis
positional embedding for coordinate-MLPs)."""

from __future__ import annotations

import numpy as np

from ..spec import InputSpec, Parameter
from .coordinates import AxisEncoding, Terms

PARTS = 8  # of an octave, in which widths are stored
MAX_WIDTH = 256  # of the integers of widths, on either side


class Grid(AxisEncoding):
    """For each axis exp(-(x - t)^2 / (2 s^2))^power for n places t. levels[0] = {"widths": (d, n) int32}, of which each is
    s = 2^(w / 8) / n."""

    name = "super-gaussian"
    parameters = (Parameter("n_places", 1, 256, 32, is_integer=True), Parameter("power", 1e-2, 100, 1.0))

    @classmethod
    def n_features(cls, n_dims: int, *numbers: float) -> int:
        return n_dims * int(numbers[0])

    @classmethod
    def level_shapes(cls, spec: InputSpec, level: int) -> dict[str, tuple[int, ...]]:
        return {"widths": (spec.n_dims, int(spec.parameters[0]))}

    def along(self, x: np.ndarray, axis: int, order: int) -> Terms:
        n, power = self.spec.parameters
        widths = np.clip(self.levels[0]["widths"][axis], -MAX_WIDTH, MAX_WIDTH)
        sharp = power * n * n * np.exp2(-2.0 * widths / PARTS)  # power / s^2
        u = x[:, None] - (np.arange(int(n)) + 0.5) / n
        blob = np.exp(-0.5 * sharp * u * u)
        return [blob, -sharp * u * blob, (np.square(sharp * u) - sharp) * blob][: order + 1]
