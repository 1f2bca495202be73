"""What the networks themselves cost: a tenth of a file, in a small one more than the latents.

So their bits are part of the loss, and how finely each tensor is rounded, in steps of 2**-shift, is searched in the course
of a fit: tensor by tensor as coarse as distortion + lmbda * bits wants it, as in Cool-Chic (Ladune et al. 2023, section
3.4), but before the last part of the run, which then makes good most of what rounding took.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch

from ..entropy.laplace import MAX_VALUE, cost_bits
from ..entropy.streams import best_scale
from .context import FRACTION
from .model import FieldModel

__all__ = ["add_price", "network_bits", "price_factor", "priced", "search", "tensor_bits"]

_PER_SIZE = 2 * math.e  # of the mean size of a Laplace distribution in steps: its entropy is the logarithm of this
_EARLY_SHIFT, _EARLY_CONTEXT_SHIFT = 7, 4  # roughly what the search finds; used for prices before it


def network_bits(model: FieldModel) -> torch.Tensor:
    """Bits of all tensors of both networks, as a smooth function: that of a Laplace distribution of their mean size."""
    return sum(t.numel() * torch.log2(1 + price_factor(shift) * t.abs().mean()) for t, shift in priced(model))


def price_factor(shift: float) -> float:
    """What a tensor's mean size is multiplied by for the bits of an entry."""
    return _PER_SIZE * 2.0**shift


@torch.no_grad()
def add_price(model: FieldModel, price: float) -> None:
    """Adds the gradients of price * `network_bits` to those that the tensors have."""
    for tensor, shift in priced(model):
        values, factor = tensor.detach(), price_factor(shift)
        if values.is_cuda:  # nothing is waited for
            gradient = values.sign() * (price / math.log(2.0) * factor / (1 + factor * values.abs().mean()))
        else:  # in numpy, whose calls take a fifth of the time of torch's; arrays share memory with tensors on a CPU
            array = values.numpy()
            slope = price / math.log(2.0) * factor / (1 + factor * float(np.abs(array).mean()))
            gradient = torch.from_numpy(np.sign(array) * np.float32(slope))
        if tensor.grad is None:
            tensor.grad = gradient
        else:
            tensor.grad += gradient


def priced(model: FieldModel) -> list[tuple[torch.Tensor, float]]:
    """Every tensor with the shift that it has or will roughly have."""
    context = model.grid.context
    found = list(zip(model.tensors, model.shifts or [_EARLY_SHIFT] * len(model.tensors)))
    if context is not None:
        tensors = context.tensors()
        found += zip(tensors, context.shifts or [_EARLY_CONTEXT_SHIFT] * len(tensors))
        found += [(bias, math.log2(FRACTION)) for bias in context.biases]
    return found


def tensor_bits(tensor: torch.Tensor, shift: int) -> float:
    """Bits of a tensor that is rounded to multiples of 2**-shift, as `entropy.streams` codes it."""
    integers = np.rint(tensor.detach().cpu().numpy().ravel() * 2.0**shift).clip(-MAX_VALUE, MAX_VALUE).astype(np.int64)
    return float(cost_bits(integers, 0, best_scale(integers)).sum())


def search(shifts: Sequence[int], tensors: Sequence[torch.Tensor], loss: Callable[[list[int]], float]) -> list[int]:
    """Shifts no finer than those given: each in turn is lowered while loss(shifts), in bits, and the tensor's bits fall."""
    chosen = list(shifts)
    fixed = loss(chosen)
    for k, tensor in enumerate(tensors):
        best = fixed + tensor_bits(tensor, chosen[k])
        while chosen[k] > 0:
            tried = [*chosen[:k], chosen[k] - 1, *chosen[k + 1 :]]
            lost = loss(tried)
            total = lost + tensor_bits(tensor, tried[k])
            if total >= best:
                break
            chosen, fixed, best = tried, lost, total
    return chosen
