"""Meshes in the formats that everybody reads, with zstd: positions and faces only."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import zstandard

from ...spec import Mesh, Signal
from .base import Peer, Setting, package_version

__all__ = ["Interchange"]

_LEVEL = 19  # of zstd; higher ones need a decoder with more memory than is usual


class Interchange(Peer):
    """OBJ as text of 7 significant digits; binary STL and PLY and GLB of float32, as trimesh writes them.

    format: "obj", "stl", "ply" or "glb", the suffix. All hold 24 bits of a coordinate, so that their error is that of
    float32: large where the mesh lies far from the origin, and measured like any other.
    """

    needs = (("trimesh", "trimesh"),)

    def __init__(self, format: str):
        self.format = format
        self.name = f"{format.upper()} + zstd"
        text = "text, 7 significant digits" if format == "obj" else "float32"
        self.how = f"{text}, positions and faces, zstd level {_LEVEL}"

    def settings(self, signal: Signal) -> list[Setting]:
        return [{}]

    def encode(self, signal: Signal, **setting: Any) -> bytes:
        if self.format == "obj":
            return _compressed(_obj(signal.mesh))
        import trimesh

        mesh = trimesh.Trimesh(signal.mesh.vertices, signal.mesh.faces, process=False, validate=False)
        without_normals = {"ply": {"vertex_normal": False}, "glb": {"include_normals": False}}
        return _compressed(mesh.export(file_type=self.format, **without_normals.get(self.format, {})))

    def decode(self, data: bytes, like: Signal) -> Mesh:
        import trimesh

        file = io.BytesIO(zstandard.ZstdDecompressor().decompress(data))
        mesh = trimesh.load_mesh(file, file_type=self.format, process=False)
        return Mesh(np.array(mesh.vertices, np.float64), np.array(mesh.faces, np.int64))

    def version(self) -> str:
        writer = () if self.format == "obj" else ("trimesh",)
        return ", ".join(package_version(package) for package in (*writer, "zstandard"))


def _compressed(data: bytes) -> bytes:
    return zstandard.ZstdCompressor(level=_LEVEL).compress(data)


def _obj(mesh: Mesh) -> bytes:
    # trimesh counts digits behind the point, which is too few or too many for most scales
    lines = ["v %.7g %.7g %.7g\n" % tuple(vertex) for vertex in mesh.vertices.tolist()]
    lines += ["f %d %d %d\n" % tuple(face) for face in (mesh.faces + 1).tolist()]
    return "".join(lines).encode("ascii")
