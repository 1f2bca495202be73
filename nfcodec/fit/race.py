"""Several starts of one fit: each gets the first part of the schedule, and the one that leads goes on to its end.

Which start is best differs from picture to picture, by 6 % of the bytes either way, and shows after a quarter of the run,
or where one is far behind before (spec/rationale.md); Cool-Chic has such a warm-up among seeds (Leguay et al. 2024).
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import replace

from .train import Fit, Progress, Recipe, Target

__all__ = ["run"]

# shares of the schedule, and what the costs of those that go on from there may be at most, in units of the least
_ROUNDS = ((0.1, 1.03), (0.25, 1.0))


def run(
    fits: list[Fit],
    recipe: Recipe,
    target: Target | None = None,
    tell: Callable[[Progress], None] | None = None,
    watch: Callable[[Fit, Progress], None] | None = None,
) -> tuple[Fit, float]:
    """The fit that led, fitted as `Fit.run` does, and the lmbda it ended with. fits: of one signal; all but one are left
    unfinished. tell: is told of the progress of all; watch: of each fit's own, with the fit."""
    if len(fits) == 1:

        def tell_both(progress: Progress) -> None:
            for told in (tell, watch and functools.partial(watch, fits[0])):
                if told is not None:
                    told(progress)

        return fits[0], fits[0].run(recipe, target, tell_both)
    start, n_steps = time.monotonic(), recipe.n_steps
    end = round(_ROUNDS[-1][0] * n_steps)
    racing, positions = list(range(len(fits))), [0] * len(fits)

    def advance(k: int, until: int) -> Progress:
        for progress in runs[k]:
            positions[k] = progress.step
            if watch is not None:
                watch(fits[k], progress)
            if tell is not None:
                done, others = sum(positions), sum(max(end - positions[j], 0) for j in racing if j != k)
                total = done + n_steps - progress.step + others
                tell(replace(progress, step=done, n_steps=total, seconds=time.monotonic() - start))
            if progress.step >= until:
                break
        return progress

    with fits[0].threads() as n_threads:
        runs = [fit.steps(recipe, target, n_threads) for fit in fits]
        for share, limit in _ROUNDS:
            costs = {k: advance(k, round(share * n_steps)).cost for k in racing}
            racing = [k for k in racing if costs[k] <= limit * min(costs.values())]
        lmbda = advance(racing[0], n_steps).lmbda
    return fits[racing[0]], lmbda
