"""A comparison as lines of text, as JSON and as CSV."""

from __future__ import annotations

import csv
import dataclasses
import io
import math
from collections.abc import Sequence
from typing import Any

from ..spec import Signal
from ..text import quality_text, ratio_text, seconds_text, size_text
from .match import Match, matches, quality_of, sentences
from .rows import NFCODEC, Comparison, Row
from .sets import SetComparison, by_kind, means

__all__ = [
    "as_csv", "as_dict", "as_lines", "columns", "describe", "error_text", "row_dict", "set_dict", "set_lines",
    "signal_text",
]  # fmt: skip


def signal_text(signal: Signal) -> str:
    """`image 512x768x3 uint8`; `surface of 69,451 faces`."""
    if signal.mesh is not None:
        return f"surface of {len(signal.mesh.faces):,} faces"
    return f"{signal.kind} {'x'.join(map(str, signal.values.shape))} {signal.values.dtype}"


def describe(comparison: Comparison) -> str:
    """`image 512x768x3 uint8`; `surface of 69,451 faces, open`."""
    way = f", {'closed' if comparison.is_closed else 'open'}" if comparison.signal.mesh is not None else ""
    return signal_text(comparison.signal) + way


def as_lines(comparison: Comparison) -> list[str]:
    """What a terminal shows."""
    lines = [f"{comparison.name}: {describe(comparison)}, {size_text(comparison.source_bytes)}"]
    reference = comparison.reference
    if reference is not None:
        lines += ["", *_table(comparison, reference), ""]
        if comparison.has_ways:
            lines += ["From the decoded surface back to the source:", *_table(comparison, reference, back=True), ""]
        lines.append(f"Matched with nfcodec {reference.setting}. BD-rate: nfcodec's bytes against the codec's.")
        if comparison.is_surface:
            judged = "symmetric" if comparison.is_closed else "first from the source, which is open, to the decoded surface"
            lines.append(f"RMS distances are relative to the bounding box's diagonal, {judged}.")
    lines += sentences(comparison)
    lines += [f"{c.name}: {c.aim}" for c in comparison.codecs if c.aim]
    lines.append(f"Versions: {'; '.join(dict.fromkeys(c.version for c in comparison.codecs))}.")
    for skipped in comparison.skipped:
        lines.append(f"without {skipped.codec}: {skipped.why}{f': {skipped.cure}' if skipped.cure else ''}")
    if comparison.unfinished:
        lines.append(f"Not finished ({comparison.unfinished}): the same command goes on from here.")
    return lines


def _table(comparison: Comparison, reference: Row, back: bool = False) -> list[str]:
    """What other codecs have at the reference's error and bytes."""
    rows = [[NFCODEC, size_text(reference.n_bytes, 3), "", quality_of(comparison, reference, back), "", *_times(reference)]]
    rows += [_cells(comparison, match) for match in matches(comparison, reference, back)]
    return columns(["codec", "same error", "", "same bytes", "BD-rate", "encode", "decode"], rows)


def _cells(comparison: Comparison, match: Match) -> list[str]:
    same_error, ratio = match.bytes_note, ""
    if match.bytes_at_error is not None:
        same_error = size_text(match.bytes_at_error, 3)
        ratio = f"{ratio_text(match.bytes_ratio, 3)} {match.bytes_note}".strip()
    same_bytes = match.db_note
    if match.db_at_bytes is not None:
        same_bytes = f"{error_text(comparison, match.db_at_bytes)} {match.db_note}".strip()
    bd_rate = "" if match.bd_rate is None else f"{match.bd_rate:+.0f} %"
    return [match.codec, same_error, ratio, same_bytes, bd_rate, *_times(match.nearest)]


def _times(row: Row) -> list[str]:
    return ["" if row.encode_s is None else seconds_text(row.encode_s), seconds_text(row.decode_s)]


def columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Text in columns: the first to the left, the others to the right."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    return [
        "  ".join(cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths))).rstrip()
        for row in [head, *rows]
    ]


