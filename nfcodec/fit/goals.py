"""Targets of an encode, the search's steps towards them, and what a progress callback is told. No torch here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from ..errors import UsageError
from ..measure import Report

QUALITY = 50.0
EFFORT = 5


@dataclass(frozen=True)
class Status:
    """What a progress callback is told.

    phase: "read", "fit", "residual", "measure" or "refine"; fraction: of the phase that is done.
    """

    phase: str
    fraction: float
    seconds: float
    seconds_left: float | None = None
    psnr_db: float | None = None
    bytes: int | None = None


class Trial(Protocol):
    """What a goal looks at: finished bytes and what was measured on them."""

    data: bytes
    report: Report


@dataclass(frozen=True)
class Goal:
    """A target: `what` is "size" (bytes), "bpp", "psnr" (dB), "max_error" or "lossless"; `value` in its unit."""

    what: str
    value: float

    @property
    def text(self) -> str:
        """As a user would say it: "psnr 40 dB"."""
        if self.what == "lossless":
            return "lossless"
        return f"{self.what.replace('_', ' ')} {self._with_unit(self.value)}"

    def reached(self, trial: Trial, n_samples: int) -> str:
        """What a trial has instead of `value`, as a user would say it: "39.2 dB"."""
        n_bytes, report = len(trial.data), trial.report
        if self.what == "lossless":
            return "lossless" if report.max_error == 0 else f"max error {report.max_error:g}"
        found = {"size": n_bytes, "bpp": 8 * n_bytes / n_samples, "psnr": report.psnr_db, "max_error": report.max_error}
        return self._with_unit(found[self.what])

    def _with_unit(self, value: float) -> str:
        if self.what == "size":
            return f"{value:.0f} bytes"
        return f"{value:.6g}" + {"bpp": " bits a sample", "psnr": " dB", "max_error": ""}[self.what]

    def bytes_for(self, n_samples: int) -> float | None:
        """The file size that the goal allows, or None for goals of another kind."""
        if self.what == "size":
            return self.value
        return self.value * n_samples / 8 if self.what == "bpp" else None

    def excess(self, trial: Trial, n_samples: int) -> float:
        """How far a trial misses, as the natural logarithm of a ratio; 0 or less where it is met.

        Of sizes, squared errors or largest errors.
        """
        limit = self.bytes_for(n_samples)
        if limit is not None:
            return math.log(len(trial.data) / limit)
        if self.what == "psnr":
            return (self.value - trial.report.psnr_db) * math.log(10) / 10
        if trial.report.max_error <= self.value:  # exactly, as a guarantee has to be
            return min(math.log(max(trial.report.max_error, 1e-30) / max(self.value, 1e-30)), 0.0)
        return max(math.log(trial.report.max_error / max(self.value, 1e-30)), 1e-12)

    def met(self, trial: Trial, n_samples: int) -> bool:
        """Whether a trial reaches the goal."""
        return self.excess(trial, n_samples) <= 0

    @property
    def answer(self) -> float:
        """d log(lmbda) for one unit of excess, as measured on the usual signals: sizes ask for a larger lmbda."""
        return {"size": 1.6, "bpp": 1.6, "psnr": -1.3, "max_error": -2.2, "lossless": -2.2}[self.what]

    @property
    def is_guarantee(self) -> bool:
        """Whether a lattice signal keeps it at every sample, by a residual."""
        return self.what in ("max_error", "lossless")


def pick_goal(quality, psnr, max_error, size, bpp, lossless=False) -> Goal | None:
    """The one goal among the arguments, None for a quality or the default."""
    given = {"quality": quality, "psnr": psnr, "max_error": max_error, "size": size, "bpp": bpp}
    given = {name: float(value) for name, value in given.items() if value is not None}
    if lossless:
        given["lossless"] = 0.0
    if len(given) > 1:
        names = " and ".join(given)
        raise UsageError(f"choosing a target: got {names}, expected one of quality, psnr, max_error, size, bpp, lossless")
    for name, value in given.items():
        if name == "lossless":
            return Goal(name, value)
        if not math.isfinite(value) or (value <= 0 and name != "quality"):
            raise UsageError(f"choosing a target: got {name} {value:g}, expected a positive number")
        if name == "quality":
            if not 0 <= value <= 100:
                raise UsageError(f"choosing a quality: got {value:g}, expected 0 to 100")
            return None
        return Goal(name, value)
    return None
