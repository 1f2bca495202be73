"""One training step: distortion and bits of a tile, their gradients, and how latents follow them.

`PlainStep` is the meaning, by autograd, for every encoding and device; `fast.FastStep` is the same for dense grids on a
CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch

from .encodings import Rounding
from .model import FieldModel
from .optimizer import RowAdam
from .plan import Plan

__all__ = ["SLOPES_FROM", "Look", "PlainStep", "Tile", "error", "features", "shape_gradient", "slope_error"]

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
    slope: the weight of `slope_error`."""

    rounding: Rounding
    phase: tuple[int, ...]
    stride: int
    depth: int | None = None
    slope: float = 0.0

    def pick(self) -> tuple[slice, ...]:
        """The samples, for each axis of a block."""
        return tuple(slice(p, None, self.stride) for p in self.phase)


def features(model: FieldModel, tile: Tile, look: Look, picked=None) -> tuple[torch.Tensor, torch.Tensor]:
    """(integers as the plan lays them out, features (F, M) at the samples seen)."""
    integers, values = model.grid.values(tile.plan, look.rounding, picked)
    found = model.features(values, tile.plan, look.phase, look.stride)
    if look.depth is not None:
        seen = torch.arange(len(found)) < sum(map(model.spec.grid.width, range(look.depth)))
        found = found * seen.to(found)[:, None]
    return integers, found


def shape_gradient(model: FieldModel, tile: Tile, look: Look) -> torch.Tensor:
    """The gradient (L, 2) of the tile's squared error by the shapes of the kernels."""
    shapes = model.rounded_shapes().requires_grad_(True)
    with torch.no_grad():
        _, values = model.grid.values(tile.plan, look.rounding)
    found = model.features(values, tile.plan, look.phase, look.stride, shapes)
    return torch.autograd.grad(error(model, tile, found, look), shapes)[0]


def error(model: FieldModel, tile: Tile, found: torch.Tensor, look: Look) -> torch.Tensor:
    """Summed squared error (mean over channels) of the whole tile, as estimated from the samples seen."""
    pick = look.pick()
    target = tile.target[(slice(None), *pick)]
    weight = None if tile.weight is None else tile.weight[pick].reshape(-1)
    seen = model.squared_error(found, target.reshape(len(target), -1), weight)
    return seen * (tile.target[0].numel() / found.shape[1])


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
    """Gradients by autograd; latents follow by `RowAdam`."""

    def __init__(self, model: FieldModel):
        self.model, self.latents = model, RowAdam(model.grid.theta)
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
        integers, found = features(self.model, tile, look, self._picked)
        d, b = error(self.model, tile, found, look), self.model.grid.bits(tile.plan, integers)
        whole = d + look.slope * slope_error(self.model, tile, found, look) if look.slope else d
        (weights[0] * whole + weights[1] * b).backward()
        return d.item(), b.item()

    def move(self, index: int, tile: Tile, rate: float) -> Callable[[], object]:
        """Moves the latents of tile number `index`; what it returns has to be called before the next step."""
        self.latents.step(index, tile.plan, self._picked, rate)
        return lambda: None
