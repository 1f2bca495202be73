"""Torch twin of the activation identity."""

from __future__ import annotations

import torch

from . import ActivationTwin


class Twin(ActivationTwin):
    """v"""

    def __call__(self, v: torch.Tensor) -> torch.Tensor:
        return v
