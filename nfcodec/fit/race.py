"""Several starts of one fit: each gets the first part of the schedule, and the one that leads goes on to its end.

Which start is best differs from picture to picture, by 6 % of the bytes either way, and shows after a quarter of the run
(spec/rationale.md); Cool-Chic has such a warm-up among seeds (Leguay et al. 2024).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from .train import Fit, Progress, Recipe, Target

__all__ = ["run"]

_SHARE = 0.3  # of the schedule that all starts get


def run(
    fits: list[Fit], recipe: Recipe, target: Target | None = None, tell: Callable[[Progress], None] | None = None
) -> tuple[Fit, float]:
    """The fit that led, fitted as `Fit.run` does, and the lmbda it ended with. fits: of one signal; all but one are left
    unfinished."""
    if len(fits) == 1:
        return fits[0], fits[0].run(recipe, target, tell)
    n_first = round(_SHARE * recipe.n_steps)
    n_steps = recipe.n_steps + (len(fits) - 1) * n_first
    start = time.monotonic()

    def say(p: Progress, n_others: int) -> None:
        if tell is not None:
            tell(replace(p, step=p.step + n_others, n_steps=n_steps, seconds=time.monotonic() - start))

    with fits[0].threads() as n_threads:
        runs = [fit.steps(recipe, target, n_threads) for fit in fits]
        costs = []
        for k, steps in enumerate(runs):
            for progress in steps:
                say(progress, k * n_first)
                if progress.step >= n_first:
                    break
            costs.append(progress.cost)
        leader = costs.index(min(costs))
        for progress in runs[leader]:
            say(progress, (len(runs) - 1) * n_first)
    return fits[leader], progress.lmbda
