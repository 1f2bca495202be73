"""Times, and on what they were measured."""

from __future__ import annotations

import os
import platform
import statistics
import time
from collections.abc import Callable
from typing import TypeVar

__all__ = ["machine", "timed"]

_REPEAT_BELOW = 0.5  # seconds: shorter calls are timed three times

T = TypeVar("T")


def machine() -> str:
    """Processor and cores, as far as the system tells: `AMD EPYC x2`."""
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as file:
            name = next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{name} x{len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()}"


def timed(call: Callable[[], T]) -> tuple[T, float]:
    """The result and seconds: the median of three calls where they are short."""
    seconds: list[float] = []
    while len(seconds) < 3 and not (seconds and seconds[0] > _REPEAT_BELOW):
        start = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - start)
    return result, statistics.median(seconds)
