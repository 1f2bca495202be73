"""Memory and time that encoding and decoding large scans take; rows are appended to results/memory.tsv.

    python tools/bench_memory.py MESH [--halvings 2] [--noise 1e-4] [--formats ply,obj,stl] [--effort 1] [--quality 50]

Each face becomes 4**halvings, and vertices move at random by --noise of the diagonal, as those of a scanner do. Every command runs in a
process of its own, from the file to the file; peak_mb is the most memory that it had resident.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from tsv import ROOT, Table

from nfcodec import io
from nfcodec.geometry import bounding_box_diagonal
from nfcodec.spec import Mesh

COLUMNS = "input n_faces command quality effort source_bytes bytes seconds cpu_s peak_mb"


def scan(mesh: Mesh, halvings: int, noise: float) -> Mesh:
    """A finer mesh with noise."""
    import trimesh

    fine = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    for _ in range(halvings):
        fine = fine.subdivide()
    moved = np.random.default_rng(0).normal(size=fine.vertices.shape) * noise * bounding_box_diagonal(mesh) / np.sqrt(3)
    return Mesh(np.asarray(fine.vertices) + moved, np.asarray(fine.faces, np.int64))


def run(args: list[str]) -> tuple[float, float, float]:
    """Seconds, seconds of the processor and peak memory (MB) of `nfcodec args`."""
    start = time.perf_counter()
    process = subprocess.Popen([sys.executable, "-m", "nfcodec", *args, "--quiet"], env={**os.environ, "PYTHONPATH": str(ROOT)})
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"bench: nfcodec {' '.join(args)} ended with {os.waitstatus_to_exitcode(status)}")
    return time.perf_counter() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6


def main() -> None:
    """The command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mesh", type=Path)
    parser.add_argument("--halvings", type=int, default=2)
    parser.add_argument("--noise", type=float, default=1e-4)
    parser.add_argument("--formats", default="ply,obj,stl")
    parser.add_argument("--effort", default="1")
    parser.add_argument("--quality", default="50")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "results" / "memory.tsv")
    args = parser.parse_args()
    table = Table(args.output, COLUMNS.split())
    fine = scan(io.read(args.mesh).mesh, args.halvings, args.noise)
    with tempfile.TemporaryDirectory() as folder:
        for suffix in args.formats.split(","):
            source, field, back = (Path(folder) / name for name in (f"scan.{suffix}", "scan.nfld", f"back.{suffix}"))
            io.write_mesh(source, fine)
            sizes = source.stat().st_size
            encode = run(["encode", str(source), "-o", str(field), "--quality", args.quality, "--effort", args.effort, "--overwrite"])
            facts = args.mesh.stem + "." + suffix, len(fine.faces)
            table.add(*facts, "encode", args.quality, args.effort, sizes, field.stat().st_size, *encode)
            decode = run(["decode", str(field), "-o", str(back), "--resolution", "512", "--overwrite"])
            table.add(*facts, "decode at 512", args.quality, args.effort, field.stat().st_size, back.stat().st_size, *decode)


if __name__ == "__main__":
    main()
