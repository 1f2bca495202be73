"""The costly parts of a training step on a GPU, in Triton: the contracts of `fit.fused`, a file each, and who may use them.

    network.py        small networks on a block of points that stays in registers, forward and backward; shared
    synthesis.py      the per-point network with its squared error
    rate.py           the context network with the bits of latents, gathered
    interpolation.py  values at indices, as the rows of hash tables, interpolated along all axes
    rounding.py       noisy soft rounding with its slope; what a captured step does to latents

and of dense and hash grids the whole loop, whose steps are captured and replayed:

    loop.py           the loop, a step being a graph of the launches of this folder
    tiles.py          what a step does with a tile, by the kind of the grid
    pyramid.py        of dense grids: all reads of all levels interpolated, an axis at a time
    points.py         of others: gathered, interpolated and through the network in one launch, at any points
    tables.py         bits of tables, a scale a column
    optimizer.py      all networks moved in one launch
    warm_up.py        the context network's first steps
    capture.py        launches as CUDA graphs
    flat.py           networks and latents as the arrays that launches take
    memory.py         what the loop takes of a card's memory, and what there is

Where one of them does not work, `fallback.py` leads to the next slower way.

Triton is imported when a function is first used. The functions take tensors on a GPU, and tensors in main memory where
Triton interprets (TRITON_INTERPRET=1 before it is imported), which is how they are tested without one. Every kernel's
docstring counts what it moves and computes, at least, for a point: what a measurement has to be held against.
"""

from __future__ import annotations

import functools
import math
import warnings

import torch

from ...kernels import use_triton

__all__ = ["CAPTURED", "KERNELS", "TORCH", "give_up", "is_available", "is_given_up"]

_OLDEST = (8, 0)  # compute capability: the first with TF32 and bfloat16
CAPTURED, KERNELS, TORCH = "steps captured as CUDA graphs", "torch's steps with Triton's kernels", "torch alone"
_given_up: dict[tuple[str, int], int] = {}  # ways that failed on a device: the samples from which on a fit is not tried


def is_available(x: torch.Tensor) -> bool:
    """Whether the kernels take this tensor: float32 on a GPU for CUDA, and Triton is there, allowed, and works."""
    return _takes(x) and use_triton() and not is_given_up(KERNELS, x) and _works(x.get_device())


def is_given_up(way: str, x: torch.Tensor, n_samples: int = 0) -> bool:
    """Whether a way of fitting has failed on the tensor's device, for fits of any size or of so many samples or fewer."""
    return n_samples >= _given_up.get((way, x.get_device()), math.inf)


def give_up(way: str, x: torch.Tensor, n_samples: int = 0) -> None:
    """From now on in this process that way is not taken on the tensor's device by fits of n_samples or more."""
    _given_up[way, x.get_device()] = n_samples


def _takes(x: torch.Tensor) -> bool:
    return x.is_cuda and x.dtype == torch.float32


@functools.cache
def _works(device: int) -> bool:
    """Whether a small kernel can be compiled and run there: that takes a driver, and for some versions a C compiler."""
    if torch.version.cuda is None or torch.cuda.get_device_capability(device) < _OLDEST:
        return False
    try:
        from .rounding import noisy_round

        noisy_round(torch.zeros(16, device=f"cuda:{device}"), 0.3, 0.2)
        torch.cuda.synchronize(device)
    except Exception as error:  # whatever it is, torch alone does the same
        reason = (str(error).splitlines() or [""])[0]
        warnings.warn(f"fitting on a GPU: Triton's kernels fail ({type(error).__name__}: {reason}), torch is used instead")
        return False
    return True
