"""Zeros of many functions at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

__all__ = ["zeros"]


def zeros(
    value: Callable[[np.ndarray, np.ndarray], np.ndarray],
    low: np.ndarray,
    high: np.ndarray,
    close: np.ndarray,
    n_steps: int,
) -> np.ndarray:
    """Where N functions are 0 between 0 and 1: (N,) float64. low, high (N,): their values there, of different signs.

    value(which, t): functions `which` (M,) at t (M,), (M,) float64. close (N,): a value that is as good as 0. n_steps:
    evaluations of a function at most. False position with the rule of Pegasus (Dowell and Jarratt, BIT 1972): the value at
    an end that stays is lowered, so that both ends close in.
    """
    out = _crossed(np.zeros(len(low)), low, np.ones(len(low)), high)
    which = np.arange(len(out))
    x0, f0, x1, f1 = np.zeros(len(out)), low, np.ones(len(out)), high
    for _ in range(n_steps):
        x2 = out[which]
        f2 = value(which, x2)
        across, total = (f2 < 0) != (f1 < 0), f1 + f2
        lowered = f0 * np.divide(f1, total, out=np.full(len(total), 0.5), where=total != 0)
        x0, f0 = np.where(across, x1, x0), np.where(across, f1, lowered)
        x1, f1 = x2, f2
        out[which] = _crossed(x0, f0, x1, f1)
        go_on = np.abs(f2) > close[which]
        if not go_on.any():
            break
        which, x0, f0, x1, f1 = which[go_on], x0[go_on], f0[go_on], x1[go_on], f1[go_on]
    return out


def _crossed(x0: np.ndarray, f0: np.ndarray, x1: np.ndarray, f1: np.ndarray) -> np.ndarray:
    """Where lines through (x0, f0) and (x1, f1) are 0."""
    slope = f1 - f0
    return x1 - f1 * np.divide(x1 - x0, slope, out=np.zeros(len(slope)), where=slope != 0)
