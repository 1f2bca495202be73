"""Truncated signed distances of a mesh on a cube of samples: what the voxel peers store.

The mesh is repaired as for our own encoder, and the sign is its winding number's, so that no side gets a better surface.
Four codecs store the same lattices: those of the last mesh are kept.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np

from ...spec import Mesh

__all__ = ["BAND", "INT8_STEPS", "Lattice", "lattice_of"]

BAND = 3.0  # cells at which distances are cut
INT8_STEPS = 127  # integers of an int8 a band
_MARGIN = 4  # cells between the outermost samples and the bounding box: the band and one more
_SLAB = 32  # samples sampled at once along x, which bounds the memory of the search
_KEPT_BYTES = 640_000_000  # room for one lattice of 512 samples an axis and the smaller ones
_BYTES_A_SAMPLE = 3  # half and int8


@dataclass(frozen=True)
class Lattice:
    """Signed distances, negative inside, cut at +-BAND cells. Sample (i, j, k) lies at origin + cell * (i, j, k).

    half: (N, N, N) float16 in cells, axes (x, y, z); int8: the same in BAND / INT8_STEPS of a cell. origin: (3,)
    float64, cell: edge of the cubic cells, both in world units.
    """

    half: np.ndarray
    int8: np.ndarray
    origin: np.ndarray
    cell: float


def lattice_of(mesh: Mesh, n: int) -> Lattice:
    """Of n samples an axis, in a cube around the middle of the bounding box, _MARGIN cells wider at its longest side.

    Read only. Raises SignalError for a mesh without area or with vertices that are not finite, MissingExtraError without
    libigl.
    """
    return _MEMORY.lattice(mesh, n)


class _Memory:
    """The lattices of the last mesh, known by its content; the least recently used make room for new ones."""

    def __init__(self):
        self.lock = threading.Lock()
        self.key = b""
        self.distance = None
        self.lattices: OrderedDict[int, Lattice] = OrderedDict()

    def lattice(self, mesh: Mesh, n: int) -> Lattice:
        from ...fit.distance import MeshDistance

        with self.lock:
            key = _digest(mesh)
            if key != self.key:
                self.lattices.clear()
                self.key, self.distance = key, None
            if n not in self.lattices:
                kept_bytes = sum(_BYTES_A_SAMPLE * kept**3 for kept in self.lattices)
                while self.lattices and kept_bytes + _BYTES_A_SAMPLE * n**3 > _KEPT_BYTES:
                    kept_bytes -= _BYTES_A_SAMPLE * self.lattices.popitem(last=False)[0] ** 3
                if self.distance is None:
                    self.distance = MeshDistance(mesh)
                self.lattices[n] = _sampled(self.distance, n)
            self.lattices.move_to_end(n)
            return self.lattices[n]


_MEMORY = _Memory()


def _digest(mesh: Mesh) -> bytes:
    digest = hashlib.blake2b(repr((mesh.vertices.shape, mesh.faces.shape)).encode())
    digest.update(np.ascontiguousarray(mesh.vertices, np.float64))
    digest.update(np.ascontiguousarray(mesh.faces, np.int64))
    return digest.digest()


def _sampled(distance, n: int) -> Lattice:
    from ...fit.distance import lattice_distance

    used = distance.mesh.vertices[np.unique(distance.mesh.faces)]
    low, high = used.min(axis=0), used.max(axis=0)
    cell = float((high - low).max()) / (n - 1 - 2 * _MARGIN)
    origin = (low + high) / 2 - cell * (n - 1) / 2
    half, int8 = np.empty((n, n, n), np.float16), np.empty((n, n, n), np.int8)
    for start in range(0, n, _SLAB):
        stop = min(start + _SLAB, n)
        corner = origin + cell * (np.array([start, 0, 0]) - 0.5)
        world = lattice_distance(distance, corner, cell, (n, n, stop - start), BAND * cell)
        cells = np.clip(world.transpose(2, 1, 0) / cell, -BAND, BAND)
        half[start:stop] = cells
        int8[start:stop] = np.rint(cells * (INT8_STEPS / BAND))
    half.flags.writeable = int8.flags.writeable = False
    return Lattice(half, int8, origin, cell)
