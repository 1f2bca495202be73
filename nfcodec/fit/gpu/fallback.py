"""What a fit does where a fast way does not work on this GPU: the next slower one, from where the fast one began.

    CAPTURED   `loop`, `warm_up`: a step is the replay of a CUDA graph
    KERNELS    torch's step, with kernels in Triton
    TORCH      torch alone

Drivers, cards and versions of Triton differ in what they compile and how much memory they have. A fault in what is done for
the first time, or memory that is out, makes a fit start over, with a warning; later faults are another matter, and raised.
"""

from __future__ import annotations

import gc
import warnings
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

from ..encodings import GridTwin
from ..plan import Plan
from ..train import Fit, Progress, Recipe, Target
from . import CAPTURED, KERNELS, TORCH, give_up, is_given_up

__all__ = ["cause_of", "is_out_of_memory", "steps", "warm_up"]

_OUT_OF_MEMORY = ("out of memory", "ALLOC_FAILED")  # in messages of CUDA, Triton and cuBLAS
_LONGEST = 160  # letters of a cause


def steps(fit: Fit, recipe: Recipe, target: Target | None, plain: Callable[[], Iterator[Progress]]) -> Iterator[Progress]:
    """As `Fit.steps`, whose progress begins anew where a way fails. plain: torch's step, with what kernels there are."""

    def captured() -> Iterator[Progress] | None:
        from . import loop, memory

        if not loop.is_available(fit, recipe):
            return None
        memory.check(fit)
        return loop.Loop(fit, recipe).steps(target)

    yield from _first_that_works(fit, captured, plain)


def warm_up(
    fit: Fit, grid: GridTwin, known: Sequence[tuple[Plan, torch.Tensor]], rates: Sequence[float],
    draw: Callable[[int], np.ndarray], plain: Callable[[], None],
) -> None:  # fmt: skip
    """As `warm_up.warm_up` and, without graphs, as `plain`."""

    def captured() -> Iterator[None] | None:
        from . import warm_up

        if not warm_up.is_available(grid):
            return None
        warm_up.warm_up(grid, known, rates, draw)
        return iter(())

    def plainly() -> Iterator[None]:
        plain()
        return iter(())

    for _ in _first_that_works(fit, captured, plainly):
        pass


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a GPU has no memory left for what was asked for."""
    return isinstance(error, torch.cuda.OutOfMemoryError) or any(text in str(error) for text in _OUT_OF_MEMORY)


def cause_of(error: BaseException) -> str:
    """An error in one line."""
    reason = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {reason[:_LONGEST]}"


def _first_that_works(fit: Fit, captured: Callable[[], Iterator | None], plain: Callable[[], Iterator]) -> Iterator:
    """What the first way that works yields. captured: None where it is not for this fit."""
    device = fit.model.tensors[0]
    ways = [] if is_given_up(CAPTURED, device, fit.n_samples) else [(CAPTURED, captured, KERNELS)]
    for way, run, following in (*ways, (KERNELS, plain, TORCH)):
        start = _Start(fit)
        try:
            fit.is_trying = True
            progress = run()
            if progress is None:
                continue
            yield from progress
            return
        except Exception as error:
            is_full = is_out_of_memory(error)
            if not (fit.is_trying or is_full) or (is_full and following == TORCH):  # which takes more
                raise
            cause = cause_of(error)
        # here nothing holds what has failed any more, and its memory is free
        give_up(way, device, fit.n_samples if is_full else 0)
        start.restore()
        warnings.warn(f"fitting on a GPU: {way} fail ({cause}); going on with {following}", stacklevel=2)
    yield from plain()


class _Start:
    """All that a run changes of a fit, as it is before."""

    def __init__(self, fit: Fit):
        self.fit, model = fit, fit.model
        # with the memory that they are views of now, since the loop gives them other
        tensors = (*model.parameters(), *model.buffers())
        self.tensors = [(t, t.data, torch.empty_like(t, device="cpu").copy_(t.data)) for t in tensors]
        self.shifts = model.shifts, model.grid.context and model.grid.context.shifts
        self.spec, self.drawn, self.noise = model.spec, fit.generator.bit_generator.state, torch.get_rng_state()
        device = model.tensors[0].device
        self.source = torch.cuda.default_generators[device.index] if device.type == "cuda" else None
        self.device_noise = self.source and self.source.clone_state()

    def restore(self) -> None:
        model = self.fit.model
        for t, place, values in self.tensors:
            t.grad, t.data = None, place.copy_(values)
        model.shifts, context_shifts = self.shifts
        if model.grid.context is not None:
            model.grid.context.shifts = context_shifts
        model.spec, self.fit.generator.bit_generator.state = self.spec, self.drawn
        torch.set_rng_state(self.noise)
        if self.source is not None:
            # another state, not only its numbers: one whose capture has failed takes itself to be captured for ever
            self.source.graphsafe_set_state(self.device_noise)
        gc.collect()  # a loop and the steps that it replays hold each other
        torch.cuda.empty_cache()
