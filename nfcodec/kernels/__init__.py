"""The same meaning as the numpy references, fast: one numba file for each, and the choice between them.

The kernels are imported only when they are chosen, so that numba stays optional. NFCODEC_KERNELS=numpy or numba
overrides the choice.
"""

from __future__ import annotations

import functools
import importlib.util
import os

from ..errors import MissingExtraError, UsageError

__all__ = ["SMALL_WORK", "use_numba", "use_triton"]

SMALL_WORK = 1 << 15  # below this many items, numpy is done before numba is imported


def _choice() -> str:
    choice = os.environ.get("NFCODEC_KERNELS", "")
    if choice not in ("", "numpy", "numba"):
        raise UsageError(f"choosing kernels: got NFCODEC_KERNELS={choice}, expected numpy or numba; unset it")
    return choice


@functools.cache
def _has_triton() -> bool:
    return importlib.util.find_spec("triton") is not None


@functools.cache
def _has_numba() -> bool:
    return importlib.util.find_spec("numba") is not None


def use_numba(n_items: int) -> bool:
    """Whether work on `n_items` symbols or positions should run in numba: it is installed and the work is not small.

    Raises UsageError for an unknown NFCODEC_KERNELS, MissingExtraError where numba is asked for but not installed.
    """
    choice = _choice()
    if choice == "numba" and not _has_numba():
        raise MissingExtraError.of("numba", "fast", "NFCODEC_KERNELS=numba")
    return choice == "numba" or (choice == "" and n_items >= SMALL_WORK and _has_numba())


def use_triton() -> bool:
    """Whether a fit on a GPU should use the kernels of `fit.gpu`: Triton is installed and numpy was not asked for.

    Raises UsageError for an unknown NFCODEC_KERNELS.
    """
    return _choice() != "numpy" and _has_triton()
