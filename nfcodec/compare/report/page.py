"""The page of one comparison, section by section."""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from dataclasses import replace
from importlib.resources import files
from typing import Any

from ...errors import MissingExtraError
from ...text import quality_text, ratio_text, seconds_text, size_text, small_text
from ..match import Match, matches, sentences
from ..rows import Codec, Comparison, Row
from .curves import Axis, Point, Series, chart, legend
from .gallery import Gallery, Shown, gallery_html
from .images import image_gallery
from .markup import definitions, escape, paragraphs, section
from .surfaces import surface_gallery
from .tables import is_added, matched_table, rows_table
from .volumes import volume_gallery
from .words import about, measured_how

__all__ = ["document", "facts_of", "facts_text", "html", "require"]

_EXACT = 1e-7  # surfaces: errors below, relative to the diagonal, are those of 32-bit vertices


def html(comparison: Comparison) -> str:
    """The whole file. The same comparison gives the same text. MissingExtraError as `require`."""
    require()
    reference = comparison.reference
    found = matches(comparison, reference) if reference is not None else []
    numbers = {codec.name: i for i, codec in enumerate(comparison.codecs)}
    unfinished = (
        f"Not finished ({comparison.unfinished}): some codecs, settings or files of nfcodec are not here."
        if comparison.unfinished
        else ""
    )
    body = [
        f"<header><h1>{escape(comparison.name)}</h1>",
        paragraphs(about(comparison), kind="about"),
        paragraphs(unfinished, kind="warning"),
        paragraphs(*sentences(comparison), kind="verdict"),
        "</header>",
        section("curves", "Bytes against error", _curves(comparison, numbers)),
        section(
            "matched",
            "At the same error and at the same bytes",
            matched_table(comparison, found, numbers),
            _aims(comparison),
        ),
        section("pictures", "Side by side, nearest in bytes", _pictures(comparison, found, numbers)),
        section("files", "Every measured file", rows_table(comparison, numbers)),
        section("how", "What was measured, and how", *_how(comparison)),
    ]
    return document(f"{comparison.name} - nfcodec compare", "".join(body))


def require() -> None:
    """MissingExtraError without the packages that pages are made with."""
    for module, package in (("matplotlib", "matplotlib"), ("PIL", "pillow")):
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise MissingExtraError.of(package, "compare", "writing an HTML report") from error


def document(title: str, body: str) -> str:
    """A page around a body, with its style and its script inside."""
    style, script = (files(__package__).joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f'<title>{escape(title)}</title><link rel="icon" href="data:,"><style>\n{style}</style></head>'
        f"<body><main>{body}</main><script>\n{script}</script></body></html>\n"
    )


# ---------------------------------------------------------------- curves


def _curves(comparison: Comparison, numbers: dict[str, int]) -> str:
    by_codec = [(codec, comparison.rows_of(codec.name)) for codec in comparison.codecs]
    by_codec = [(codec, rows) for codec, rows in by_codec if rows]
    if not by_codec:
        return ""
    shown = [_series(comparison, codec, rows, numbers[codec.name], "error") for codec, rows in by_codec]
    label = "RMS error, of the diagonal" if comparison.is_surface else "PSNR, dB"
    reference = comparison.reference
    cross = None if reference is None else Point(reference.n_bytes, _quality(comparison, reference, "error"), "")
    drawings = [chart("error", shown, Axis(label, log=comparison.is_surface), cross)]
    other, axis = _second(comparison)
    second = [_series(comparison, codec, rows, numbers[codec.name], other) for codec, rows in by_codec]
    drawings.append(chart(other, second, axis))
    note = (
        "nfcodec is the thick line. A line joins those of a codec's files of which no other is both smaller and better; "
        "the rest is faint. Dotted: nfcodec's file that the others are matched with."
    )
    if comparison.is_surface and any(s.lossless for s in shown):
        note += " Lossless: errors of less than 1e-7 of the diagonal, as of 32-bit vertices."
    return f'{legend(shown)}<div class="charts">{"".join(drawings)}</div>{paragraphs(note, kind="note")}'


def _second(comparison: Comparison) -> tuple[str, Axis]:
    """Another error than the one that codecs are matched by, since they do not all aim at that one."""
    if comparison.is_surface:
        return "hausdorff", Axis("Largest distance (Hausdorff), of the diagonal", log=True)
    if any(row.report.ssim is not None for row in comparison.rows):
        return "ssim", Axis("Structural similarity (SSIM)")
    return "largest", Axis("Largest error of a sample, source units", log=True)


