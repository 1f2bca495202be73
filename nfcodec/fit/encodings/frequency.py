"""Torch twin of frequencies an octave apart."""

from __future__ import annotations

import math

import torch

from .coordinates import CoordinateTwin


class Twin(CoordinateTwin):
    """Nothing to learn."""

    def terms(self, x: torch.Tensor) -> torch.Tensor:
        n = int(self.spec.parameters[0])
        turns = x[:, None] * 2.0 ** torch.arange(-1, n - 1, device=x.device)[:, None]  # (d, n, M)
        phase = ((turns - turns.round()) * (2 * math.pi)).float()
        return torch.stack([torch.sin(phase), torch.cos(phase)], 2).flatten(0, 2)
