"""Torch twin of random Fourier features."""

from __future__ import annotations

import math

import torch

from ...encodings.random_fourier import matrix
from .coordinates import CoordinateTwin


class Twin(CoordinateTwin):
    """Nothing to learn."""

    def terms(self, x: torch.Tensor) -> torch.Tensor:
        turns = torch.from_numpy(matrix(self.spec.n_dims, *self.spec.parameters)).to(x.device) @ x
        phase = ((turns - turns.round()) * (2 * math.pi)).float()
        return torch.cat([torch.cos(phase), torch.sin(phase)])
