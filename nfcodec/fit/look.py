"""What a fit misses on its whole signal, as it is at some step. Nothing in the fit changes, not even its random numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from .encodings import Rounding
from .train import Fit

__all__ = ["Errors", "errors_of"]


@dataclass(frozen=True)
class Errors:
    """error, target (*extent, C) float32, in units of the fit: values less targets, and targets. weight (*extent) float32,
    of squared errors. scale: of a unit of the first channel, in units of the signal."""

    error: np.ndarray
    target: np.ndarray
    weight: np.ndarray
    scale: float


@torch.no_grad()
def errors_of(fit: Fit) -> Errors:
    """Of what a decoder would give if everything was rounded now, before values are clipped."""
    spec = fit.model.spec
    error, target = (np.zeros((*spec.extent, spec.channels), np.float32) for _ in range(2))
    weight = np.ones(spec.extent, np.float32)
    for tile in fit.tiles:
        values, _ = fit.model(tile.plan, Rounding(hard=True), (0,) * spec.n_dims, 1)
        block = tuple(slice(a, a + n) for a, n in zip(tile.start, tile.target.shape[1:]))
        for array, found in ((error, values.view(tile.target.shape) - tile.target), (target, tile.target)):
            array[block] = np.moveaxis(found.cpu().numpy(), 0, -1)
        if tile.weight is not None:
            weight[block] = tile.weight.cpu().numpy()
    return Errors(error, target, weight, spec.value_scale[0])
