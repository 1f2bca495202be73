"""Voxels: truncated signed distances on a cube of samples, dense or in leaves of 8^3, with zstd; marching cubes back.

A file is a header and zstd frames. Distances are negative inside; see voxel_lattice for their units.

    header   N uint16; position of the first sample (x, y, z), edge of a cell, distance of truncation: float64, world
    dense    one frame: N^3 values
    sparse   five frames, as OpenVDB keeps a narrow band: bits of the leaves that are stored; of the others, whether
             they are inside; of the stored leaves' samples, which are active and which are inside; active values
"""

from __future__ import annotations

import struct
from abc import abstractmethod

import numpy as np

from ...errors import SignalError
from ...spec import Mesh, Signal
from .base import Peer, Setting, package_version
from .voxel_lattice import BAND, INT8_STEPS, lattice_of

__all__ = ["DenseVoxels", "SparseVoxels"]

_RESOLUTIONS = (64, 128, 256, 512)
_ZSTD_LEVEL = 19
_HEADER = struct.Struct("<H5d")
_LEAF = 8  # samples an axis
_NARROW_BAND = 1.75  # cells: no corner of a cell that the surface crosses is farther away than its diagonal, 1.73
_DTYPES = {"half": np.dtype("<f2"), "int8": np.dtype("i1")}
# of samples that are not active: the narrow band in the units of the values
_BACKGROUND = {"half": _NARROW_BAND, "int8": round(_NARROW_BAND / BAND * INT8_STEPS)}
_SIGN = (
    "its sign is the winding number's: holes are closed, open sheets are lost; "
    "distances are computed once, in the time of the first voxel codec"
)


class _Voxels(Peer):
    needs = (("igl", "libigl"), ("skimage", "scikit-image"))

    def __init__(self, values: str):
        self.values = values
        self.dtype = _DTYPES[values]

    def settings(self, signal: Signal) -> list[Setting]:
        return [{"resolution": n} for n in _RESOLUTIONS]

    def between(self, a: Setting, b: Setting) -> Setting | None:
        """The middle, rounded down to whole leaves: dense and sparse files hold the same lattices."""
        n = (a["resolution"] + b["resolution"]) // 2 // _LEAF * _LEAF
        return {"resolution": n} if n not in (a["resolution"], b["resolution"]) else None

    def encode(self, signal: Signal, resolution: int) -> bytes:
        """resolution: samples an axis, a multiple of 8. Raises SignalError where no sample is inside."""
        lattice = lattice_of(signal.mesh, resolution)
        values = getattr(lattice, self.values)
        if not values.min() <= 0 < values.max():
            raise SignalError(
                f"sampling a surface at {resolution}^3 points: got none inside, expected some: "
                "it is an open sheet or thinner than a cell, so there is nothing to store"
            )
        header = _HEADER.pack(resolution, *lattice.origin, lattice.cell, BAND * lattice.cell)
        return header + b"".join(_compressed(part) for part in self._parts(values))

    def decode(self, data: bytes, like: Signal) -> Mesh:
        from skimage.measure import marching_cubes

        n, x, y, z, cell, _ = _HEADER.unpack_from(data)
        values = self._lattice(data[_HEADER.size :], n)
        # the level is 0, so the values' unit does not matter
        vertices, faces, _, _ = marching_cubes(values.astype(np.float32), 0.0)  # normals point to greater values
        return Mesh(np.array([x, y, z]) + cell * vertices.astype(np.float64), faces.astype(np.int64))

    def version(self) -> str:
        import zstandard

        libzstd = ".".join(map(str, zstandard.ZSTD_VERSION))
        return f"libzstd {libzstd} ({', '.join(map(package_version, ('zstandard', 'libigl', 'scikit-image')))})"

    @abstractmethod
    def _parts(self, values: np.ndarray) -> list[np.ndarray]:
        """What the frames of a file hold, from (N, N, N) values."""

    @abstractmethod
    def _lattice(self, frames: bytes, n: int) -> np.ndarray:
        """The inverse of `_parts`."""


class DenseVoxels(_Voxels):
    """values: "half" or "int8"."""

    def __init__(self, values: str):
        super().__init__(values)
        self.name = f"Voxels dense {values}"
        self.how = f"distances cut at {BAND:g} cells, zstd {_ZSTD_LEVEL}, marching cubes; {_SIGN}"

    def _parts(self, values: np.ndarray) -> list[np.ndarray]:
        return [values]

    def _lattice(self, frames: bytes, n: int) -> np.ndarray:
        (values,) = _decompressed(frames)
        return np.frombuffer(values, self.dtype).reshape(n, n, n)


class SparseVoxels(_Voxels):
    """values: "half" or "int8"."""

    def __init__(self, values: str):
        super().__init__(values)
        self.name = f"Voxels sparse 8^3 {values}"
        self.background = _BACKGROUND[values]
        self.how = (
            f"leaves of 8^3 with samples within {_NARROW_BAND:g} cells of the surface, masks and those samples, "
            f"zstd {_ZSTD_LEVEL}, marching cubes; {_SIGN}"
        )

    def _parts(self, values: np.ndarray) -> list[np.ndarray]:
        leaves = _leaves(values)
        stored = (np.abs(leaves) < self.background).any(axis=(3, 4, 5))
        kept = leaves[stored]
        active, inside = np.abs(kept) < self.background, kept < 0
        # off the surface a leaf has one sign, but where a hole is closed there may be two: it takes that of the most
        others_inside = np.count_nonzero(leaves[~stored] < 0, axis=(1, 2, 3)) > _LEAF**3 // 2
        return [np.packbits(stored), np.packbits(others_inside), np.packbits(active), np.packbits(inside), kept[active]]

    def _lattice(self, frames: bytes, n: int) -> np.ndarray:
        *masks, values = _decompressed(frames)
        stored, others_inside, active, inside = (np.unpackbits(np.frombuffer(mask, np.uint8)) == 1 for mask in masks)
        lattice = np.empty((n, n, n), self.dtype)
        leaves = _leaves(lattice)
        stored = stored[: (n // _LEAF) ** 3].reshape(leaves.shape[:3])
        shape = (np.count_nonzero(stored), _LEAF, _LEAF, _LEAF)
        active, inside = active.reshape(shape), inside.reshape(shape)
        kept = self._filled(inside)
        kept[active] = np.frombuffer(values, self.dtype)
        leaves[stored] = kept
        n_others = stored.size - len(kept)
        leaves[~stored] = self._filled(others_inside[:n_others])[:, None, None, None]
        return lattice

    def _filled(self, inside: np.ndarray) -> np.ndarray:
        return np.where(inside, -self.background, self.background).astype(self.dtype)


def _leaves(lattice: np.ndarray) -> np.ndarray:
    """(n, n, n, 8, 8, 8) view of a lattice: leaves, and the samples in each."""
    n = len(lattice) // _LEAF
    return lattice.reshape(n, _LEAF, n, _LEAF, n, _LEAF).transpose(0, 2, 4, 1, 3, 5)


def _compressed(values: np.ndarray) -> bytes:
    import zstandard

    return zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress(values.reshape(-1).view(np.uint8))


def _decompressed(frames: bytes) -> list[bytes]:
    """The contents of all frames; each ends by itself."""
    import zstandard

    contents = []
    while frames:
        frame = zstandard.ZstdDecompressor().decompressobj()
        contents.append(frame.decompress(frames))
        frames = frame.unused_data
    return contents
