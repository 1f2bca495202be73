"""Torch twin of the activation gabor."""

from __future__ import annotations

import torch

from . import ActivationTwin, uniform


class Twin(ActivationTwin):
    """cos(omega v) exp(-(s v)^2)"""

    rate = 6e-3

    def start(self, weight: torch.Tensor, bias: torch.Tensor, is_first: bool, *numbers: float) -> None:
        uniform(weight, bias, weight.shape[1] ** -0.5)

    def __call__(self, v: torch.Tensor, omega: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
        return torch.cos(omega * v) * torch.exp(-(s * v).square())
