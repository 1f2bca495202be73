"""Rate and distortion of surfaces beside simplification with Draco, voxels and OpenVDB; rows are appended to
results/surfaces.tsv.

    python tools/bench_surfaces.py MESH ... [--quality 30,50,70] [--effort 5] [--resolution 512] [--peers FOLDER]
                                   [--set fit.source._FALLOFF=1.5 ...] [--keep FOLDER]
    python tools/bench_surfaces.py --again --peers FOLDER

The decoded mesh is taken as finely as --resolution says, so that the field and not its extraction is measured. --peers: the
folder of the tables that `anchors` reads; bytes of others are those at equal RMS, "<" and ">" bounds beyond what
was measured of them. Meshes with holes count from source to decoded, since others close them. --set: a constant of a module of nfcodec, for
experiments. --keep: where files are left; those that are there are measured and not made again. --again: works out the others' columns of the rows that are there, and encodes nothing.
"""

from __future__ import annotations

import argparse
import ast
import csv
import importlib
import time
from pathlib import Path

import anchors
from bench import signals
from tsv import ROOT, Table, cell

import nfcodec
from nfcodec import encode, io
from nfcodec.geometry import count_edges, weld
from nfcodec.metrics import surface_error

_COLUMNS = "input kind quality effort seed settings bytes level_bytes network_bytes extent resolution rms rms_there rms_back hausdorff "
_COLUMNS += f"normal_deg {' '.join(anchors.COLUMNS)} encode_s encode_cpu_s sampling_s decode_256_s"


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


def made(path: Path, quality: float, args: argparse.Namespace, kept: Path | None) -> tuple[bytes, tuple]:
    """A file, and the seconds, seconds of the processor and seconds of sampling that it took; None for one that was kept."""
    if kept is not None and kept.exists():
        return kept.read_bytes(), (None, None, None)
    sampling, cpu = Sampling(), time.process_time()
    encoded = encode(path, quality=quality, effort=args.effort, seed=args.seed, kind=args.kind)
    cpu = time.process_time() - cpu
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(encoded.data)
    return encoded.data, (encoded.seconds, cpu, sampling.seconds)


def again(path: Path, folder: Path) -> None:
    """The rows of a table with the others' columns worked out anew."""
    with path.open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    names = [*_COLUMNS.split(), "machine", "commit"]
    lines = [names]
    for row in rows:
        is_open = row["rms"] == row["rms_there"]
        found = anchors.columns(folder, row["input"], float(row["rms"]), int(row["bytes"]), is_open=is_open)
        row |= {name: cell(value) for name, value in zip(anchors.COLUMNS, found)}
        lines.append([row[name] for name in names])
    path.write_text("".join("\t".join(line) + "\n" for line in lines))


def main() -> None:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "results" / "surfaces.tsv")
    parser.add_argument("--quality", default="30,50,70")
    parser.add_argument("--effort", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kind")
    parser.add_argument("--resolution", type=int, default=512)
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--keep", type=Path)
    parser.add_argument("--again", action="store_true")
    args = parser.parse_args()
    if args.again:
        again(args.output, args.peers)
        return
    override(args.set)
    table = Table(args.output, _COLUMNS.split())
    for path in signals(args.paths):
        signal = io.read(path, args.kind)
        is_closed = count_edges(weld(signal.mesh)).boundary == 0
        for quality in map(float, args.quality.split(",")):
            kept = args.keep / f"{path.stem}-q{quality:g}-e{args.effort}.nfld" if args.keep else None
            data, times = made(path, quality, args, kept)
            field = nfcodec.open(data)
            start = time.perf_counter()
            field.to_mesh(256)
            decode_s = time.perf_counter() - start
            mesh = field.to_mesh(args.resolution)
            found = surface_error(signal.mesh, mesh)
            rms = found.rms if is_closed else found.source_to_decoded.rms
            others = anchors.columns(args.peers, path.name, rms, len(data), is_open=not is_closed)
            info = field.info()
            levels = info["level_bytes"]
            normal = found.normal_deg if is_closed else found.source_to_decoded.normal_deg
            table.add(
                path.name, field.kind, quality, args.effort, args.seed, " ".join(args.set), len(data),
                "+".join(map(str, levels)), len(data) - sum(levels), "x".join(map(str, field.spec.extent)),
                args.resolution, rms, found.source_to_decoded.rms, found.decoded_to_source.rms, found.hausdorff, normal,
                *others, *times, decode_s,
            )  # fmt: skip


if __name__ == "__main__":
    main()
