"""Random Fourier features (Tancik et al. 2020): cos(2 pi B x), sin(2 pi B x) with B normal of deviation sigma.

B comes from integers, so that every decoder has the same: sums of twelve 16-bit words, whose deviation is 2^16, of a hash
of their number and the seed.
"""

from __future__ import annotations

import numpy as np

from ..spec import Parameter
from .coordinates import CoordinateEncoding, Terms

_WORDS = 12


class Grid(CoordinateEncoding):
    """n_frequencies cosines, then as many sines."""

    name = "random-fourier"
    parameters = (
        Parameter("n_frequencies", 1, 1024, 64, is_integer=True),
        Parameter("sigma", 1e-3, 1e4, 10.0),
        Parameter("seed", 0, (1 << 32) - 1, 0, is_integer=True),
    )

    @classmethod
    def n_features(cls, n_dims: int, *numbers: float) -> int:
        return 2 * int(numbers[0])

    def terms(self, x: np.ndarray, order: int) -> Terms:
        b = matrix(x.shape[1], *self.spec.parameters)  # (m, d)
        turns = x @ b.T
        phase = ((turns - np.rint(turns)) * (2 * np.pi)).astype(np.float32)
        cosine, sine = np.cos(phase), np.sin(phase)
        rates = 2 * np.pi * b.T  # (d, m)
        out = [np.concatenate([cosine, sine], 1)]
        if order:
            out.append(np.concatenate([-sine[:, None] * rates, cosine[:, None] * rates], 2))
        if order > 1:
            products = rates[:, None] * rates[None]
            out.append(np.concatenate([-cosine[:, None, None] * products, -sine[:, None, None] * products], 3))
        return out


def matrix(n_dims: int, n_frequencies: float, sigma: float, seed: float) -> np.ndarray:
    """B (n_frequencies, d) float64, in turns a unit of the coordinate."""
    n = np.arange(int(n_frequencies) * n_dims * _WORDS // 2, dtype=np.uint32)
    h = _hash(n * np.uint32(0x9E3779B9) + np.uint32(int(seed)))
    words = np.stack([h >> np.uint32(16), h & np.uint32(0xFFFF)], 1).astype(np.int64).reshape(-1, _WORDS)
    integers = words.sum(1) - _WORDS // 2 * 0xFFFF
    return sigma * integers.reshape(-1, n_dims) / 65536


def _hash(h: np.ndarray) -> np.ndarray:
    """The finaliser of MurmurHash3, uint32."""
    h = (h ^ (h >> np.uint32(16))) * np.uint32(0x85EBCA6B)
    h = (h ^ (h >> np.uint32(13))) * np.uint32(0xC2B2AE35)
    return h ^ (h >> np.uint32(16))
