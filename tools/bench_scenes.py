"""What a scene of several fields costs beside their union in one field: rows are appended to a TSV under results/.

    python tools/bench_scenes.py FILE ... [--quality 15] [--effort 1] [--time-limit SECONDS] [-o results/scenes.tsv]

Each file is encoded with --parts and without. header_bytes: of the scene without its parts; largest_part_bytes: of one field.
queries: points around the scene a second, of distance, closest_point and raycast, each after a first call.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from tsv import ROOT, Table

import nfcodec

COLUMNS = (
    "input what quality effort n_nodes n_parts n_fields bytes header_bytes largest_part_bytes rms rms_back max_back seconds "
    "distance_per_s closest_per_s rays_per_s"
)
_N_POINTS = 20_000


def rates(scene: nfcodec.Scene) -> dict[str, float]:
    """Queries a second, of points in the scene's box and rays through it."""
    rng, box = np.random.default_rng(0), scene.info()["box"]
    low, size = np.array(box["low"]), np.array(box["high"]) - np.array(box["low"])
    points, others = low + size * rng.random((2, _N_POINTS, 3))
    calls = {
        "distance_per_s": lambda n: scene.distance(points[:n]),
        "closest_per_s": lambda n: scene.closest_point(points[:n]),
        "rays_per_s": lambda n: scene.raycast(points[:n] - size, (others - points + size)[:n]),
    }
    out = {}
    for name, call in calls.items():
        call(_N_POINTS // 10)
        start = time.perf_counter()
        call(_N_POINTS)
        out[name] = _N_POINTS / (time.perf_counter() - start)
    return out


def rows(path: Path, options: argparse.Namespace):
    """One for the scene, one for the union."""
    settings = {"quality": options.quality, "effort": options.effort, "time_limit": options.time_limit}
    common = {"input": path.name, "quality": options.quality, "effort": options.effort}
    for what, encode in (("scene", nfcodec.encode_scene), ("union", nfcodec.encode)):
        encoded = encode(path, **settings)
        row = {**common, "what": what, "bytes": len(encoded.data), "seconds": round(encoded.seconds, 1)}
        row |= {key: getattr(encoded.report, key) for key in ("rms", "rms_back", "max_back")}
        if what == "scene":
            scene = nfcodec.open(encoded.data)
            row |= {"n_nodes": len(scene.nodes), "n_parts": len(scene.parts), "n_fields": len(scene.fields)}
            row |= {"header_bytes": scene.sizes["header_bytes"], "largest_part_bytes": max(scene.sizes["part_bytes"])}
            row |= rates(scene)
        yield row


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--quality", type=float, default=15)
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
