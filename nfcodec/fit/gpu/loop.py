"""The loop of `train.Fit` on a GPU, for dense and hash grids: a step is a dozen launches, captured as one CUDA graph and
replayed.

What a step needs lies on the device: the schedule as a table whose row a counter names, networks and latents in one array
each, values and gradients of the tile in two spaces (`tiles`). The host only counts, and now and then looks at what the
steps have logged, moves the kernels' shapes, and, once, chooses how networks are rounded.

It is tested equal to `step.PlainStep` followed by `optimizer.Soap`, but for its noise.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
import torch

from ..encodings import Rounding
from ..model import FieldModel
from ..optimizer import BETAS, Soap
from ..step import Look
from ..train import Fit, Progress, Recipe, Stage, Target
from ..weights import add_price, price_factor, priced
from . import memory, tiles
from .capture import capture
from .flat import flatten_latents, flatten_networks, offset
from .network import Network
from .optimizer import NetworkOptimizer
from .rounding import SCHEDULE, adam, lay_out, soft_terms
from .tiles import LoopTile

__all__ = ["SOFT", "Loop", "is_available"]

_MOST_TILES = 64  # each is captured up to three times
_LOOK_EVERY = 64  # steps from one look at the log to the next
_PRECISION = "float16"  # of an image of 13 KB no worse than float32, and half the time (results/speed.tsv)


def is_available(fit: Fit, recipe: Recipe) -> bool:
    """Whether a fit's steps can be captured: of a dense or a hash grid alone, with small networks and few tiles, and no
    errors of slopes, which look at neighbours."""
    model = fit.model
    if getattr(model.spec.grid, "encoding", None) not in ("dense", "hash"):
        return False
    if not model.spec.mlp.n_hidden_layers or not model.is_plain or len(fit.tiles) > _MOST_TILES:
        return False
    if recipe.progressive or (recipe.slope and any(tile.weight is not None for tile in fit.tiles)):
        return False
    return NetworkOptimizer.takes(_layers(model))


SOFT = Stage(False, False)


class Loop:
    """`steps` is all there is to call."""

    def __init__(self, fit: Fit, recipe: Recipe, precision: str = _PRECISION):
        """precision: of products, see `network.PRECISIONS`."""
        self.fit, self.recipe, self.model = fit, recipe, fit.model
        model, grid = fit.model, fit.model.grid
        self.device = grid.theta[0].device
        *decoder, skip = model.tensors
        context = grid.context
        self.decoder = Network.of(decoder[::2], skip)
        self.context = None if context is None else Network.of(context.weights, context.skip)
        self.flat, self.theta = flatten_networks(model), flatten_latents(grid.theta)
        self.means, self.squares = torch.zeros_like(self.theta), torch.zeros_like(self.theta)
        self.gradients = torch.zeros_like(self.flat)
        groups = [0] * len(model.layers()) + [1] * len(grid.layers())
        self.networks = NetworkOptimizer(self.flat, _layers(model), groups)
        self.tiles = [tiles.make(tile, model, fit.stride, precision) for tile in fit.tiles]
        largest = max(tile.size for tile in self.tiles)
        self.space, self.d_space = (torch.zeros(largest, device=self.device) for _ in range(2))
        most = max(tile.n for tile in self.tiles) + 1
        self.slope, self.companded = (torch.zeros(most, device=self.device) for _ in range(2))
        self.counter = torch.zeros(1, dtype=torch.int32, device=self.device)
        self.table = torch.zeros(recipe.n_steps, SCHEDULE, device=self.device)
        self.log = torch.zeros(recipe.n_steps, 2, device=self.device)
        self.price = recipe.network_price / fit.n_samples
        self.ratio = torch.zeros(1, device=self.device)
        self._pool = memory.pool(self.device)
        self._replays: dict[tuple[int, Stage], Callable[[], None]] = {}
        self._visits = self._plan()
        self._weigh(recipe.lmbda)
        self._follow_shifts()

    def steps(self, target: Target | None = None) -> Iterator[Progress]:
        """As `Fit.steps`, `_LOOK_EVERY` at a time."""
        fit, recipe, model = self.fit, self.recipe, self.model
        visits = self._visits
        shapes = Soap([[model.shapes]], every=1) if model.shapes is not None else None
        means = _Means(fit)
        lmbda, start = recipe.lmbda, time.monotonic()
        for step, index in enumerate(visits):
            is_late = time.monotonic() > fit.deadline
            at = 1.0 if is_late else recipe.at(step)
            stage = fit.stage(recipe, at)
            fit.is_trying = (index, stage) not in self._replays
            if stage.is_coded and model.shifts is None:
                fit.choose_shifts(lmbda)
                self._follow_shifts()
            if is_late:
                break
            if step == 0:
                self.begin(index)
            rates = recipe.rates(at)
            self.replay(index, stage)
            if shapes is not None and step % recipe.shapes_every == 0 and rates[1]:
                self._move_shapes(shapes, index, recipe.rounding(at), rates[0])
            is_last = step + 1 == recipe.n_steps
            if (step + 1) % _LOOK_EVERY == 0 or is_last:
                means.add(self.log[means.n : step + 1].cpu().numpy(), visits[means.n : step + 1])
                if target is not None and at > 0.3 and step > len(self.tiles):
                    pull = min((0.5 if at < recipe.hard_from else 0.1) * _LOOK_EVERY / len(self.tiles), 0.5)
                    lmbda = target.steer(lmbda, recipe.lmbda, means.distortion, means.bits, pull)
                    self._weigh(lmbda)
                seconds = time.monotonic() - start
                yield Progress(step + 1, recipe.n_steps, seconds, means.distortion, means.bits, lmbda)

    def _plan(self) -> list[int]:
        """The numbers of the tiles that the steps see; fills the table for them."""
        schedule, recipe = self.fit.schedule(), self.recipe
        beta = self.networks.soap.beta
        rows, indices, n_visits = [], [], [0] * len(self.tiles)
        for step in range(recipe.n_steps):
            index = next(schedule)[0]
            indices.append(index)
            n_visits[index] += 1
            n, at = n_visits[index], recipe.at(step)
            rounding, rates = recipe.rounding(at), recipe.rates(at)
            first, second = (1 - b**n for b in BETAS)
            soft = *soft_terms(rounding.temperature), rounding.sigma
            rows.append((*soft, rates[1] / first, 1 / second, rates[0], 1 - beta ** (step + 1)))
        self.table.copy_(torch.tensor(rows))
        return indices

    def _weigh(self, lmbda: float) -> None:
        """Has the steps minimise distortion + lmbda * bits."""
        self.ratio.fill_(1 / lmbda)
        for tile in self.tiles:
            tile.factors.copy_(torch.tensor([tile.share / lmbda, tile.share]))

    def _follow_shifts(self) -> None:
        """Has the optimiser know how networks are rounded, as `weights.priced` and both networks say."""
        model, context = self.model, self.model.grid.context
        shifts = {id(t): s for t, s in priced(model)}
        tensors = list(zip(model.tensors, model.shifts or []))
        tensors += [] if context is None else list(zip(context.tensors(), context.shifts or []))
        parts = {id(t): 2.0**s for t, s in tensors}
        self.networks.set(lambda t: price_factor(shifts[id(t)]), lambda t: parts.get(id(t), 0.0))
        self.networks.effective.copy_(self.flat)
        for t, s in tensors:
            at = offset(t, self.flat)
            self.networks.effective[at : at + t.numel()] = (torch.round(t.detach() * 2.0**s) * 2.0**-s).reshape(-1)

    def _follow_kernels(self) -> None:
        for tile in self.tiles:
            tile.set_shapes(self.model.rounded_shapes())

    def begin(self, index: int) -> None:
        """The optimiser's bases, from the gradients of a first step on that tile, which moves nothing."""
        tile = self.tiles[index]
        self._follow_kernels()
        self._gradients(tile, Stage(self.model.shifts is not None, False))
        cut = self.decoder.size + 1
        total = torch.cat(
            [part * factor for part, factor in zip(self.gradients.split([cut, len(self.flat) - cut]), tile.factors)]
        )
        add_price(self.model, self.price)
        for t in [t for layer in _layers(self.model) for t in layer]:
            at = offset(t, self.flat)
            total[at : at + t.numel()] += t.grad.reshape(-1)
            t.grad = None
        self.networks.start(total)

    def _move_shapes(self, optimizer: Soap, index: int, rounding: Rounding, rate: float) -> None:
        """A step of the kernels' shapes, after one on the tile of that number."""
        tile, fit = self.tiles[index], self.fit
        if isinstance(tile, tiles.LatticeTile):
            spaces = self.space[: tile.size], self.d_space[: tile.size]
            fit.move_shapes(optimizer, tile.pyramid.shape_gradient(*spaces, self.model.rounded_shapes()), rate)
        else:
            look = Look(rounding, (0,) * self.model.spec.n_dims, fit.stride)
            fit.follow_shapes(optimizer, fit.tiles[index], look, rate)
        self._follow_kernels()

    def _gradients(self, tile: LoopTile, stage: Stage) -> None:
        """Of both networks, and unless the stage is hard of the values, in their space, by their bits and by the squared
        error over lmbda."""
        noise = None if stage.is_hard else torch.randn(tile.n, device=self.device)
        space, d_space = self.space[: tile.size], self.d_space[: tile.size]
        values, d_values = space[: tile.n + 1], d_space[: tile.n + 1]
        lay_out(self.theta, tile.places, noise, self.table, self.counter, values, self.companded, self.slope, d_values)
        flat = self.networks.effective if stage.is_coded else self.flat
        cut = self.decoder.size + 1
        bits = tile.bits(
            self.context, flat[cut:], self.theta, values, self.companded, None if stage.is_hard else d_values,
            stage.is_coded,
        )  # fmt: skip
        error = tile.error(self.decoder, flat[:cut], space, None if stage.is_hard else d_space, self.ratio)
        torch.sum(error, 0, out=self.gradients[:cut])
        torch.sum(bits, 0, out=self.gradients[cut:])

    def _step(self, tile: LoopTile, stage: Stage) -> None:
        self._gradients(tile, stage)
        if not stage.is_hard:
            adam(
                self.theta, self.means, self.squares, tile.places, self.d_space, self.slope, tile.share, self.table,
                self.counter,
            )  # fmt: skip
        values_at = self.decoder.size, len(self.flat) - 1
        self.networks.step(self.gradients, tile.factors, self.price, self.table, self.counter, self.log, values_at)
        self.counter += 1

    def replay(self, index: int, stage: Stage) -> None:
        """A step on a tile, captured the first time."""
        replay = self._replays.get((index, stage))
        if replay is None:
            tile = self.tiles[index]
            state = [self.theta, self.means, self.squares, self.counter, self.log, *self.networks.state()]
            replay = self._replays[index, stage] = capture(lambda: self._step(tile, stage), state, self._pool)
        replay()


class _Means:
    """Running means of distortion and bits a sample over about two epochs, weighted like the loss."""

    def __init__(self, fit: Fit):
        self.n, self._n_tiles = 0, len(fit.tiles)
        self._factors = [len(fit.tiles) / fit.n_samples / tile.visits for tile in fit.tiles]
        self.distortion = self.bits = 0.0

    def add(self, log: np.ndarray, visits: list[int]) -> None:
        """log (n, 2): squared error and bits of steps on the tiles visits (n,)."""
        for (d, b), index in zip(log.tolist(), visits):
            self.n += 1
            fresh = 1 / min(self.n, 2 * self._n_tiles)
            self.distortion += fresh * (d * self._factors[index] - self.distortion)
            self.bits += fresh * (b * self._factors[index] - self.bits)


def _layers(model: FieldModel) -> list[list[torch.Tensor]]:
    return [*model.layers(), *model.grid.layers()]
