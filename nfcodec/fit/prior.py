"""Where the networks of a fit start: at what fits of other signals had in common.

`prior.npz` is made by tools/make_prior.py from pictures and volumes that it draws itself. Networks are kept without what
differs from signal to signal: features in units of the finest level's step, planes instead of channels, levels counted from
the finest. A fit for whose shapes there is nothing starts as it did: hidden layers at random and silent.
"""

from __future__ import annotations

import functools
import io
from importlib import resources

import numpy as np
import torch

from .context import ContextModel
from .model import FieldModel

__all__ = ["DEPTHS", "extract", "key_of", "load", "start"]

DEPTHS = 8  # levels from the finest on whose weights are kept; coarser ones start silent

Networks = dict[str, np.ndarray]


def key_of(model: FieldModel) -> str:
    """What has to be alike for networks to fit: axes, planes of a coarse and of the finest level, widths."""
    grid, mlp, context = model.spec.grid, model.spec.mlp, model.grid.context
    planes = f"{grid.n_dims}d{model.spec.channels}c{grid.n_features[0]}to{grid.n_features[-1]}"
    sizes = f"{mlp.n_neurons}x{mlp.n_hidden_layers}-{context.n_neurons}x{context.n_hidden_layers}"
    return f"{planes}-{sizes}-{'surface' if model.spec.origin is not None else 'lattice'}"


@functools.cache
def load() -> dict[str, Networks]:
    """The networks of `prior.npz` by key, float32."""
    data = resources.files(__package__).joinpath("prior.npz").read_bytes()
    found: dict[str, Networks] = {}
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        for name in archive.files:
            key, part = name.rsplit("/", 1)
            found.setdefault(key, {})[part] = archive[name].astype(np.float32)
    return found


@torch.no_grad()
def start(model: FieldModel, networks: Networks, transform: np.ndarray, is_silent: bool = False) -> None:
    """Sets both networks of a model that is still as `build` made it.

    transform: (C, C), channels to planes, orthogonal. is_silent: hidden layers of the decoder network are set, but have no
    effect yet. They expect latents that a fit has worked on, and take some visits to be better than without.
    """
    step, back = model.spec.steps[-1], torch.from_numpy(np.ascontiguousarray(transform.T))
    arrays = {name: torch.from_numpy(a) for name, a in networks.items()}
    first, *hidden = model.tensors[:-3:2]
    biases = model.tensors[1:-3:2]
    first.copy_(_to_levels(arrays["first"], model))
    for k, tensor in enumerate(hidden):
        tensor.copy_(arrays[f"hidden{k}"])
    for k, tensor in enumerate(biases):
        tensor.copy_(arrays[f"bias{k}"] * step)
    if not is_silent:
        weights, offset, skip = model.tensors[-3:]
        weights.copy_(back @ arrays["out"])
        offset.add_(back @ arrays["offset"] * step)
        skip.add_(back @ _to_levels(arrays["skip"], model))
    for k, tensor in enumerate(_context_tensors(model.grid.context)):
        tensor.copy_(arrays[f"context{k}"])


@torch.no_grad()
def extract(model: FieldModel, transform: np.ndarray, mean: np.ndarray) -> Networks:
    """The inverse of `start`, of a fitted model. mean: (C,) that the output's bias started from."""
    step, planes = model.spec.steps[-1], torch.from_numpy(np.ascontiguousarray(transform))
    weights, offset, skip = model.tensors[-3:]
    linear = torch.cat([torch.eye(len(planes))[:, :f] for f in model.spec.grid.n_features], 1)
    own = skip[:, : linear.shape[1]]  # a prior knows nothing of features around
    found = {
        "first": _from_levels(model.tensors[0], model),
        "out": planes @ weights,
        "offset": planes @ (offset - torch.from_numpy(mean)) / step,
        "skip": _from_levels(planes @ own - linear, model),
    }
    found |= {f"hidden{k}": tensor for k, tensor in enumerate(model.tensors[2:-3:2])}
    found |= {f"bias{k}": tensor / step for k, tensor in enumerate(model.tensors[1:-3:2])}
    found |= {f"context{k}": tensor for k, tensor in enumerate(_context_tensors(model.grid.context))}
    return {name: tensor.detach().numpy().copy() for name, tensor in found.items()}


def _context_tensors(context: ContextModel) -> list[torch.Tensor]:
    return [*context.weights, *context.biases, context.skip]


def _columns(model: FieldModel) -> list[tuple[int, int, int]]:
    """(first column, features, depth) of every level whose weights are kept, the finest at depth 0."""
    n_features = model.spec.grid.n_features
    starts = np.cumsum([0, *n_features])
    depths = range(len(n_features) - 1, -1, -1)
    return [(int(a), f, depth) for a, f, depth in zip(starts, n_features, depths) if depth < DEPTHS]


def _to_levels(kept: torch.Tensor, model: FieldModel) -> torch.Tensor:
    """(n, DEPTHS, F) -> (n, all features)."""
    out = torch.zeros(len(kept), model.spec.grid.n_inputs)
    for at, f, depth in _columns(model):
        out[:, at : at + f] = kept[:, depth, :f]
    return out


def _from_levels(weights: torch.Tensor, model: FieldModel) -> torch.Tensor:
    """The inverse of `_to_levels`; levels that the model does not have are 0."""
    kept = torch.zeros(len(weights), DEPTHS, max(model.spec.grid.n_features))
    for at, f, depth in _columns(model):
        kept[:, depth, :f] = weights[:, at : at + f]
    return kept
