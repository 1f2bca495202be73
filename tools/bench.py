"""Rate-distortion and speed on any folder of signals; rows are appended to a TSV under results/.

    python tools/bench.py rd FOLDER_OR_FILE ... [--quality 20,50,80] [--encoding dense,hash,codebook] [--effort 5]
                             [--peers "AVIF 4:4:4,JPEG 4:4:4"] [--within 28:40]
    python tools/bench.py speed FOLDER_OR_FILE ... [--repeat 3]

rd: what `nfcodec compare` measures, every file a row, then the BD-rates averaged over the signals. speed: medians of
encode, open (entropy decoding) and decode of each signal, with numba's kernels and with numpy alone, all in one run.
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import sys
import time
from pathlib import Path

from tsv import ROOT, Table

import nfcodec
from nfcodec import encode
from nfcodec.compare import NFCODEC, Comparison, Store, compare, default_folder
from nfcodec.compare.match import curves_bd_rate, rows_front
from nfcodec.compare.sets import signals_of
from nfcodec.compare.table import row_dict

_SCALE_OF_SPEED = {"image": 2.5}  # decode there; volumes at their own extent, surfaces at 256 on the longest axis


def signals(paths: list[str]) -> list[Path]:
    """Files named, and files of known suffixes below the folders named."""
    return [file for path in map(Path, paths) for file in (signals_of(path) if path.is_dir() else [path])]


def rate_distortion(args) -> None:
    """The `rd` command."""
    columns = "input kind codec setting effort seed bytes bpp psnr_db rms rms_back max_error max_back normal_deg "
    columns += "normal_back_deg ssim iou encode_s decode_s"
    table = Table(args.output or ROOT / "results" / "rd.tsv", columns.split())
    targets = [{"size": int(x)} for x in args.size.split(",")] if args.size else []
    targets = targets or [{"quality": float(x)} for x in args.quality.split(",")]
    store = Store(None if args.no_cache else default_folder())
    rates: dict[tuple[str, str], list[float]] = {}
    for path in signals(args.paths):
        for encoding in args.encoding.split(","):
            found = compare(
                path, targets=targets, encoding=encoding, effort=args.effort, seed=args.seed, kind=args.kind,
                peers=args.peers.split(",") if args.peers else (), store=store,
            )  # fmt: skip
            if found.unfinished:
                sys.exit(f"bench: {path}: {found.unfinished}")
            for row in found.rows:
                is_ours = row.codec == NFCODEC
                facts = row_dict(found, row)
                facts["codec"] = f"{NFCODEC} {encoding}" if is_ours else row.codec
                facts.update(effort=args.effort if is_ours else None, seed=args.seed if is_ours else None)
                table.add(*(facts[column] for column in columns.split()))
            for codec, rate in _bd_rates(found, args.within).items():
                rates.setdefault((encoding, codec), []).append(rate)
    for (encoding, codec), values in rates.items():
        print(f"BD-rate of {encoding} against {codec}: {statistics.fmean(values):+.2f} % over {len(values)} signals")


def _bd_rates(found: Comparison, within: str) -> dict[str, float]:
    """Of nfcodec against each codec, per cent, where they have a range of dB in common."""
    low, high = (float(x) for x in within.split(":")) if within else (-math.inf, math.inf)
    ours = rows_front(found, NFCODEC)
    others = [codec.name for codec in found.codecs if codec.name != NFCODEC]
    rates = {name: curves_bd_rate(rows_front(found, name), ours, (low, high)) for name in others}
    return {name: rate for name, rate in rates.items() if rate is not None}


def speed(args) -> None:
    """The `speed` command."""
    columns = "file kind effort bytes encode_s kernels first_open_s open_s decode_s decoded"
    table = Table(args.output or ROOT / "results" / "files.tsv", columns.split())
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
            sub.add_argument("--peers", help="names, comma-separated, as nfcodec compare prints them; none by default")
            sub.add_argument("--within", help="dB over which BD-rates are taken, such as 28:40")
            sub.add_argument("--no-cache", action="store_true", help="measure again what was measured before")
        else:
            sub.add_argument("--repeat", type=int, default=3)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
