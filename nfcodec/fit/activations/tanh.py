"""Torch twin of the activation tanh."""

from __future__ import annotations

import torch

from . import ActivationTwin, uniform


class Twin(ActivationTwin):
    """tanh(v)"""

    rate = 1.2e-2

    def start(self, weight: torch.Tensor, bias: torch.Tensor, is_first: bool, *numbers: float) -> None:
        uniform(weight, bias, weight.shape[1] ** -0.5)

    def __call__(self, v: torch.Tensor) -> torch.Tensor:
        return torch.tanh(v)
