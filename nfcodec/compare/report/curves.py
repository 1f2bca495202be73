"""Curves as inline SVG: bytes against an error, one line a codec. Plain numbers in, so that means over a set fit too.

matplotlib draws, see `svg.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ...text import size_text
from ..match import front
from .markup import escape
from .svg import FOREGROUND, bare, colour, inline, line_group, marker, point_group, style, swatch

__all__ = ["Axis", "Point", "Series", "chart", "legend"]

_WIDTH, _HEIGHT = 8.2, 5.6  # inches of 72 points


@dataclass(frozen=True)
class Point:
    """One file. quality: more is better; infinite where there is no error. text: lines that the point shows. minor: of
    a file that was added to the codec's own ladder: drawn smaller."""

    n_bytes: float
    quality: float
    text: str
    minor: bool = False


@dataclass(frozen=True)
class Series:
    """One codec. number: its place in the legend, 0 is ours; lossless ones are points, never lines."""

    number: int
    name: str
    points: Sequence[Point]
    lossless: bool = False


@dataclass(frozen=True)
class Axis:
    """What is drawn upwards. log: quality is 1 / error; the axis shows the error, on a logarithmic scale, small ones above.

    size_label: of the other axis, which shows plain numbers; None: bytes of whole files.
    """

    label: str
    log: bool = False
    size_label: str | None = None

    @property
    def title(self) -> str:
        """Both axes in words: beside the drawing, labels would be too small on a phone."""
        return f"{self.label}, over {self.size_label or 'the size of the whole file'}"


def chart(name: str, series: Sequence[Series], axis: Axis, reference: Point | None = None) -> str:
    """The drawing as a <figure>. name: of letters, unlike that of any other chart on the page.

    A line joins the Pareto front of a codec's files; the others are faint points. Files without error have no place on
    the axis and stand in a row above it. reference: a cross of thin lines goes through it. "" without points.
    """
    from matplotlib.figure import Figure

    points = [(s, p) for s in series for p in s.points if p.n_bytes > 0 and p.quality > -math.inf]
    if not points:
        return ""
    apart = any(_is_apart(s, p) for s, p in points)
    with style(name):
        figure = Figure(figsize=(_WIDTH, _HEIGHT))
        main = figure.add_axes((0.1, 0.07, 0.885, 0.81 if apart else 0.9))
        margin = figure.add_axes((0.1, 0.905, 0.885, 0.07), sharex=main) if apart else None
        texts = _draw(main, margin, series, axis, reference)
        _dress(main, margin, axis, [p.n_bytes for _, p in points])

        def group(gid: str) -> str:
            if gid in texts:
                series, p = texts[gid]
                return point_group(series.number, f"{series.name}\n{p.text}")
            return line_group(int(gid[5:])) if gid.startswith("line-") else "<g>"

        drawing = inline(figure, name, axis.title, group)
    return f"<figure><figcaption>{escape(axis.title)}</figcaption>{drawing}</figure>"


def legend(series: Sequence[Series]) -> str:
    """Buttons that show and hide a codec in every chart of the page."""
    keys = []
    for s in series:
        attributes = f'type="button" class="key" data-codec="{s.number}" aria-pressed="true"'
        keys.append(f"<button {attributes}>{swatch(s.number)}{escape(s.name)}</button>")
    return f'<div class="legend" role="group" aria-label="Codecs in the curves">{"".join(keys)}</div>'


def _is_apart(series: Series, point: Point) -> bool:
    return series.lossless or math.isinf(point.quality)


def _draw(main, margin, series: Sequence[Series], axis: Axis, reference: Point | None) -> dict[str, tuple[Series, Point]]:
    """Puts everything on the axes; returns the points by the id that their group has in the SVG."""
    texts: dict[str, tuple[Series, Point]] = {}
    for s in sorted(series, key=lambda s: -s.number):  # ours on top
        ink, ours = colour(s.number), s.number == 0
        measured = [p for p in s.points if not _is_apart(s, p)]
        best = front((p.n_bytes, p.quality) for p in measured)
        if len(best) > 1:
            (line,) = main.plot(
                [x for x, _ in best],
                [_height(y, axis) for _, y in best],
                color=ink,
                linewidth=3.2 if ours else 1.5,
                zorder=4 if ours else 3,
            )
            line.set_gid(f"line-{s.number}")
        for p in s.points:
            on_line = _is_apart(s, p) or (p.n_bytes, p.quality) in best
            target, y = (margin, 0.5) if _is_apart(s, p) else (main, _height(p.quality, axis))
            (mark,) = target.plot(
                [p.n_bytes],
                [y],
                marker=marker(s.number),
                color=ink,
                markersize=8 if ours else 4 if p.minor else 6.2,
                markeredgewidth=0,
                alpha=1 if on_line else 0.3,
                linestyle="",
                zorder=6 if ours else 5 if on_line else 2,
                clip_on=False,
            )
            gid = f"point-{len(texts)}"
            mark.set_gid(gid)
            texts[gid] = (s, p)
    if reference is not None:
        main.axvline(reference.n_bytes, color=FOREGROUND, linewidth=0.7, linestyle=(0, (1, 3)), zorder=1)
        if math.isfinite(reference.quality):
            main.axhline(
                _height(reference.quality, axis), color=FOREGROUND, linewidth=0.7, linestyle=(0, (1, 3)), zorder=1
            )
    return texts


def _height(quality: float, axis: Axis) -> float:
    return 1 / quality if axis.log else quality


def _dress(main, margin, axis: Axis, sizes: Sequence[float]) -> None:
    """Scales, ticks, labels."""
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator

    low, high = min(sizes), max(sizes)
    space = max(math.log(high / low), 0.5) * 0.04
    main.set_xscale("log")
    main.set_xlim(low * math.exp(-space), high * math.exp(space))
    subs = (1,) if high > 1e4 * low else (1, 3) if high > 300 * low else (1, 2, 5)
    main.xaxis.set_major_locator(LogLocator(subs=subs))
    main.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}" if axis.size_label else size_text(x, 1)))
    main.xaxis.set_minor_locator(NullLocator())
    if axis.log:
        main.set_yscale("log")
        main.invert_yaxis()  # better is up, as with dB
        low, high = sorted(main.get_ylim())
        main.yaxis.set_major_locator(LogLocator(subs=(1,) if high > 300 * low else (1, 2, 5)))
        main.yaxis.set_major_formatter(FuncFormatter(lambda y, _: _power(y)))
        main.yaxis.set_minor_formatter(NullFormatter())
    else:
        main.yaxis.set_major_locator(MaxNLocator(8))
    bare(main)
    main.text(0.008, 0.985, "\u2196 smaller and closer", transform=main.transAxes, va="top", alpha=0.6)
    if margin is not None:
        margin.set_ylim(0, 1)
        margin.yaxis.set_major_locator(NullLocator())
        margin.tick_params(length=0, which="both", labelbottom=False)
        margin.text(0.008, 0.5, "lossless", transform=margin.transAxes, va="center", alpha=0.6)
        for side in ("top", "right", "left"):
            margin.spines[side].set_visible(False)


def _power(value: float) -> str:
    """`5e-4`, `0.2`, `20`: for ticks, which have one digit."""
    if value >= 0.1:
        return f"{value:g}"
    mantissa, _, exponent = f"{value:.0e}".partition("e")
    return f"{mantissa}e{int(exponent)}"
