"""A study as lines of text, as JSON and as CSV."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from typing import Any

from ..compare.table import columns, signal_text
from ..text import quality_text, seconds_text, size_text
from .members import GROUPS
from .rows import Moment, Row, Study
from .spectrum import BANDS

__all__ = ["as_csv", "as_dict", "as_lines", "missing_text", "percent_text", "row_dict", "sentences"]

_FAR = 0.1  # share of the bytes from which sizes are not matched
_LEVEL_DB = 0.1  # between members that are level


def as_lines(study: Study) -> list[str]:
    """What a terminal shows."""
    source = f"{signal_text(study.signal)}, {size_text(study.source_bytes)}"
    lines = [f"{study.name}: {source}; files of {size_text(study.n_bytes, 3)}"]
    head = ["", "bytes", "of target", "error", "low", "middle", "high", "network", "steps", "encode", "decode"]
    for group, title in GROUPS.items():
        rows = study.rows_of(group)
        if rows:
            lines += ["", *columns([title, *head[1:]], [_cells(study, row) for row in rows])]
    lines += ["", *sentences(study)]
    if study.rows:
        lines.append(
            "low, middle, high: power of the error by that of the signal, below 1/8 of the Nyquist frequency, below 1/2, "
            "above."
        )
    lines += [f"without {skipped.codec}: {skipped.why}" for skipped in study.skipped]
    if study.unfinished:
        lines.append(f"Not finished ({study.unfinished}): the same command goes on from here.")
    return lines


def _cells(study: Study, row: Row) -> list[str]:
    missing = row.course.missing(row.course.moments[-1])
    return [
        row.member.name,
        f"{row.n_bytes:,}",
        percent_text(study.excess(row)),
        error_text(study, row),
        *(missing_text(missing[name]) for name, *_ in BANDS),
        network_text(row),
        str(row.n_steps),
        seconds_text(row.encode_s),
        seconds_text(row.decode_s),
    ]


def error_text(study: Study, row: Row) -> str:
    """`36.60 dB`; surfaces: `3.2e-4 RMS`."""
    return quality_text(row.report.psnr_db, row.report.rms, study.is_surface)


def network_text(row: Row) -> str:
    """`24x2`, or none where the field has no hidden layers."""
    return "x".join(map(str, row.network)) if row.network[1] else "none"


def percent_text(share: float) -> str:
    """`+0.4 %`"""
    return f"{100 * share:+.1f} %"


def missing_text(share: float | None) -> str:
    """A ratio of powers in dB: `-23 dB`."""
    if share is None:
        return ""
    return f"{round(10 * math.log10(share))} dB" if share > 0 else "-inf dB"


def sentences(study: Study) -> list[str]:
    """Who is best of each group, and of all; whose bytes are not matched."""
    lines = []
    best = {group: study.rows_of(group)[0] for group in GROUPS if study.rows_of(group)}
    if best:
        first = max(best.values(), key=lambda row: row.report.psnr_db)
        beside = _beside(study, first)
        lines.append(f"Best at {size_text(study.n_bytes, 3)}: {_label(first)}, {error_text(study, first)}{beside}.")
        others = [
            f"of {GROUPS[g]} {row.member.name} ({error_text(study, row)})" for g, row in best.items() if row is not first
        ]
        if others:
            lines.append(f"Best {', '.join(others)}.")
    far = [f"{row.member.name} ({percent_text(study.excess(row))})" for row in study.rows if abs(study.excess(row)) > _FAR]
    if far:
        lines.append(f"Not of the size that was asked for: {', '.join(dict.fromkeys(far))}.")
    return lines


def _label(row: Row) -> str:
    """A member's name where it stands among those of other groups: `relu on frequency`."""
    return row.member.name if row.member.group != "activation" else f"{row.member.name} on {row.member.encoding}"


def _beside(study: Study, first: Row) -> str:
    """Which other fields are level with the best one, or how far the next is behind it."""
    fields = {(row.member.encoding, row.member.activation): row for row in reversed(study.rows)}  # some are of two groups
    fields.pop((first.member.encoding, first.member.activation))
    behind = {_label(row): first.report.psnr_db - row.report.psnr_db for row in fields.values()}
    # two without any error are infinite, and their difference is no number
    level = [name for name, db in behind.items() if not db >= _LEVEL_DB]
    if level:
        return f", level with {', '.join(reversed(level))}"
    second = min(behind, key=behind.__getitem__, default="")
    return f", {behind[second]:.1f} dB before {second}" if second and math.isfinite(behind[second]) else ""


# ---------------------------------------------------------------- data


def as_dict(study: Study) -> dict[str, Any]:
    """Everything, JSON-able. Infinite dB stay infinite: JSON's writer decides."""
    return {
        "input": study.name,
        "kind": study.signal.kind,
        "what": signal_text(study.signal),
        "source_bytes": study.source_bytes,
        "target_bytes": study.n_bytes,
        "unfinished": study.unfinished or None,
        "sentences": sentences(study),
        "rows": [row_dict(study, row) | {"course": _course_dict(row)} for row in study.rows],
        "skipped": [{"member": skipped.codec, "why": skipped.why} for skipped in study.skipped],
        **study.facts,
    }


def _course_dict(row: Row) -> dict[str, Any]:
    course = row.course

    def moment_dict(moment: Moment) -> dict[str, Any]:
        return {**dataclasses.asdict(moment), "missing": course.missing(moment)}

    return {**dataclasses.asdict(course), "moments": [moment_dict(moment) for moment in course.moments]}


def row_dict(study: Study, row: Row) -> dict[str, Any]:
    """One file's figures under the names of JSON and CSV."""
    missing = row.course.missing(row.course.moments[-1])
    return {
        "input": study.name,
        "kind": study.signal.kind,
        "group": row.member.group,
        "encoding": row.member.encoding,
        "activation": row.member.activation,
        "bytes": row.n_bytes,
        "target_bytes": study.n_bytes,
        **dataclasses.asdict(row.report),
        **{f"missing_{name}": share for name, share in missing.items()},
        "quality": row.quality,
        "n_neurons": row.network[0],
        "n_hidden_layers": row.network[1],
        "n_steps": row.n_steps,
        "encode_s": row.encode_s,
        "decode_s": row.decode_s,
    }


def as_csv(study: Study) -> str:
    """One line a file, with a head; empty cells where there is no such figure."""
    rows = [row_dict(study, row) for row in study.rows]
    out = io.StringIO()
    if rows:
        writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: f"{v:.6g}" if isinstance(v, float) else v for key, v in row.items()} for row in rows)
    return out.getvalue()
