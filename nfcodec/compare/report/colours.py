"""The one colour scale of error maps: matplotlib's inferno, even in lightness, dark for no error."""

from __future__ import annotations

from functools import cache

import numpy as np

__all__ = ["css_gradient", "ramp"]

_MAP = "inferno"


@cache
def _table() -> np.ndarray:
    import matplotlib

    return matplotlib.colormaps[_MAP](np.arange(256), bytes=True)[:, :3]


def ramp(share: np.ndarray) -> np.ndarray:
    """Colours (..., 3) uint8 of shares of the largest error shown; more than 1 has the last colour."""
    return _table()[np.clip(np.rint(np.asarray(share) * 255), 0, 255).astype(np.uint8)]


def css_gradient(n_stops: int = 17) -> str:
    """The same scale from left to right as a CSS image."""
    stops = ramp(np.linspace(0, 1, n_stops))
    return f"linear-gradient(90deg, {', '.join('#%02x%02x%02x' % tuple(stop) for stop in stops)})"
