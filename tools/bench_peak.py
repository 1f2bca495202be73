"""What the machine can do at most: arithmetic in registers, and copies of memory."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import numpy as np
from numba import njit

from nfcodec.kernels.simd import LANES, fma, splat, total

_ROUNDS = 1 << 21
_CHAINS = 12  # enough to hide what one instruction takes, few enough for the registers of AVX2 too
_COPIED = 1 << 28  # bytes


@njit(error_model="numpy", nogil=True)
def _spin(n, x):
    """12 chains of multiply and add, n long."""
    k, a = splat(x), splat(0.0)
    b, c, d, e, f, g, h, i, j, o, p = a, a, a, a, a, a, a, a, a, a, a
    for _ in range(n):
        a, b, c, d, e, f = fma(a, k, k), fma(b, k, k), fma(c, k, k), fma(d, k, k), fma(e, k, k), fma(f, k, k)
        g, h, i, j, o, p = fma(g, k, k), fma(h, k, k), fma(i, k, k), fma(j, k, k), fma(o, k, k), fma(p, k, k)
    return total(a + b + c + d + e + f + g + h + i + j + o + p)


def _together(n_threads: int, work: Callable[[int], object]) -> float:
    """Seconds that work(0), work(1) .. take in a thread each, from a common start; the median of five."""

    def timed(k: int, barrier: Barrier) -> tuple[float, float]:
        barrier.wait()
        start = time.perf_counter()
        work(k)
        return start, time.perf_counter()

    found = []
    with ThreadPoolExecutor(n_threads) as pool:
        for _ in range(5):
            barrier = Barrier(n_threads)
            times = [f.result() for f in [pool.submit(timed, k, barrier) for k in range(n_threads)]]
            found.append(max(stop for _, stop in times) - min(start for start, _ in times))
    return statistics.median(found)


def gflops(n_threads: int) -> float:
    """GFLOP/s of n threads together, a multiplication with its addition being two."""
    half = np.float32(0.5)  # a / 2 + 1 / 2 stays in range
    _spin(1, half)
    seconds = _together(n_threads, lambda k: _spin(_ROUNDS, half))
    return n_threads * _ROUNDS * _CHAINS * LANES * 2 / seconds / 1e9


def copied_bytes(n_threads: int) -> float:
    """Bytes a second read and written by a copy of a large array, of n threads together."""
    source, target = np.ones(_COPIED // 8), np.zeros(_COPIED // 8)
    cuts = [len(source) * k // n_threads for k in range(n_threads + 1)]

    def work(k: int) -> None:
        target[cuts[k] : cuts[k + 1]] = source[cuts[k] : cuts[k + 1]]

    return 2 * _COPIED / _together(n_threads, work)
