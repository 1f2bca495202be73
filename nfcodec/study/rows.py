"""What a study is made of. Plain data: run.py fills it, table.py and the report read it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ..compare.rows import Skipped
from ..measure import Report
from ..spec import Signal
from .members import Member
from .spectrum import bands_missing

__all__ = ["Course", "Moment", "Row", "Skipped", "Study"]


@dataclass(frozen=True)
class Moment:
    """A fit after some of its steps. psnr_db: as `Report.psnr_db`, of the field as it would be rounded then, on the fit's
    own lattice; power: of its error, as `spectrum.radial_power`."""

    step: int
    seconds: float
    psnr_db: float
    power: tuple[float, ...]


@dataclass(frozen=True)
class Course:
    """How a fit went. frequencies, counts: of the rings that power is given for; signal: the power of what is fitted."""

    frequencies: tuple[float, ...]
    counts: tuple[int, ...]
    signal: tuple[float, ...]
    moments: tuple[Moment, ...]

    def missing(self, moment: Moment) -> dict[str, float | None]:
        """See `spectrum.bands_missing`."""
        return bands_missing(self.frequencies, moment.power, self.signal)


@dataclass(frozen=True)
class Row:
    """One finished file, decoded and measured. quality: as of `encode`; network: neurons and hidden layers; encode_s: of
    the one fit that gave it, without the looks at its course."""

    member: Member
    quality: float
    n_bytes: int
    report: Report
    network: tuple[int, int]
    n_steps: int
    encode_s: float
    decode_s: float
    course: Course


@dataclass(frozen=True)
class Study:
    """Everything measured on one signal. n_bytes: what files were to have. unfinished: as of `Comparison`."""

    name: str
    signal: Signal
    source_bytes: int
    n_bytes: int
    rows: tuple[Row, ...]
    skipped: tuple[Skipped, ...]
    unfinished: str
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def is_surface(self) -> bool:
        return self.signal.mesh is not None

    def rows_of(self, group: str) -> list[Row]:
        """Of a group, best first."""
        return sorted((row for row in self.rows if row.member.group == group), key=lambda row: -row.report.psnr_db)

    def excess(self, row: Row) -> float:
        """How many of the bytes asked for a file has too many, as a share; negative for too few."""
        return row.n_bytes / self.n_bytes - 1
