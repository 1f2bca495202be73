"""What the methods and lattices of isosurfaces give, on any files of surfaces; rows are appended to results/isosurface.tsv.

    python tools/bench_isosurface.py FIELD.nfld MESH [FIELD.nfld MESH ...] [--resolutions 64,128,256] [--fine 512] [-o FILE]

Every mesh is compared with a fine one of the same field (marching cubes at --fine), both ways, which is the error of the
extraction alone, and from the source mesh, which is what a user sees. Distances are relative to the diagonal of the source.
linear: marching cubes with vertices where a line between samples is 0, for comparison. Seconds are the least of several
runs.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from tsv import ROOT, Table

import nfcodec
from nfcodec import io
from nfcodec.field import Field
from nfcodec.geometry import TriangleTree, bounding_box_diagonal, count_edges, face_normals, sample_surface
from nfcodec.isosurface import METHODS, isosurface
from nfcodec.spec import Mesh

COLUMNS = (
    "field bytes resolution method faces watertight seconds cpu_seconds rms_fine hausdorff_fine normal_deg_fine rms_source "
    "hausdorff_source normal_deg_source consistency_source"
)
_N_SAMPLES = 20_000
_REPEAT = 3


class Sampled:
    """A mesh with samples of its surface, and how far those are from another one. Made once for a mesh that many are
    compared with; the meaning is `metrics.surface_distance`."""

    def __init__(self, mesh: Mesh, seed: int):
        self.tree = TriangleTree(mesh.vertices, mesh.faces)
        self.normals = face_normals(mesh)
        self.points, self.ids = sample_surface(mesh, _N_SAMPLES, np.random.default_rng(seed))

    def to(self, other: "Sampled") -> tuple[float, float, float, float]:
        """RMS and Hausdorff distance in world units, mean angle of normals in degrees and mean absolute cosine."""
        distances, nearest, _ = other.tree.closest(self.points)
        cosines = np.minimum(np.abs((self.normals[self.ids] * other.normals[nearest]).sum(axis=1)), 1)
        angles = np.degrees(np.arccos(cosines))
        return float(np.sqrt(np.mean(distances**2))), float(distances.max()), float(angles.mean()), float(cosines.mean())


def linear(field: Field, resolution: int) -> Mesh:
    """Marching cubes of samples alone."""
    shape = field._shape(resolution=resolution)
    step = field.box_size / np.array(shape)
    vertices, faces = isosurface(lambda axes: field.sample_lattice(axes)[..., 0], shape, step=tuple(step))
    return Mesh((np.asarray(field.spec.origin) + (vertices + 0.5) * step)[:, ::-1], faces)


def timed(call) -> tuple[Mesh, float, float]:
    """The mesh, and the least wall and processor time of some runs."""
    runs = []
    for _ in range(_REPEAT):
        start = time.perf_counter(), time.process_time()
        mesh = call()
        runs.append((time.perf_counter() - start[0], time.process_time() - start[1]))
    return mesh, min(r[0] for r in runs), min(r[1] for r in runs)


def main() -> None:
    """The command line; see --help."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", metavar="FIELD MESH", help="files and their sources, in turn")
    parser.add_argument("--resolutions", type=lambda s: [int(x) for x in s.split(",")], default=[64, 128, 256])
    parser.add_argument("--fine", type=int, default=512)
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    if len(args.paths) % 2:
        parser.error(f"got {len(args.paths)} paths, expected pairs of a field and its source")
    table = Table(args.output or ROOT / "results" / "isosurface.tsv", COLUMNS.split())
    for path, source_path in zip(args.paths[::2], args.paths[1::2]):
        field, source = nfcodec.open(path), io.read(source_path).mesh
        diagonal = bounding_box_diagonal(source)
        fine = field.to_mesh(args.fine, method="marching-cubes")
        of_fine, of_source = Sampled(fine, 0), Sampled(source, 2)

        def row(resolution: int, method: str, mesh: Mesh, wall: float | None, cpu: float | None) -> None:
            ours = Sampled(mesh, 1)
            there, back, seen = of_fine.to(ours), ours.to(of_fine), of_source.to(ours)
            table.add(
                Path(path).name, field.sizes["file_bytes"], resolution, method, len(mesh.faces),
                count_edges(mesh).watertight, wall, cpu, float(np.hypot(there[0], back[0])) / 2**0.5 / diagonal,
                max(there[1], back[1]) / diagonal, (there[2] + back[2]) / 2, seen[0] / diagonal, seen[1] / diagonal,
                *seen[2:],
            )  # fmt: skip

        for resolution in args.resolutions:
            calls = {m: (lambda m=m: field.to_mesh(resolution, method=m)) for m in METHODS}
            for method, call in ({"linear": lambda: linear(field, resolution)} | calls).items():
                row(resolution, method, *timed(call))
        row(args.fine, "marching-cubes", fine, None, None)


if __name__ == "__main__":
    main()
