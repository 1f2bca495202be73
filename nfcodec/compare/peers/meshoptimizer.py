"""meshoptimizer's vertex and index codecs, the ones of glTF's mesh compression, then zstd, as its author advises."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np
import zstandard

from ...geometry import weld
from ...spec import Mesh, Signal
from .base import Peer, Setting, package_version

__all__ = ["Meshoptimizer", "packed"]

_LEVEL = 19  # of zstd
_HEADER = struct.Struct("<III4d")  # vertices, faces, bytes of the first block; low corner and step of the lattice
_STRIDE = 8  # bytes a vertex: three uint16 and padding, since the codec wants multiples of four


class Meshoptimizer(Peer):
    """qp: bits a coordinate, over the longest side of the bounding box.

    The library codes buffers and has no file of its own. Ours is the least that a reader needs: 44 bytes, vertices,
    faces; a .glb around the same buffers is about a kilobyte larger.
    """

    name = "meshoptimizer + zstd"
    needs = (("meshopt", "meshopt"),)
    how = f"triangles in strip order, vertex codec 1, positions and faces, zstd level {_LEVEL}, 44 bytes of header"

    def settings(self, signal: Signal) -> list[Setting]:
        return [{"qp": qp} for qp in (10, 12, 14, 16)]

    def encode(self, signal: Signal, **setting: Any) -> bytes:
        return packed(signal.mesh, setting["qp"])

    def decode(self, data: bytes, like: Signal) -> Mesh:
        import meshopt

        n_vertices, n_faces, n_bytes, *low, step = _HEADER.unpack_from(data)
        blocks = data[_HEADER.size : _HEADER.size + n_bytes], data[_HEADER.size + n_bytes :]
        vertices, indices = (zstandard.ZstdDecompressor().decompress(block) for block in blocks)
        lattice = meshopt.decode_vertex_buffer(vertices, n_vertices, _STRIDE).view(np.uint16)[:, :3]
        faces = meshopt.decode_index_buffer(indices, 3 * n_faces, 4).reshape(-1, 3)
        return Mesh(lattice * step + np.array(low), faces.astype(np.int64))

    def version(self) -> str:
        return f"{package_version('meshopt')}, {package_version('zstandard')}"


def packed(mesh: Mesh, qp: int, *, for_size: bool = True) -> bytes:
    """The file. qp: 1 to 16.

    for_size: triangles ordered for the codec and its newest version, 0.66 to 0.93 of the bytes; without: ordered for a
    GPU's vertex cache, and the version that all readers of glTF's EXT_meshopt_compression know.
    """
    import meshopt

    if len(mesh.vertices) > len(mesh.faces):  # a soup: its codec does not look for equal positions
        mesh = weld(mesh)
    # new places of the vertices in the order of their first use; those that no face uses have none
    indices, places, n_used = meshopt.reorder_mesh(mesh.faces.astype(np.uint32).reshape(-1), True, for_size)
    is_used = places < n_used
    used = mesh.vertices[: len(places)][is_used]
    low, step = used.min(axis=0), float(np.ptp(used, axis=0).max()) / (2**qp - 1)
    lattice = np.zeros((n_used, _STRIDE // 2), np.uint16)
    lattice[places[is_used], :3] = np.rint((used - low) / step)
    vertices = meshopt.encode_vertex_buffer_level(lattice, 3, int(for_size))
    blocks = [zstandard.ZstdCompressor(level=_LEVEL).compress(b) for b in (vertices, meshopt.encode_index_buffer(indices))]
    return _HEADER.pack(n_used, len(mesh.faces), len(blocks[0]), *low, step) + b"".join(blocks)
