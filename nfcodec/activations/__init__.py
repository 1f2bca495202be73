"""Activations of the network: values and their first two derivatives, float32, elementwise. One file each.

Each is listed in `spec.ACTIVATIONS`; `load` gives the one of a name. Where a derivative jumps it is that from below.
"""

from __future__ import annotations

import functools
import importlib
from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from ..spec import ACTIVATIONS, Parameter

__all__ = ["Activation", "load", "logistic"]


class Activation(ABC):
    """A function of v with numbers of its own, which a file has once a hidden layer."""

    name: ClassVar[str]
    parameters: ClassVar[tuple[Parameter, ...]] = ()

    @abstractmethod
    def value(self, v: np.ndarray, *numbers: np.float32) -> np.ndarray:
        """The function at v, float32 of any shape; numbers in the order of `parameters`."""

    @abstractmethod
    def slope(self, v: np.ndarray, *numbers: np.float32) -> np.ndarray:
        """Its derivative."""

    @abstractmethod
    def curvature(self, v: np.ndarray, *numbers: np.float32) -> np.ndarray:
        """Its second derivative."""


@functools.cache
def load(name: str) -> Activation:
    """The activation of that name."""
    if name not in ACTIVATIONS:
        raise KeyError(name)
    return importlib.import_module(f"{__name__}.{name.replace('-', '_')}").Member()


def logistic(v: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-v)), without overflow."""
    return 0.5 * (1 + np.tanh(0.5 * v))
