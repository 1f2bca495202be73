"""Torch twin of the sine, with SIREN's start, from which outputs of every layer are distributed alike (Sitzmann et al.
2020, section 3.2)."""

from __future__ import annotations

import torch

from . import ActivationTwin, uniform


class Twin(ActivationTwin):
    """sin(omega v)"""

    rate = 1e-3

    def start(self, weight: torch.Tensor, bias: torch.Tensor, is_first: bool, *numbers: float) -> None:
        (omega,), n = numbers, weight.shape[1]
        uniform(weight, bias, 1 / n if is_first else (6 / n) ** 0.5 / omega)

    def __call__(self, v: torch.Tensor, omega: torch.Tensor) -> torch.Tensor:
        return torch.sin(omega * v)
