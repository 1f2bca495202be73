"""How finely a network's tensors are rounded: steps of 2**-shift, as coarse as distortion + lmbda * bits wants them.

A greedy search in the order of the tensors, as in Cool-Chic (Ladune et al. 2023, section 3.3), done once in the course of a
fit; the network then goes on learning in these steps and makes up for most of what they cost.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from ..entropy.laplace import MAX_VALUE, cost_bits
from ..entropy.streams import best_scale


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
