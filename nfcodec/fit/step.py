"""One training step: distortion and bits of a tile, their gradients, and how latents follow them.

`PlainStep` is the meaning, by autograd, for every encoding and device; `fast.FastStep` is the same for dense grids on a
CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch

from .deferred import Deferred
from .encodings import Rounding
from .model import FieldModel
from .optimizer import RowAdam
from .plan import Plan

__all__ = [
    "FAR_SHARE", "FAR_WEIGHT", "SLOPES_FROM", "Look", "PlainStep", "Tile", "error", "features", "shape_gradient",
    "slope_error",
]  # fmt: skip

FAR_WEIGHT, FAR_SHARE = 0.02, 0.125  # blocks of samples whose weights are all below it are looked at this often
SLOPES_FROM = 0.1  # the weight above which a sample's differences from its neighbours count


@dataclass
class Tile:
    """A block of the source: where it lies, what it holds, and how often it is worth a visit."""

    plan: Plan
    target: torch.Tensor  # (C, *block) in the network's units
    weight: torch.Tensor | None = None  # (*block), of squared errors; None for 1
    visits: float = 1.0  # expected visits an epoch, at most 1
    start: tuple[int, ...] = ()  # the block's first sample in the source


@dataclass(frozen=True)
class Look:
    """What of a tile a step sees: every stride-th sample from `phase` on, of the first `depth` levels (None for all).
    slope: the weight of `slope_error`. weight: (*samples) of squared errors, if not the tile's."""

    rounding: Rounding
    phase: tuple[int, ...]
    stride: int
    depth: int | None = None
    slope: float = 0.0
    weight: torch.Tensor | None = None

    def pick(self) -> tuple[slice, ...]:
        """The samples, for each axis of a block."""
        return tuple(slice(p, None, self.stride) for p in self.phase)


def features(model: FieldModel, tile: Tile, look: Look, picked=None) -> tuple[torch.Tensor, torch.Tensor | Deferred]:
    """(integers as the plan lays them out, features (F, M) at the samples seen)."""
    integers, values = model.grid.values(tile.plan, look.rounding, picked)
    found = model.seen(values, tile.plan, look.phase, look.stride)
    if look.depth is not None:
        if isinstance(found, Deferred):
            return integers, found.first(look.depth)
        n_seen = sum(map(model.spec.grid.width, range(look.depth)))
        found = found * (torch.arange(len(found)) < n_seen).to(found)[:, None]
    return integers, found


def shape_gradient(model: FieldModel, tile: Tile, look: Look) -> torch.Tensor:
    """The gradient (L, 2) of the tile's squared error by the shapes of the kernels."""
    shapes = model.rounded_shapes().requires_grad_(True)
    with torch.no_grad():
        _, values = model.grid.values(tile.plan, look.rounding)
    found = model.features(values, tile.plan, look.phase, look.stride, shapes)
    return torch.autograd.grad(error(model, tile, found, look), shapes)[0]


def error(model: FieldModel, tile: Tile, found: torch.Tensor | Deferred, look: Look) -> torch.Tensor:
    """Summed squared error (mean over channels) of the whole tile, as estimated from the samples seen."""
    return _error(model, tile, found, look, _target(tile, look))


def _error(model: FieldModel, tile: Tile, found, look: Look, target: torch.Tensor) -> torch.Tensor:
    weight = tile.weight[look.pick()] if look.weight is None and tile.weight is not None else look.weight
    seen = model.squared_error(found, target, None if weight is None else weight.reshape(-1))
    return seen * (tile.target[0].numel() / found.shape[1])


def _target(tile: Tile, look: Look) -> torch.Tensor:
    """(C, M)."""
    return tile.target[(slice(None), *look.pick())].reshape(len(tile.target), -1)


