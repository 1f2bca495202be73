"""Colours on a surface without texture coordinates: features on a mesh beside vertex colours of a simplified mesh.

    python tools/bench_mesh_colours.py MESH [--texture IMAGE] [--points 40000] [-o results/mesh_colours.tsv]

No field is trained: features of `--encoding mesh` are those of least squares, which a linear network cannot better, and so
are the colours of vertices, so that time limits nothing. The surface is divided until it has a vertex a cell of the
lattice. PSNR: of colours at points of the source's surface, each taking what the closest point of the carrier has. bytes: of
all; carrier_bytes: of positions and faces; colour_bytes: the rest, which is all that counts where both sides have the mesh.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
import zstandard
from scipy import sparse
from scipy.sparse import linalg
from tsv import ROOT, Table

from nfcodec import io
from nfcodec.encodings.mesh import Grid
from nfcodec.fit.coarse_mesh import _snapped
from nfcodec.geometry import TriangleTree, sample_surface
from nfcodec.limits import MAX_LOG2_VERTICES
from nfcodec.paint import barycentric, colours_at
from nfcodec.spec import GridSpec, Mesh

COLUMNS = "input carrier setting n_vertices n_faces bytes carrier_bytes colour_bytes psnr_db"
_RESOLUTIONS = (8, 12, 16, 24, 32, 48, 64, 96)
_STEPS = (16, 8, 4)  # of features, of 255
_KEPT = (0.02, 0.05, 0.1, 0.2, 0.4, 1.0)  # faces of the source
_DAMPING = 1e-3


class Samples:
    """Points of a surface and the colours (N, 3) there, 0 to 1: half to fit to, half to judge by."""

    def __init__(self, mesh: Mesh, n: int):
        points, ids = sample_surface(mesh, 2 * n, np.random.default_rng(0))
        colours = colours_at(mesh.paint, ids, barycentric(mesh, ids, points))
        self.points = points[::2], points[1::2]
        self.colours = colours[::2].astype(np.float64), colours[1::2].astype(np.float64)

    def fitted(self, mesh: Mesh) -> tuple[np.ndarray, sparse.csr_matrix]:
        """Colours (V, 3) of a mesh's vertices by least squares, and the matrix from such to the points to judge by."""
        here, there = (matrix_of(mesh, points) for points in self.points)
        found = [linalg.lsqr(here, column, damp=_DAMPING, iter_lim=60)[0] for column in (self.colours[0] - 0.5).T]
        return np.stack(found, 1) + 0.5, there

    def psnr_db(self, there: sparse.csr_matrix, colours: np.ndarray) -> float:
        return -10 * math.log10(np.mean(np.square(np.clip(there @ colours, 0, 1) - self.colours[1])))


def matrix_of(mesh: Mesh, points: np.ndarray) -> sparse.csr_matrix:
    """(N, V): barycentric weights of the points of a mesh that are closest to points (N, 3)."""
    _, ids, closest = TriangleTree(mesh.vertices, mesh.faces).closest(points)
    weights = barycentric(mesh, ids, closest)
    rows = np.repeat(np.arange(len(points)), 3)
    return sparse.csr_matrix((weights.reshape(-1), (rows, mesh.faces[ids].reshape(-1))), (len(points), len(mesh.vertices)))


def of_encoding(mesh: Mesh, samples: Samples) -> Iterator[dict[str, Any]]:
    """A level of `--encoding mesh` for each resolution and step."""
    low, edge = mesh.vertices.min(axis=0), np.ptp(mesh.vertices, axis=0).max()
    for n in _RESOLUTIONS:
        extent = tuple(int(x) for x in np.ceil(np.ptp(mesh.vertices, axis=0)[::-1] / edge * n))
        spec = GridSpec("mesh", (extent,), (3,), "linear", MAX_LOG2_VERTICES)
        vertices, faces = trimesh.remesh.subdivide_to_size(mesh.vertices, mesh.faces, edge / n)  # a vertex a cell
        data = _snapped((vertices - low)[:, ::-1] / edge * n - 0.5, faces, spec, 0)
        world = low + (data["positions"][:, ::-1] + 0.5) / n * edge
        colours, there = samples.fitted(Mesh(world, data["faces"].astype(np.int64)))
        plain = len(Grid.encode_level(spec, [{**data, "features": np.zeros_like(data["positions"])}], 0, None))
        for step in _STEPS:
            integers = np.rint((colours - 0.5) * 255 / step).astype(np.int32)
            n_bytes = len(Grid.encode_level(spec, [{**data, "features": integers}], 0, None))
            yield {
                "carrier": "--encoding mesh", "setting": f"n={n} step={step}",
                "n_vertices": len(world), "n_faces": len(data["faces"]), "bytes": n_bytes, "carrier_bytes": plain,
                "colour_bytes": n_bytes - plain,
                "psnr_db": samples.psnr_db(there, 0.5 + integers * step / 255),
            }  # fmt: skip


def simplified(mesh: Mesh, share: float) -> Mesh:
    if share == 1:
        return Mesh(mesh.vertices, mesh.faces)
    import fast_simplification

    vertices, faces = mesh.vertices.astype(np.float32), mesh.faces.astype(np.int32)
    vertices, faces = fast_simplification.simplify(vertices, faces, target_reduction=1 - share)
    return Mesh(np.asarray(vertices, np.float64), np.asarray(faces, np.int64))


def of_vertices(mesh: Mesh, samples: Samples) -> Iterator[dict[str, Any]]:
    """Simplified meshes with a colour of 8 bits a channel at each vertex, as Draco and as PLY in zstd."""
    import DracoPy

    for share in _KEPT:
        coarse = simplified(mesh, share)
        colours, there = samples.fitted(coarse)
        rounded = np.rint(np.clip(colours, 0, 1) * 255).astype(np.uint8)
        row = {"n_vertices": len(coarse.vertices), "n_faces": len(coarse.faces)}
        row["psnr_db"] = samples.psnr_db(there, rounded / 255)
        options = {"faces": coarse.faces.astype(np.uint32), "quantization_bits": 10, "compression_level": 10}
        draco = [len(DracoPy.encode(coarse.vertices, colors=colors, **options)) for colors in (None, rounded)]
        packer = zstandard.ZstdCompressor(level=19)
        plain = coarse.vertices.astype("<f4").tobytes() + coarse.faces.astype("<u4").tobytes()
        ply = [len(packer.compress(plain)), len(packer.compress(plain + rounded.tobytes()))]
        for carrier, (bare, whole) in (("Draco", draco), ("PLY in zstd", ply)):
            yield {
                **row, "carrier": carrier, "setting": f"{share:g} of the faces", "bytes": whole, "carrier_bytes": bare,
                "colour_bytes": whole - bare,
            }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("mesh", type=Path)
    parser.add_argument("--texture", type=Path)
    parser.add_argument("--points", type=int, default=40_000)
    parser.add_argument("-o", "--out", type=Path, default=ROOT / "results" / "mesh_colours.tsv")
    options = parser.parse_args()
    mesh = io.read(options.mesh, texture=options.texture).mesh
    if mesh.paint is None:
        raise SystemExit(f"bench: {options.mesh.name} has no colours; name a texture")
    samples, table = Samples(mesh, options.points), Table(options.out, COLUMNS.split())
    for rows in (of_encoding, of_vertices):
        for row in rows(mesh, samples):
            table.add(*map(({"input": options.mesh.name} | row).get, COLUMNS.split()))


if __name__ == "__main__":
    main()
