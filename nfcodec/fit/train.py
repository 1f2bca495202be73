"""The loop: minimises distortion + lmbda * bits over the tiles of a signal, by the recipe below.

A step takes one tile, imitates rounding, and follows Adam. Noise and soft rounding anneal over the run; in the last
part values are rounded hard and networks are fixed to their integers. (C3, Kim et al. 2024, section 3.2; Cool-Chic 3,
Leguay et al. 2024; figures in spec/rationale.md.)
"""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

from .encodings import Rounding
from .model import FieldModel
from .plan import Plan
from .weights import choose_shifts, network_bits

_WARM_UP_TILES = 16
_NOTHING = 1e-12  # bits or squared error a sample that stand for none: constant signals have none
_STEER = 2.0  # how far a target may move lmbda in one run: the integer steps were chosen for its start


@dataclass(frozen=True)
class Recipe:
    """Settings of a run; defaults were chosen on images, a mesh and a volume (results/)."""

    n_steps: int = 1000
    lmbda: float = 1e-3
    network_rate: float = 0.01
    latent_rate: float = 0.03
    temperature: tuple[float, float] = (0.25, 0.08)
    sigma: tuple[float, float] = (0.15, 0.12)
    hard_from: float = 0.88  # share of the run after which rounding is hard
    integers_from: float = 0.6  # ... and networks are fixed to integers
    network_fineness: float = 32.0
    context_fineness: float = 16.0
    network_price: float = 0.0  # of a bit of the networks; above 0 it chooses their steps too, instead of the finenesses
    warm: bool = False  # continues a fit: no noise phase, small rates


@dataclass
class Tile:
    """A block of the source: where it lies, what it holds, and how often it is worth a visit."""

    plan: Plan
    target: torch.Tensor  # (C, *block) in the network's units
    weight: torch.Tensor | None = None  # (*block), of squared errors; None for 1
    visits: float = 1.0  # expected visits an epoch, at most 1


@dataclass
class Progress:
    """What a caller may show while the fit runs."""

    step: int
    n_steps: int
    seconds: float
    distortion: float  # running mean of weighted squared error a sample
    bits_per_sample: float


@dataclass
class Target:
    """Steers lmbda during a run so that bits or distortion a sample end near a goal."""

    bits_per_sample: float | None = None
    distortion: float | None = None

    def correction(self, distortion: float, bits: float) -> float:
        """The factor that lmbda should take, were rate and distortion to answer as they usually do."""
        if self.bits_per_sample is not None:
            return (max(bits, _NOTHING) / self.bits_per_sample) ** 1.6
        return (self.distortion / max(distortion, _NOTHING)) ** 1.3


