"""Looks at a fit while it runs: its error on the whole signal, and the spectrum of that, at some of its steps."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field

import numpy as np
import torch

from ..fit.encodings import Rounding
from ..fit.goals import Status
from ..fit.train import Fit, Progress
from .rows import Course, Moment
from .spectrum import radial_power

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
    """`on_step` and `on_status` are for `encode`, which may make several fits until a file has its size; `course` then gives
    that of the one which the file came from. It changes nothing in the fit.

    Values are those a decoder would give if everything was rounded now. On lattices errors count evenly; of surfaces, where
    only distances are looked at, as the fit counts them: near the surface (`Source.weight`).
    """

    def __init__(self, diagonal: float | None):
        """diagonal: surfaces: of the source's bounding box, that errors are parts of."""
        self.diagonal = diagonal
        self.seconds = 0.0  # spent looking
        self._running: dict[int, _Seen] = {}  # by the id of a fit
        self._finished: list[tuple[int, float, Course]] = []  # of a file: bytes, dB, how its fit went

    def on_step(self, fit: Fit, progress: Progress) -> None:
        """Looks, where it is time."""
        seen = self._running.setdefault(id(fit), _Seen(self.seconds))
        last = seen.moments[-1].step if seen.moments else 0
        due = [step for step in moments_of(progress.n_steps) if last < step <= progress.step]
        if not due:
            return
        start = time.perf_counter()
        error, target, scale = self._look(fit)
        frequencies, power, counts = radial_power(error)
        if not seen.rings:
            seen.rings = tuple(frequencies), tuple(counts), tuple(radial_power(target)[1])
        seconds = progress.seconds - (self.seconds - seen.looked)
        seen.moments.append(Moment(progress.step, seconds, -20 * math.log10(max(scale, 1e-12)), tuple(power)))
        self.seconds += time.perf_counter() - start

    def on_status(self, status: Status) -> None:
        """A file was measured: what ran until then led to it."""
        if status.phase != "measure" or status.bytes is None:
            return
        if self._running:
            seen = max(self._running.values(), key=lambda seen: seen.moments[-1].step)  # others lost a race
            self._course = Course(*seen.rings, tuple(seen.moments))
            self._running.clear()
        self._finished.append((status.bytes, status.psnr_db, self._course))

    def course(self, n_bytes: int, psnr_db: float) -> Course:
        """Of the fit behind a file of these bytes and dB."""
        return next(course for size, db, course in reversed(self._finished) if (size, db) == (n_bytes, psnr_db))

    def _look(self, fit: Fit) -> tuple[np.ndarray, np.ndarray, float]:
        """(errors, what was to be fitted less its mean, both (*extent, C) in units of the fit, and the RMS error as a share of
        the peak, or of the diagonal)."""
        spec = fit.model.spec
        n_channels = spec.channels if self.diagonal is None else 1
        error, target = (np.zeros((*spec.extent, n_channels), np.float32) for _ in range(2))
        weight = np.ones(spec.extent, np.float32)
        with torch.no_grad():
            for tile in fit.tiles:
                values, _ = fit.model(tile.plan, Rounding(hard=True), (0,) * spec.n_dims, 1)
                found = values.view(tile.target.shape) - tile.target
                block = tuple(slice(a, a + n) for a, n in zip(tile.start, tile.target.shape[1:]))
                for array, tensor in ((error, found), (target, tile.target)):
                    array[block] = np.moveaxis(tensor[:n_channels].cpu().numpy(), 0, -1)
                if self.diagonal is not None and tile.weight is not None:
                    weight[block] = tile.weight.cpu().numpy()
        root = np.sqrt(weight)[..., None]
        rms = math.sqrt(float(np.square(error * root).sum(dtype=np.float64)) / (float(weight.sum(dtype=np.float64)) * n_channels))
        if self.diagonal is not None:
            rms *= spec.value_scale[0] / self.diagonal
        return error * root, (target - target.mean(tuple(range(spec.n_dims)))) * root, rms
