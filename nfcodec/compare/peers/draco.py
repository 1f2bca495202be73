"""Draco: quantised positions, predicted by parallelograms, and edgebreaker connectivity. Google, through DracoPy."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import SignalError
from ...spec import Mesh, Signal
from .base import Peer, Setting, package_version

__all__ = ["Draco", "decoded", "encoded"]

_COMPRESSION_LEVEL = 10  # the smallest files, of 0 to 10
_SIDES = (1e-30, 1e30)  # beyond, where float32 nears its ends, DracoPy 2.2.0 crashes


class Draco(Peer):
    """qp: bits a coordinate, over the longest side of the bounding box.

    It codes a mesh of float32 and splits vertices where more than two faces meet at an edge. Faces whose corners fall
    onto one lattice point stay, without area.
    """

    name = "Draco"
    needs = (("DracoPy", "DracoPy"),)
    how = f"compression level {_COMPRESSION_LEVEL}, positions and faces"

    def settings(self, signal: Signal) -> list[Setting]:
        return [{"qp": qp} for qp in range(8, 17)]

    def encode(self, signal: Signal, **setting: Any) -> bytes:
        return encoded(signal.mesh, setting["qp"])

    def decode(self, data: bytes, like: Signal) -> Mesh:
        return decoded(data)

    def version(self) -> str:
        return package_version("DracoPy")


def encoded(mesh: Mesh, qp: int) -> bytes:
    """A .drc file of a mesh whose indices fit uint32. Raises SignalError for extents near the ends of float32."""
    import DracoPy

    # its lattice spans vertices that no face uses too; its own option for another box keeps six decimals of it
    used = np.bincount(mesh.faces.reshape(-1), minlength=len(mesh.vertices)) > 0
    places, points = np.cumsum(used) - 1, mesh.vertices[used]
    side = float(np.ptp(points, axis=0).max())
    if not _SIDES[0] < side < _SIDES[1]:
        raise SignalError(
            f"encoding with Draco: got a box of side {side:g}, expected {_SIDES[0]:g} to {_SIDES[1]:g}: rescale the mesh"
        )
    return DracoPy.encode(
        points,
        places[mesh.faces].astype(np.uint32),
        quantization_bits=qp,
        compression_level=_COMPRESSION_LEVEL,
    )


def decoded(data: bytes) -> Mesh:
    """The mesh of a .drc file."""
    import DracoPy

    mesh = DracoPy.decode(data)
    return Mesh(np.array(mesh.points, np.float64), np.array(mesh.faces, np.int64).reshape(-1, 3))
