"""A field's surface in world coordinates, as queries see it: where its offset is 0 and no trim cuts it off."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from ..field import Field

__all__ = ["CHUNK", "Surface", "in_chunks", "normals_of"]

CHUNK = 1 << 15  # points that a thread takes at a time
_MOST_CELLS = 4096  # along the longest axis: a ray makes no more than a few times as many steps


class Surface:
    """Offsets from a level of a field: negative inside, by world distance where the field's values are distances.

    Points are (N, 3) float64 in world units with axes in array order (z, y, x). Calls are for one thread each; threads may
    share the object.
    """

    def __init__(self, field: Field, level: int | None, iso: float | None):
        self.field = field
        self.low, self.size = np.asarray(field.spec.origin, np.float64), field.box_size
        self.cell = max(field.spec.cell, float(self.size.max()) / _MOST_CELLS)
        self.iso, self.sign = field._iso(iso), float(field._outward)
        self.draws_in = field.draws_in(iso)
        self.n_levels = field._levels(level)
        self.is_distance = field.kind != "occupancy"
        self._trim = next(iter(field.spec.channels_of("trim")), None)  # its channel

    def offset(self, points: np.ndarray) -> np.ndarray:
        """(N,) float64."""
        return self.sign * (self._sample(points)[:, 0].astype(np.float64) - self.iso)

    def is_there(self, points: np.ndarray) -> np.ndarray:
        """Which points (N, 3) of offset 0 are of the surface and not cut off, (N,) bool."""
        if self._trim is None:
            return np.ones(len(points), bool)
        return self._sample(points)[:, self._trim] <= 0

    def slope(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Offsets (N,) and their derivatives (N, 3) by world distance, float64; beyond the box those of its side."""
        return self.slopes(points)[:2]

    def slopes(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray, tuple[np.ndarray, np.ndarray] | None]:
        """Offsets and derivatives as `slope`, and those of the trim (N,), (N, 3), at most 0 on the surface; None
        without."""
        coords = np.clip((points - self.low) / self.size, 0.0, 1.0)
        values, slopes = self.field._evaluation.gradient(coords, self.n_levels, shared=False)
        offset = self.sign * (values[:, 0].astype(np.float64) - self.iso)
        slope = self.sign * slopes[:, 0].astype(np.float64) / self.size
        if self._trim is None:
            return offset, slope, None
        trim = values[:, self._trim].astype(np.float64)
        return offset, slope, (trim, slopes[:, self._trim].astype(np.float64) / self.size)

    def _sample(self, points: np.ndarray) -> np.ndarray:
        return self.field._evaluation.sample((points - self.low) / self.size, self.n_levels, shared=False)


def normals_of(slopes: np.ndarray) -> np.ndarray:
    """Slopes (N, 3) made unit vectors; along the last axis where they are 0 or not finite."""
    lengths = np.linalg.norm(slopes, axis=1, keepdims=True)
    sound = np.isfinite(lengths) & (lengths > 0)
    return np.where(sound, slopes / np.where(sound, lengths, 1.0), [0.0, 0.0, 1.0])


def in_chunks(work: Callable[[slice], None], n: int, by_threads: bool) -> None:
    """work(part) for parts of n points."""
    parts = [slice(start, min(start + CHUNK, n)) for start in range(0, n, CHUNK)]
    if by_threads:
        from ..kernels.threads import for_each

        for_each(work, parts, len(parts))
    else:
        for part in parts:
            work(part)
