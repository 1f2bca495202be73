"""The trainable twin of `Field`: a grid twin and the per-point network, evaluated on one tile at a time."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import islice

import numpy as np
import torch
from torch import nn

from ..activations import load
from ..header import MAX_SHIFT, mlp_shapes
from ..pack import Frozen
from ..spec import SHAPE_PARTS, CompositeSpec, FieldSpec, InputSpec
from . import activations, fused
from .deferred import Deferred
from .encodings import GridTwin, Rounding
from .plan import Plan
from .quantizers import straight_through

MAX_NETWORK_SHIFT = 16
_NUMBER_BITS = 12  # of the largest number of an activation
_USUAL_WIDTH, _WIDE_POWER, _MOST_HASTE = 64, 1.5, 4.0
_WIDEST = 48  # neurons; of wider layers matrix products are the work


class FieldModel(nn.Module):
    """spec and grid as in `Field`; the network's tensors are in the order of `header.mlp_shapes`.

    `shapes` (L, 2), where the spec has any, are those of its kernels before they are rounded: of the levels that have some,
    where encodings are side by side. Once `shifts` is set, every
    use of the network sees its tensors rounded to multiples of 2**-shift.
    """

    def __init__(
        self, spec: FieldSpec, grid: GridTwin, skip: np.ndarray, bias: np.ndarray, numbers: tuple[float, ...] | None = None
    ):
        """skip (C, F), bias (C,): the linear map that the fit starts from; the hidden layers start silent, but without a
        grid, where they are all that there is. numbers: of the activation, its usual ones if None."""
        super().__init__()
        self.spec, self.grid = spec, grid
        self.activation = activations.load(spec.mlp.activation)
        parameters = load(spec.mlp.activation).parameters if spec.mlp.n_hidden_layers else ()
        numbers = tuple(p.default for p in parameters) if numbers is None else numbers
        shapes = mlp_shapes(spec.mlp)[: -1 if parameters else None]
        self.tensors = nn.ParameterList(nn.Parameter(torch.zeros(shape)) for shape in shapes)
        pairs = list(zip(self.tensors[:-1:2], self.tensors[1:-1:2])) if spec.mlp.n_hidden_layers else []
        with torch.no_grad():
            for k, (weight, offset) in enumerate(pairs[: -1 if len(grid.theta) else None]):
                self.activation.start(weight, offset, k == 0, *numbers)
            self.tensors[-1].copy_(torch.from_numpy(skip))
            self.tensors[-2 if pairs else 0].copy_(torch.from_numpy(bias))
        # (hidden layers, P) the numbers, and the shift of their rounding: they are few, and exact enough at once
        self.numbers, self.numbers_shift = None, 0
        if parameters:
            start = torch.tensor([numbers] * spec.mlp.n_hidden_layers)
            self.numbers = nn.Parameter(start, requires_grad=self.activation.learns)
            whole_bits = math.ceil(math.log2(max(map(abs, numbers)) + 1e-6))
            self.numbers_shift = min(max(_NUMBER_BITS - whole_bits, 0), MAX_SHIFT)
        self.shifts: list[int] | None = None
        self.register_buffer("shapes", torch.tensor(spec.grid.shapes) if spec.grid.shapes else None)

    def network(self) -> list[torch.Tensor]:
        """The tensors as the decoder will see them."""
        if self.shifts is None:
            return list(self.tensors)
        return [straight_through(t, torch.round(t * 2.0**s) * 2.0**-s) for t, s in zip(self.tensors, self.shifts)]

    def layers(self) -> list[list[torch.Tensor]]:
        """The tensors, weights with the biases of their layer."""
        *layers, skip = self.tensors
        if len(layers) == 1:  # no hidden layers: biases and skip are the only layer
            return [[skip, layers[0]]]
        learned = [[self.numbers]] if self.numbers is not None and self.numbers.requires_grad else []
        return [*([w, b] for w, b in zip(layers[::2], layers[1::2])), [skip], *learned]

    @property
    def is_plain(self) -> bool:
        """Whether the network is what kernels and second-order steps are for: a small one of ReLUs."""
        return self.spec.mlp.activation == "relu" and self.spec.mlp.n_neurons <= _WIDEST

    @property
    def adam_rate(self) -> float:
        """The rate that suits the network, where `Adam` moves it: the wider, the less."""
        share = _USUAL_WIDTH / max(self.spec.mlp.n_neurons, 1)
        return self.activation.rate * (share**_WIDE_POWER if share < 1 else min(share, _MOST_HASTE))

    def rounded_numbers(self) -> torch.Tensor:
        """(hidden layers, P): the activation's numbers as the decoder will see them."""
        scale = 2.0**self.numbers_shift
        return straight_through(self.numbers, torch.round(self.numbers * scale) / scale)

    def choose_shifts(self, fineness: float) -> None:
        """Fixes the rounding of the network: steps of about rms / fineness, a power of two a tensor.

        Biases and the skip are few and act on everything alike: an error there is an offset of the whole field.
        """
        last = len(self.tensors) - 1
        scales = [fineness * (32.0 if t.ndim == 1 or k == last else 1.0) for k, t in enumerate(self.tensors)]
        self.shifts = [network_shift(t.detach(), f) for t, f in zip(self.tensors, scales)]

    def set_shapes(self) -> None:
        """Has `spec` follow the kernels' shapes, which files keep in parts of 1 / SHAPE_PARTS."""
        if self.shapes is not None:
            limits = self.shapes.new_tensor([-2.0, 2.0 - 1 / SHAPE_PARTS])
            self.shapes.clamp_(*limits)
            rounded = (torch.round(self.shapes * SHAPE_PARTS) / SHAPE_PARTS).tolist()
            self.spec = replace(self.spec, grid=_with_shapes(self.spec.grid, [(b, c) for b, c in rounded]))

    def rounded_shapes(self) -> torch.Tensor | None:
        """(L, 2): the (b, c) of every level's kernel as a decoder has them, or None where kernels have none."""
        if self.shapes is None:
            return None
        return torch.round(self.shapes * SHAPE_PARTS) / SHAPE_PARTS

    def features(
        self, v: torch.Tensor, plan: Plan, phase: tuple[int, ...], stride: int, shapes: torch.Tensor | None = None
    ) -> torch.Tensor:
        """Features (F, M) at the tile's samples phase, phase + stride, ... along each axis. shapes: (L, 2) other than the
        model's own."""
        shapes = self.rounded_shapes() if shapes is None else shapes
        return self.grid.features(v, plan, phase, stride, shapes)

    def seen(self, v: torch.Tensor, plan: Plan, phase: tuple[int, ...], stride: int) -> torch.Tensor | Deferred:
        """`features` as `squared_error` and `first_output` take them."""
        if isinstance(v, list) or not self.is_fused(v):  # a list of encodings side by side
            return self.features(v, plan, phase, stride)
        return self.grid.seen(v, plan, phase, stride, self.rounded_shapes())

    def is_fused(self, x: torch.Tensor) -> bool:
        """Whether kernels run the network, on what lies where x does."""
        return self.spec.mlp.n_hidden_layers > 0 and self.is_plain and fused.is_available(x)

    def mlp(self, features: torch.Tensor) -> torch.Tensor:
        """Features (F, M) -> outputs (C, M)."""
        *layers, skip = self.network()
        if not self.spec.mlp.n_hidden_layers:
            return torch.addmm(layers[0][:, None], skip, features)
        h = features
        numbers = [()] * self.spec.mlp.n_hidden_layers if self.numbers is None else self.rounded_numbers()
        for w, b, own in zip(layers[:-2:2], layers[1:-2:2], numbers):
            h = self.activation(torch.addmm(b[:, None], w, h), *own)
        return torch.addmm(torch.addmm(layers[-1][:, None], skip, features), layers[-2], h)

    def squared_error(
        self, features: torch.Tensor | Deferred, target: torch.Tensor, weight: torch.Tensor | None
    ) -> torch.Tensor:
        """Sum over the points of weight * mean over channels of squared error; target (C, M), weight (M,) or None."""
        if isinstance(features, Deferred) or self.is_fused(features):
            *layers, skip = self.network()
            return fused.squared_error(features, target, weight, layers[::2], layers[1::2], skip)
        error = (self.mlp(features) - target).square().mean(0)
        return (error if weight is None else error * weight).sum()

    def first_output(self, features: torch.Tensor | Deferred, weight: torch.Tensor, least: float) -> torch.Tensor:
        """(M,) output 0, where the kernels run the network: of blocks of samples, those with a weight above `least`."""
        *layers, skip = self.network()
        return fused.first_output(features, weight, least, layers[::2], layers[1::2], skip)

    def forward(self, plan: Plan, rounding: Rounding, phase: tuple[int, ...], stride: int):
        """(outputs (C, M), integer values of the step as `Plan` lays them out)."""
        integers, values = self.grid.values(plan, rounding)
        return self.mlp(self.features(values, plan, phase, stride)), integers

    def freeze(self) -> Frozen:
        """Rounds everything to the integers of a file."""
        if self.shifts is None:
            self.choose_shifts(64.0)
        tensors = [
            torch.round(t.detach() * 2.0**s).cpu().numpy().astype(np.int32) for t, s in zip(self.tensors, self.shifts)
        ]
        shifts = list(self.shifts)
        if self.numbers is not None:
            numbers = torch.round(self.numbers.detach() * 2.0**self.numbers_shift)
            tensors, shifts = [*tensors, numbers.cpu().numpy().astype(np.int32)], [*shifts, self.numbers_shift]
        return Frozen(self.grid.freeze(), tensors, shifts, self.grid.context_net())


def _with_shapes(grid: InputSpec, shapes: list[tuple[float, float]]) -> InputSpec:
    """The grid, or encodings side by side, with other shapes of the kernels of those levels that have one."""
    if isinstance(grid, CompositeSpec):
        rest = iter(shapes)
        return replace(grid, parts=tuple(_with_shapes(p, list(islice(rest, len(p.shapes)))) for p in grid.parts))
    return replace(grid, shapes=tuple(shapes)) if shapes else grid


def network_shift(tensor: torch.Tensor, fineness: float) -> int:
    """The shift s for which 2**-s is about rms / fineness."""
    rms = tensor.square().mean().sqrt().item()
    return int(np.clip(round(math.log2(fineness / max(rms, 1e-6))), 0, MAX_NETWORK_SHIFT))
