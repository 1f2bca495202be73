"""The context network on one wavefront of a plane after the other, by numpy: the meaning is `context.predict`.

A small plane has more wavefronts than they have positions, and what takes time is numpy's calls, not their sums. So all
that does not depend on the plane itself is summed up beforehand, biases and roundings included, and the plane is kept as
the network sees it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .context import (
    COMPAND,
    FRACTION_BITS,
    MAX_HIDDEN,
    MU8_HALF,
    MU8_SHIFT,
    SCALE_HALF,
    ContextNet,
    PlaneInputs,
    first_layer,
    n_causal,
    rounding,
    skip_sum,
)
from .laplace import MAX_MU8
from .lattice import CLIP
from .tables import N_SCALES, SCALE_OFFSET, SCALES_PER_OCTAVE

__all__ = ["Fronts"]

# row 0 of a value + CLIP: what the first layer sees of it, row 1: what the skip sees
_SEEN = np.stack([COMPAND, np.arange(-CLIP, CLIP + 1, dtype=np.int32) << FRACTION_BITS])
# from the network's two outputs to mu8 and the scale: (output * factor + added) >> shift, within the limits
_FACTOR = np.array([[1], [SCALES_PER_OCTAVE]], np.int64)
_ADDED = np.array([[MU8_HALF], [SCALE_HALF + (SCALE_OFFSET << FRACTION_BITS)]], np.int64)
_SHIFT = np.array([[MU8_SHIFT], [FRACTION_BITS]], np.int64)
_LOW, _HIGH = np.array([[-MAX_MU8], [0]], np.int64), np.array([[MAX_MU8], [N_SCALES - 1]], np.int64)


class Fronts:
    """A plane that is being decoded: `fixed` for many positions, then `predict` and `put` for every wavefront of them."""

    def __init__(self, net: ContextNet, inputs: PlaneInputs):
        n, size = n_causal(net.n_dims), len(inputs.current)
        self.net, self.inputs = net, inputs
        self._rest = slice(n, net.n_inputs)
        self._known = np.zeros((2, size), np.int32)
        self._flat = self._known.reshape(-1)
        self._steps = np.concatenate([inputs.lattice.causal, inputs.lattice.causal + size])[:, None]
        # a row for each output of the first layer, then one for the skip
        self._weights = np.zeros((len(net.weights[0]) + 1, 2 * n), np.int32)
        self._weights[:-1, :n] = net.weights[0][:, :n]
        self._weights[-1, n:] = net.skip[:n]
        self._shifts = np.array([net.shifts[0]] * len(net.weights[0]) + [net.shifts[-1]], np.int32)[:, None]
        self._added = [_bias(b, shift) for b, shift in zip(net.biases, net.shifts)]

    def fixed(self, coordinates: np.ndarray, index: np.ndarray) -> np.ndarray:
        """(outputs + 1, n) int32: what the first layer's sums and the skip's have at positions whatever the plane holds."""
        raw = self.inputs.rest(coordinates, index)
        skip = skip_sum(self.net, raw, self._rest) + np.int32(rounding(self.net.shifts[-1]))
        return np.concatenate([first_layer(self.net, raw, self._rest) + self._added[0], skip[None]])

    def predict(self, index: np.ndarray, fixed: np.ndarray) -> np.ndarray:
        """mu8 and scale, (2, n) int64, at padded indices (n,), whose columns of `fixed` come along."""
        sums = np.einsum("oi,in->on", self._weights, self._flat[index + self._steps])
        sums += fixed
        sums >>= self._shifts
        out = sums[:-1]
        for weights, added, shift in zip(self.net.weights[1:], self._added[1:], self.net.shifts[1:]):
            hidden = np.maximum(out, 0)
            out = np.einsum("oi,in->on", weights, np.minimum(hidden, MAX_HIDDEN, out=hidden))
            out += added
            out >>= shift
        found = out.astype(np.int64)  # sums with the skip and multiples may leave 32 bits
        found[0] += sums[-1]
        found *= _FACTOR
        found += _ADDED
        found >>= _SHIFT
        return np.minimum(np.maximum(found, _LOW, out=found), _HIGH, out=found)

    def put(self, index: np.ndarray, values: Sequence[int]) -> None:
        """Values (n,) of a wavefront at padded indices (n,), for those after it."""
        if any(values):  # planes begin as zeros
            at = np.minimum(np.maximum(np.array(values, np.int64), -CLIP), CLIP)
            at += CLIP
            self._known[:, index] = _SEEN[:, at]

    def close(self) -> None:
        """Leaves the plane with its inputs, as the next plane of the level sees it."""
        self.inputs.current[:] = self._known[1] >> FRACTION_BITS


def _bias(bias: np.ndarray, shift: int) -> np.ndarray:
    """(outputs, 1) int32: a layer's biases in units of its sums, with the rounding."""
    return ((bias << shift) + np.int32(rounding(shift)))[:, None]
