"""Torch twin of the identity: the coordinate itself, between -1 and 1."""

from __future__ import annotations

import torch

from .coordinates import CoordinateTwin


class Twin(CoordinateTwin):
    """Nothing to learn."""

    def terms(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x - 1
