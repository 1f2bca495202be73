"""Torch twin of the activation softplus."""

from __future__ import annotations

import torch

from . import ActivationTwin


class Twin(ActivationTwin):
    """log(1 + exp(a v)) / a"""

    def __call__(self, v: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
        return torch.logaddexp(a * v, torch.zeros_like(v)) / a
