"""Torch twin of the activation super-gaussian."""

from __future__ import annotations

import torch

from . import ActivationTwin, uniform


class Twin(ActivationTwin):
    """exp(-v^2 / (2 a^2))^b"""

    rate = 6e-3

    def start(self, weight: torch.Tensor, bias: torch.Tensor, is_first: bool, *numbers: float) -> None:
        uniform(weight, bias, weight.shape[1] ** -0.5)

    def __call__(self, v: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.exp(-0.5 * b * (v / a).square())
