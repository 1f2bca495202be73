"""The page of a set of signals: averages, and every signal's own result."""

from __future__ import annotations

import math
from collections.abc import Sequence

from ...text import ratio_text, size_text
from ..match import matches, quality_of
from ..rows import NFCODEC, Comparison
from ..sets import Mean, SetComparison, by_kind, means
from ..table import describe
from .curves import Axis, Point, Series, chart, legend
from .markup import Cell, definitions, escape, paragraphs, section, table
from .page import document, facts_of, require
from .tables import codec_cell
from .words import measured_how

__all__ = ["html_of_set"]


def html_of_set(found: SetComparison) -> str:
    """The whole file: averages of each kind of signal. The same set gives the same text. MissingExtraError as `require`."""
    require()
    parts = []
    for kind, comparisons in by_kind(found.finished).items():
        title = f"{len(comparisons)} {kind}{'s' if len(comparisons) > 1 else ''}"
        parts.append(section(kind, title, *_of_kind(kind, comparisons)))
    count = len(found.comparisons)
    unfinished = (
        f"Not finished ({found.unfinished}): an unfinished signal counts in no average." if found.unfinished else ""
    )
    failed = definitions(list(found.failed))
    header = [
        f"<header><h1>{escape(found.name)}</h1>",
        paragraphs(f"A set of {count} signal{'s' if count != 1 else ''}.", kind="about"),
        paragraphs(unfinished, kind="warning"),
        "</header>",
    ]
    parts.append(section("failed", "Not read or not encoded", failed))
    return document(f"{found.name} - nfcodec compare", "".join([*header, *parts]))


def _of_kind(kind: str, comparisons: Sequence[Comparison]) -> list[str]:
    average = means(comparisons)
    numbers = {mean.codec: i for i, mean in enumerate(average)}
    is_surface = comparisons[0].is_surface
    series = [_series(mean, numbers[mean.codec], is_surface) for mean in average]
    series = [s for s in series if s.points]
    label = "Mean of 20 log10(diagonal / RMS error), dB" if is_surface else "Mean PSNR, dB"
    unit = {"image": "bits a pixel", "surface": "bits a vertex"}.get(kind, "bits a sample")
    drawing = chart(f"mean-{kind}", series, Axis(label, size_label=f"mean {unit}"))
    how = [pair for pair in measured_how(comparisons) if pair[0] != "times"]
    codecs = [(c.name, "; ".join(part for part in (c.version, c.how, c.aim) if part)) for c in comparisons[0].codecs]
    return [
        legend(series) if drawing else "",
        f'<div class="charts">{drawing}</div>',
        _means_table(average, numbers),
        "<h3>Every signal</h3>",
        _signals_table(comparisons, numbers),
        "<h3>How</h3>",
        definitions([*how, *codecs, *facts_of(comparisons)]),
    ]


def _series(mean: Mean, number: int, is_surface: bool) -> Series:
    points = [Point(row.bpp, row.db, f"{row.setting}\n{row.bpp:.3g} bits, {row.db:.2f} dB") for row in mean.ladder]
    lossless = bool(points) and all(p.quality > 140 if is_surface else math.isinf(p.quality) for p in points)
    return Series(number, mean.codec, points, lossless)


def _means_table(average: Sequence[Mean], numbers: dict[str, int]) -> str:
    rows = []
    for mean in average:
        ours = mean.codec == NFCODEC
        ratio = 1.0 if ours else mean.bytes_ratio
        cells = [
            codec_cell(mean.codec, numbers[mean.codec]),
            Cell(str(mean.n_signals), mean.n_signals),
            Cell("") if ratio is None else Cell("1" if ours else escape(ratio_text(ratio, 3)), ratio),
            Cell("") if ours else Cell(f"{mean.n_smaller} of {mean.n_ratios}", mean.n_smaller),
            Cell("") if mean.bd_rate is None else Cell(f"{mean.bd_rate:+.1f} %", mean.bd_rate),
            Cell("") if mean.bd_rate is None else Cell(str(mean.n_bd_rates), mean.n_bd_rates),
        ]
        rows.append((math.inf if ratio is None else ratio, ours, cells))
    rows.sort(key=lambda row: row[0])
    head = [
        "codec",
        "signals",
        "bytes at equal error, times nfcodec's",
        "nfcodec smaller on",
        "BD-rate of nfcodec",
        "of signals",
    ]
    note = (
        "Bytes: geometric mean over the signals on which the codec reaches the error of nfcodec's reference file. BD-rate: "
        "mean over the signals with a common range; negative where nfcodec needs fewer bytes."
    )
    classes = ["ours" if ours else "" for _, ours, _ in rows]
    return table(head, [cells for *_, cells in rows], note=note, sortable=True, classes=classes)


def _signals_table(comparisons: Sequence[Comparison], numbers: dict[str, int]) -> str:
    names = [name for name in numbers if name != NFCODEC]
    rows = []
    for comparison in comparisons:
        row = comparison.reference
        ratios = {} if row is None else {m.codec: m.bytes_ratio for m in matches(comparison, row)}
        cells = [Cell(escape(comparison.name), comparison.name), Cell(escape(describe(comparison)), describe(comparison))]
        if row is None:
            cells += [Cell(""), Cell("")]
        else:
            quality = escape(quality_of(comparison, row))
            cells += [Cell(quality, comparison.db(row)), Cell(escape(size_text(row.n_bytes, 3)), row.n_bytes)]
        cells += [Cell("") if ratios.get(n) is None else Cell(escape(ratio_text(ratios[n], 3)), ratios[n]) for n in names]
        rows.append(cells)
    head = ["signal", "what", "error", "nfcodec", *names]
    return table(head, rows, note="Bytes of each codec by nfcodec's at nfcodec's error.", sortable=True)
