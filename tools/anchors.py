"""Other codecs of surfaces, from tables of what was measured of them, at the error that a file of ours has.

A folder holds the tables: geometry_measured.csv (simplification followed by Draco), geometry_voxels_measured.csv (sparse
voxels of 8 bits with zstd) and geometry_vdb_measured.csv (OpenVDB in half precision with Blosc). Of each codec's files those
count that no other one beats in both bytes and error; between them bytes are log-log linear in the error. Beyond the first and
the last of them nothing is guessed: what is known there is a bound.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

__all__ = ["ANCHORS", "COLUMNS", "Front", "columns"]


@dataclass(frozen=True)
class Anchor:
    """A codec's rows in a table: those where `codec` begins with `name`, if that has such a column. others: what else of them
    to give at an error."""

    table: str
    name: str
    bytes_column: str
    others: tuple[str, ...] = ()


ANCHORS = {
    "draco": Anchor("geometry_measured.csv", "simplify+Draco", "bytes", ("normal_deg_mean",)),
    "voxels": Anchor("geometry_voxels_measured.csv", "sparse 8^3 leaves int8", "bytes", ("rms_d2o",)),
    "vdb": Anchor("geometry_vdb_measured.csv", "", "vdb_half_blosc_bytes"),
}
# bytes, what else there is, and our bytes by theirs, of every anchor
COLUMNS = "draco_bytes draco_normal_deg draco_ratio voxels_bytes voxels_rms_back voxels_ratio vdb_bytes vdb_ratio".split()


class Front:
    """The best files of a codec for a mesh: error, bytes and further values, coarse first."""

    def __init__(self, rows: list[tuple[float, ...]]):
        """rows: (bytes, error, others ...), in any order."""
        self.points: list[tuple[float, ...]] = []
        for n_bytes, error, *others in sorted(rows):
            if not self.points or error < self.points[-1][0]:
                self.points.append((error, n_bytes, *others))

    def at(self, error: float) -> tuple[str, list[float]]:
        """"" and the values (bytes, others ...) at an error; beyond the ends "<" or ">" and those of the smallest or the
        largest file, which bound the bytes."""
        errors = [point[0] for point in self.points]
        if error > errors[0]:
            return "<", list(self.points[0][1:])
        if error < errors[-1]:
            return ">", list(self.points[-1][1:])
        x = np.log(errors[::-1])
        values = np.log([point[1:] for point in self.points[::-1]])
        return "", [float(np.exp(np.interp(math.log(error), x, column))) for column in values.T]


def columns(folder: Path | None, mesh: str, rms: float, n_bytes: int, *, is_open: bool) -> list[str | float | None]:
    """The values of COLUMNS for a file of n_bytes with an error `rms`, which for open meshes is that from the source."""
    out: list[str | float | None] = []
    for anchor in ANCHORS.values():
        front = _front(folder, anchor, mesh, "rms_o2d" if is_open else "rms_sym")
        if front is None:
            out += [None] * (2 + len(anchor.others))
            continue
        bound, (theirs, *others) = front.at(rms)
        turned = {"": "", "<": ">", ">": "<"}[bound]
        ratio = n_bytes / theirs
        out += [f"{bound}{theirs:.0f}" if bound else theirs, *others, f"{turned}{ratio:.3g}" if bound else ratio]
    return out


def _front(folder: Path | None, anchor: Anchor, mesh: str, error: str) -> Front | None:
    """None where nothing was measured of this mesh."""
    if folder is None:
        return None
    with (folder / anchor.table).open() as file:
        rows = [
            tuple(float(row[column]) for column in (anchor.bytes_column, error, *anchor.others))
            for row in csv.DictReader(file)
            if Path(row["mesh"]).stem == Path(mesh).stem and row.get("codec", "").startswith(anchor.name)
        ]
    return Front(rows) if rows else None
