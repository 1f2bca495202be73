"""Single training steps of a fit, for tools/bench_speed.py and bench_gpu.py: how long they take and how many multiplications they are."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable

import numpy as np

from nfcodec.fit import presets
from nfcodec.fit.build import build
from nfcodec.fit.encodings import Rounding
from nfcodec.fit.fast import FastStep
from nfcodec.fit.source import Source, from_lattice
from nfcodec.fit.step import Look, PlainStep
from nfcodec.fit.train import Fit, Recipe
from nfcodec.kernels import rate, synthesis
from nfcodec.kernels.taps import N_TAPS
from nfcodec.spec import Signal

__all__ = [
    "loop_bytes", "loop_parts", "loop_seconds", "part_seconds", "prepare", "prepare_source", "step_flops", "step_seconds",
]  # fmt: skip

_RATE = 0.01
_LOOK = {"rounding": Rounding(0.3, 0.2)}
_REPLAYS = 50
_ROUNDS = 5  # over all tiles, after one that is not counted


def prepare(image: np.ndarray, lmbda: float, device: str = "cpu", encoding: str = "dense") -> Fit:
    """A fit of an image as `encode` would begin it."""
    return prepare_source(from_lattice(Signal("image", image)), lmbda, device, encoding)


def prepare_source(source: Source, lmbda: float, device: str = "cpu", encoding: str = "dense") -> Fit:
    """A fit of any signal as `encode` would begin it."""
    preset = presets.choose(source, lmbda, encoding, 5)
    return build(source, preset if device == "cpu" else presets.with_large_tiles(preset), 0, device)


def step_flops(fit: Fit) -> dict[str, float]:
    """Arithmetic of a step, a mean over the tiles, a multiplication with its addition being two: of the per-point network
    with the first axis of interpolation, and of the context network, forward and twice that backward. Rounding,
    the other axes and the optimisers are not counted.
    """
    spec, context = fit.model.spec, fit.model.grid.context
    widths = spec.mlp.widths
    n_features = spec.grid.n_inputs
    point = sum(a * b for a, b in zip(widths, widths[1:])) + n_features * (spec.channels + N_TAPS)
    latent = sum(w.numel() for w in context.weights) + context.skip.numel()
    n_points = statistics.fmean(math.prod(len(range(n)[::fit.stride]) for n in t.target.shape[1:]) for t in fit.tiles)
    n_latents = statistics.fmean(len(t.plan.gathers) for t in fit.tiles)
    return {"squared error": 6.0 * point * n_points, "context bits": 6.0 * latent * n_latents}


def step_seconds(fit: Fit, n_threads: int) -> float:
    """Seconds of a step, gradients and move, a mean over the tiles; n_threads 0 for the step by autograd."""
    stepper = FastStep(fit.model, fit.tiles, np.random.default_rng(0), n_threads) if n_threads else PlainStep(fit.model)
    rounds = []
    for _ in range(_ROUNDS + 1):
        start = time.perf_counter()
        _walk(fit, stepper)
        rounds.append((time.perf_counter() - start) / len(fit.tiles))
    return statistics.median(rounds[1:])


def loop_seconds(fit: Fit, precision: str) -> float:
    """Seconds of a step that is captured as a graph, of all products' operands in a precision."""
    import torch

    from nfcodec.fit.gpu.loop import SOFT, Loop

    loop = Loop(fit, Recipe(n_steps=2 * _REPLAYS), precision)
    loop.begin(0)
    rounds = []
    for _ in range(_ROUNDS + 1):
        loop.counter.zero_()
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(_REPLAYS):
            loop.replay(0, SOFT)
        torch.cuda.synchronize()
        rounds.append((time.perf_counter() - start) / _REPLAYS)
    return statistics.median(rounds[1:])


def loop_parts(fit: Fit, precision: str) -> dict[str, float]:
    """Seconds of each kernel of such a step, by its name."""
    from torch.profiler import ProfilerActivity, profile

    from nfcodec.fit.gpu.loop import SOFT, Loop

    loop = Loop(fit, Recipe(n_steps=2 * _REPLAYS), precision)
    loop.begin(0)
    loop.replay(0, SOFT)
    with profile(activities=[ProfilerActivity.CUDA]) as found:
        for _ in range(_REPLAYS):
            loop.replay(0, SOFT)
    return {e.key: 1e-6 * e.device_time_total / _REPLAYS for e in found.key_averages() if e.device_time_total}


def loop_bytes(fit: Fit) -> dict[str, int]:
    """Bytes that the kernels of a captured step on the first tile move at least, by the beginning of their names: each number
    that a launch takes read once, each that it leaves written once, as if between launches nothing stayed in a cache."""
    from nfcodec.fit.gpu.loop import Loop

    tile = Loop(fit, Recipe(n_steps=2)).tiles[0]
    m, n_features, channels = tile.pyramid.n_samples, tile.pyramid.n_features, len(tile.target)
    rows = fit.model.grid.context.n_gathered + 1
    return {
        "_lay_out": 28 * tile.n,
        "_adam": 36 * tile.n,
        "_lines": tile.pyramid.moved_bytes(),
        "_squared_error": (8 * n_features + 4 * channels + 4 * (tile.weight is not None)) * m,
        "_context_bits": (4 * rows + 2 + 12) * tile.gathers[0].shape[1],
    }


def part_seconds(fit: Fit) -> dict[str, float]:
    """Seconds of the two kernels of a step on one thread, means over the tiles."""
    spent: dict[str, list[float]] = {"squared error": [], "context bits": []}
    originals = synthesis.squared_error, rate.context_bits
    # the step looks both up when it is called
    synthesis.squared_error = _timed(originals[0], spent["squared error"])
    rate.context_bits = _timed(originals[1], spent["context bits"])
    try:
        stepper = FastStep(fit.model, fit.tiles, np.random.default_rng(0), 1)
        for _ in range(_ROUNDS + 1):
            _walk(fit, stepper)
    finally:
        synthesis.squared_error, rate.context_bits = originals
    n = len(fit.tiles)
    rounds = {name: [statistics.fmean(times[k : k + n]) for k in range(n, len(times), n)] for name, times in spent.items()}
    return {name: statistics.median(means) for name, means in rounds.items()}


def _timed(kernel: Callable, times: list[float]) -> Callable:
    def call(*arguments):
        start = time.perf_counter()
        value = kernel(*arguments)
        times.append(time.perf_counter() - start)
        return value

    return call


def _walk(fit: Fit, stepper: FastStep | PlainStep) -> None:
    """A step on every tile."""
    look = Look(**_LOOK, phase=fit.phases[0], stride=fit.stride)
    for index, tile in enumerate(fit.tiles):
        stepper.gradients(tile, look, (1e3, 1.0), wants_latents=True)
        stepper.move(index, tile, _RATE)()
        for t in [t for layer in [*fit.model.layers(), *fit.model.grid.layers()] for t in layer]:
            t.grad = None
