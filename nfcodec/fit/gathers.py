"""Which values the context network of a tile reads, packed: 16 positions at a time, of which most just count up.

A tile of 256 x 256 samples has 2 million such indices; kept one by one, those of a large image would take gigabytes.
"""

from __future__ import annotations

import numpy as np
import torch

LANES = 16  # positions a vector, as in `kernels.simd`
LOOSE, RUN, SAME = -1, -2, -3


class Gathers:
    """Indices into a step's values v, for M positions: G inputs of the network each, and last the position's own value.

    runs: (G + 1, vectors, 2) int32. (first, RUN) where the indices of a vector count up by 1, as neighbours on lattices do;
    (first of the even positions, first of the odd ones) where these two do each, as parents do; (index, SAME) where all
    are the same, as outside of a lattice; else (row of loose, LOOSE). loose: (rows, 16) uint32. constants: (2, M) int8, the
    network's two constant inputs.
    """

    def __init__(self, rows: np.ndarray, constants: np.ndarray):
        """rows (G + 1, M) and constants (2, M), integers. They are packed when that is asked for: a GPU takes them as they
        are."""
        self.n, self.constants = rows.shape[1], constants.astype(np.int8)
        self._rows: np.ndarray | None = rows.astype(np.int32, copy=False)
        self._packed: tuple[np.ndarray, np.ndarray] | None = None
        self._whole: dict[str, tuple[torch.Tensor, ...]] = {}

    def __len__(self) -> int:
        return self.n

    @classmethod
    def pack(cls, own: np.ndarray, context: np.ndarray, constants: np.ndarray) -> "Gathers":
        """own (M,), context (G, M) and constants (2, M), packed at once: one by one those of all tiles are too large."""
        gathers = cls(np.concatenate([context, own[None]]), constants)
        gathers._pack()
        return gathers

    @property
    def runs(self) -> np.ndarray:
        return self._pack()[0]

    @property
    def loose(self) -> np.ndarray:
        return self._pack()[1]

    def _pack(self) -> tuple[np.ndarray, np.ndarray]:
        if self._packed is None:
            self._packed, self._rows = _packed(self._rows), None
        return self._packed

    def some(self, vectors: np.ndarray) -> "Gathers":
        """Only the positions of these whole vectors."""
        constants = self.constants[:, : self.n // LANES * LANES].reshape(2, -1, LANES)[:, vectors].reshape(2, -1)
        part = Gathers(np.empty((len(self.runs), len(vectors) * LANES), np.int32), constants)
        part._packed, part._rows = (np.ascontiguousarray(self.runs[:, vectors]), self.loose), None
        return part

    def whole(self, device: torch.device | str) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """(own (M,) int64, context (G, M) int64, constants (2, M) float32), one by one, kept for the next call."""
        key = f"whole, {device}"
        if key not in self._whole:
            rows = torch.from_numpy(self._unpacked() if self._rows is None else self._rows).long().to(device)
            self._whole[key] = rows[-1], rows[:-1], torch.from_numpy(self.constants.astype(np.float32)).to(device)
        return self._whole[key]

    def places(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """(indices (G + 1, M) int32 of inputs and own positions, constants int8) on a device, one by one and kept for the
        next call: a GPU reads them in the time that it would take to unpack them."""
        key = f"places, {device}"
        if key not in self._whole:
            rows = self._rows if self._rows is not None else self._unpacked()
            arrays = (torch.from_numpy(np.ascontiguousarray(a)).to(device) for a in (rows, self.constants))
            self._whole[key] = tuple(arrays)
        return self._whole[key]

    def places_bytes(self, device: torch.device) -> int:
        """What `places` has yet to allocate there."""
        n_rows = len(self.runs) if self._rows is None else len(self._rows)
        return 0 if f"places, {device}" in self._whole else self.n * (4 * n_rows + 2)

    def _unpacked(self) -> np.ndarray:
        """(G + 1, M) int32."""
        first, kind = self.runs[:, :, :1], self.runs[:, :, 1:]
        lane = np.arange(LANES, dtype=np.int32)
        rows = np.where(lane % 2 == 0, first, kind) + lane // 2
        rows = np.where(kind == RUN, first + lane, np.where(kind == SAME, first, rows))
        is_loose = self.runs[:, :, 1] == LOOSE
        rows[is_loose] = self.loose[self.runs[:, :, 0][is_loose]]
        return rows.reshape(len(rows), -1)[:, : self.n]


def _packed(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(runs, loose) of rows (G + 1, M)."""
    n_rows, m = rows.shape
    n_vectors = -(-m // LANES)
    vectors = np.pad(rows, ((0, 0), (0, n_vectors * LANES - m))).reshape(n_rows, n_vectors, LANES // 2, 2)
    runs = np.full((n_rows, n_vectors, 2), LOOSE, np.int32)
    whole = m // LANES  # a vector that is not whole stays loose
    inner, found = vectors[:, :whole], runs[:, :whole]
    is_pair = (np.diff(inner, axis=2) == 1).all(axis=(2, 3))
    found[is_pair] = inner[:, :, 0][is_pair]
    flat = inner.reshape(n_rows, whole, LANES)
    for kind, mask in ((RUN, (np.diff(flat, axis=2) == 1).all(axis=2)), (SAME, (flat == flat[:, :, :1]).all(axis=2))):
        found[mask] = np.stack([flat[:, :, 0][mask], np.full(np.count_nonzero(mask), kind)], 1)
    is_loose = runs[:, :, 1] == LOOSE
    runs[:, :, 0][is_loose] = np.arange(np.count_nonzero(is_loose))
    loose = vectors.reshape(n_rows, n_vectors, LANES)[is_loose].astype(np.uint32)
    return runs, np.ascontiguousarray(loose)
