"""The per-point network in numpy: the meaning of the network that a file stores.

    h_0 = features                                   (N, F)
    h_i = act(h_{i-1} W_i^T + b_i)                   (N, W)   hidden layers
    y   = h_last W_out^T + b_out + features S^T      (N, C)

Weights are integers times a power of two in the file; here they are the resulting float32.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .spec import MlpSpec


@dataclass(frozen=True)
class Mlp:
    """A tiny MLP with a linear skip.

    weights: one (n_out, n_in) float32 a layer, biases: one (n_out,) float32 a layer, skip: (C, F) float32.
    tensors, shifts: what they were in the file, in its order: integer tensors, each to be multiplied by 2**-shift.
    """

    spec: MlpSpec
    weights: list[np.ndarray]
    biases: list[np.ndarray]
    skip: np.ndarray
    tensors: list[np.ndarray] = field(default_factory=list)
    shifts: list[int] = field(default_factory=list)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Features (N, F) float32 -> outputs (N, C) float32."""
        y = x @ self.skip.T + self.biases[-1]
        if self.spec.n_hidden_layers:
            h = x
            for w, b in zip(self.weights[:-1], self.biases[:-1]):
                h = h @ w.T
                h += b
                _activate(h, self.spec.activation)
            y += h @ self.weights[-1].T
        return y

    def jacobian(self, x: np.ndarray, dx: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Outputs and their derivatives along features' derivatives.

        x (N, F), dx (N, d, F) -> y (N, C), dy (N, d, C), float32.
        """
        y = x @ self.skip.T + self.biases[-1]
        dy = dx @ self.skip.T
        if self.spec.n_hidden_layers:
            h, dh = x, dx
            for w, b in zip(self.weights[:-1], self.biases[:-1]):
                h = h @ w.T + b
                slope = _slope(h, self.spec.activation)
                _activate(h, self.spec.activation)
                dh = (dh @ w.T) * slope[:, None, :]
            y = y + h @ self.weights[-1].T
            dy = dy + dh @ self.weights[-1].T
        return y, dy


def _activate(h: np.ndarray, name: str) -> None:
    """Applies the activation to h in place."""
    if name == "relu":
        np.maximum(h, 0, out=h)


def _slope(h: np.ndarray, name: str) -> np.ndarray:
    """Derivative of the activation at its input h."""
    return (h > 0).astype(np.float32) if name == "relu" else np.ones_like(h)
