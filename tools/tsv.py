"""Tables of measured figures: rows appended to a TSV, each with what made it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

__all__ = ["ROOT", "Table", "cell", "commit", "machine_of"]

ROOT = Path(__file__).resolve().parent.parent


def commit() -> str:
    """The short hash of the tree, with a + where it has changes; of a copy without git it is in BENCH_COMMIT."""
    given = os.environ.get("BENCH_COMMIT")
    if given:
        return given
    try:
        run = subprocess.run(["git", "describe", "--always", "--dirty=+"], cwd=ROOT, capture_output=True, text=True)
    except OSError:  # no git there
        return "unknown"
    return run.stdout.strip() or "unknown"


def machine_of(device: str) -> str:
    """What did the work: the processor, or the GPU's own name."""
    if device == "cpu":
        from nfcodec.compare.machine import machine  # with all peers

        return machine()
    import torch

    return torch.cuda.get_device_name(device)


class Table:
    """Rows appended to a TSV one by one, so that an interrupted run keeps what it has."""

    def __init__(self, path: Path, columns: list[str], device: str = "cpu"):
        self.path, self.columns = path, [*columns, "machine", "commit"]
        self.tail = [machine_of(device), commit()]
        path.parent.mkdir(parents=True, exist_ok=True)
        header = "\t".join(self.columns)
        if not path.exists() or not path.read_text().strip():
            path.write_text(header + "\n")
        elif path.read_text().splitlines()[0] != header:
            sys.exit(f"bench: {path} has other columns, expected {header}; name another file with -o")

    def add(self, *values) -> None:
        row = "\t".join(cell(v) for v in [*values, *self.tail])
        with self.path.open("a") as file:
            file.write(row + "\n")
        print(row, flush=True)


def cell(value) -> str:
    """A value as tables have it."""
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
