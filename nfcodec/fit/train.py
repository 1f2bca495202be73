"""The loop: minimises distortion + lmbda * bits over the tiles of a signal, by the recipe below.

A step takes one tile, imitates rounding, and follows Adam. Noise and soft rounding anneal over the run; in the last
part values are rounded hard and networks are fixed to their integers. (C3, Kim et al. 2024, section 3.2; Cool-Chic 3,
Leguay et al. 2024; figures in spec/rationale.md.)
"""

from __future__ import annotations

import itertools
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from . import gpu, weights
from .encodings import Rounding
from .fast import FastStep
from .gathers import LANES
from .model import FieldModel
from .optimizer import Adam, Soap
from .plan import Plan
from .step import Look, PlainStep, Tile, error, features, shape_gradient

_WARM_UP_TILES = 16
_WARM_UP_RATE = 0.02
_SEARCH_TILES = 4
_FINEST_OF_WIDE = 1024.0  # networks that are the whole field need more
_FINEST = 128.0  # parts of a tensor's RMS from which the search for coarser steps starts
_WARM_FROM = 0.7  # share of a run at which one that continues a fit begins
_NOTHING = 1e-12  # bits or squared error a sample that stand for none: constant signals have none
_NETWORK_BITS_EVERY = 16  # steps
_SHAPE_STEPS, _SHAPES_EVERY = 200, 8  # of the kernels' shapes in a run, each after so many steps at least
_SHAPE_RATE = 6.0  # of the networks' rate
_SHAPE_STRIDE = 2
_SWITCH_SECONDS = 1e-4  # between threads that want to run Python: a step takes some milliseconds, the usual interval 5
_STEER = 2.0  # how far a target may move lmbda in one run: the integer steps were chosen for its start


