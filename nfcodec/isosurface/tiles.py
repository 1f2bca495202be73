"""A field on a lattice of samples, evaluated in tiles near the surface only, and the cells that the surface crosses.

Every sample is evaluated once, and a surface that leaves the tiles at hand is followed, so that it has no cracks.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nfcodec.errors import NfldError

from .cells import CORNERS

__all__ = ["Evaluate", "Tiles", "find_cells"]

Evaluate = Callable[[list[np.ndarray]], np.ndarray]

_TILE = 4  # samples an axis of a tile, the unit that is kept or skipped
_GROUP = 4  # tiles along z and y that are evaluated by one call: more samples, but fewer calls
_COARSE_SAMPLES = 1 << 18  # of one call while looking for the surface
_CELLS = 1 << 22  # looked at at once; bounds the memory


def find_cells(
    lattice: Tiles, step: tuple[float, float, float] | None, truncation: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """The cells with corners on both sides of the level: their first samples (M, 3) int64 and corner values minus the level
    (M, 8) float64. step, truncation: as `isosurface`. NfldError where there are none.
    """
    pending = _candidates(lattice, step, truncation)
    kept = np.zeros_like(pending)
    cells, corner_values = [], []
    while pending.any():
        lattice.load(pending)
        kept |= pending
        found = np.zeros_like(pending)
        for tiles in _batches(np.argwhere(pending)):
            blocks = lattice.blocks(tiles)
            inside = blocks < lattice.level
            _mark_neighbours(found, tiles, inside)
            active, values = _active_cells(blocks, inside, tiles, lattice.shape)
            cells.append(active)
            corner_values.append(values)
        # a surface that leaves a kept tile is followed, so that it has no cracks
        pending = found & ~kept
    if sum(map(len, cells)) == 0:
        low, high = lattice.seen
        raise NfldError(
            f"extracting a surface: got values from {low:.4g} to {high:.4g} on {'x'.join(map(str, lattice.shape))} "
            f"samples, none across the level {lattice.level:g}: choose a level in between or a finer resolution"
        )
    return np.concatenate(cells), np.concatenate(corner_values).astype(np.float64) - lattice.level


class Tiles:
    """The samples of a lattice, evaluated tile by tile, each exactly once.

    Once, because the same sample evaluated in two calls may differ in its last bit, and at the surface in its sign.
    """

    def __init__(
        self,
        evaluate: Evaluate,
        shape: tuple[int, int, int],
        level: float,
        points: Callable[[np.ndarray], np.ndarray] | None,
    ):
        self.evaluate, self.points = evaluate, points
        self.shape = shape
        self.level = level
        self.slots = np.full([-(-n // _TILE) for n in shape], -1, np.int64)  # tile -> its row in values
        self.values = np.empty((0, _TILE, _TILE, _TILE), np.float32)
        self.seen = (np.inf, -np.inf)

    def sample(self, index: list[np.ndarray]) -> np.ndarray:
        """The field, float32, at the product of three arrays of sample indices."""
        return self.checked(self.evaluate([(i + 0.5) / n for i, n in zip(index, self.shape)]))

    def checked(self, values: np.ndarray) -> np.ndarray:
        """The values as float32, once they are known to be finite."""
        values = np.asarray(values, np.float32)
        low, high = float(values.min()), float(values.max())
        if not np.isfinite([low, high]).all():
            raise NfldError(
                "extracting a surface: got NaN or infinite values, expected a finite field: verify the file"
            )
        self.seen = (min(self.seen[0], low), max(self.seen[1], high))
        return values

    def load(self, tiles: np.ndarray) -> None:
        """Evaluates the marked tiles (a mask) and those after them along each axis, whose first samples they share."""
        wanted = _dilated(tiles, before=0) & (self.slots < 0)
        if self.points is not None:
            self._load_points(wanted)
            return
        parts = [self.values]
        n_rows = len(self.values)
        for z in range(0, wanted.shape[0], _GROUP):
            for y in range(0, wanted.shape[1], _GROUP):
                group = wanted[z : z + _GROUP, y : y + _GROUP]
                # the tiles of a group with the same x are always evaluated together, so none of a run is there yet
                for first, last in _runs(group.any(axis=(0, 1))):
                    box = tuple(
                        slice(a, b) for a, b in ((z, z + group.shape[0]), (y, y + group.shape[1]), (first, last))
                    )
                    index = [np.arange(s.start * _TILE, min(s.stop * _TILE, n)) for s, n in zip(box, self.shape)]
                    values = self.sample(index)
                    # what is cut off by the lattice's end repeats the last sample: no sign changes there
                    values = np.pad(values, [(0, -n % _TILE) for n in values.shape], mode="edge")
                    nz, ny, nx = (n // _TILE for n in values.shape)
                    values = values.reshape(nz, _TILE, ny, _TILE, nx, _TILE).transpose(0, 2, 4, 1, 3, 5)
                    parts.append(values.reshape(-1, *(_TILE,) * 3))
                    self.slots[box] = n_rows + np.arange(nz * ny * nx).reshape(nz, ny, nx)
                    n_rows += nz * ny * nx
        self.values = np.concatenate(parts)

    def _load_points(self, wanted: np.ndarray) -> None:
        """As `load`, without a sample that is not wanted."""
        tiles, parts = np.argwhere(wanted), [self.values]
        self.slots[wanted] = len(self.values) + np.arange(len(tiles))
        for batch in _batches(tiles):
            coords = np.empty((len(batch), *(_TILE,) * 3, 3))
            for axis, n in enumerate(self.shape):
                # beyond the lattice's end the last sample is repeated
                index = np.minimum(batch[:, axis, None] * _TILE + np.arange(_TILE), n - 1)
                coords[..., axis] = ((index + 0.5) / n).reshape(-1, *(_TILE if k == axis else 1 for k in range(3)))
            parts.append(self.checked(self.points(coords.reshape(-1, 3))).reshape(-1, *(_TILE,) * 3))
        self.values = np.concatenate(parts)

    def corner_places(self, cells: np.ndarray) -> np.ndarray:
        """Where the corners (M, 8) of cells (M, 3) in loaded tiles lie in `values`, as flat indices."""
        slots, strides = self.slots.reshape(-1), np.array(self.slots.strides) // self.slots.itemsize
        tiles, locals_ = [], []  # [axis][offset], each (M,): parts of the indices into slots and into a tile
        for axis in range(3):
            samples = [cells[:, axis] + offset for offset in (0, 1)]
            tiles.append([i // _TILE * strides[axis] for i in samples])
            locals_.append([i % _TILE * _TILE ** (2 - axis) for i in samples])
        out = np.empty((len(cells), 8), np.int64)
        for corner, (z, y, x) in enumerate(CORNERS):
            slot = slots[tiles[0][z] + tiles[1][y] + tiles[2][x]]
            out[:, corner] = slot * _TILE**3 + (locals_[0][z] + locals_[1][y] + locals_[2][x])
        return out

    def blocks(self, tiles: np.ndarray) -> np.ndarray:
        """For (n, 3) tiles their samples and the first ones of the tiles after them, (n, T+1, T+1, T+1) float32."""
        blocks = np.empty((len(tiles), *(_TILE + 1,) * 3), np.float32)
        for offset in CORNERS:
            # at the lattice's end there is no next tile; its cells are dropped later, so its own samples do
            after = np.minimum(tiles + offset, np.array(self.slots.shape) - 1)
            target = tuple(slice(_TILE, None) if o else slice(0, _TILE) for o in offset)
            source = tuple(slice(0, 1) if o else slice(None) for o in offset)
            blocks[(slice(None), *target)] = self.values[self.slots[tuple(after.T)]][(slice(None), *source)]
        for axis, n_tiles in enumerate(self.slots.shape):
            end = np.flatnonzero(tiles[:, axis] == n_tiles - 1)
            swapped = np.moveaxis(blocks, axis + 1, 1)
            swapped[end, _TILE] = swapped[end, _TILE - 1]
        return blocks


def _candidates(lattice: Tiles, step: tuple[float, float, float] | None, truncation: float | None) -> np.ndarray:
    """Mask of the tiles that the surface may enter, judged by the samples at their corners."""
    index = [np.minimum(np.arange(n + 1) * _TILE, size - 1) for n, size in zip(lattice.slots.shape, lattice.shape)]
    n_slabs = max(1, _COARSE_SAMPLES // (len(index[1]) * len(index[2])))
    slabs = [lattice.sample([index[0][k : k + n_slabs], *index[1:]]) for k in range(0, len(index[0]), n_slabs)]
    distance = np.concatenate(slabs) - np.float32(lattice.level)
    corners = [distance[tuple(slice(o, n + o) for o, n in zip(offset, lattice.slots.shape))] for offset in CORNERS]
    crossed = (np.minimum.reduce(corners) < 0) & (np.maximum.reduce(corners) >= 0)
    if step is None:
        return _dilated(crossed, before=1)
    # a surface through the tile is within half its diagonal of a corner; 1.2: fitted fields are not quite distances
    reach = 1.2 * _TILE * float(np.linalg.norm(step)) / 2
    if truncation is not None:
        reach = min(reach, 0.9 * truncation - abs(lattice.level))
    return crossed | (np.minimum.reduce([np.abs(c) for c in corners]) <= reach)


def _dilated(mask: np.ndarray, before: int) -> np.ndarray:
    """The mask and its neighbours: one tile after along each axis, and `before` tiles before."""
    padded = np.pad(mask, [(1, before)] * 3)
    out = np.zeros_like(mask)
    for offset in np.ndindex((before + 2,) * 3):
        out |= padded[tuple(slice(o, o + n) for o, n in zip(offset, mask.shape))]
    return out


def _runs(mask: np.ndarray) -> list[tuple[int, int]]:
    """(first, last + 1) of every run of True in a 1-D mask."""
    steps = np.flatnonzero(np.diff(np.pad(mask, 1).astype(np.int8)))
    return list(zip(steps[::2].tolist(), steps[1::2].tolist()))


def _batches(tiles: np.ndarray) -> list[np.ndarray]:
    n = max(1, _CELLS // _TILE**3)
    return [tiles[k : k + n] for k in range(0, len(tiles), n)]


def _mark_neighbours(found: np.ndarray, tiles: np.ndarray, inside: np.ndarray) -> None:
    """Marks the tiles behind those sides of the given ones that the surface crosses."""
    for axis in range(3):
        for side, direction in ((0, -1), (_TILE, 1)):
            plane = np.take(inside, side, axis=axis + 1).reshape(len(tiles), -1)
            behind = tiles[plane.any(axis=1) & ~plane.all(axis=1)]
            behind[:, axis] += direction
            behind = behind[(behind[:, axis] >= 0) & (behind[:, axis] < found.shape[axis])]
            found[tuple(behind.T)] = True


def _active_cells(
    blocks: np.ndarray, inside: np.ndarray, tiles: np.ndarray, shape: tuple[int, int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """The cells with corners of both signs: index of their first sample (M, 3) and corner values (M, 8)."""
    case = np.zeros((len(tiles), *(_TILE,) * 3), np.uint8)
    windows = [tuple(slice(o, o + _TILE) for o in offset) for offset in CORNERS]
    for corner, window in enumerate(windows):
        case |= inside[(slice(None), *window)].astype(np.uint8) << corner
    tile, *local = np.nonzero((case != 0) & (case != 255))
    first = tiles[tile] * _TILE + np.stack(local, axis=1)
    whole = (first < np.array(shape) - 1).all(axis=1)
    tile, local, first = tile[whole], [i[whole] for i in local], first[whole]
    values = np.stack([blocks[(tile, *(i + o for i, o in zip(local, offset)))] for offset in CORNERS], axis=1)
    return first, values
