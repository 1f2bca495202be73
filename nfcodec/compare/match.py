"""Codecs at equal error and at equal bytes, and the plain words for it.

A codec's curve is its Pareto front: no other of its files is both smaller and better. Between two files of the front
log(bytes) is taken as linear in dB; beyond its ends nothing is guessed, the limit is named instead.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ..errors import UsageError
from ..metrics import bd_rate
from ..text import quality_text
from .rows import NFCODEC, Comparison, Row

__all__ = [
    "Match",
    "Point",
    "at_bytes",
    "at_db",
    "curves_bd_rate",
    "front",
    "matches",
    "quality_of",
    "rows_front",
    "sentences",
]

Point = tuple[float, float]  # bytes, dB
_EQUAL = 0.02  # sizes this close are called equal
_MIN_POINTS = 4  # of a curve for a BD-rate, as Bjontegaard has them


@dataclass(frozen=True)
class Match:
    """One codec beside one file of nfcodec.

    bytes_at_error: bytes for nfcodec's error, None where no file of it is as good. bytes_note: "" where that lies
    between two of its files; "lossless" or "its smallest" where it is a file that is better than asked for; "never as
    good". db_at_bytes: dB with nfcodec's bytes, None where no file of it is as small; bytes_ratio: bytes_at_error by
    nfcodec's bytes. db_note: "", "its best" where it cannot use that many bytes, "never as small". bd_rate: of nfcodec
    against this codec, per cent over the common range of dB: negative where nfcodec needs fewer bytes; None without a
    common range. nearest: its file that is nearest in bytes.
    """

    codec: str
    bytes_at_error: float | None
    bytes_note: str
    bytes_ratio: float | None
    db_at_bytes: float | None
    db_note: str
    bd_rate: float | None
    nearest: Row


def front(points: Iterable[Point]) -> list[Point]:
    """The Pareto front, small files first: each point has more dB than all smaller ones."""
    best: list[Point] = []
    for n_bytes, db in sorted(points, key=lambda p: (p[0], -p[1])):
        if not best or db > best[-1][1]:
            best.append((n_bytes, db))
    return best


def rows_front(comparison: Comparison, codec: str, back: bool = False) -> list[Point]:
    """The front of one codec's files; back: by the error from the decoded surface to the source."""
    return front((row.n_bytes, comparison.db(row, back)) for row in comparison.rows_of(codec))


def at_db(curve: Sequence[Point], db: float) -> tuple[float | None, str]:
    """Bytes of a front at a quality, and the note of `Match`."""
    for i, (n_bytes, reached) in enumerate(curve):
        if reached < db:
            continue
        if math.isinf(reached) and not math.isinf(db):
            return n_bytes, "lossless"
        if i == 0 or reached == db:
            return n_bytes, "" if reached == db else "its smallest"
        below_bytes, below = curve[i - 1]
        share = (db - below) / (reached - below)
        return math.exp((1 - share) * math.log(below_bytes) + share * math.log(n_bytes)), ""
    return None, "never as good"


def at_bytes(curve: Sequence[Point], n_bytes: float) -> tuple[float | None, str]:
    """dB of a front at a size, and the note of `Match`."""
    within = [i for i, point in enumerate(curve) if point[0] <= n_bytes]
    if not within:
        return None, "never as small"
    below_bytes, below = curve[within[-1]]
    if below_bytes == n_bytes:
        return below, ""
    if within[-1] + 1 == len(curve) or math.isinf(curve[within[-1] + 1][1]):
        return below, "its best"
    above_bytes, above = curve[within[-1] + 1]
    share = math.log(n_bytes / below_bytes) / math.log(above_bytes / below_bytes)
    return (1 - share) * below + share * above, ""


def matches(comparison: Comparison, row: Row, back: bool = False) -> list[Match]:
    """Every codec that has files beside one file of nfcodec; smallest at equal error first, those that fail last. back: as
    `rows_front`."""
    found = [_match(comparison, codec.name, row, back) for codec in comparison.codecs if codec.name != NFCODEC]
    return sorted((m for m in found if m is not None), key=lambda m: m.bytes_at_error or math.inf)


