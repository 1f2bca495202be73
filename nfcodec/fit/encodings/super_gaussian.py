"""Torch twin of super-Gaussians, whose widths are learned in parts of an octave."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from ...encodings.super_gaussian import MAX_WIDTH, PARTS
from ...spec import CoordinateSpec
from ..quantizers import straight_through
from .coordinates import CoordinateTwin


class Twin(CoordinateTwin):
    """widths (d, n), in units of their integers."""

    def __init__(self, spec: CoordinateSpec):
        super().__init__(spec)
        self.widths = nn.Parameter(torch.zeros(spec.n_dims, int(spec.parameters[0])))

    def terms(self, x: torch.Tensor) -> torch.Tensor:
        n, power = self.spec.parameters
        widths = straight_through(self.widths, torch.round(self.widths).clamp(-MAX_WIDTH, MAX_WIDTH))
        sharp = power * n * n * torch.exp2(-2.0 / PARTS * widths)[..., None]  # (d, n, 1)
        u = (x[:, None] - (torch.arange(int(n), device=x.device)[:, None] + 0.5) / n).float()
        return torch.exp(-0.5 * sharp * u * u).flatten(0, 1)

    def layers(self) -> list[list[torch.Tensor]]:
        return [[self.widths]]

    def freeze(self) -> list[dict[str, np.ndarray]]:
        return [{"widths": torch.round(self.widths.detach()).clamp(-MAX_WIDTH, MAX_WIDTH).cpu().numpy().astype(np.int32)}]
