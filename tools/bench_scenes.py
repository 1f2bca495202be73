"""What a scene of several fields costs beside their union in one field: rows are appended to a TSV under results/.

    python tools/bench_scenes.py FILE ... [--quality 15] [--union 15,30] [--effort 1] [--time-limit SECONDS]
                                 [-o results/scenes.tsv]

Each file is encoded with --parts and, at the qualities of --union, without. Errors are those of all parts as one mesh,
relative to its diagonal. header_bytes: of the scene without its parts; largest_part_bytes: of one field. Queries: points
in the scene's box and rays through it a second of processor time, the best of three calls. Scenes: place_meshes.py.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from tsv import ROOT, Table

import nfcodec

COLUMNS = (
    "input what quality effort n_nodes n_parts n_fields bytes header_bytes largest_part_bytes rms rms_back max_back "
    "encode_cpu_s distance_per_cpu_s closest_per_cpu_s rays_per_cpu_s"
)
_N_POINTS = 20_000


def rates(opened: nfcodec.Scene | nfcodec.Field, box: np.ndarray) -> dict[str, float]:
    """Queries a second, of points in a box (2, 3) and rays through it."""
    rng, low, size = np.random.default_rng(0), box[0], box[1] - box[0]
    points, others = low + size * rng.random((2, _N_POINTS, 3))
    distance = opened.distance if isinstance(opened, nfcodec.Scene) else lambda x: opened.sample(opened.from_world(x))
    calls = {
        "distance_per_cpu_s": lambda n: distance(points[:n]),
        "closest_per_cpu_s": lambda n: opened.closest_point(points[:n]),
        "rays_per_cpu_s": lambda n: opened.raycast(points[:n] - size, (others - points + size)[:n]),
    }
    out = {}
    for name, call in calls.items():
        call(_N_POINTS // 10)
        seconds = []
        for _ in range(3):
            start = time.process_time()
            call(_N_POINTS)
            seconds.append(time.process_time() - start)
        out[name] = _N_POINTS / min(seconds)
    return out


def rows(path: Path, options: argparse.Namespace):
    """One for the scene, one for each quality of the union."""
    wanted = [("scene", nfcodec.encode_scene, options.quality)]
    wanted += [("union", nfcodec.encode, quality) for quality in options.union]
    mesh = nfcodec.io.read(path).mesh
    box = np.stack([mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)])
    for what, encode, quality in wanted:
        start = time.process_time()
        encoded = encode(path, quality=quality, effort=options.effort, time_limit=options.time_limit)
        row = {"input": path.name, "what": what, "quality": quality, "effort": options.effort, "bytes": len(encoded.data)}
        row["encode_cpu_s"] = round(time.process_time() - start, 1)
        row |= {key: getattr(encoded.report, key) for key in ("rms", "rms_back", "max_back")}
        opened = nfcodec.open(encoded.data)
        if what == "scene":
            row |= {"n_nodes": len(opened.nodes), "n_parts": len(opened.parts), "n_fields": len(opened.fields)}
            row |= {"header_bytes": opened.sizes["header_bytes"], "largest_part_bytes": max(opened.sizes["part_bytes"])}
        yield row | rates(opened, box)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--quality", type=float, default=15, help="of each part")
    parser.add_argument("--union", type=lambda text: [float(x) for x in text.split(",")], default=[15.0], metavar="Q,Q")
    parser.add_argument("--effort", type=int, default=1)
    parser.add_argument("--time-limit", type=float)
    parser.add_argument("-o", "--out", type=Path, default=ROOT / "results" / "scenes.tsv")
    options = parser.parse_args()
    table = Table(options.out, COLUMNS.split())
    for path in options.files:
        for row in rows(path, options):
            table.add(*map(row.get, COLUMNS.split()))


if __name__ == "__main__":
    main()
