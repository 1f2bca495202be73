"""Which frequencies an error is made of: a radial power spectrum, in which spectral bias shows (Rahaman et al. 2019)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.fft import dctn

__all__ = ["BANDS", "bands_missing", "radial_power"]

# of the table, in parts of the Nyquist frequency: name, from, below
BANDS = (("low", 0.0, 1 / 8), ("middle", 1 / 8, 1 / 2), ("high", 1 / 2, np.inf))
_PER_OCTAVE = 2


def radial_power(values: np.ndarray) -> tuple[list[float], list[float], list[int]]:
    """values (*extent, C) -> (frequencies, power, counts), one entry for each ring of frequencies, half an octave wide.

    frequencies: middles of the rings, 1 is Nyquist's (half a cycle a sample), whatever lies beyond it on diagonals is in
    the last ring, a constant in the first; power: the mean square of what values have there, whose sum is that of values;
    counts: how many coefficients a ring has. By cosine transforms along all axes, which see no edge where a signal ends.
    """
    extent = values.shape[:-1]
    squares = np.square(dctn(values.astype(np.float64), axes=range(len(extent)), norm="ortho")).mean(-1) / np.prod(extent)
    parts = np.ix_(*(np.square(np.arange(n) / n) for n in extent))
    radius = np.sqrt(sum(parts[1:], parts[0]))
    lowest = 1 / max(extent)
    n_rings = max(1, int(np.ceil(-np.log2(lowest) * _PER_OCTAVE)))
    ring = np.floor(np.log2(np.maximum(radius, lowest) / lowest) * _PER_OCTAVE + 1e-9).astype(np.int64)
    ring = np.minimum(ring, n_rings - 1).ravel()
    power, counts = np.bincount(ring, squares.ravel(), n_rings), np.bincount(ring, minlength=n_rings)
    middles = lowest * 2 ** ((np.arange(n_rings) + 0.5) / _PER_OCTAVE)
    kept = counts > 0
    return middles[kept].tolist(), power[kept].tolist(), counts[kept].tolist()


def bands_missing(frequencies: Sequence[float], error: Sequence[float], signal: Sequence[float]) -> dict[str, float | None]:
    """For each of BANDS the power of the error there by that of the signal; None where the signal has none."""
    found: dict[str, float | None] = {}
    for name, low, high in BANDS:
        inside = [k for k, f in enumerate(frequencies) if low <= f < high]
        whole = sum(signal[k] for k in inside)
        found[name] = sum(error[k] for k in inside) / whole if whole > 0 else None
    return found
