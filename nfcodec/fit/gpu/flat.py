"""Networks and latents as flat arrays, of which a model's tensors are views."""

from __future__ import annotations

from collections.abc import Sequence

import torch

__all__ = ["flatten", "flatten_latents", "flatten_networks", "offset"]


def offset(t: torch.Tensor, flat: torch.Tensor) -> int:
    """Where in flat its view begins."""
    return (t.data_ptr() - flat.data_ptr()) // flat.element_size()


def flatten(tensors: Sequence[torch.Tensor | None]) -> torch.Tensor:
    """An array of tensors one after another, of which they are views from now on; None is a place for a number between."""
    gap = next(t for t in tensors if t is not None).new_zeros(1)
    flat = torch.cat([gap if t is None else t.detach().reshape(-1) for t in tensors])
    at = 0
    for t in tensors:
        if t is not None:
            t.data = flat[at : at + t.numel()].view(t.shape)
        at += 1 if t is None else t.numel()
    return flat


def flatten_networks(model) -> torch.Tensor:
    """The decoder's and, where there is one, the context network's, each with a place behind: see `optimizer`."""
    context = model.grid.context
    tensors = [*model.tensors, None]
    if context is not None:
        tensors += [t for layer in zip(context.weights, context.biases) for t in layer] + [context.skip]
    return flatten([*tensors, None])


def flatten_latents(rows: Sequence[torch.Tensor]) -> torch.Tensor:
    """Feature by feature, level by level."""
    theta = torch.cat([t.detach().t().reshape(-1) for t in rows])
    for part, t in zip(torch.split(theta, [t.numel() for t in rows]), rows):
        t.data = part.view(t.shape[1], t.shape[0]).t()
    return theta
