"""What encodings take to fit and to decode, in seconds of the processor; rows are appended to results/members.tsv.

    NFCODEC_THREADS=1 OMP_NUM_THREADS=1 python tools/bench_members.py INPUT ENCODING[=QUALITY] [...] [--effort 1] [-o FILE]

encode_cpu_s: with the finished bytes decoded and measured, after a fit of a few samples by the same encoding, so that modules
and kernels are there. decode_cpu_s: from the bytes to all samples or, of surfaces, to a mesh from 256 samples along the
longest axis. Rows of another commit are those of its own tree: this tool copied there, BENCH_COMMIT set.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from tsv import ROOT, Table

import nfcodec
from nfcodec.encoder import Encoded

COLUMNS = "input kind encoding quality effort seed bytes psnr_db rms rms_back encode_cpu_s decode_cpu_s"
_WARM_UP = {"image": (24, 24, 3), "volume": (20, 20, 20), "sdf": (20, 20, 20)}


def fit(source: Path | np.ndarray, encoding: str, quality: float, effort: int, kind: str | None = None) -> Encoded:
    """The file of a source, in memory."""
    return nfcodec.encode(source, kind=kind, encoding=encoding, quality=quality, effort=effort, seed=0)


def main() -> None:
    """The command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("input", type=Path)
    parser.add_argument("encodings", nargs="+")
    parser.add_argument("--kind", choices=_WARM_UP, required=True, help="of the input")
    parser.add_argument("--effort", type=int, default=1)
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "results" / "members.tsv")
    args = parser.parse_args()
    table = Table(args.output, COLUMNS.split())
    small = np.random.default_rng(0).integers(0, 255, _WARM_UP[args.kind]).astype(np.uint8)
    for choice in args.encodings:
        encoding, _, quality = choice.partition("=")
        quality = float(quality or 50)
        fit(small, encoding, quality, 1, "image" if args.kind == "image" else "volume")
        start = time.process_time()
        made = fit(args.input, encoding, quality, args.effort, args.kind)
        middle = time.process_time()
        field = nfcodec.open(made.data)
        if args.kind in ("image", "volume"):
            field.decode()
        else:
            field.to_mesh(256)
        seconds = middle - start, time.process_time() - middle
        report = made.report
        facts = args.input.name, args.kind, encoding, quality, args.effort, 0, len(made.data)
        table.add(*facts, report.psnr_db, report.rms, report.rms_back, *seconds)


if __name__ == "__main__":
    main()
