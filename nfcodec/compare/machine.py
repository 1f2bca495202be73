"""On what times were measured."""

from __future__ import annotations

import os
import platform

__all__ = ["machine"]


def machine() -> str:
    """Processor and cores, as far as the system tells: `AMD EPYC x2`."""
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as file:
            name = next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{name} x{len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()}"
