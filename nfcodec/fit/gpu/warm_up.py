"""The context network's first lesson, `train.Fit.warm_up`, on a GPU: all of its steps are replays of a graph a tile."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from ..context import compand
from ..encodings import GridTwin
from ..gathers import LANES
from ..plan import Plan
from . import memory, rate
from .capture import capture
from .flat import flatten
from .network import Network
from .optimizer import NetworkOptimizer
from .rounding import SCHEDULE

__all__ = ["is_available", "warm_up"]


def is_available(grid: GridTwin) -> bool:
    """Whether the layers are small enough for a launch to move them."""
    return NetworkOptimizer.takes(grid.layers())


def warm_up(
    grid: GridTwin, known: Sequence[tuple[Plan, torch.Tensor]], rates: Sequence[float], draw: Callable[[int], np.ndarray],
    precision: str = "float32",
) -> torch.Tensor:  # fmt: skip
    """Steps of the context network against the bits of `draw(vectors of the plan)`, in turn on every (plan, values) known;
    returns the bits (steps,)."""
    device, context = known[0][1].device, grid.context
    net = Network.of(context.weights, context.skip)
    flat = flatten([*(t for layer in zip(context.weights, context.biases) for t in layer), context.skip, None])
    networks = NetworkOptimizer(flat, grid.layers(), [0] * len(grid.layers()))
    drawn = [draw(len(known[k % len(known)][0].gathers) // LANES) for k in range(len(rates))]
    vectors = torch.from_numpy(np.stack(drawn)).to(device)
    table = torch.zeros(len(rates), SCHEDULE)
    for k, step_rate in enumerate(rates):
        table[k, 6], table[k, 7] = step_rate, 1 - networks.soap.beta ** (k + 1)
    table, counter = table.to(device), torch.zeros(1, dtype=torch.int32, device=device)
    log, gradients = torch.zeros(len(rates), 2, device=device), torch.zeros_like(flat)
    factors = torch.full((2,), 1 / (vectors.shape[1] * LANES), device=device)

    def gradients_of(k: int) -> None:
        plan, values = known[k]
        own = vectors.index_select(0, counter)[0]
        parts = [t[:, : len(t[0]) // LANES * LANES].unflatten(1, (-1, LANES)) for t in plan.gathers.places(device)]
        places, constants = (t.index_select(1, own).flatten(1) for t in parts)
        bits = rate.launch(net, flat, values, companded[k], places, constants, None, False, True, precision)
        torch.sum(bits, 0, out=gradients)

    def step(k: int) -> None:
        gradients_of(k)
        networks.step(gradients, factors, 0.0, table, counter, log, (len(flat) - 1, len(flat) - 1))
        counter.add_(1)

    companded = [compand(values) for _, values in known]
    gradients_of(0)
    networks.start(gradients * factors[0])
    state, pool = [counter, log, *networks.state()], memory.pool(device)
    replays: list[Callable[[], None]] = []
    for k in range(len(rates)):
        if k < len(known):
            replays.append(capture(lambda k=k: step(k), state, pool))
        replays[k % len(known)]()
    return log[:, 0]