def _series(comparison: Comparison, codec: Codec, rows: Sequence[Row], number: int, what: str) -> Series:
    points = [
        Point(row.n_bytes, _quality(comparison, row, what), _text(comparison, row), minor=is_added(row)) for row in rows
    ]
    return Series(number, codec.name, points, lossless=all(_is_exact(comparison, row) for row in rows))


def _is_exact(comparison: Comparison, row: Row) -> bool:
    return comparison.error(row) < _EXACT if comparison.is_surface else math.isinf(comparison.db(row))


def _quality(comparison: Comparison, row: Row, what: str) -> float:
    """More is better: dB, SSIM, or 1 / error; infinite without error."""
    report = row.report
    if what == "error" and not comparison.is_surface:
        return report.psnr_db
    if what == "ssim":
        return math.inf if math.isinf(report.psnr_db) else -math.inf if report.ssim is None else report.ssim
    error = comparison.error(row)
    if what == "hausdorff":
        error = max(report.max_error, report.max_back or 0.0) if comparison.is_closed else report.max_error
    elif what == "largest":
        error = report.max_error
    return 1 / error if error > 0 else math.inf


def _text(comparison: Comparison, row: Row) -> str:
    """What a point shows: setting, bytes, errors, times."""
    report = row.report
    ratio = ratio_text(comparison.source_bytes / row.n_bytes, 3)
    lines = [row.setting, f"{row.n_bytes:,} bytes, source / file {ratio}"]
    lines.append(quality_text(comparison.db(row), comparison.error(row), comparison.is_surface))
    if comparison.is_surface:
        lines[-1] += f", at most {small_text(report.max_error)} from the source to it"
    elif report.ssim is not None:
        lines[-1] += f", SSIM {report.ssim:.4f}"
    encode = "" if row.encode_s is None else f"encode {seconds_text(row.encode_s)}, "
    return "\n".join([*lines, f"{encode}decode {seconds_text(row.decode_s)}"])


def _aims(comparison: Comparison) -> str:
    """Codecs that were not made for the error by which they are judged here."""
    return paragraphs(
        *(f"{c.name}: {c.aim}." for c in comparison.codecs if c.aim and comparison.rows_of(c.name)), kind="note"
    )


# ---------------------------------------------------------------- pictures


def _pictures(comparison: Comparison, found: Sequence[Match], numbers: dict[str, int]) -> str:
    reference = comparison.reference
    if reference is None:
        return ""
    lossy = [m for m in found if not all(_is_exact(comparison, row) for row in comparison.rows_of(m.codec))]
    shown = [Shown(reference, 0), *(Shown(m.nearest, numbers[m.codec]) for m in lossy)]
    if comparison.decode is None:
        return paragraphs("There is no decoded output at hand, so there are no pictures.")
    size = f"nfcodec's {size_text(reference.n_bytes, 3)} ({reference.n_bytes:,} bytes)"
    note = f"nfcodec with {reference.setting}, and of every lossy codec the file that is nearest in bytes to {size}."
    gallery = _gallery(comparison, found, shown)
    return gallery_html(replace(gallery, notes=[note, *gallery.notes]))


def _gallery(comparison: Comparison, found: Sequence[Match], shown: Sequence[Shown]) -> Gallery:
    if comparison.is_surface:
        return surface_gallery(comparison, shown)
    if comparison.signal.kind == "image":
        return image_gallery(comparison, found, shown)
    return volume_gallery(comparison, shown)


# ---------------------------------------------------------------- how


def _how(comparison: Comparison) -> list[str]:
    codecs = [
        (codec.name, "; ".join(part for part in (codec.version, codec.how, codec.aim) if part))
        for codec in comparison.codecs
    ]
    skipped = [(s.codec, f"{s.why}{f': {s.cure}' if s.cure else ''}") for s in comparison.skipped]
    parts = [
        definitions(measured_how([comparison])),
        "<h3>Codecs, their versions and fixed settings</h3>",
        definitions(codecs),
    ]
    if skipped:
        parts += ["<h3>Not run, or failed</h3>", definitions(skipped)]
    return [*parts, "<h3>This run</h3>", definitions(facts_of([comparison]))]


def facts_of(comparisons: Sequence[Comparison]) -> list[tuple[str, str]]:
    """The facts of the first as terms and texts; seconds of all together."""
    seconds = math.fsum(comparison.facts.get("seconds", 0.0) for comparison in comparisons)
    facts = comparisons[0].facts
    return facts_text({**facts, "seconds": seconds} if "seconds" in facts else facts)


def facts_text(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """Facts of a run as terms and texts."""
    return [
        (key.replace("_", " "), seconds_text(value) if key == "seconds" else str(value)) for key, value in facts.items()
    ]
