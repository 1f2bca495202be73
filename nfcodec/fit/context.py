"""Torch twin of the integer context network (spec/entropy.md): inputs of a value -> location and scale of a Laplace.

Kept in real units; `integers` gives the fixed-point weights of the file.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import nn

from ..entropy.context import MAX_HIDDEN, ContextNet
from .quantizers import straight_through

MAX_WEIGHT = 2047  # of the integer network
MAX_SHIFT = 12
MAX_BIAS = 1 << 17  # with 8 fractional bits
FRACTION = 256.0
_LARGEST_ROW = (1 << 30) / MAX_HIDDEN


def compand(x: torch.Tensor) -> torch.Tensor:
    """sign(x) log2(1 + |x|): keeps large latents from swamping the hidden layers."""
    return torch.sign(x) * torch.log2(1 + x.abs())


class ContextModel(nn.Module):
    """Gathered inputs (n_gathered, M) and constants (2, M) -> (mu (M,), log2 of the scale b (M,))."""

    def __init__(self, n_dims: int, multi: bool, n_gathered: int, n_neurons: int, n_hidden_layers: int):
        super().__init__()
        self.n_dims, self.multi, self.n_gathered = n_dims, multi, n_gathered
        self.n_neurons, self.n_hidden_layers = n_neurons, n_hidden_layers
        widths = [n_gathered + 2] + [n_neurons] * n_hidden_layers
        self.weights = nn.ParameterList()
        self.biases = nn.ParameterList()
        for n_in, n_out in zip(widths[:-1], widths[1:]):
            self.weights.append(nn.Parameter(torch.randn(n_out, n_in) * (1.0 / n_in) ** 0.5))
            self.biases.append(nn.Parameter(torch.zeros(n_out, 1)))
        self.weights.append(nn.Parameter(torch.zeros(2, widths[-1])))
        self.biases.append(nn.Parameter(torch.tensor([[0.0], [-0.5]])))
        self.skip = nn.Parameter(torch.zeros(1, n_gathered))
        self.shifts: list[int] | None = None  # of each layer's weights, then of the skip

    def forward(self, gathered: torch.Tensor, companded: torch.Tensor, constants: torch.Tensor):
        h = torch.cat([companded, constants])
        *weights, skip = self._rounded()
        for w, b in zip(weights[:-1], self.biases):
            h = torch.relu(torch.addmm(b, w, h))
        o = torch.addmm(self.biases[-1], weights[-1], h)
        return o[0] + (skip @ gathered)[0], o[1]

    def layers(self) -> tuple[list[torch.Tensor], list[torch.Tensor], torch.Tensor]:
        """(weights, biases, skip (G,)) as `forward` uses them."""
        *weights, skip = self._rounded()
        return weights, list(self.biases), skip[0]

    def choose_shifts(self, fineness: float) -> None:
        """Fixes the rounding of the weights: steps of about rms / fineness that leave no weight out of range."""
        self.shifts = []
        for w in self.tensors():
            rms, peak = w.detach().square().mean().sqrt().item(), w.detach().abs().max().item()
            wanted = round(math.log2(fineness / max(rms, 1e-6)))
            fits = math.floor(math.log2(MAX_WEIGHT / 1.5 / max(peak, 1e-6)))
            if w.ndim > 1 and w is not self.weights[0]:  # sums of the largest hidden values stay within 32 bits
                row = w.detach().abs().sum(1).max().item()
                fits = min(fits, math.floor(math.log2(_LARGEST_ROW / 1.5 / max(row, 1e-6))))
            self.shifts.append(int(np.clip(min(wanted, fits), 0, MAX_SHIFT)))

    def tensors(self) -> list[torch.Tensor]:
        """What `shifts` belong to, in their order."""
        return [*self.weights, self.skip]

    def _rounded(self) -> list[torch.Tensor]:
        tensors = self.tensors()
        if self.shifts is None:
            return tensors
        return [straight_through(t, torch.round(t * 2.0**s) * 2.0**-s) for t, s in zip(tensors, self.shifts)]

    def integers(self) -> ContextNet:
        """The network of the file."""
        if self.shifts is None:
            self.choose_shifts(64.0)
        tensors = [
            np.clip(np.rint(t.detach().cpu().numpy() * 2.0**s), -MAX_WEIGHT, MAX_WEIGHT).astype(np.int32)
            for t, s in zip(self.tensors(), self.shifts)
        ]
        biases = [
            np.clip(np.rint(b.detach().cpu().numpy()[:, 0] * FRACTION), -MAX_BIAS, MAX_BIAS).astype(np.int32)
            for b in self.biases
        ]
        return ContextNet(
            n_dims=self.n_dims,
            n_inputs=self.n_gathered + 2,
            multi=self.multi,
            n_neurons=self.n_neurons,
            n_hidden_layers=self.n_hidden_layers,
            weights=tensors[:-1],
            biases=biases,
            skip=tensors[-1][0],
            shifts=self.shifts,
        )
