"""What a comparison is made of. Plain data: run.py fills it, match.py and the reports read it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ..measure import Report
from ..spec import Mesh, Signal

__all__ = ["NFCODEC", "Codec", "Comparison", "Row", "Skipped", "quality_db", "surface_rms"]

NFCODEC = "nfcodec"


@dataclass(frozen=True)
class Codec:
    """One line of the legend. how: its fixed settings; aim: where it minimises another error than the measured one."""

    name: str
    version: str
    how: str
    aim: str
    lossless: bool


@dataclass(frozen=True)
class Row:
    """One file, decoded and measured. key: of its bytes in the store. Times are medians in seconds; encode_s is None
    for finished files. setting: as `peers.text_of` writes it. rung: which of the codec's ladder of settings it is; None:
    one between them, added to come closer to nfcodec's file."""

    codec: str
    setting: str
    n_bytes: int
    report: Report
    encode_s: float | None
    decode_s: float
    key: str
    rung: int | None = None


@dataclass(frozen=True)
class Skipped:
    """A codec without rows, or one setting that failed. cure: the pip line, where one helps."""

    codec: str
    why: str
    cure: str = ""


@dataclass(frozen=True)
class Comparison:
    """Everything measured on one signal. decode(row) gives its decoded output again: values (*extent, C) or a Mesh.

    n_samples: pixels, voxels or vertices of the source.
    is_closed: surfaces: whether the source is watertight; errors are then symmetric, otherwise each way is judged apart:
    first from the source to the decoded surface, since some codecs close holes, then back. unfinished: why not everything
    was run ("interrupted", "time limit"), or "".
    """

    name: str
    signal: Signal
    source_bytes: int
    n_samples: int
    codecs: tuple[Codec, ...]  # nfcodec first
    rows: tuple[Row, ...]
    skipped: tuple[Skipped, ...]
    is_closed: bool
    unfinished: str
    facts: dict[str, Any] = field(default_factory=dict)  # machine, nfcodec, python, effort, seconds ...
    decode: Callable[[Row], np.ndarray | Mesh] | None = None

    def rows_of(self, codec: str) -> list[Row]:
        """Rows of one codec, small files first."""
        return sorted((row for row in self.rows if row.codec == codec), key=lambda row: row.n_bytes)

    @property
    def is_surface(self) -> bool:
        return self.signal.mesh is not None

    @property
    def has_ways(self) -> bool:
        """Whether there are two errors to judge by, from the source and back."""
        return self.is_surface and not self.is_closed

    def db(self, row: Row, back: bool = False) -> float:
        """The quality that curves are drawn and matched by, see `quality_db`. back: the other way, where `has_ways`."""
        return quality_db(row.report, self.is_surface, self.is_closed, back)

    def error(self, row: Row, back: bool = False) -> float:
        """RMS: lattices in source units; surfaces relative to the diagonal, symmetric, from source to decoded or back."""
        return surface_rms(row.report, self.is_closed, back) if self.is_surface else row.report.rms

    @property
    def reference(self) -> Row | None:
        """The file of nfcodec that the others are matched with: the first that was made. None without any."""
        return next((row for row in self.rows if row.codec == NFCODEC), None)


def surface_rms(report: Report, is_closed: bool, back: bool = False) -> float:
    """Symmetric for closed sources, else from source to decoded, or back: infinite where that was not measured."""
    if is_closed:
        return report.rms_symmetric
    if back:
        return math.inf if report.rms_back is None else report.rms_back
    return report.rms


def quality_db(report: Report, is_surface: bool, is_closed: bool, back: bool = False) -> float:
    """PSNR in dB; surfaces: 20 log10(1 / `surface_rms`)."""
    return -20 * math.log10(max(surface_rms(report, is_closed, back), 1e-12)) if is_surface else report.psnr_db