@dataclass(frozen=True)
class Recipe:
    """Settings of a run; defaults were chosen on images, a mesh and a volume (results/)."""

    n_steps: int = 1000
    lmbda: float = 1e-3
    network_rate: float = 0.015
    latent_rate: float = 0.1
    temperature: tuple[float, float] = (0.35, 0.08)
    sigma: tuple[float, float] = (0.2, 0.15)
    hard_from: float = 0.95  # share of the run after which rounding is hard and networks alone go on
    integers_from: float = 0.6  # ... and networks are fixed to integers
    progressive: float = 0.0  # share of the steps that look at the coarse levels alone
    network_price: float = 1.0  # of a bit of the networks, in bits of latents
    slope: float = 0.0  # weight of the errors of differences between neighbours, of weighted signals
    warm: bool = False  # continues a fit: only the last part of the schedule, with little noise and small rates

    def at(self, step: int) -> float:
        """Which share of the schedule a step is at."""
        at = step / self.n_steps
        return _WARM_FROM + (1 - _WARM_FROM) * at if self.warm else at

    def rates(self, at: float) -> tuple[float, float]:
        """Learning rates of networks and latents at a share of the schedule."""
        if at >= self.hard_from:  # latents that move over a hard edge only lose what they have
            return self.network_rate * 0.1 * (1 - at) / (1 - self.hard_from), 0.0
        decay = max(0.01, 0.5 * (1 + math.cos(math.pi * at / self.hard_from)))
        return self.network_rate * decay, self.latent_rate * decay

    def rounding(self, at: float) -> Rounding:
        """How integers are imitated at a share of the schedule."""
        share = min(at / self.hard_from, 1.0)
        mixed = [a + (b - a) * share for a, b in (self.temperature, self.sigma)]
        return Rounding(*mixed, hard=at >= self.hard_from)

    @property
    def shapes_every(self) -> int:
        """Steps from one of the kernels' shapes to the next."""
        return max(_SHAPES_EVERY, self.n_steps // _SHAPE_STEPS)


@dataclass(frozen=True)
class Stage:
    """What kind of steps: networks rounded to integers or not, latents too."""

    is_coded: bool
    is_hard: bool


@dataclass
class Progress:
    """Where a run is after some of its steps."""

    step: int
    n_steps: int
    seconds: float
    distortion: float  # running mean of weighted squared error a sample
    bits_per_sample: float
    lmbda: float

    @property
    def cost(self) -> float:
        """What the run minimises, in bits a sample, without the networks' own."""
        return self.distortion / self.lmbda + self.bits_per_sample


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

    def steer(self, lmbda: float, start: float, distortion: float, bits: float, pull: float) -> float:
        """The lmbda to go on with, not too far from that of the start. pull: how much of the correction is made at once."""
        lmbda *= min(max(self.correction(distortion, bits) ** pull, 0.9), 1.1)
        return min(max(lmbda, start / _STEER), start * _STEER)


@dataclass
class Fit:
    """A model with its tiles; `run` may be called again to go on with other settings."""

    model: FieldModel
    tiles: list[Tile]
    stride: int  # a step looks at every stride-th sample of its tile along each axis
    seed: int = 0
    deadline: float = math.inf
    generator: np.random.Generator = field(init=False)
    is_trying: bool = field(default=True, init=False)  # whether a run does what it has not done yet: see `gpu.fallback`

    def __post_init__(self):
        self.generator = np.random.default_rng(self.seed)
        d = self.model.spec.n_dims
        self.phases = list(itertools.product(range(self.stride), repeat=d))
        self.n_samples = sum(t.target[0].numel() for t in self.tiles)

    def run(self, recipe: Recipe, target: Target | None = None, tell: Callable[[Progress], None] | None = None) -> float:
        """Fits; returns the lmbda it ended with (another than the recipe's where a target steered it). tell: is told of
        the progress."""
        lmbda = recipe.lmbda
        with self.threads() as n_threads:
            for progress in self.steps(recipe, target, n_threads):
                lmbda = progress.lmbda
                if tell is not None:
                    tell(progress)
        return lmbda

    @contextmanager
    def threads(self) -> Iterator[int]:
        """How many threads steps may use. While `FastStep` makes them, torch's own, which wait by spinning, must not be in
        its way."""
        n_threads, interval = torch.get_num_threads(), sys.getswitchinterval()
        if not FastStep.is_available(self.model):
            yield n_threads
            return
        torch.set_num_threads(1)
        sys.setswitchinterval(_SWITCH_SECONDS)
        try:
            yield n_threads
        finally:
            torch.set_num_threads(n_threads)
            sys.setswitchinterval(interval)

    def steps(self, recipe: Recipe, target: Target | None = None, n_threads: int = 1) -> Iterator[Progress]:
        """Fits, step by step, or on a GPU some steps at a time; n_threads: as `threads` says, around it."""
        if not gpu.is_available(self.model.tensors[0]):
            return self._steps(recipe, target, n_threads)
        from .gpu import fallback

        return fallback.steps(self, recipe, target, lambda: self._steps(recipe, target, n_threads))

    def stage(self, recipe: Recipe, at: float) -> Stage:
        """Of the steps at a share of the schedule."""
        return Stage(self.model.shifts is not None or at >= recipe.integers_from, at >= recipe.hard_from)

    def _steps(self, recipe: Recipe, target: Target | None, n_threads: int) -> Iterator[Progress]:
        model = self.model
        if FastStep.is_available(model):
            stepper = FastStep(model, self.tiles, self.generator, n_threads)
        else:  # kernels pass over blocks of samples on a CPU alone
            stepper = PlainStep(model, self.generator if model.tensors[0].device.type == "cpu" else None)
        shapes = Soap([[model.shapes]], every=1) if model.shapes is not None else None
        networks = self._optimizers(recipe)
        lmbda = recipe.lmbda
        start = time.monotonic()
        distortion = bits = None
        schedule, stages = self.schedule(), set()
        for step in range(recipe.n_steps):
            at = recipe.at(step) if time.monotonic() <= self.deadline else 1.0
            stage = self.stage(recipe, at)
            self.is_trying = stage not in stages
            stages.add(stage)
            if stage.is_coded and model.shifts is None:
                self.choose_shifts(lmbda)
            rates = recipe.rates(at)

            index, factor = next(schedule)
            tile = self.tiles[index]
            look = self._look(recipe, at, tile)
            weight = factor / tile.target[0].numel()
            d, b = stepper.gradients(tile, look, (weight / lmbda, weight), wants_latents=rates[1] > 0)
            wait = stepper.move(index, tile, rates[1]) if rates[1] else None
            if recipe.network_price:
                weights.add_price(model, recipe.network_price / self.n_samples)
            for optimizer, pace in networks:
                optimizer.step(rates[0] * pace)
            if wait is not None:
                wait()
            if shapes is not None and step % recipe.shapes_every == 0 and rates[1]:
                self.follow_shapes(shapes, tile, look, rates[0])

            if not model.grid.theta:  # the network is all that there is
                if step % _NETWORK_BITS_EVERY == 0:
                    own_bits = weights.network_bits(model).item() / len(self.tiles)
                b = own_bits / factor
            # running means over about two epochs, weighted like the loss
            d_now, b_now = d * factor, b * factor
            keep = 1 - 1 / min(step + 1, 2 * len(self.tiles))
            scale = len(self.tiles) / self.n_samples
            if look.depth is None or distortion is None:
                distortion = d_now * scale if distortion is None else keep * distortion + (1 - keep) * d_now * scale
            bits = b_now * scale if bits is None else keep * bits + (1 - keep) * b_now * scale
            if target is not None and at > 0.3 and step > len(self.tiles):
                pull = 0.5 / len(self.tiles) if at < recipe.hard_from else 0.1 / len(self.tiles)
                lmbda = target.steer(lmbda, recipe.lmbda, distortion, bits, pull)
            yield Progress(step + 1, recipe.n_steps, time.monotonic() - start, distortion, bits, lmbda)
            if at == 1.0:
                break

    def _optimizers(self, recipe: Recipe) -> list[tuple[Soap | Adam, float]]:
        """What moves the networks, each with its pace: what the recipe's rate of networks is multiplied by."""
        own, others = self.model.layers(), self.model.grid.layers()
        if self.model.is_plain:
            return [(Soap([*own, *others]), 1.0)]
        return [(Adam(own), self.model.adam_rate / recipe.network_rate), (Soap(others), 1.0)]

    def follow_shapes(self, optimizer: Soap, tile: Tile, look: Look, network_rate: float) -> None:
        """A step of the kernels' shapes, which are few and need few: on every second sample of one tile."""
        stride = look.stride * _SHAPE_STRIDE
        phase = tuple(int(self.generator.integers(min(stride, n))) for n in tile.target.shape[1:])
        look = replace(look, phase=phase, stride=stride, depth=None, slope=0.0)
        self.move_shapes(optimizer, shape_gradient(self.model, tile, look), network_rate)

    def move_shapes(self, optimizer: Soap, gradient: torch.Tensor, network_rate: float) -> None:
        """Moves the kernels' shapes against a gradient (L, 2)."""
        self.model.shapes.grad = gradient
        optimizer.step(network_rate * _SHAPE_RATE)
        self.model.set_shapes()

    def warm_up(self, n_steps: int = 300, n_values: int = 4096) -> None:
        """Teaches the rate model alone what the first latents look like, on few values a step: it starts from nothing,
        and until it knows that most values are 0 a fit pulls in the wrong direction."""
        grid = self.model.grid
        if not grid.uses_context:
            return
        rounding = Rounding(hard=True)
        chosen = self.generator.permutation(len(self.tiles))[:_WARM_UP_TILES]
        plans = [grid.contextual(self.tiles[i].plan)[1] for i in chosen]
        grid, _ = grid.contextual(self.tiles[0].plan)
        with torch.no_grad():
            known = [(plan, grid.values(plan, rounding)[0]) for plan in plans]
        known = [(plan, v) for plan, v in known if len(plan.gathers) >= LANES]
        if not known:
            return
        rates = [_WARM_UP_RATE * max(0.1, 1 - step / n_steps) for step in range(n_steps)]

        def draw(n_vectors: int) -> np.ndarray:
            return self.generator.integers(0, n_vectors, n_values // LANES)

        def plainly() -> None:
            networks = Soap(grid.layers())
            for step, rate in enumerate(rates):
                plan, v = known[step % len(known)]
                part = Plan(plan.rows, gathers=plan.gathers.some(draw(len(plan.gathers) // LANES)))
                (grid.bits(part, v) / n_values).backward()
                networks.step(rate)

        if not gpu.is_available(known[0][1]):
            plainly()
            return
        from .gpu import fallback

        fallback.warm_up(self, grid, known, rates, draw, plainly)

    @torch.no_grad()
    def choose_shifts(self, lmbda: float) -> None:
        """Fixes how finely the networks are rounded, by what that costs on a few tiles."""
        model, grid = self.model, self.model.grid
        chosen = [self.tiles[i] for i in self.generator.permutation(len(self.tiles))[:_SEARCH_TILES]]
        scale = self.n_samples / sum(tile.target[0].numel() for tile in chosen)
        known = [(tile, *self._hard_features(tile)) for tile in chosen]
        model.choose_shifts(_FINEST if model.is_plain else _FINEST_OF_WIDE)

        def distortion(shifts: list[int]) -> float:
            model.shifts = shifts
            return scale / lmbda * sum(error(model, tile, found, look).item() for tile, _, found, look in known)

        model.shifts = weights.search(model.shifts, list(model.tensors), distortion)
        if grid.context is None:
            return
        grid.context.choose_shifts(_FINEST)

        def bits(chosen_shifts: list[int]) -> float:
            grid.context.shifts = chosen_shifts
            return scale * sum(grid.bits(tile.plan, integers).item() for tile, integers, _, _ in known)

        grid.context.shifts = weights.search(grid.context.shifts, grid.context.tensors(), bits)

    def measure(self) -> tuple[float, float]:
        """(weighted squared error a sample, bits a sample) of the rounded model over all tiles."""
        d_sum = b_sum = 0.0
        with torch.no_grad():
            for tile in self.tiles:
                integers, found, look = self._hard_features(tile)
                d_sum += error(self.model, tile, found, look).item()
                b_sum += self.model.grid.bits(tile.plan, integers).item()
        return d_sum / self.n_samples, b_sum / self.n_samples

    def _hard_features(self, tile: Tile) -> tuple[torch.Tensor, torch.Tensor, Look]:
        look = Look(Rounding(hard=True), self._phase(tile), self.stride)
        return *features(self.model, tile, look), look

    def _look(self, recipe: Recipe, at: float, tile: Tile) -> Look:
        """What of a tile a step sees, drawn at random where there is a choice."""
        n_levels = self.model.spec.grid.n_levels
        depth = None
        if n_levels > 1 and recipe.progressive and self.generator.random() < recipe.progressive:
            depth = int(self.generator.integers(1, n_levels))
        slope = recipe.slope if tile.weight is not None else 0.0
        return Look(recipe.rounding(at), self._phase(tile), self.stride, depth, slope)

    def _phase(self, tile: Tile) -> tuple[int, ...]:
        phase = self.phases[self.generator.integers(len(self.phases))]
        return tuple(p % n for p, n in zip(phase, tile.target.shape[1:]))  # an axis may be shorter than a stride

    def schedule(self) -> Iterator[tuple[int, float]]:
        """Endless (number of a tile, weight): every tile in random order each epoch, quiet ones seldom but with more
        weight."""
        while True:
            for i in self.generator.permutation(len(self.tiles)):
                visits = self.tiles[i].visits
                if self.generator.random() < visits:
                    yield i, 1.0 / visits
