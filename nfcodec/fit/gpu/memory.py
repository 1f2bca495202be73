"""What the captured loop takes of a card's memory, worked out before any of it is allocated, and what there is."""

from __future__ import annotations

import math

import torch

from ..train import Fit
from . import tiles

__all__ = ["check", "loop_bytes", "pool"]

_MATRIX = 48  # bytes an entry of an axis' matrix takes while its taps are found, before any step
_SLACK = 128 << 20  # for small arrays, and for what CUDA keeps of graphs


def pool(device: torch.device) -> tuple[int, int] | None:
    """A part of a GPU's memory that steps captured as graphs may have in common where they are replayed one after another
    and leave nothing there: one for each would be 22 MiB of it, of which there may be 200. None in main memory."""
    return torch.cuda.graph_pool_handle() if device.type == "cuda" else None


def check(fit: Fit) -> None:
    """torch.OutOfMemoryError where the loop would take more of the GPU's memory than is free."""
    free, wanted = _free(fit.model.tensors[0].device), loop_bytes(fit) + _SLACK
    if wanted > free:
        raise torch.cuda.OutOfMemoryError(f"they take about {wanted / 2**30:.2f} GiB, {free / 2**30:.2f} GiB are free")


def _free(device: torch.device) -> float:
    if device.type != "cuda":
        return math.inf
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)  # which torch keeps for the next one
    return torch.cuda.mem_get_info(device)[0] + unused


def loop_bytes(fit: Fit) -> int:
    """Bytes that `loop.Loop` and a step of it take beside what the fit has already, but for what is small."""
    sizes = [tiles.n_bytes(tile, fit.model, fit.stride) for tile in fit.tiles]
    latents = sum(theta.numel() for theta in fit.model.grid.theta)
    steps = max(filled for _, filled in sizes) + 4 * 3 * latents  # and Adam's moments
    matrices = [math.prod(w.shape) for tile in fit.tiles for b in tile.plan.blocks for w in b.weights if w is not None]
    return sum(kept for kept, _ in sizes) + max(steps, _MATRIX * max(matrices, default=0))
