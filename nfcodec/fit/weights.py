"""What the networks themselves cost: in a small file more than the latents, so they are trained and rounded by it.

Cool-Chic (Ladune et al. 2023, section 3.4) searches the steps of its networks like this after the fit; here it is done
before the last part of the run, which then makes good what rounding took.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import torch

from ..entropy.laplace import cost_bits
from ..entropy.streams import best_scale
from .context import MAX_SHIFT as MAX_CONTEXT_SHIFT
from .model import MAX_NETWORK_SHIFT

if TYPE_CHECKING:
    from .train import Fit

__all__ = ["choose_shifts", "network_bits"]

_TRIED = 12  # shifts tried a tensor, finest first
_FRACTION_BITS = 6  # of a context network's biases, which have no shift of their own
_EARLY_SHIFT, _EARLY_CONTEXT_SHIFT = 7, 4  # roughly what the search finds; used for prices before it


def network_bits(fit: Fit) -> torch.Tensor:
    """Bits of all tensors of both networks, as a smooth function: that of a Laplace distribution of their mean size."""
    return sum(t.numel() * torch.log2(1 + 2 * math.e * 2.0**shift * t.abs().mean()) for t, shift in _tensors(fit))


def _tensors(fit: Fit) -> list[tuple[torch.Tensor, int]]:
    """All tensors of both networks with the shifts that they have or will have."""
    model, context = fit.model, getattr(fit.model.grid, "context", None)
    shifts = model.shifts or [_EARLY_SHIFT] * len(model.tensors)
    found = list(zip(model.tensors, shifts))
    if context is not None:
        shifts = context.shifts or [_EARLY_CONTEXT_SHIFT] * (len(context.weights) + 1)
        found += zip([*context.weights, context.skip], shifts)
        found += [(bias, _FRACTION_BITS) for bias in context.biases]
    return found


def choose_shifts(fit: Fit, lmbda: float) -> None:
    """Sets the shifts of both networks, tensor by tensor, to those of least distortion / lmbda + bits of all.

    Starts from steps so fine that they do no harm; a tensor of which no step is worth its bits rounds to zeros.
    """
    model, context = fit.model, getattr(fit.model.grid, "context", None)
    model.choose_shifts(2.0**_TRIED)
    if context is not None:
        context.choose_shifts(2.0**_TRIED)
    for tensors, shifts, most in _shifted(model, context):
        for k, tensor in enumerate(tensors):
            start = min(shifts[k], most)
            costs = []
            for shift in range(start, max(start - _TRIED, -1), -1):
                shifts[k] = shift
                costs.append((_cost(fit, lmbda) + _stored_bits(tensor, shift), shift))
            shifts[k] = min(costs)[1]


def _shifted(model, context):
    """(tensors, their shifts to be changed in place, the largest shift) of each network."""
    yield list(model.tensors), model.shifts, MAX_NETWORK_SHIFT
    if context is not None:
        yield [*context.weights, context.skip], context.shifts, MAX_CONTEXT_SHIFT


def _cost(fit: Fit, lmbda: float) -> float:
    """distortion / lmbda + bits of the latents of the whole signal."""
    distortion, bits = fit.measure()
    return (distortion / lmbda + bits) * fit.n_samples


def _stored_bits(tensor: torch.Tensor, shift: int) -> float:
    values = np.rint(tensor.detach().cpu().numpy() * 2.0**shift).astype(np.int64).ravel()
    return float(cost_bits(values, 0, best_scale(values)).sum())
