"""Rate-distortion and speed on any folder of signals; rows are appended to a TSV under results/.

    python tools/bench.py rd FOLDER_OR_FILE ... [--quality 20,50,80] [--encoding dense,hash,codebook] [--effort 5]
    python tools/bench.py speed FOLDER_OR_FILE ... [--repeat 3]

rd: encodes every signal at every quality and writes what was measured on the finished file. speed: medians of encode,
open (entropy decoding) and decode of each signal, with numba's kernels and with numpy alone, all in one run.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import nfcodec
from nfcodec import encode, io

ROOT = Path(__file__).resolve().parent.parent
_SCALE_OF_SPEED = {"image": 2.5}  # decode there; volumes at their own extent, surfaces at 256 on the longest axis


def machine() -> str:
    """Processor and cores, as far as the system tells."""
    name = platform.processor() or platform.machine()
    try:
        with open("/proc/cpuinfo") as file:
            name = next(line.split(":")[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        pass
    return f"{name} x{len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()}"


def commit() -> str:
    """The short hash of the tree, with a + where it has changes."""
    run = subprocess.run(["git", "describe", "--always", "--dirty=+"], cwd=ROOT, capture_output=True, text=True)
    return run.stdout.strip() or "unknown"


def signals(paths: list[str]) -> list[Path]:
    """Files named, and files of known suffixes below the folders named."""
    found = []
    for path in map(Path, paths):
        known = tuple(io.suffixes())
        found += sorted(p for p in path.rglob("*") if p.name.lower().endswith(known)) if path.is_dir() else [path]
    return found


class Table:
    """Rows appended to a TSV one by one, so that an interrupted run keeps what it has."""

    def __init__(self, path: Path, columns: list[str]):
        self.path, self.columns = path, [*columns, "machine", "commit"]
        self.tail = [machine(), commit()]
        path.parent.mkdir(parents=True, exist_ok=True)
        header = "\t".join(self.columns)
        if not path.exists() or not path.read_text().strip():
            path.write_text(header + "\n")
        elif path.read_text().splitlines()[0] != header:
            sys.exit(f"bench: {path} has other columns, expected {header}; name another file with -o")

    def add(self, *values) -> None:
        row = "\t".join(_cell(v) for v in [*values, *self.tail])
        with self.path.open("a") as file:
            file.write(row + "\n")
        print(row, flush=True)


def _cell(value) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def rate_distortion(args) -> None:
    """The `rd` command."""
    columns = "file kind encoding effort seed target bytes bpp psnr_db rms rms_back max_error normal_deg encode_s met"
    table = Table(args.output or ROOT / "results" / "rd.tsv", columns.split())
    if args.size:
        targets = [{"size": int(x)} for x in args.size.split(",")]
    else:
        targets = [{"quality": float(x)} for x in args.quality.split(",")]
    for path in signals(args.paths):
        for encoding in args.encoding.split(","):
            for target in targets:
                (name, value), = target.items()
                e = encode(path, encoding=encoding, effort=args.effort, seed=args.seed, kind=args.kind, **target)
                r = e.report
                table.add(
                    path.name, e.kind, encoding, args.effort, args.seed, f"{name}={value:g}", len(e.data), e.bpp,
                    r.psnr_db, r.rms, r.rms_back, r.max_error, r.normal_deg, e.seconds, int(e.met),
                )  # fmt: skip


def speed(args) -> None:
    """The `speed` command."""
    columns = "file kind effort bytes encode_s kernels first_open_s open_s decode_s decoded"
    table = Table(args.output or ROOT / "results" / "speed.tsv", columns.split())
    for path in signals(args.paths):
        encoded = encode(path, effort=args.effort, seed=args.seed, kind=args.kind)
        for kernels in ("numpy", "numba"):
            os.environ["NFCODEC_KERNELS"] = kernels
            first, _ = _timed(lambda: nfcodec.open(encoded.data))
            opens, decodes = [], []
            for _ in range(args.repeat):
                seconds, field = _timed(lambda: nfcodec.open(encoded.data))
                opens.append(seconds)
                seconds, what = _timed(lambda: _decode(field))
                decodes.append(seconds)
            table.add(
                path.name, encoded.kind, args.effort, len(encoded.data), encoded.seconds, kernels, first,
                statistics.median(opens), statistics.median(decodes), what,
            )  # fmt: skip
        del os.environ["NFCODEC_KERNELS"]


def _decode(field) -> str:
    if field.is_surface:
        return f"{len(field.to_mesh(256).faces)} faces at 256"
    scale = _SCALE_OF_SPEED.get(field.kind, 1.0)
    return "x".join(map(str, field.decode(scale=scale).shape))


def _timed(call):
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def main() -> None:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for name, function in (("rd", rate_distortion), ("speed", speed)):
        sub = commands.add_parser(name)
        sub.add_argument("paths", nargs="+")
        sub.add_argument("-o", "--output", type=Path)
        sub.add_argument("--effort", type=int, default=5)
        sub.add_argument("--seed", type=int, default=0)
        sub.add_argument("--kind")
        sub.set_defaults(run=function)
        if name == "rd":
            sub.add_argument("--quality", default="20,50,80")
            sub.add_argument("--size", help="bytes, instead of qualities")
            sub.add_argument("--encoding", default="dense")
        else:
            sub.add_argument("--repeat", type=int, default=3)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
