"""Work shared out among threads: kernels release the interpreter's lock, so that threads of Python are enough.

NFCODEC_THREADS says how many; the machine's number of processors without it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

from ..errors import UsageError

__all__ = ["for_each", "n_threads"]

Item = TypeVar("Item")


def n_threads() -> int:
    """How many threads to use. Raises UsageError for an NFCODEC_THREADS that is no positive number."""
    choice = os.environ.get("NFCODEC_THREADS", "")
    if not choice:
        return os.cpu_count() or 1
    if not choice.isdecimal() or not 0 < int(choice) <= 1024:
        raise UsageError(f"choosing threads: got NFCODEC_THREADS={choice}, expected 1 to 1024; unset it")
    return int(choice)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max(32, os.cpu_count() or 1), thread_name_prefix="nfcodec")


if hasattr(os, "register_at_fork"):  # threads do not survive a fork
    os.register_at_fork(after_in_child=_pool.cache_clear)


def for_each(work: Callable[[Item], object], items: Iterable[Item], n_items: int) -> None:
    """work(item) for all of them, in any order; every thread takes the next one as soon as it is free.

    The first exception of any of them is raised once all threads have stopped. work must not call this.
    """
    helpers = min(n_threads(), n_items) - 1
    if helpers < 1:
        for item in items:
            work(item)
        return
    source, lock, failed = iter(items), threading.Lock(), threading.Event()

    def worker() -> None:
        while not failed.is_set():
            with lock:  # an iterator may not be advanced by two threads
                item = next(source, source)
            if item is source:
                return
            try:
                work(item)
            except BaseException:
                failed.set()
                raise

    futures = [_pool().submit(worker) for _ in range(helpers)]
    try:
        worker()
    finally:
        errors = [future.exception() for future in futures]
    for error in errors:
        if error is not None:
            raise error
