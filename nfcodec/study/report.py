"""The report of a study as one HTML file, of the same make as that of a comparison."""

from __future__ import annotations

from collections.abc import Sequence

from ..compare.report.curves import Series, legend
from ..compare.report.markup import Cell, definitions, escape, paragraphs, section, table
from ..compare.report.page import document, facts_text, require
from ..compare.report.svg import swatch
from ..compare.table import signal_text
from ..text import seconds_text, size_text
from .charts import convergence, limits_of, some, spectrum
from .members import GROUPS
from .rows import Row, Study
from .spectrum import BANDS
from .table import error_text, missing_text, network_text, percent_text, sentences

__all__ = ["html", "require"]

_HEAD = ("bytes", "of target", "error", "low", "middle", "high", "network", "steps", "encode", "decode")
_TABLE_NOTE = (
    "All with the same effort; qualities were searched for the bytes. Encode: of the one fit that gave the file. Low, "
    "middle, high: power of the error at the end of the fit by that of the signal, at frequencies below 1/8 of Nyquist's, "
    "below 1/2, and above."
)
_SPECTRA_NOTE = (
    "Power of the error by frequency, of a whole signal's mean in dB, from one cycle over the signal to half a cycle a "
    "sample (1/1 is Nyquist's). Dashed: the signal. Lines: the error after the steps named below, the later the stronger. "
    "Where a line has left the dashed one, the field has learned that frequency: networks of plain coordinates learn low "
    "ones first (spectral bias)."
)


def html(study: Study) -> str:
    """The whole file. The same study gives the same text. MissingExtraError as `require`."""
    require()
    unfinished = f"Not finished ({study.unfinished}): some members are not here." if study.unfinished else ""
    about = f"{signal_text(study.signal)}, {size_text(study.source_bytes)}; files of {study.n_bytes:,} bytes"
    body = [
        f"<header><h1>{escape(study.name)}</h1>",
        paragraphs(about, kind="about"),
        paragraphs(unfinished, kind="warning"),
        paragraphs(*sentences(study), kind="verdict"),
        "</header>",
    ]
    limits = limits_of([row.course for row in study.rows]) if study.rows else (0.0, 1.0)
    for group, title in GROUPS.items():
        rows = list(enumerate(study.rows_of(group), 1))
        if rows:
            body.append(_section(study, group, title, rows, limits))
    body.append(section("read", "How to read it", paragraphs(_TABLE_NOTE, _SPECTRA_NOTE)) if study.rows else "")
    body.append(section("how", "What was measured, and how", *_how(study)))
    return document(f"{study.name} - nfcodec study", "".join(body))


def _section(study: Study, group: str, title: str, rows: Sequence[tuple[int, Row]], limits: tuple[float, float]) -> str:
    """Table, curves and spectra of a group."""
    label = "20 log10(diagonal / RMS error near the surface), dB" if study.is_surface else "PSNR, dB"
    keys = legend([Series(number, row.member.name, ()) for number, row in rows])
    heading = title[0].upper() + title[1:]
    if group == "activation":
        heading += f", on {rows[0][1].member.encoding}"
    return section(
        group,
        heading,
        _table(study, rows),
        "<h3>Convergence</h3>",
        keys,
        f'<div class="charts">{convergence(f"{group}-steps", rows, label)}</div>',
        "<h3>Spectrum of the error</h3>",
        f'<div class="panels" style="--columns: 4">{"".join(_panel(group, *pair, limits) for pair in rows)}</div>',
    )


def _panel(group: str, number: int, row: Row, limits: tuple[float, float]) -> str:
    drawing = spectrum(f"{group}-{number}-spectrum", number, row.course, limits)
    steps = ", ".join(str(moment.step) for moment in some(row.course))
    caption = f"{swatch(number)}{escape(row.member.name)}<span>after {steps} steps</span>"
    return f'<figure class="panel">{drawing}<figcaption>{caption}</figcaption></figure>'


def _table(study: Study, rows: Sequence[tuple[int, Row]]) -> str:
    cells = [[_name_cell(number, row), *_cells(study, row)] for number, row in rows]
    return table(["", *_HEAD], cells, note="", sortable=True)


def _name_cell(number: int, row: Row) -> Cell:
    return Cell(swatch(number) + escape(row.member.name), row.member.name)


def _cells(study: Study, row: Row) -> list[Cell]:
    missing = row.course.missing(row.course.moments[-1])
    error = row.report.rms if study.is_surface else row.report.psnr_db
    return [
        Cell(f"{row.n_bytes:,}", row.n_bytes),
        Cell(escape(percent_text(study.excess(row))), study.excess(row)),
        Cell(escape(error_text(study, row)), error),
        *(Cell(escape(missing_text(missing[name])), missing[name]) for name, *_ in BANDS),
        Cell(escape(network_text(row)), row.network[0]),
        Cell(str(row.n_steps), row.n_steps),
        Cell(escape(seconds_text(row.encode_s)), row.encode_s),
        Cell(escape(seconds_text(row.decode_s)), row.decode_s),
    ]


def _how(study: Study) -> list[str]:
    error = (
        "Root of the mean squared distance from 100,000 samples of the source to the closest point of the decoded surface, "
        "by the diagonal of the source's bounding box."
    )
    if not study.is_surface:
        error = "Of decoded files: 10 log10(peak^2 / mean squared error) over all samples and channels."
    course = "Of the field as a decoder would have it if everything was rounded at that step, on the fit's own lattice"
    course += ", weighted as the fit weighs distances: near the surface." if study.is_surface else "."
    terms = [
        ("error", error),
        ("error over steps, and its spectrum", course),
        ("spectrum", "Squares of the cosine transform along all axes, mean over channels, in rings of half an octave."),
        ("steps", "Of training. One sees a tile of the signal, or every second sample of it along each axis."),
    ]
    skipped = [(s.codec, s.why) for s in study.skipped]
    parts = [definitions(terms)]
    if skipped:
        parts += ["<h3>Left out</h3>", definitions(skipped)]
    return [*parts, "<h3>This run</h3>", definitions(facts_text(study.facts))]
