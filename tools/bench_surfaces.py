"""Rate and distortion of surfaces beside simplification with Draco; rows are appended to results/surfaces.tsv.

    python tools/bench_surfaces.py MESH ... [--quality 30,50,70] [--effort 5] [--resolution 512] [--peers CSV]
                                   [--set fit.source._FALLOFF=1.5 ...] [--keep FOLDER]

The decoded mesh is taken as finely as --resolution says, so that the field and not its extraction is measured. --peers: a table
with columns mesh, codec, bytes, rms_sym, rms_o2d, normal_deg_mean; bytes and normals of the best simplification at equal RMS are read off
it by log-log interpolation along its lower hull. Meshes with holes, which signed fields close, count from source to
decoded. --set: a constant of a module of nfcodec, for experiments. --keep: where files and meshes are left.
"""

from __future__ import annotations

import argparse
import ast
import csv
import importlib
import math
import time
from pathlib import Path

import numpy as np
from bench import ROOT, Table, signals

import nfcodec
from nfcodec import encode, io
from nfcodec.geometry import count_edges, weld
from nfcodec.metrics import surface_error

_COLUMNS = "input kind quality effort seed settings bytes level_bytes network_bytes extent resolution rms rms_there rms_back hausdorff "
_COLUMNS += "normal_deg peer_bytes peer_normal_deg ratio encode_s encode_cpu_s sampling_s decode_256_s"
_CODEC = "simplify+Draco"


def front(path: Path, mesh: str, error: str) -> list[tuple[float, float, float]]:
    """(error, bytes, degrees) of the files of `_CODEC` that none beats in both, coarse first."""
    with path.open() as file:
        rows = [r for r in csv.DictReader(file) if r["mesh"].split("/")[-1] == mesh and r["codec"] == _CODEC]
    points = sorted((float(r["bytes"]), float(r[error]), float(r["normal_deg_mean"])) for r in rows)
    kept, least = [], math.inf
    for size, value, degrees in points:
        if value < least:
            kept.append((value, size, degrees))
            least = value
    return kept


def at_error(points: list[tuple[float, float, float]], error: float) -> tuple[float | None, float | None]:
    """Bytes and degrees at an error, by log-log interpolation; beyond the ends None."""
    x = np.log([p[0] for p in points])[::-1]
    if not points or not x[0] <= math.log(error) <= x[-1]:
        return None, None
    return tuple(float(np.exp(np.interp(math.log(error), x, np.log([p[k] for p in points])[::-1]))) for k in (1, 2))


def override(settings: list[str]) -> None:
    """Sets constants of modules: "fit.source._FALLOFF=1.5"."""
    for setting in settings:
        name, value = setting.split("=", 1)
        module, attribute = name.rsplit(".", 1)
        module = importlib.import_module(f"nfcodec.{module}")
        if not hasattr(module, attribute):
            raise SystemExit(f"bench: {name}: {module.__name__} has no {attribute}")
        setattr(module, attribute, ast.literal_eval(value))


class Sampling:
    """Seconds spent on distances of lattices."""

    def __init__(self):
        from nfcodec.fit import session

        self.seconds, plain = 0.0, session.from_mesh

        def timed(*args, **kwargs):
            start = time.perf_counter()
            found = plain(*args, **kwargs)
            self.seconds += time.perf_counter() - start
            return found

        session.from_mesh = timed


def main() -> None:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="+")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "results" / "surfaces.tsv")
    parser.add_argument("--quality", default="30,50,70")
    parser.add_argument("--effort", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind")
    parser.add_argument("--resolution", type=int, default=512)
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--keep", type=Path)
    args = parser.parse_args()
    override(args.set)
    table = Table(args.output, _COLUMNS.split())
    for path in signals(args.paths):
        signal = io.read(path, args.kind)
        is_closed = count_edges(weld(signal.mesh)).boundary == 0
        peers = front(args.peers, path.name, "rms_sym" if is_closed else "rms_o2d") if args.peers else []
        for quality in map(float, args.quality.split(",")):
            sampling, cpu = Sampling(), time.process_time()
            encoded = encode(path, quality=quality, effort=args.effort, seed=args.seed, kind=args.kind)
            cpu = time.process_time() - cpu
            field = nfcodec.open(encoded.data)
            start = time.perf_counter()
            field.to_mesh(256)
            decode_s = time.perf_counter() - start
            mesh = field.to_mesh(args.resolution)
            found = surface_error(signal.mesh, mesh)
            rms = found.rms if is_closed else found.source_to_decoded.rms
            n_bytes, degrees = at_error(peers, rms)
            info = field.info()
            levels = info["level_bytes"]
            normal = found.normal_deg if is_closed else found.source_to_decoded.normal_deg
            table.add(
                path.name, encoded.kind, quality, args.effort, args.seed, " ".join(args.set), len(encoded.data),
                "+".join(map(str, levels)), len(encoded.data) - sum(levels), "x".join(map(str, field.spec.extent)),
                args.resolution, rms, found.source_to_decoded.rms, found.decoded_to_source.rms, found.hausdorff, normal,
                n_bytes, degrees, None if n_bytes is None else len(encoded.data) / n_bytes, encoded.seconds, cpu,
                sampling.seconds, decode_s,
            )  # fmt: skip
            if args.keep:
                args.keep.mkdir(parents=True, exist_ok=True)
                name = f"{path.stem}-q{quality:g}-e{args.effort}"
                (args.keep / f"{name}.nfld").write_bytes(encoded.data)


if __name__ == "__main__":
    main()
