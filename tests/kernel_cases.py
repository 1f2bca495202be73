"""What tests of kernels share, beside the fixture `both`: how near kernels are to numpy, and points to ask at."""

import numpy as np

__all__ = ["assert_close", "points"]


def assert_close(fast, plain):
    """Within a quarter of the tolerance of spec/format.md, section 7."""
    assert fast.shape == plain.shape and fast.dtype == plain.dtype
    if plain.size:
        np.testing.assert_allclose(fast, plain, rtol=0, atol=max(1.5, np.abs(plain).max()) * 2.0**-16)


def points(d, n=130, seed=0):
    """Points in and around the box, some at its ends."""
    coords = np.random.default_rng(seed).uniform(-0.3, 1.3, (n, d))
    coords[:1], coords[1:2] = 0.0, 1.0
    return coords