@dataclass
class Fit:
    """A model with its tiles; `run` may be called again to go on with other settings."""

    model: FieldModel
    tiles: list[Tile]
    stride: int  # a step looks at every stride-th sample of its tile along each axis
    seed: int = 0
    deadline: float = math.inf
    on_progress: Callable[[Progress], None] | None = None
    generator: np.random.Generator = field(init=False)

    def __post_init__(self):
        self.generator = np.random.default_rng(self.seed)
        d = self.model.spec.n_dims
        self.phases = list(itertools.product(range(self.stride), repeat=d))
        self.n_samples = sum(t.target[0].numel() for t in self.tiles)

    def run(self, recipe: Recipe, target: Target | None = None) -> float:
        """Fits; returns the lmbda it ended with (another than the recipe's where a target steered it)."""
        model, grid = self.model, self.model.grid
        networks = list(model.tensors) + [p for name, p in grid.named_parameters() if not name.startswith("theta")]
        groups = [
            {"params": networks, "base": recipe.network_rate * (0.1 if recipe.warm else 1.0)},
            {"params": list(grid.theta), "base": recipe.latent_rate * (0.4 if recipe.warm else 1.0)},
        ]
        optimizer = torch.optim.Adam(groups, lr=1e-2, betas=(0.9, 0.99), fused=True)
        lmbda = recipe.lmbda
        start = time.monotonic()
        distortion = bits = None
        schedule = self._schedule()
        for step in range(recipe.n_steps):
            at = step / recipe.n_steps
            if time.monotonic() > self.deadline:
                at = 1.0
            rounding = self._rounding(recipe, at)
            if at >= recipe.integers_from and model.shifts is None:
                if recipe.network_price:
                    choose_shifts(self, lmbda / recipe.network_price)
                else:
                    model.choose_shifts(recipe.network_fineness)
                    grid.choose_shifts(recipe.context_fineness)
            for group in optimizer.param_groups:
                group["lr"] = group["base"] * max(0.01, 0.5 * (1 + math.cos(math.pi * at)))

            tile, factor = next(schedule)
            d, b = self._losses(tile, rounding)
            n = tile.target[0].numel()
            loss = (d / lmbda + b) * (factor / n)
            if recipe.network_price:
                loss = loss + network_bits(self) * (recipe.network_price / self.n_samples)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()

            # running means over about two epochs, weighted like the loss
            d_now, b_now = d.item() * factor, b.item() * factor
            keep = 1 - 1 / min(step + 1, 2 * len(self.tiles))
            scale = len(self.tiles) / self.n_samples
            distortion = d_now * scale if distortion is None else keep * distortion + (1 - keep) * d_now * scale
            bits = b_now * scale if bits is None else keep * bits + (1 - keep) * b_now * scale
            if target is not None and at > 0.3 and step > len(self.tiles):
                pull = 0.5 / len(self.tiles) if at < recipe.hard_from else 0.1 / len(self.tiles)
                lmbda *= min(max(target.correction(distortion, bits) ** pull, 0.9), 1.1)
                lmbda = min(max(lmbda, recipe.lmbda / _STEER), recipe.lmbda * _STEER)
            if self.on_progress is not None:
                self.on_progress(Progress(step + 1, recipe.n_steps, time.monotonic() - start, distortion, bits))
            if at == 1.0:
                break
        return lmbda

    def warm_up(self, n_steps: int = 120, n_values: int = 4096) -> None:
        """Teaches the rate model alone what the first latents look like, on few values a step: it starts from nothing,
        and until it knows that most values are 0 a fit pulls in the wrong direction."""
        grid = self.model.grid
        networks = [p for name, p in grid.named_parameters() if not name.startswith("theta")]
        if not grid.uses_context:
            return
        optimizer = torch.optim.Adam(networks, lr=0.02, betas=(0.9, 0.99), fused=True)
        rounding = Rounding(hard=True)
        chosen = self.generator.permutation(len(self.tiles))[:_WARM_UP_TILES]
        with torch.no_grad():
            known = [(self.tiles[i].plan, grid.values(self.tiles[i].plan, rounding)[0]) for i in chosen]
        known = [(plan, v) for plan, v in known if len(plan.own)]
        for step in range(n_steps if known else 0):
            for group in optimizer.param_groups:
                group["lr"] = 0.02 * max(0.1, 1 - step / n_steps)
            plan, v = known[step % len(known)]
            some = torch.from_numpy(self.generator.integers(0, len(plan.own), n_values)).to(v.device)
            part = Plan(plan.rows, own=plan.own[some], context=plan.context[:, some], constants=plan.constants[:, some])
            optimizer.zero_grad(set_to_none=True)
            (grid.bits(part, v) / n_values).backward()
            optimizer.step()

    def measure(self) -> tuple[float, float]:
        """(weighted squared error a sample, bits a sample) of the rounded model over all tiles."""
        rounding = Rounding(hard=True)
        d_sum = b_sum = 0.0
        with torch.no_grad():
            for tile in self.tiles:
                d, b = self._losses(tile, rounding)
                d_sum, b_sum = d_sum + d.item(), b_sum + b.item()
        return d_sum / self.n_samples, b_sum / self.n_samples

    def _rounding(self, recipe: Recipe, at: float) -> Rounding:
        if recipe.warm:
            return Rounding(recipe.temperature[1], 0.0, hard=True)
        mixed = [a + (b - a) * at for a, b in (recipe.temperature, recipe.sigma)]
        return Rounding(*mixed, hard=at >= recipe.hard_from)

    def _losses(self, tile: Tile, rounding: Rounding) -> tuple[torch.Tensor, torch.Tensor]:
        """Summed squared error (mean over channels) and bits of the whole tile, as estimated from one phase."""
        phase = self.phases[self.generator.integers(len(self.phases))]
        phase = tuple(p % n for p, n in zip(phase, tile.target.shape[1:]))  # an axis may be shorter than a stride
        integers, values = self.model.grid.values(tile.plan, rounding)
        features = self.model.features(values, tile.plan, phase, self.stride)
        pick = tuple(slice(p, None, self.stride) for p in phase)
        target = tile.target[(slice(None), *pick)]
        weight = None if tile.weight is None else tile.weight[pick].reshape(-1)
        error = self.model.squared_error(features, target.reshape(len(target), -1), weight)
        scale = tile.target[0].numel() / features.shape[1]
        return error * scale, self.model.grid.bits(tile.plan, integers)

    def _schedule(self):
        """Endless (tile, weight): every tile in random order each epoch, quiet ones seldom but with more weight."""
        while True:
            for i in self.generator.permutation(len(self.tiles)):
                tile = self.tiles[i]
                if self.generator.random() < tile.visits:
                    yield tile, 1.0 / tile.visits
