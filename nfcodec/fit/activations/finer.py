"""Torch twin of FINER's sine: SIREN's start, but wide biases in the first layer (Liu et al. 2024)."""

from __future__ import annotations

import torch

from . import ActivationTwin, uniform

_FIRST_BIAS = 1.0


class Twin(ActivationTwin):
    """sin(omega (|v| + 1) v)"""

    rate = 1e-3

    def start(self, weight: torch.Tensor, bias: torch.Tensor, is_first: bool, *numbers: float) -> None:
        (omega,), n = numbers, weight.shape[1]
        uniform(weight, bias, 1 / n if is_first else (6 / n) ** 0.5 / omega)
        if is_first:  # the wider, the higher the frequencies that a neuron begins with
            torch.nn.init.uniform_(bias, -_FIRST_BIAS, _FIRST_BIAS)

    def __call__(self, v: torch.Tensor, omega: torch.Tensor) -> torch.Tensor:
        return torch.sin(omega * (v.abs() + 1) * v)
