"""The per-point network in numpy: the meaning of the network that a file stores.

    h_0 = features                                   (N, F)
    h_i = act(h_{i-1} W_i^T + b_i)                   (N, W)   hidden layers
    y   = h_last W_out^T + b_out + features S^T      (N, C)

Weights are integers times a power of two in the file; here they are the resulting float32. act is one of `activations`,
with numbers of its own in each layer.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from .activations import load
from .spec import MlpSpec


@dataclass(frozen=True)
class Mlp:
    """A tiny MLP with a linear skip.

    weights: one (n_out, n_in) float32 a layer, biases: one (n_out,) float32 a layer, skip: (C, F) float32.
    tensors, shifts: what they were in the file, in its order: integer tensors, each to be multiplied by 2**-shift.
    numbers: (hidden layers, P) float32, those of the activation in each layer.
    """

    spec: MlpSpec
    weights: list[np.ndarray]
    biases: list[np.ndarray]
    skip: np.ndarray
    tensors: list[np.ndarray] = field(default_factory=list)
    shifts: list[int] = field(default_factory=list)
    numbers: np.ndarray | None = None

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Features (N, F) float32 -> outputs (N, C) float32."""
        y = x @ self.skip.T + self.biases[-1]
        if self.spec.n_hidden_layers:
            h, act = x, load(self.spec.activation)
            for w, b, numbers in self._hidden():
                h = h @ w.T
                h += b
                h = act.value(h, *numbers)
            y += h @ self.weights[-1].T
        return y

    def jacobian(self, x: np.ndarray, dx: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Outputs and their derivatives along features' derivatives.

        x (N, F), dx (N, d, F) -> y (N, C), dy (N, d, C), float32.
        """
        y = x @ self.skip.T + self.biases[-1]
        dy = dx @ self.skip.T
        if self.spec.n_hidden_layers:
            h, dh, act = x, dx, load(self.spec.activation)
            for w, b, numbers in self._hidden():
                v = h @ w.T + b
                h, slope = act.value(v, *numbers), act.slope(v, *numbers)
                dh = (dh @ w.T) * slope[:, None, :]
            y = y + h @ self.weights[-1].T
            dy = dy + dh @ self.weights[-1].T
        return y, dy

    def hessian(self, x: np.ndarray, dx: np.ndarray, ddx: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """As `jacobian`, and second derivatives: ddx (N, d, d, F) -> ddy (N, d, d, C), float32."""
        y = x @ self.skip.T + self.biases[-1]
        dy, ddy = dx @ self.skip.T, ddx @ self.skip.T
        if self.spec.n_hidden_layers:
            h, dh, ddh, act = x, dx, ddx, load(self.spec.activation)
            for w, b, numbers in self._hidden():
                v, dv = h @ w.T + b, dh @ w.T
                slope, curvature = act.slope(v, *numbers), act.curvature(v, *numbers)
                products = dv[:, :, None, :] * dv[:, None, :, :]
                ddh = (ddh @ w.T) * slope[:, None, None, :] + products * curvature[:, None, None, :]
                h, dh = act.value(v, *numbers), dv * slope[:, None, :]
            y, dy, ddy = (a + b @ self.weights[-1].T for a, b in ((y, h), (dy, dh), (ddy, ddh)))
        return y, dy, ddy

    def _hidden(self):
        """Weights, biases and the activation's numbers of every hidden layer."""
        numbers = [()] * self.spec.n_hidden_layers if self.numbers is None else self.numbers
        return zip(self.weights[:-1], self.biases[:-1], numbers)