def _whole_error(
    model: FieldModel, tile: Tile, found: torch.Tensor | Deferred, look: Look
) -> tuple[torch.Tensor, float]:
    """(the error and, as the look says, that of slopes, whose gradient is wanted; how much of it is that of slopes)."""
    if not look.slope:
        return error(model, tile, found, look), 0.0
    if not isinstance(found, Deferred) and not (found.device.type == "cpu" and model.is_fused(found)):
        slopes = look.slope * slope_error(model, tile, found, look)
        return error(model, tile, found, look) + slopes, slopes.item()
    from ..kernels.slopes import shift_targets

    weight, target = tile.weight[look.pick()], _target(tile, look)
    outputs = model.first_output(found, weight.reshape(-1), SLOPES_FROM)
    aimed, (n_planes, *shape) = target.clone(), weight.shape
    excess = shift_targets(
        0, n_planes, *shape, outputs.numpy(), target[0].numpy(), weight.reshape(-1).numpy(), look.slope, SLOPES_FROM,
        aimed[0].numpy(),
    )  # fmt: skip
    share = tile.target[0].numel() / found.shape[1]
    return _error(model, tile, found, look, aimed), share * excess / len(target)


def slope_error(model: FieldModel, tile: Tile, found: torch.Tensor, look: Look) -> torch.Tensor:
    """Summed squared error of differences between neighbours along each axis, of output 0 where samples count, as estimated
    from the samples seen: the error of a gradient (a Sobolev norm), on the lattice of the steps. A pair counts as its
    lesser sample does. `error` divides by the number of channels, and so does this."""
    pick = look.pick()
    target, weight = tile.target[(slice(None), *pick)], tile.weight[pick]
    errors = model.mlp(found)[0].view(weight.shape) - target[0]
    weight = torch.where(weight > SLOPES_FROM, weight, 0.0)
    total = errors.new_zeros(())
    for axis in range(weight.ndim):
        n = weight.shape[axis]
        pairs = torch.minimum(weight.narrow(axis, 0, n - 1), weight.narrow(axis, 1, n - 1))
        total = total + (pairs * errors.diff(dim=axis).square()).sum()
    return total * (tile.target[0].numel() / (found.shape[1] * len(target)))


class PlainStep:
    """Gradients by autograd; latents follow by `RowAdam`.

    generator: draws which blocks of samples that hardly count are seen, with as much more weight; all are without one.
    """

    def __init__(self, model: FieldModel, generator: np.random.Generator | None = None):
        self.model, self.generator, self.latents = model, generator, RowAdam(model.grid.theta)
        self._picked: list[torch.Tensor] = []

    def gradients(
        self, tile: Tile, look: Look, weights: tuple[float, float], wants_latents: bool
    ) -> tuple[float, float]:
        """(summed squared error, bits) of the tile, and the gradients of weights[0] * error + weights[1] * bits, where
        errors of slopes add to the error as the look says: the networks' are left with their tensors, the latents' are kept
        for `move`."""
        self._picked = self.latents.pick(tile.plan)
        if not wants_latents:
            self._picked = [leaf.detach() for leaf in self._picked]
        look = self._thinned(tile, look)
        integers, found = features(self.model, tile, look, self._picked)
        bits = self.model.grid.bits(tile.plan, integers)
        whole, excess = _whole_error(self.model, tile, found, look)
        (weights[0] * whole + weights[1] * bits).backward()
        return whole.item() - excess, bits.item()

    def _thinned(self, tile: Tile, look: Look) -> Look:
        """The look with weights of 0 for most blocks of samples that hardly count, which kernels then pass over."""
        if tile.weight is None or self.generator is None or not self.model.is_fused(tile.weight):
            return look
        weight = tile.weight[look.pick()]
        starts = self.model.grid.block_starts(tuple(weight.shape))
        is_far = np.maximum.reduceat(weight.reshape(-1).numpy(), starts) < FAR_WEIGHT
        is_seen = self.generator.random(is_far.shape, np.float32) < FAR_SHARE
        factor = np.where(is_far, is_seen * np.float32(1 / FAR_SHARE), np.float32(1))
        thin = np.repeat(factor, np.diff(starts, append=weight.numel())).reshape(weight.shape)
        return replace(look, weight=weight * torch.from_numpy(thin))

    def move(self, index: int, tile: Tile, rate: float) -> Callable[[], object]:
        """Moves the latents of tile number `index`; what it returns has to be called before the next step."""
        self.latents.step(index, tile.plan, self._picked, rate)
        return lambda: None
