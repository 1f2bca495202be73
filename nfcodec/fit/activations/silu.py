"""Torch twin of the activation silu."""

from __future__ import annotations

import torch

from . import ActivationTwin


class Twin(ActivationTwin):
    """v / (1 + exp(-v))"""

    def __call__(self, v: torch.Tensor) -> torch.Tensor:
        return v * torch.sigmoid(v)
