"""Torch twins of the encodings: trainable rows a level, how they are rounded, and what they cost.

A twin keeps `theta[l]` (rows, F_l) and a `row_map[l]` from vertices to rows. One file an encoding, of the same name
as its numpy meaning in `nfcodec.encodings`.
"""

from __future__ import annotations

import importlib
import math
from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from ...entropy.context import ContextNet
from ...spec import InputSpec
from .. import fused
from ..context import ContextModel
from ..deferred import Deferred
from ..plan import Box, Plan, Planner, share_out
from ..quantizers import hard_round, noisy_round


@dataclass(frozen=True)
class Rounding:
    """How integers are imitated in a step: soft with noise, or hard with the slope of soft rounding."""

    temperature: float = 0.3
    sigma: float = 0.2
    hard: bool = False

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        if self.hard:
            return hard_round(x, self.temperature)
        if fused.is_available(x):
            return fused.noisy_round(x, self.temperature, self.sigma)
        return noisy_round(x, self.temperature, self.sigma)


class GridTwin(nn.Module):
    """Base of the twins. steps: (L,) the float value of one integer step of each level's features."""

    uses_context = False
    packs = True  # whether plans pack the inputs of the context network, as a CPU wants them

    def __init__(self, spec: InputSpec, steps: tuple[float, ...]):
        super().__init__()
        self.spec = spec
        self.steps = steps
        self.context: ContextModel | None = None
        self.theta = nn.ParameterList()
        self.row_maps: list[np.ndarray] = []

    @abstractmethod
    def values(
        self, plan: Plan, rounding: Rounding, picked: list[torch.Tensor] | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """(v of integers, v of features): the step's values, laid out as `Plan` says, the last one 0.

        picked: the plan's rows of every level, where an optimiser has taken them out already.
        """

    def features(
        self, v: torch.Tensor, plan: Plan, phase: tuple[int, ...], stride: int, shapes: torch.Tensor | None
    ) -> torch.Tensor:
        """Features (F, M) at the tile's samples phase, phase + stride, ... along each axis, from the second of `values`.
        shapes: (L, 2) of the levels' kernels, where they have any."""
        return self.join(self.interpolated(v, plan, phase, stride, shapes))

    def seen(
        self, v: torch.Tensor, plan: Plan, phase: tuple[int, ...], stride: int, shapes: torch.Tensor | None
    ) -> torch.Tensor | Deferred:
        """`features` as `FieldModel.squared_error` takes them, where that is sooner done."""
        return self.features(v, plan, phase, stride, shapes)

    def block_starts(self, shape: tuple[int, ...]) -> np.ndarray:
        """The first sample, in raster order, of each block that `FieldModel.squared_error` looks at as a whole, of a
        lattice of this shape."""
        return np.arange(0, math.prod(shape), fused.SAMPLES)

    def interpolated(
        self, v: torch.Tensor, plan: Plan, phase: tuple[int, ...], stride: int, shapes: torch.Tensor | None
    ) -> list[torch.Tensor]:
        """What `join` takes, of the arguments of `features`."""
        parts = []
        for block in plan.blocks:
            shape = None if shapes is None else shapes[block.read.level]
            if block.axes is None and fused.interpolates(v, block, stride, shape):
                parts.append(fused.interpolate(v, block, phase, stride, shape))
                continue
            x = block.cut(v)
            first = phase if block.axes is None else [phase[axis] for axis in block.axes]
            for k, weights in enumerate(block.weights):
                if weights is None:
                    if first[k] or stride > 1:
                        x = x[(slice(None),) * (k + 1) + (slice(first[k], None, stride),)]
                    continue
                x = weights.along(x, k + 1, shape, first[k], stride)
            parts.append(x)
        return parts

    def plans(self, boxes: list[Box], extent: tuple[int, ...]) -> list[Plan]:
        """The plans of tiles, which are boxes (start, stop) of samples that cover a lattice of this extent."""
        planner = self.planner()
        plans = [planner.block(start, stop, extent) for start, stop in boxes]
        if not self.uses_context:
            share_out(plans, [theta.shape[1] for theta in self.theta])
        return plans

    def contextual(self, plan: Plan) -> tuple[GridTwin, Plan]:
        """Of a twin that uses a context network, the part that does, and what of a plan is that part's."""
        return self, plan

    @abstractmethod
    def bits(self, plan: Plan, v: torch.Tensor) -> torch.Tensor:
        """Bits (scalar) of the values that the plan owns."""

    def planner(self) -> Planner:
        """What plans tiles for this twin."""
        return Planner(self.spec, self.row_maps, self.uses_context, self.packs)

    def join(self, parts: list[torch.Tensor]) -> torch.Tensor:
        """Of the blocks of a plan (F, *M) -> what the network sees (n_inputs, M)."""
        return torch.cat([x.reshape(len(x), -1) for x in parts])

    def layers(self) -> list[list[torch.Tensor]]:
        """The twin's own networks and tables, as `optimizer.Soap` takes them."""
        return []

    def context_net(self) -> ContextNet | None:
        """The integers of the context network, for encodings that have one."""
        return None

    @abstractmethod
    def freeze(self) -> list[dict[str, np.ndarray]]:
        """The integers of every level, as the numpy encoding keeps them."""


def lay_out(theta, steps, plan: Plan, rounding: Rounding, picked) -> tuple[torch.Tensor, torch.Tensor]:
    """(integers, features) of the rows that a plan reads, laid end to end with a closing 0."""
    picked = picked or [t.index_select(0, r) for t, r in zip(theta, plan.rows)]
    integers = rounding(torch.cat([p.t().reshape(-1) for p in picked]))
    scale = torch.cat([integers.new_full((p.numel(),), s) for s, p in zip(steps, picked)])
    zero = integers.new_zeros(1)
    return torch.cat([integers, zero]), torch.cat([integers * scale, zero])


def load(name: str) -> type[GridTwin]:
    """The twin of the encoding of that name."""
    return importlib.import_module(f"{__name__}.{name.replace('-', '_')}").Twin
