"""How exact and how quick queries of surfaces are, on any files; rows are appended to results/queries.tsv.

    python tools/bench_queries.py FIELD.nfld ... [--n 200000] [--fine 512] [-o FILE]

The truth is the exact answer on a fine mesh of the same field. Points are drawn near the surface (within about two source
cells), in the box, and around it (up to a box away on every side); rays come from outside, aimed at the box's middle
parts, and from points in the box in any direction.

farther_cell, farther_percent: shares of found points that are farther than the closest one by more than a source cell, by
more than 1 % of the distance and a tenth of a cell. missed, extra: shares of rays that hit one of both only. later,
earlier: shares of hits more than half a cell behind or before the true one. off_cells: the largest distance of the field at a
point found, in source cells.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import igl
import numpy as np
from tsv import ROOT, Table

import nfcodec
from nfcodec.field import Field
from nfcodec.geometry import TriangleTree

COLUMNS = "field query points n per_second per_cpu_second farther_cell farther_percent missed extra later earlier off_cells"


_CELL = 1e3  # what a source cell is long for libigl


def timed(call, n: int) -> tuple:
    """The answer, and how many a second and a second of processors' time."""
    start = time.perf_counter(), time.process_time()
    answer = call()
    return answer, n / (time.perf_counter() - start[0]), n / (time.process_time() - start[1])


def off(field: Field, points: np.ndarray) -> float:
    return float(np.abs(field.sample(field.from_world(points))[:, 0]).max()) / field.spec.cell


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def main() -> None:
    """The command line; see --help."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+", type=Path)
    parser.add_argument("--n", type=int, default=200_000)
    parser.add_argument("--fine", type=int, default=512)
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    table = Table(args.output or ROOT / "results" / "queries.tsv", COLUMNS.split())
    n = args.n
    for path in args.paths:
        field, rng = nfcodec.open(path), np.random.default_rng(0)
        mesh = field.to_mesh(args.fine)
        tree = TriangleTree(mesh.vertices, mesh.faces)
        low, size, cell = np.array(field.spec.origin)[::-1], field.box_size[::-1], field.spec.cell
        some = mesh.vertices[rng.integers(0, len(mesh.vertices), n)]
        points = {
            "near": some + rng.normal(size=(n, 3)) * 2 * cell,
            "in the box": low + size * rng.random((n, 3)),
            "around it": low + size * (3 * rng.random((n, 3)) - 1),
        }
        field.closest_point(some[:1000])
        for name, these in points.items():
            found, wall, cpu = timed(lambda these=these: field.closest_point(these), n)
            true = tree.closest(these)[0]
            more = np.abs(found.distances) - true
            shares = float((more > cell).mean()), float((more > np.maximum(0.01 * true, 0.1 * cell)).mean())
            rest = None, None, None, None, off(field, found.points)
            table.add(path.name, "closest_point", name, n, wall, cpu, *shares, *rest)
        from_outside = low + size / 2 + unit(rng.normal(size=(n, 3))) * np.linalg.norm(size)
        rays = {
            "from outside": (from_outside, unit(low + size * (0.2 + 0.6 * rng.random((n, 3))) - from_outside)),
            "in the box": (points["in the box"], unit(rng.normal(size=(n, 3)))),
        }
        # libigl misses triangles that are small by its own measure
        boxes, unit_length = igl.AABB(), cell / _CELL
        vertices = mesh.vertices / unit_length
        boxes.init(vertices, mesh.faces)
        for name, (origins, directions) in rays.items():
            found, wall, cpu = timed(lambda o=origins, d=directions: field.raycast(o, d), n)
            ids, t, _ = boxes.intersect_ray_first(vertices, mesh.faces, origins / unit_length, directions)
            there, t = ids >= 0, t * unit_length
            both = there & found.hit
            later = (found.t - t)[both] / cell
            shares = [float(x.mean()) for x in (there & ~found.hit, found.hit & ~there, later > 0.5, later < -0.5)]
            table.add(path.name, "raycast", name, n, wall, cpu, None, None, *shares, off(field, found.points[found.hit]))


if __name__ == "__main__":
    main()