def _match(comparison: Comparison, codec: str, row: Row, back: bool) -> Match | None:
    rows = comparison.rows_of(codec)
    if not rows:
        return None
    curve = rows_front(comparison, codec, back)
    n_bytes, bytes_note = at_db(curve, comparison.db(row, back))
    db, db_note = at_bytes(curve, row.n_bytes)
    return Match(
        codec=codec,
        bytes_at_error=n_bytes,
        bytes_note=bytes_note,
        bytes_ratio=None if n_bytes is None else n_bytes / row.n_bytes,
        db_at_bytes=db,
        db_note=db_note,
        bd_rate=curves_bd_rate(curve, rows_front(comparison, NFCODEC, back)),
        nearest=min(rows, key=lambda r: abs(math.log(r.n_bytes / row.n_bytes))),
    )


def curves_bd_rate(
    against: Sequence[Point], curve: Sequence[Point], within_db: tuple[float, float] = (-math.inf, math.inf)
) -> float | None:
    """`metrics.bd_rate` of two fronts, lossless files left out; None where they have no range in common or fewer than 4
    points: through fewer, the curve between them is anybody's guess."""
    pairs = [[point for point in points if math.isfinite(point[1])] for points in (against, curve)]
    if min(map(len, pairs)) < _MIN_POINTS:
        return None
    try:
        (x, x_db), (y, y_db) = (zip(*points) for points in pairs)
        return bd_rate(x, x_db, y, y_db, within_db)
    except UsageError:  # apart
        return None


# ---------------------------------------------------------------- words


def sentences(comparison: Comparison) -> list[str]:
    """Who wins where, by how much: about the reference, then about all of nfcodec's files."""
    row = comparison.reference
    if row is None:
        return ["nfcodec has no file of this signal, so there is nothing to compare the others with."]
    found = matches(comparison, row)
    if not found:
        return ["No other codec was run on this signal."]
    lines = [_at_reference(comparison, row, found), *_over_all(comparison)]
    if comparison.has_ways:
        lines.append(_at_reference(comparison, row, matches(comparison, row, back=True), back=True))
    return lines


def _at_reference(comparison: Comparison, row: Row, found: list[Match], back: bool = False) -> str:
    smaller, equal, larger, never = [], [], [], []
    for match in found:
        if match.bytes_ratio is None:
            never.append(match.codec)
        elif match.bytes_ratio < 1 - _EQUAL:
            smaller.append(f"{match.codec} ({1 - match.bytes_ratio:.0%} smaller)")
        elif match.bytes_ratio <= 1 + _EQUAL:
            equal.append(match.codec)
        else:
            larger.append(f"{match.codec} ({match.bytes_ratio:.3g} times as large)")
    parts = []
    if smaller:
        parts.append(f"loses to {_listed(smaller)}")
    if equal:
        parts.append(f"is level with {_listed(equal)}")
    if larger:
        parts.append(f"beats {_listed(larger)}")
    if never:
        parts.append(f"reaches what {_listed(never)} never {'does' if len(never) == 1 else 'do'}")
    way = " from the decoded surface back to the source" if back else ""
    return f"At {quality_of(comparison, row, back)}{way} nfcodec needs {row.n_bytes:,} bytes: it {_listed(parts, '; ')}."


def _over_all(comparison: Comparison) -> list[str]:
    """Where over nfcodec's range it is the smallest, and who is where it is not."""
    rows = comparison.rows_of(NFCODEC)
    if len(rows) < 2:
        return []
    lost: dict[str, list[Row]] = {}
    for row in rows:
        best = min((m for m in matches(comparison, row) if m.bytes_at_error), key=lambda m: m.bytes_at_error, default=None)
        if best is not None and best.bytes_ratio < 1 - _EQUAL:
            lost.setdefault(best.codec, []).append(row)
    n_lost = sum(map(len, lost.values()))
    if n_lost == 0:
        return [f"Over all {len(rows)} of its files nfcodec is the smallest, or within {_EQUAL:.0%} of it."]
    places = [f"{codec} at {_listed([quality_of(comparison, row) for row in where])}" for codec, where in lost.items()]
    if n_lost == len(rows):
        return [f"None of its {len(rows)} files is the smallest: {_listed(places)}."]
    won = f"{len(rows) - n_lost} of its {len(rows)} files are the smallest, or level with it"
    return [f"{won}; smaller ones: {_listed(places)}."]


def quality_of(comparison: Comparison, row: Row, back: bool = False) -> str:
    """`36.6 dB`; surfaces: `3.2e-4 RMS`."""
    return quality_text(comparison.db(row, back), comparison.error(row, back), comparison.is_surface, digits=1)


def _listed(items: Sequence[str], comma: str = ", ") -> str:
    return items[0] if len(items) == 1 else f"{comma.join(items[:-1])} and {items[-1]}"
