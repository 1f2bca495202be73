"""Point cloud of features: local kernels, summed (Local Deep Implicit Functions, Genova et al. 2020, section 3).

LDIF's elements are Gaussians; here they are (1 - t)^3 of the squared distance t in units of the squared radius, which at
its centre has the curvature of a Gaussian of deviation radius / sqrt(6), and is 0 from the radius on. So a sum has few
terms, and which ones follows from integers: positions are vertices of the level's lattice, radii are whole parts of the
level's `reach`, and the points that may matter in a cell of the lattice are listed by integer arithmetic.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..binary import Reader, Writer
from ..entropy import streams
from ..errors import FormatError, LimitError
from ..limits import MAX_LOG2_POINTS, MAX_NEIGHBOURS, MAX_REACH
from ..spec import RADII, GridSpec, Parameter
from . import LEVELS, Encoding, LevelData

_PAIRS = 1 << 20  # of samples and points that are looked at together


def n_points(spec: GridSpec, level: int) -> int:
    """The most points that a level may have."""
    return min(math.prod(spec.resolutions[level]), 1 << spec.log2_size)


def squared_radii(sizes: np.ndarray, reach: int) -> np.ndarray:
    """Squared radii (P,) float64 in cells of the lattice, of points of these sizes."""
    return (RADII - sizes) * (reach * reach / RADII)


class Grid(Encoding):
    """levels[l] = {"positions": (P, d), "sizes": (P,), "features": (P, F), "reach": (1,)} int32, with a P for each level.

    A point of size s, 0 to RADII - 1, at vertex i has its centre at (i + 0.5) / n along each axis, and the squared radius
    reach^2 * (RADII - s) / RADII, in cells of the lattice. Points are in ascending order of their positions.
    """

    name = "points"
    parameters = (*LEVELS, Parameter("n_points", 1, 1 << MAX_LOG2_POINTS, None, is_integer=True))
    dims = (1, 2, 3)

    def __init__(self, spec: GridSpec, levels: list[LevelData], steps: tuple[float, ...]):
        super().__init__(spec, levels, steps)
        self.clouds = [self._cloud(level, spec.resolutions[k]) for k, level in enumerate(levels)]

    def _cloud(self, level: LevelData, resolution: tuple[int, ...]) -> Cloud:
        """What knows which points matter at a coordinate."""
        return Cloud.of(level, resolution)

    @classmethod
    def level_shapes(cls, spec: GridSpec, level: int) -> dict[str, tuple[int, ...]]:
        n = n_points(spec, level)
        return {"positions": (n, spec.n_dims), "sizes": (n,), "features": (n, spec.n_features[level]), "reach": (1,)}

    @classmethod
    def encode_level(cls, spec: GridSpec, levels: list[LevelData], level: int, net: Any) -> bytes:
        data, middle = levels[level], np.array(spec.resolutions[level]) // 2
        positions = data["positions"] - middle
        positions[:, 0] = np.diff(data["positions"][:, 0], prepend=0)
        table = np.concatenate([positions, data["sizes"][:, None], data["features"]], 1)
        writer = Writer().varint(len(table)).varint(int(data["reach"][0]))
        return writer.bytes(streams.encode_columns(table)).getvalue()

    @classmethod
    def decode_level(cls, spec: GridSpec, coarser: list[LevelData], level: int, data: bytes, net: Any) -> LevelData:
        reader, d, resolution = Reader(data), spec.n_dims, np.array(spec.resolutions[level])
        n, reach = reader.varint(), reader.varint()
        if n > n_points(spec, level) or not 1 <= reach <= MAX_REACH:
            raise LimitError(
                f"reading points: got {n} points of reach {reach}, expected at most {n_points(spec, level)} and 1 to "
                f"{MAX_REACH}",
                "limit-points",
            )
        table = streams.decode_columns(reader, (n, d + 1 + spec.n_features[level]))
        reader.done()
        positions, sizes = table[:, :d].astype(np.int64), table[:, d]
        positions[:, 1:] += resolution[1:] // 2
        positions[:, 0] = np.cumsum(positions[:, 0])
        if ((positions < 0) | (positions >= resolution)).any() or ((sizes < 0) | (sizes >= RADII)).any():
            raise FormatError(
                f"reading points: got positions outside of {tuple(resolution)} or sizes outside of 0 to {RADII - 1}; the "
                "file is damaged",
                "points-place",
            )
        return {
            "positions": positions.astype(np.int32), "sizes": sizes, "features": table[:, d + 1 :],
            "reach": np.array([reach], np.int32),
        }  # fmt: skip

    def features(self, coords: np.ndarray, n_levels: int) -> np.ndarray:
        return self._sums(coords, n_levels, 0)[:, 0]

    def jacobian(self, coords: np.ndarray, n_levels: int) -> tuple[np.ndarray, np.ndarray]:
        sums = self._sums(coords, n_levels, 1)
        return sums[:, 0], sums[:, 1:]

    def hessian(self, coords: np.ndarray, n_levels: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        n, d = coords.shape
        sums = self._sums(coords, n_levels, 2)
        return sums[:, 0], sums[:, 1 : 1 + d], sums[:, 1 + d :].reshape(n, d, d, -1)

    def _sums(self, coords: np.ndarray, n_levels: int, order: int) -> np.ndarray:
        """(N, 1 + d .., F) float32: features and, up to an order, their derivatives."""
        n, d = coords.shape
        out = np.zeros((n, sum(d**k for k in range(order + 1)), self.spec.n_inputs), np.float32)
        start = 0
        for level, f in enumerate(self.spec.n_features):
            if level < min(n_levels, len(self.levels)):
                values = self.levels[level]["features"].astype(np.float32) * np.float32(self.steps[level])
                for sample, point, terms in self.clouds[level].near(coords, order):
                    for k, term in enumerate(terms):
                        for j in range(f):
                            total = np.bincount(sample, term * values[point, j], n)
                            out[:, k, start + j] += total.astype(np.float32)
            start += f
        return out


@dataclass(frozen=True)
class Cloud:
    """The points of a level and, for each cell of `edge` vertices a side that any reaches into, which do.

    keys (K,) int64, ascending: numbers of cells in raster order; points[starts[k] : starts[k + 1]] are those of cell k.
    """

    resolution: np.ndarray
    positions: np.ndarray
    squares: np.ndarray
    edge: int
    n_cells: np.ndarray
    keys: np.ndarray
    starts: np.ndarray
    points: np.ndarray

    @classmethod
    def of(cls, level: LevelData, resolution: tuple[int, ...]) -> "Cloud":
        """LimitError where there are too many cells to number, or points in one of them."""
        sizes, positions, edge = np.array(resolution, np.int64), level["positions"].astype(np.int64), int(level["reach"][0])
        n_cells = -(-sizes // edge)
        if math.prod(map(int, n_cells)) >= 1 << 62:
            raise LimitError(
                f"reading points: got {resolution} vertices and a reach of {edge}, expected fewer", "limit-points"
            )
        first = np.maximum((2 * positions + 1 - 2 * edge) // (2 * edge), 0)
        last = np.minimum((2 * positions + 1 + 2 * edge) // (2 * edge), n_cells - 1)
        cells, owners = np.zeros(len(positions), np.int64), np.arange(len(positions))
        for k, n in enumerate(n_cells):
            # one axis after the other: every entry becomes as many as there are cells along it
            count = (last - first)[owners, k] + 1
            step = np.arange(int(count.sum())) - np.repeat(np.cumsum(count) - count, count)
            cells, owners = np.repeat(cells, count), np.repeat(owners, count)
            cells = cells * n + first[owners, k] + step
        order = np.argsort(cells, kind="stable")
        keys, starts = np.unique(cells[order], return_index=True)
        starts = np.append(starts, len(cells))
        if len(keys) and np.diff(starts).max() > MAX_NEIGHBOURS:
            raise LimitError(
                f"reading points: got {np.diff(starts).max()} points that reach into a cell, expected at most "
                f"{MAX_NEIGHBOURS}",
                "limit-neighbours",
            )
        squares = squared_radii(level["sizes"], edge)
        return cls(sizes, positions, squares, edge, n_cells, keys, starts, owners[order])

    def near(self, coords: np.ndarray, order: int) -> Iterator[tuple[np.ndarray, np.ndarray, list[np.ndarray]]]:
        """Yields pairs of samples and points within whose radius they are: indices of the samples of coords (N, d) and of
        the points, and the kernel there, float32; with order 1 its derivatives by each axis, with 2 also the second
        ones."""
        inside = np.clip(coords, 0.0, 1.0)
        moves = ((coords >= 0) & (coords <= 1)) * self.resolution  # cells by the coordinate, 0 beyond the box
        key = np.zeros(len(coords), np.int64)
        for k, n in enumerate(self.n_cells):
            key = key * n + np.minimum((inside[:, k] * self.resolution[k] / self.edge).astype(np.int64), n - 1)
        place = np.searchsorted(self.keys, key)
        found = place < len(self.keys)
        found[found] = self.keys[place[found]] == key[found]
        samples = np.flatnonzero(found)
        place = place[samples]
        count = self.starts[place + 1] - self.starts[place]
        ends = np.cumsum(count)
        cuts = np.searchsorted(ends, np.arange(_PAIRS, ends[-1] if len(ends) else 0, _PAIRS))
        for part in np.split(np.arange(len(samples)), cuts):
            here = count[part]
            step = np.arange(int(here.sum())) - np.repeat(np.cumsum(here) - here, here)
            point = self.points[np.repeat(self.starts[place[part]], here) + step]
            sample = np.repeat(samples[part], here)
            away = inside[sample] * self.resolution - 0.5 - self.positions[point]
            rest = 1 - np.square(away).sum(1) / self.squares[point]
            near = rest > 0
            sample, point, away, rest = sample[near], point[near], away[near], rest[near]
            terms = _terms(away, rest, self.squares[point], moves[sample], order)
            yield sample, point, [term.astype(np.float32) for term in terms]


def _terms(
    away: np.ndarray, rest: np.ndarray, square: np.ndarray, moves: np.ndarray, order: int
) -> Iterator[np.ndarray]:
    """The kernel of 1 - t = rest, and its derivatives by coordinates, along which `away` (M, d) moves by `moves`."""
    d = away.shape[1]
    yield rest**3
    slopes = [-2 * away[:, k] * moves[:, k] / square for k in range(d if order else 0)]  # of rest
    for slope in slopes:
        yield 3 * rest * rest * slope
    for j in range(d if order > 1 else 0):
        for k in range(d):
            bend = -2 * moves[:, k] ** 2 / square if j == k else 0.0
            yield 6 * rest * slopes[j] * slopes[k] + 3 * rest * rest * bend
