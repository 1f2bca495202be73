"""Torch twin of the activation relu."""

from __future__ import annotations

import torch

from . import ActivationTwin


class Twin(ActivationTwin):
    """max(v, 0)"""

    def __call__(self, v: torch.Tensor) -> torch.Tensor:
        return torch.relu(v)
