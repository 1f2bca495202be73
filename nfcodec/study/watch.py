"""Looks at a fit while it runs: its error on the whole signal, and the spectrum of that, at some of its steps."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from .rows import Course, Moment
from .spectrum import radial_power

if TYPE_CHECKING:
    from ..fit.train import Fit, Progress

__all__ = ["Watch", "moments_of"]

_N_MOMENTS = 14


def moments_of(n_steps: int, n: int = _N_MOMENTS) -> list[int]:
    """Steps to look at, evenly spread over their logarithm: the first, the last, and n at most."""
    return sorted({round(n_steps ** (k / max(n - 1, 1))) for k in range(n)})


@dataclass
class _Seen:
    """Of one fit. looked: seconds that had been spent looking when it began."""

    looked: float
    rings: tuple = ()
    moments: list[Moment] = field(default_factory=list)


class Watch:
    """`on_step` of one `encode` at a given quality, which makes one fit, or several starts of it of which one is finished.

    Values are those a decoder would give if everything was rounded now. On lattices errors count evenly; of surfaces, where
    only distances are looked at, as the fit counts them: near the surface (`Source.weight`).
    """

    def __init__(self, diagonal: float | None):
        """diagonal: surfaces: of the source's bounding box, that errors are parts of."""
        self.diagonal = diagonal
        self.seconds = 0.0  # spent looking
        self._seen: dict[int, _Seen] = {}  # by the id of a start

    def __call__(self, fit: Fit, progress: Progress) -> None:
        """Looks, where it is time."""
        seen = self._seen.setdefault(id(fit), _Seen(self.seconds))
        last = seen.moments[-1].step if seen.moments else 0
        if not any(last < step <= progress.step for step in moments_of(progress.n_steps)):
            return
        start = time.perf_counter()
        error, target, rms = self._look(fit)
        frequencies, power, counts = radial_power(error)
        if not seen.rings:
            seen.rings = tuple(frequencies), tuple(counts), tuple(radial_power(target)[1])
        seconds = progress.seconds - (self.seconds - seen.looked)
        seen.moments.append(Moment(progress.step, seconds, -20 * math.log10(max(rms, 1e-12)), tuple(power)))
        self.seconds += time.perf_counter() - start

    def course(self) -> Course:
        """Of the start that was finished."""
        seen = max(self._seen.values(), key=lambda seen: seen.moments[-1].step)
        return Course(*seen.rings, tuple(seen.moments))

    def _look(self, fit: Fit) -> tuple[np.ndarray, np.ndarray, float]:
        """(errors, what was to be fitted less its mean, both (*extent, C), and the RMS error as a share of the peak, or of
        the diagonal)."""
        from ..fit.look import errors_of

        seen = errors_of(fit)
        axes = tuple(range(seen.weight.ndim))
        target = seen.target - seen.target.mean(axes)
        target[..., seen.target.min(axes) == seen.target.max(axes)] = 0  # no power to be missing, only that of rounding
        if self.diagonal is None:
            return seen.error, target, math.sqrt(float(np.square(seen.error).mean(dtype=np.float64)))
        # distances alone, where they count
        root = np.sqrt(seen.weight)[..., None]
        error = seen.error[..., :1] * root
        mean = float(np.square(error).sum(dtype=np.float64)) / float(seen.weight.sum(dtype=np.float64))
        return error, target[..., :1] * root, math.sqrt(mean) * seen.scale / self.diagonal
