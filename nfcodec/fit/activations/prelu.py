"""Torch twin of the activation prelu."""

from __future__ import annotations

import torch

from . import ActivationTwin


class Twin(ActivationTwin):
    """v where v > 0, else slope * v"""

    learns = True

    def __call__(self, v: torch.Tensor, slope: torch.Tensor) -> torch.Tensor:
        return torch.where(v > 0, v, slope * v)
