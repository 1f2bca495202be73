"""Every encoding, activation and structure on some signals at matched bytes: rows of `nfcodec study`, appended to a TSV.

    python tools/bench_study.py SIGNAL:BYTES:EFFORT ... [--encodings all] [--activations all] [--quality 50] [--jobs 2]
        [--seconds 3600] [-o OUT]

Members of a signal are shared out to processes of one thread each; signals that were named first are begun first. Rows that the table
has already are not made again, so that a run that was ended, by --seconds or by hand, goes on where it was.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import os
import time
from pathlib import Path

from tsv import ROOT, Table

COLUMNS = "input kind group encoding activation effort seed bytes target_bytes psnr_db rms rms_back max_error ssim iou quality n_neurons "
COLUMNS += "n_hidden_layers n_steps missing_low missing_middle missing_high encode_s decode_s why"
LEFT_OUT = "-"  # bytes of what does not suit a signal


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("signals", nargs="+", metavar="SIGNAL:BYTES:EFFORT")
    parser.add_argument("--encodings", default="all")
    parser.add_argument("--activations", default="all")
    parser.add_argument("--on", default="identity")
    parser.add_argument("--quality", type=float, default=50.0, help="where the search for the bytes begins")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=1e6, help="ends itself after so long")
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "results" / "study.tsv")
    args = parser.parse_args()
    end = time.monotonic() + args.seconds
    table = Table(args.output, COLUMNS.split())
    jobs = [job for job in _jobs(args) if _key(*job) not in _done(args.output)]
    os.environ["OMP_NUM_THREADS"] = "1"
    with multiprocessing.get_context("spawn").Pool(min(args.jobs, max(len(jobs), 1)), _prepare) as pool:
        waiting = pool.imap_unordered(_row, jobs)
        for _ in jobs:
            try:
                table.add(*waiting.next(max(end - time.monotonic(), 0.0)))
            except multiprocessing.TimeoutError:
                print("time is up", flush=True)
                break
        pool.terminate()


def _jobs(args) -> list[tuple]:
    """(path, group, encoding, activation, effort, seed, bytes, quality) of every member."""
    from nfcodec.cli.values import CHOICES
    from nfcodec.study import members_of

    encodings, activations = (CHOICES.convert(text, None, None) for text in (args.encodings, args.activations))
    found = []
    for signal in args.signals:
        path, size, effort = signal.rsplit(":", 2)
        for member in members_of(encodings, activations, args.on):
            found.append((path, member.group, member.encoding, member.activation, int(effort), args.seed, int(size), args.quality))
    return found


def _key(path, group, encoding, activation, effort, seed, size, quality) -> tuple[str, ...]:
    return Path(path).name, group, encoding, activation, str(effort), str(size)


def _done(path: Path) -> set[tuple[str, ...]]:
    with path.open() as file:
        rows = csv.DictReader(file, delimiter="\t")
        return {tuple(row[name] for name in "input group encoding activation effort target_bytes".split()) for row in rows}


def _prepare() -> None:
    """Has kernels compiled, so that no row's times have that in them, and torch use one thread."""
    import numpy as np
    import torch

    import nfcodec

    torch.set_num_threads(1)
    for kind, extent in (("image", (24, 24, 3)), ("volume", (16, 16, 16))):
        values = np.random.default_rng(0).integers(0, 255, extent, np.uint8)
        nfcodec.open(nfcodec.encode(values, kind=kind, effort=1).data).decode()


def _row(job: tuple) -> list:
    from nfcodec.study import study
    from nfcodec.study.table import row_dict

    path, group, encoding, activation, effort, seed, size, quality = job
    chosen = {"encodings": [], "activations": [activation], "on": encoding} if group == "activation" else {
        "encodings": [encoding], "activations": []
    }  # fmt: skip
    found = study(path, **chosen, size=size, quality=quality, effort=effort, seed=seed, device="cpu")
    facts = {"effort": effort, "seed": seed, "why": ""}
    if found.rows:
        facts |= row_dict(found, found.rows[0])
    else:
        facts |= {"input": Path(path).name, "kind": found.signal.kind, "group": group, "encoding": encoding}
        facts |= {"activation": activation, "bytes": LEFT_OUT, "target_bytes": size, "why": found.skipped[0].why}
    return [facts.get(name) for name in COLUMNS.split()]


if __name__ == "__main__":
    main()
