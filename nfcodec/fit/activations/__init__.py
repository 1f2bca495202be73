"""Torch twins of the activations, and where the layers that they follow start. One file each, of the same name as its
numpy meaning in `nfcodec.activations`."""

from __future__ import annotations

import functools
import importlib
import math
from abc import ABC, abstractmethod

import torch

__all__ = ["ActivationTwin", "load", "uniform"]


class ActivationTwin(ABC):
    """A function of pre-activations that gradients pass through."""

    rate = 1e-2  # of Adam, of networks of 64 neurons; see `model.FieldModel.adam_rate` for others
    learns = False  # whether its numbers follow gradients, or stay as they were chosen

    @abstractmethod
    def __call__(self, v: torch.Tensor, *numbers: torch.Tensor) -> torch.Tensor:
        """As `nfcodec.activations.Activation.value`."""

    def start(self, weight: torch.Tensor, bias: torch.Tensor, is_first: bool, *numbers: float) -> None:
        """Sets a layer's weight (n_out, n_in) and bias (n_out,), which are 0, to where a fit begins: so that outputs are as
        large as inputs behind a ReLU (He et al. 2015)."""
        torch.nn.init.normal_(weight, 0, math.sqrt(2.0 / weight.shape[1]))


def uniform(weight: torch.Tensor, bias: torch.Tensor, bound: float) -> None:
    """Weights within +-bound, biases within one over the root of the number of inputs."""
    torch.nn.init.uniform_(weight, -bound, bound)
    torch.nn.init.uniform_(bias, -(weight.shape[1] ** -0.5), weight.shape[1] ** -0.5)


@functools.cache
def load(name: str) -> ActivationTwin:
    """The twin of the activation of that name."""
    return importlib.import_module(f"{__name__}.{name.replace('-', '_')}").Twin()
