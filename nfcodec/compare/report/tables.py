"""The tables of a comparison: what is matched, and every measured file."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...text import ratio_text, seconds_text, size_text, small_text
from ..match import Match
from ..rows import NFCODEC, Comparison, Row
from ..table import error_text
from .markup import Cell, escape, table
from .svg import swatch

__all__ = ["codec_cell", "is_added", "matched_table", "rows_table", "times_cells"]


def codec_cell(name: str, number: int) -> Cell:
    """A codec's mark and name."""
    return Cell(swatch(number) + escape(name), name.casefold())


def times_cells(row: Row) -> list[Cell]:
    """Encode and decode time."""
    return [Cell("" if t is None else escape(seconds_text(t)), t) for t in (row.encode_s, row.decode_s)]


def matched_table(comparison: Comparison, matches: Sequence[Match], numbers: dict[str, int]) -> str:
    """Every codec beside nfcodec's reference file, smallest at its error first; nfcodec in its place among them."""
    reference = comparison.reference
    if reference is None:
        return ""
    rows: list[tuple[float, str, list[Cell]]] = [(reference.n_bytes, "ours", _reference_cells(comparison, reference))]
    for match in matches:
        size = math.inf if match.bytes_at_error is None else match.bytes_at_error
        kind = "smaller" if size < reference.n_bytes else ""
        rows.append((size, kind, [codec_cell(match.codec, numbers[match.codec]), *_match_cells(comparison, match)]))
    rows.sort(key=lambda row: row[0])
    head = [
        "codec",
        "bytes at the same error",
        "times nfcodec's",
        "error at the same bytes",
        "BD-rate of nfcodec",
        "nearest file",
        "its bytes",
        "its error",
        "encode",
        "decode",
    ]
    error, size = error_text(comparison, comparison.db(reference)), f"{reference.n_bytes:,} bytes"
    note = (
        f"Beside nfcodec, {reference.setting}: {size}, {error}. Left: read off each codec's curve at that error and at "
        "that size. Right: the file that is nearest in bytes, as it is."
    )
    return table(head, [cells for _, _, cells in rows], note=note, classes=[kind for _, kind, _ in rows])


def _reference_cells(comparison: Comparison, row: Row) -> list[Cell]:
    error = escape(error_text(comparison, comparison.db(row)))
    size = escape(size_text(row.n_bytes, 3))
    setting = escape(row.setting)
    parts = [size, "1", error, "", setting, f"{row.n_bytes:,}", error]
    return [codec_cell(NFCODEC, 0), *map(Cell, parts), *times_cells(row)]


def _match_cells(comparison: Comparison, match: Match) -> list[Cell]:
    size, ratio, error = "", "", ""
    if match.bytes_at_error is not None:
        size, ratio = size_text(match.bytes_at_error, 3), ratio_text(match.bytes_ratio, 3)
    if match.db_at_bytes is not None:
        error = error_text(comparison, match.db_at_bytes)
    near = match.nearest
    parts = [
        _noted(size, match.bytes_note),
        escape(ratio),
        _noted(error, match.db_note),
        "" if match.bd_rate is None else escape(f"{match.bd_rate:+.0f} %"),
        escape(near.setting),
        f"{near.n_bytes:,}",
        escape(error_text(comparison, comparison.db(near))),
    ]
    return [*map(Cell, parts), *times_cells(near)]


def _noted(figure: str, note: str) -> str:
    note = f"<small>{escape(note)}</small>" if note else ""
    return f"{escape(figure)} {note}".strip()


@dataclass(frozen=True)
class _Column:
    """head, and how a figure of a row is found and written; None leaves a field empty."""

    head: str
    value: Callable[[Row], float | None]
    text: Callable[[float], str]


def rows_table(comparison: Comparison, numbers: dict[str, int]) -> str:
    """Every measured file, to be sorted by any column; columns without a figure are left out."""
    rows = [row for codec in comparison.codecs for row in comparison.rows_of(codec.name)]
    if not rows:
        return ""
    columns = [c for c in _columns(comparison) if any(c.value(row) is not None for row in rows)]
    head = ["codec", "setting", *(c.head for c in columns)]
    cells = [[codec_cell(row.codec, numbers[row.codec]), _setting(row), *(_cell(c, row) for c in columns)] for row in rows]
    between = any(is_added(row) for row in rows)
    note = f"{len(rows)} files. A column's head sorts by it." + (
        " +: a setting between those of the codec's ladder, added to come closer to nfcodec's reference file."
        if between
        else ""
    )
    classes = ["ours" if row is comparison.reference else "" for row in rows]
    return table(head, cells, note=note, sortable=True, classes=classes)


def _setting(row: Row) -> Cell:
    return Cell(escape(f"{row.setting} +" if is_added(row) else row.setting), row.setting)


def is_added(row: Row) -> bool:
    """Whether a peer's file was added between those of its ladder."""
    return row.rung is None and row.codec != NFCODEC


def _cell(column: _Column, row: Row) -> Cell:
    value = column.value(row)
    return Cell("") if value is None else Cell(escape(column.text(value)), value)


def _columns(comparison: Comparison) -> list[_Column]:
    def psnr(value: float) -> str:
        return f"{value:.2f}" if math.isfinite(value) else "lossless"

    def degrees(value: float) -> str:
        return f"{value:.2f}\u00b0"

    sizes = [
        _Column("bytes", lambda r: r.n_bytes, lambda v: f"{v:,}"),
        _Column("source / file", lambda r: comparison.source_bytes / r.n_bytes, lambda v: ratio_text(v, 3)),
        _Column(f"bits a {_sample(comparison)}", lambda r: 8 * r.n_bytes / comparison.n_samples, lambda v: f"{v:.3g}"),
    ]
    times = [
        _Column("encode", lambda r: r.encode_s, seconds_text),
        _Column("decode", lambda r: r.decode_s, seconds_text),
    ]
    if not comparison.is_surface:
        errors = [
            _Column("PSNR, dB", lambda r: r.report.psnr_db, psnr),
            _Column("SSIM", lambda r: r.report.ssim, lambda v: f"{v:.4f}"),
            _Column("RMS", lambda r: r.report.rms, lambda v: f"{v:.4g}"),
            _Column("largest error", lambda r: r.report.max_error, lambda v: f"{v:.4g}"),
        ]
        return [*sizes, *errors, *times]
    errors = [
        _Column("RMS, symmetric", lambda r: None if r.report.rms_back is None else r.report.rms_symmetric, small_text),
        _Column("RMS to decoded", lambda r: r.report.rms, small_text),
        _Column("RMS to source", lambda r: r.report.rms_back, small_text),
        _Column("Hausdorff to decoded", lambda r: r.report.max_error, small_text),
        _Column("Hausdorff to source", lambda r: r.report.max_back, small_text),
        _Column("normals to decoded", lambda r: r.report.normal_deg, degrees),
        _Column("normals to source", lambda r: r.report.normal_back_deg, degrees),
        _Column("IoU", lambda r: r.report.iou, lambda v: f"{v:.5f}"),
    ]
    return [*sizes, *errors, *times]


def _sample(comparison: Comparison) -> str:
    return "vertex" if comparison.is_surface else "pixel" if comparison.signal.kind == "image" else "sample"