def error_text(comparison: Comparison, db: float) -> str:
    """dB as they are read: `36.6 dB`; surfaces: `3.2e-4 RMS`."""
    return quality_text(db, 10 ** (-db / 20), comparison.is_surface, digits=1)


def set_lines(comparisons: Sequence[Comparison]) -> list[str]:
    """Averages over signals of one kind."""
    found = means(comparisons)
    rows = []
    for mean in sorted(found, key=lambda m: m.bytes_ratio or (0 if m.codec == NFCODEC else math.inf)):
        ratio = "" if mean.bytes_ratio is None else ratio_text(mean.bytes_ratio, 3)
        wins = "" if mean.codec == NFCODEC else f"{mean.n_smaller} of {mean.n_ratios}"
        bd_rate = "" if mean.bd_rate is None else f"{mean.bd_rate:+.1f} %"
        rows.append([mean.codec, str(mean.n_signals), ratio, wins, bd_rate])
    return [
        *columns(["codec", "signals", "bytes at equal error", "nfcodec smaller on", "BD-rate of nfcodec"], rows),
        "",
        "Bytes: geometric mean of the codec's by nfcodec's, at the error of nfcodec's reference files. BD-rate: mean.",
    ]


# ---------------------------------------------------------------- data


def as_dict(comparison: Comparison) -> dict[str, Any]:
    """Everything but the decoded output, JSON-able. Infinite dB stay infinite: JSON's writer decides."""
    reference = comparison.reference
    return {
        "input": comparison.name,
        "kind": comparison.signal.kind,
        "what": describe(comparison),
        "is_closed": comparison.is_closed if comparison.is_surface else None,
        "source_bytes": comparison.source_bytes,
        "n_samples": comparison.n_samples,
        "unfinished": comparison.unfinished or None,
        "sentences": sentences(comparison),
        "reference": None if reference is None else reference.setting,
        "matches": [] if reference is None else [_match_dict(m) for m in matches(comparison, reference)],
        "matches_back": [_match_dict(m) for m in matches(comparison, reference, back=True)]
        if reference is not None and comparison.has_ways
        else None,
        "codecs": [dataclasses.asdict(codec) for codec in comparison.codecs],
        "rows": [row_dict(comparison, row) for row in comparison.rows],
        "skipped": [dataclasses.asdict(skipped) for skipped in comparison.skipped],
        **comparison.facts,
    }


def set_dict(found: SetComparison) -> dict[str, Any]:
    """Every signal of a set, and the averages by kind."""
    return {
        "set": found.name,
        "unfinished": found.unfinished or None,
        "failed": [{"input": name, "error": why} for name, why in found.failed],
        "means": {k: [dataclasses.asdict(mean) for mean in means(group)] for k, group in by_kind(found.finished).items()},
        "signals": [as_dict(comparison) for comparison in found.comparisons],
    }


def _match_dict(match: Match) -> dict[str, Any]:
    return {**dataclasses.asdict(match), "nearest": match.nearest.setting}


def row_dict(comparison: Comparison, row: Row) -> dict[str, Any]:
    """One file's figures under the names of JSON and CSV."""
    return {
        "input": comparison.name,
        "kind": comparison.signal.kind,
        "codec": row.codec,
        "setting": row.setting,
        "rung": row.rung,
        "bytes": row.n_bytes,
        "bpp": 8 * row.n_bytes / comparison.n_samples,
        **dataclasses.asdict(row.report),
        "encode_s": row.encode_s,
        "decode_s": row.decode_s,
    }


def as_csv(comparisons: Sequence[Comparison]) -> str:
    """One line a file, with a head; empty cells where there is no such figure."""
    rows = [row_dict(comparison, row) for comparison in comparisons for row in comparison.rows]
    out = io.StringIO()
    if rows:
        writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({key: f"{v:.6g}" if isinstance(v, float) else v for key, v in row.items()} for row in rows)
    return out.getvalue()
