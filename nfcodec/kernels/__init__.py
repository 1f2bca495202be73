"""The same meaning as the numpy references, fast: one numba file for each, and the choice between them.

The kernels are imported only when they are chosen, so that numba stays optional. `native`, in C, does what opening a file
takes, without half a second for numba to start; it is there where a compiler was when nfcodec was installed.
NFCODEC_KERNELS=numpy, native (and numpy for the rest) or numba overrides the choice.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import sys

from ..errors import MissingExtraError, UsageError

__all__ = ["FEW", "SMALL_WORK", "is_loaded", "use_native", "use_numba", "use_triton"]

FEW = 64  # below this many symbols, Python is done before a kernel at hand is called
SMALL_WORK = 1 << 15  # below this many items, numpy is done before numba is imported

_at_hand: set[str] = set()  # kernels that were chosen before


def _choice() -> str:
    choice = os.environ.get("NFCODEC_KERNELS", "")
    if choice not in ("", "numpy", "native", "numba"):
        raise UsageError(f"choosing kernels: got NFCODEC_KERNELS={choice}, expected numpy, native or numba; unset it")
    return choice


@functools.cache
def _has_triton() -> bool:
    return importlib.util.find_spec("triton") is not None


@functools.cache
def _has_numba() -> bool:
    return importlib.util.find_spec("numba") is not None


@functools.cache
def _has_native() -> bool:
    return importlib.util.find_spec(f"{__name__}._plane") is not None


def use_native() -> bool:
    """Whether files are opened by the loops in C, which take no longer than numba's: they were compiled with the
    installation.

    Raises UsageError for an unknown NFCODEC_KERNELS, or where they are asked for but not there.
    """
    choice = _choice()
    if choice == "native" and not _has_native():
        raise UsageError("choosing kernels: got NFCODEC_KERNELS=native, which was not compiled; install with a C compiler")
    return choice == "native" if choice else _has_native()


def use_numba(n_items: int, kernel: str | None = None) -> bool:
    """Whether work on `n_items` symbols or positions should run in numba: it is installed and the work is not small.

    kernel: a name of kernels that give the same to the last bit; where one was chosen before, they are at hand and chosen
    for small work as well. Raises UsageError for an unknown NFCODEC_KERNELS, MissingExtraError where numba is asked for
    but not installed.
    """
    choice = _choice()
    if choice == "numba" and not _has_numba():
        raise MissingExtraError.of("numba", "fast", "NFCODEC_KERNELS=numba")
    if choice:
        return choice == "numba"
    chosen = kernel in _at_hand or (n_items >= SMALL_WORK and _has_numba())
    if chosen and kernel:
        _at_hand.add(kernel)
    return chosen


def is_loaded(name: str) -> bool:
    """Whether the kernels of that module are there and allowed, so that even small work is theirs."""
    return f"{__name__}.{name}" in sys.modules and use_numba(SMALL_WORK)


def use_triton() -> bool:
    """Whether a fit on a GPU should use the kernels of `fit.gpu`: Triton is installed and numpy was not asked for.

    Raises UsageError for an unknown NFCODEC_KERNELS.
    """
    return _choice() != "numpy" and _has_triton()
