"""Whether the source mesh itself would be the smaller file: few triangles are a surface's shortest description.

Measured, never estimated: the mesh is coded at about the error that the field has, decoded and compared. With Draco where
DracoPy is there; else with what is always there, differences and zstd, which is larger, so that what it says is true of
Draco as well.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..measure import Report, measure_decoded
from ..spec import Mesh, Signal

__all__ = ["SmallerMesh", "smaller_mesh"]

_BITS = (6, 18)  # a coordinate
_LEAST_BYTES = 0.2  # a face: below, no coder of all faces gets
_LEVEL = 19


@dataclass(frozen=True)
class SmallerMesh:
    """A coded source mesh: by what, its bytes, and its RMS error as in `measure.Report`."""

    codec: str
    bytes: int
    rms: float


def smaller_mesh(signal: Signal, report: Report, n_bytes: int) -> SmallerMesh | None:
    """The source mesh coded with fewer than n_bytes, at no more than the report's RMS both ways; None where it is not."""
    mesh = signal.mesh
    if mesh is None or mesh.paint is not None or n_bytes < _LEAST_BYTES * len(mesh.faces):
        return None
    used = mesh.vertices[np.unique(mesh.faces)]
    side, diagonal = float(np.ptp(used, axis=0).max()), float(np.linalg.norm(np.ptp(used, axis=0)))
    rms = min(x for x in (report.rms, report.rms_back) if x is not None)
    # a coordinate rounded to steps is off by step / sqrt(12)
    wanted = math.ceil(math.log2(max(side / (max(rms, 1e-12) * diagonal * math.sqrt(12)), 1.0) + 1))
    for bits in range(max(wanted - 1, _BITS[0]), _BITS[1] + 1):
        codec, data, decoded = _coded(mesh, bits)
        if len(data) >= n_bytes:
            return None
        found = measure_decoded(decoded, signal)
        if max(found.rms, found.rms_back) <= rms:
            return SmallerMesh(codec, len(data), max(found.rms, found.rms_back))
    return None


def _coded(mesh: Mesh, bits: int) -> tuple[str, bytes, Mesh]:
    """The codec's name, its bytes, and what they decode to."""
    try:
        import DracoPy  # noqa: F401
    except ImportError:
        return _plain(mesh, bits)
    from .peers.draco import decoded, encoded

    data = encoded(mesh, bits)
    return "Draco", data, decoded(data)


def _plain(mesh: Mesh, bits: int) -> tuple[str, bytes, Mesh]:
    """Differences of rounded coordinates and of indices, in their order, through zstd; what they decode to is the mesh."""
    from zstandard import ZstdCompressor

    low = mesh.vertices.min(axis=0)
    step = float(np.ptp(mesh.vertices, axis=0).max()) / (2**bits - 1) or 1.0
    places = np.rint((mesh.vertices - low) / step).astype(np.int64)
    parts = [np.array([*low, step]).tobytes()]
    for table in (places, mesh.faces):
        changes = np.diff(table, axis=0, prepend=0).astype(np.int32).T  # a column after the other ...
        by_bytes = np.ascontiguousarray(changes).view(np.uint8).reshape(3, -1, 4).transpose(0, 2, 1)  # ... byte by byte
        parts.append(by_bytes.tobytes())
    return "zstd", ZstdCompressor(level=_LEVEL).compress(b"".join(parts)), Mesh(low + places * step, mesh.faces)
