"""The step of `step.PlainStep` for dense grids on a CPU, without autograd: a few kernels that threads share.

    lay_out     latents -> rounded values, their slopes
    lines       values -> lattices interpolated along all axes but the first
    work        the per-point network with its error, and the context network with its bits, forward and backward
    move        gradients back through the lines, and Adam, while the caller looks after the networks

It is tested equal to `PlainStep`, but for its noise, which it takes from one long sequence at a random place.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass

import numpy as np
import torch

from . import fused
from .gathers import LANES
from .lines import AxisBands, Lines, make_lines, shape_of
from .model import FieldModel
from .optimizer import BETAS, EPS
from .step import FAR_SHARE, FAR_WEIGHT, SLOPES_FROM, Look, Tile

__all__ = ["FastStep"]

_NOISE = 1 << 20
_KEPT = 16  # layouts of a single axis whose tables stay


@dataclass(frozen=True)
class _Samples:
    """Those of one phase: the lines, which reads of a level that are shifted along the first axis alone share, and the taps
    of the first axis."""

    n_planes: int
    plane: int
    lines: list[Lines]
    rows: np.ndarray  # (F, n_planes) int32
    taps: np.ndarray  # (F, n_planes, MAX_TAPS) float32
    n_taps: np.ndarray  # (F,) int32


class _Layout:
    """What a step on a tile needs beside the tile, worked out at its first visit."""

    def __init__(self, model: FieldModel, tile: Tile):
        self.steps, self.blocks = model.grid.steps, tile.plan.blocks
        self.n_features = model.spec.grid.n_features
        places, offset = [], 0
        for rows, theta in zip(tile.plan.rows, model.grid.theta):
            n_rows, n_features = theta.shape
            places += [offset + f * n_rows + rows.numpy() for f in range(n_features)]
            offset += theta.numel()
        self.n = sum(len(p) for p in places)
        self.size = (self.n // LANES + 1) * LANES  # room for the closing 0
        self.places = np.zeros(self.size, np.int32 if offset < 1 << 31 else np.int64)
        self.places[: self.n] = np.concatenate(places)
        self._samples: dict[tuple[int, ...], tuple[bytes | None, _Samples]] = {}
        self._bands: dict[tuple, AxisBands] = {}
        self.is_far: dict[tuple[int, ...], np.ndarray] = {}  # by phase, (planes, blocks): see `FastStep._weights`
        self.n_visits = 0

    def samples(self, look: Look, block_shape: tuple[int, ...], shapes: torch.Tensor | None) -> _Samples:
        """What the phase of a look needs. shapes: (L, 2) of the kernels, None where they are fixed."""
        key = None if shapes is None else shapes.numpy().tobytes()
        known, found = self._samples.get(look.phase, (None, None))
        if found is None or known != key:
            found = self._make_samples(look, block_shape, shapes)
            self._samples[look.phase] = key, found
        return found

    def forget(self) -> None:
        """Lets tables go, which the next visit makes again."""
        self._samples.clear()

    def _make_samples(self, look: Look, block_shape: tuple[int, ...], kernels: torch.Tensor | None) -> _Samples:
        from ..kernels.synthesis import MAX_TAPS

        pick = look.pick()
        counts = [len(range(n)[p]) for n, p in zip(block_shape, pick)]
        # along a single axis everything is one plane
        n_planes, split = (counts[0], 1) if len(counts) > 1 else (1, 0)
        known: dict[tuple[int, tuple[int, ...]], Lines] = {}  # of a level and the other axes' shift
        rows, taps, n_taps, total = [], [], [], 0
        for block in self.blocks:
            level, shift = block.read
            step, n_features = self.steps[level], self.n_features[level]
            kernel = None if kernels is None else kernels[level]
            n_first = shape_of(block)[1] if split else 1
            key = level, shift[split:]
            if key not in known:
                known[key] = make_lines(block, n_first, total, list(zip(pick, counts))[split:], kernel, self._bands)
                total = known[key].stop
            weights = np.zeros((n_planes, MAX_TAPS), np.float32)
            if split and block.weights[0] is not None:
                axis = block.weights[0]
                first, width = axis.first[pick[0]], axis.width
                weights[:, :width] = axis.band(kernel)[pick[0]] * np.float32(step)
            else:
                first, width = np.arange(n_first)[pick[0]] if split else np.zeros(1, np.int64), 1
                weights[:, 0] = step
            plane = math.prod(counts[split:])
            for f in range(n_features):
                rows.append(known[key].start // plane + f * n_first + first)
                taps.append(weights)
                n_taps.append(width)
        arrays = np.array(rows, np.int32), np.array(taps, np.float32), np.array(n_taps, np.int32)
        return _Samples(n_planes, plane, list(known.values()), *arrays)


class FastStep:
    """As `step.PlainStep`. The model's grid has to be dense and on a CPU, and numba to be there: see `is_available`."""

    def __init__(self, model: FieldModel, tiles: list[Tile], generator: np.random.Generator, n_threads: int = 1):
        self.model, self.generator, self.n_threads = model, generator, n_threads
        self.theta = model.grid.flat.numpy()
        self.means, self.squares = np.zeros_like(self.theta), np.zeros_like(self.theta)
        self._layouts: dict[int, _Layout] = {}
        self._recent: list[_Layout] = []  # those of a single axis that have tables
        self._buffers: dict[str, np.ndarray] = {}
        self._noise = np.empty(0, np.float32)
        self._ones = np.ones(max(t.target[0].numel() for t in tiles), np.float32)

    @staticmethod
    def is_available(model: FieldModel) -> bool:
        """Whether this can do the steps of a model."""
        flat = getattr(model.grid, "flat", None)
        if (
            flat is None
            or not model.spec.mlp.n_hidden_layers
            or not model.is_plain
            or model.grid.theta[0].device.type != "cpu"
        ):
            return False
        return fused.is_available(flat)

    def gradients(self, tile: Tile, look: Look, weights: tuple[float, float], wants_latents: bool) -> tuple[float, float]:
        """As `PlainStep.gradients`."""
        from ..kernels.blocks import POINTS
        from ..kernels.rate import context_bits
        from ..kernels.synthesis import squared_error

        layout = self._layout(tile)
        samples = layout.samples(look, tuple(tile.target.shape[1:]), self.model.rounded_shapes())
        values, slope, companded, d_companded = (self._buffer(name, layout.size) for name in ("v", "s", "c", "dc"))
        self._lay_out(layout, look, values, slope, companded, d_companded)
        flat_lines = self._buffer("lines", samples.lines[-1].stop + POINTS)
        self._interpolate(samples.lines, values, flat_lines)

        pick = look.pick()
        target = tile.target[(slice(None), *pick)].reshape(len(tile.target), -1).numpy()
        scale = self._ones if tile.weight is None else self._weights(layout, tile, look, samples.plane)
        n_taps = samples.n_taps
        if look.depth is not None:
            n_taps = n_taps * (np.arange(len(n_taps)) < sum(layout.n_features[: look.depth]))
            n_taps = n_taps.astype(np.int32)
        share = tile.target[0].numel() / target.shape[1]
        decoder, context = _Packed.of_decoder(self.model), _Packed.of_context(self.model.grid.context)
        gathers = tile.plan.gathers
        limits = fused.LIMITS[self.model.grid.context.shifts is not None]
        size, n_lines = (layout.size, len(flat_lines)) if wants_latents else (0, 0)
        excess = 0.0
        if look.slope:
            numbers = (samples.plane, flat_lines, samples.rows, samples.taps, n_taps)
            target, excess = self._shift_targets(tile, look, numbers, decoder, target)
        d_values = self._buffer("dv", self.n_threads * size).reshape(self.n_threads, size)
        d_lines = self._buffer("dl", self.n_threads * n_lines).reshape(self.n_threads, n_lines)
        n_blocks = samples.n_planes * -(-samples.plane // POINTS), -(-len(gathers) // POINTS)
        own = [(decoder.zeros(), context.zeros()) for _ in range(self.n_threads)]

        def work(k: int) -> tuple[float, float]:
            (d_flat, d_skip), (d_flat_c, d_skip_c) = own[k]
            d_values[k], d_lines[k] = 0, 0
            (a, b), (c, d) = ((n * k // self.n_threads, n * (k + 1) // self.n_threads) for n in n_blocks)
            squared = squared_error(
                a, b, samples.plane, flat_lines, samples.rows, samples.taps, n_taps, target, scale, weights[0] * share,
                decoder.flat, decoder.widths, decoder.skip, d_lines[k], d_flat, d_skip,
            )  # fmt: skip
            bits = context_bits(
                c, d, len(gathers), values, companded, d_companded, gathers.runs, gathers.loose, gathers.constants,
                context.flat, context.widths, context.skip, limits, weights[1], d_values[k], d_flat_c, d_skip_c,
            )  # fmt: skip
            return squared, bits

        found = self._all(work)
        decoder.give(sum(d[0] for d, _ in own), sum(d[1] for d, _ in own))
        context.give(sum(c[0] for _, c in own), sum(c[1] for _, c in own))
        self._last = (layout, samples.lines, slope, d_values, d_lines)
        return share * (sum(e for e, _ in found) - excess / len(target)), sum(b for _, b in found)

    def move(self, index: int, tile: Tile, rate: float) -> Callable[[], object]:
        """As `PlainStep.move`; with more than one thread it goes on in the background."""
        if self.n_threads == 1:
            self._move(rate)
            return lambda: None
        return fused.pool().submit(self._move, rate).result

    def _move(self, rate: float) -> None:
        from ..kernels.rounding import adam

        layout, lines, slope, d_values, d_lines = self._last
        gradients = d_lines[0] if len(d_lines) == 1 else d_lines.sum(0)
        for some in lines:
            some.fill_back(gradients, d_values[0])
        layout.n_visits += 1
        first, second = BETAS
        adam(
            0, layout.size, layout.n, self.theta, self.means, self.squares, layout.places, d_values, slope,
            rate / (1 - first**layout.n_visits), first, second, 1 / (1 - second**layout.n_visits), EPS,
        )  # fmt: skip

    def _shift_targets(
        self, tile: Tile, look: Look, numbers: tuple, decoder: "_Packed", target: np.ndarray
    ) -> tuple[np.ndarray, float]:
        """Targets (C, M) that make errors of slopes part of the squared error, and what they add to it. numbers: of the
        samples, as `kernels.synthesis` takes them."""
        from ..kernels.blocks import POINTS
        from ..kernels.slopes import shift_targets
        from ..kernels.synthesis import first_output

        seen = tile.weight[look.pick()]
        weight, (n_planes, n_rows, n_columns) = seen.reshape(-1).numpy(), seen.shape
        n_blocks = n_planes * -(-n_rows * n_columns // POINTS)
        outputs, aimed = self._buffer("outputs", len(weight)), target.copy()

        def part(k: int, n: int) -> tuple[int, int]:
            return n * k // self.n_threads, n * (k + 1) // self.n_threads

        def look_first(k: int) -> None:
            network = decoder.flat, decoder.widths, decoder.skip
            first_output(*part(k, n_blocks), *numbers, weight, SLOPES_FROM, *network, outputs)

        def shift(k: int) -> float:
            shape = n_rows, n_columns
            return shift_targets(*part(k, n_planes), *shape, outputs, target[0], weight, look.slope, SLOPES_FROM, aimed[0])

        self._all(look_first)
        return aimed, sum(self._all(shift))

    def _lay_out(self, layout: _Layout, look: Look, *filled: np.ndarray) -> None:
        from ..kernels.rounding import lay_out

        if len(self._noise) < 2 * layout.size:
            self._noise = torch.randn(max(_NOISE, 2 * layout.size)).numpy()
        shift = int(self.generator.integers(len(self._noise) - layout.size))
        rounding = look.rounding
        temperature = 0.0 if rounding.hard else rounding.temperature
        vectors = layout.size // LANES

        def part(k: int) -> None:
            a, b = (vectors * j // self.n_threads * LANES for j in (k, k + 1))
            lay_out(a, b, layout.n, self.theta, layout.places, self._noise, shift, temperature, rounding.sigma, *filled)

        self._all(part)

    def _interpolate(self, lines: list[Lines], values: np.ndarray, out: np.ndarray) -> None:
        """Fills all lines, which threads take in turn."""

        def part(k: int) -> None:
            for some in lines[k :: self.n_threads]:
                some.fill(values, out)

        self._all(part)

    def _weights(self, layout: _Layout, tile: Tile, look: Look, plane: int) -> np.ndarray:
        """The weights of the samples seen; of blocks of samples that hardly count only some, with as much more weight."""
        from ..kernels.blocks import POINTS

        weight = tile.weight[look.pick()].numpy().reshape(-1, plane)
        if look.phase not in layout.is_far:
            largest = np.maximum.reduceat(weight, np.arange(0, plane, POINTS), axis=1)
            layout.is_far[look.phase] = largest < FAR_WEIGHT
        is_far = layout.is_far[look.phase]
        if not is_far.any():
            return weight.reshape(-1)
        is_seen = self.generator.random(is_far.shape, np.float32) < FAR_SHARE
        factor = np.where(is_far, is_seen * np.float32(1 / FAR_SHARE), np.float32(1))
        return (weight * np.repeat(factor, POINTS, axis=1)[:, :plane]).reshape(-1)

    def _layout(self, tile: Tile) -> _Layout:
        found = self._layouts.get(id(tile))
        if found is None:
            found = self._layouts[id(tile)] = _Layout(self.model, tile)
        if tile.target.ndim == 2:  # along a single axis tables are the most that a fit keeps, and quickly made
            self._recent = [*(other for other in self._recent if other is not found), found]
            if len(self._recent) > _KEPT:
                self._recent.pop(0).forget()
        return found

    def _buffer(self, name: str, n: int) -> np.ndarray:
        """n floats that are used again in the next step."""
        from ..kernels.blocks import scratch

        found = self._buffers.get(name)
        if found is None or len(found) < n:
            found = self._buffers[name] = scratch(n)
        return found[:n]

    def _all(self, part: Callable[[int], object]) -> list:
        """part(k) for every thread k."""
        futures: list[Future] = [fused.pool().submit(part, k) for k in range(1, self.n_threads)]
        return [part(0), *(future.result() for future in futures)]


class _Packed:
    """A network as the kernels want it, and its gradients on the way back."""

    def __init__(self, weights, biases, skip, owners: list[torch.Tensor]):
        """weights, biases, skip: as the network uses them; owners: the tensors that take the gradients, in this order."""
        from ..kernels.blocks import pack, pad

        arrays = [t.detach().numpy() for t in weights], [t.detach().numpy().reshape(-1) for t in biases]
        self.flat, self.widths = pack(*arrays)
        self.shapes = [w.shape for w in arrays[0]]
        self.padded = pad(skip.detach().numpy())
        self.skip, self.n_skip, self.owners = self.padded.reshape(-1), skip.shape, owners

    @classmethod
    def of_decoder(cls, model: FieldModel) -> "_Packed":
        *layers, skip = model.network()
        *owners, skip_owner = model.tensors
        return cls(layers[::2], layers[1::2], skip, [*owners[::2], *owners[1::2], skip_owner])

    @classmethod
    def of_context(cls, context) -> "_Packed":
        weights, biases, skip = context.layers()
        return cls(weights, biases, skip[None], [*context.weights, *context.biases, context.skip])

    def zeros(self) -> tuple[np.ndarray, np.ndarray]:
        """Where kernels add gradients of `flat` and `skip`."""
        return np.zeros_like(self.flat), np.zeros_like(self.skip)

    def give(self, d_flat: np.ndarray, d_skip: np.ndarray) -> None:
        """Leaves the gradients with the tensors."""
        from ..kernels.blocks import unpack

        weights, biases = unpack(d_flat, self.shapes)
        rows, columns = self.n_skip
        for owner, g in zip(self.owners, [*weights, *biases, d_skip.reshape(self.padded.shape)[:rows, :columns]]):
            owner.grad = torch.from_numpy(np.ascontiguousarray(g)).view(owner.shape)
