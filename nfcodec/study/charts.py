"""Drawings of how fits went: error over steps, a line a member, and the spectrum of one member's error at some steps."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..compare.report.markup import escape
from ..compare.report.svg import FOREGROUND, bare, colour, inline, line_group, marker, point_group, style
from .rows import Course, Row

__all__ = ["convergence", "spectrum"]

_N_SPECTRA = 5  # moments in a drawing of a spectrum
_FLOOR = 1e-16  # of power: nothing is drawn below


def convergence(name: str, rows: Sequence[tuple[int, Row]], label: str) -> str:
    """Error over steps as a <figure>. name: of letters, for ids; rows: with their numbers in the legend; label: of the
    error."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

    texts: dict[str, tuple[int, str]] = {}
    with style(name):
        figure = Figure(figsize=(8.2, 4.6))
        axes = figure.add_axes((0.06, 0.08, 0.925, 0.9))
        for number, row in rows:
            ink, moments = colour(number), row.course.moments
            (line,) = axes.plot([m.step for m in moments], [m.psnr_db for m in moments], color=ink, linewidth=1.6)
            line.set_gid(f"line-{number}")
            for m in moments:
                (mark,) = axes.plot(
                    [m.step], [m.psnr_db], marker=marker(number), color=ink, markersize=4.5, markeredgewidth=0
                )
                gid = f"point-{len(texts)}"
                mark.set_gid(gid)
                texts[gid] = number, f"{row.member.name}\nstep {m.step}, {m.psnr_db:.1f} dB\nafter {m.seconds:.2g} s"
        axes.set_xscale("log")
        axes.set_xlim(0.9, 1.1 * max(row.n_steps for _, row in rows))
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_locator(MaxNLocator(7))
        low = min(moment.psnr_db for _, row in rows for moment in row.course.moments)
        axes.set_ylim(bottom=max(low, 0.0) - 1)
        bare(axes)

        def group(gid: str) -> str:
            if gid in texts:
                return point_group(*texts[gid])
            return line_group(int(gid[5:])) if gid.startswith("line-") else "<g>"

        drawing = inline(figure, name, label, group)
    return f"<figure><figcaption>{escape(label)}, over steps of the fit</figcaption>{drawing}</figure>"


def spectrum(name: str, number: int, course: Course, limits: tuple[float, float]) -> str:
    """The power of what is fitted, dashed, and of the error after some steps, the later the darker, as inline SVG. limits:
    of the power drawn, in dB."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

    with style(name):
        figure = Figure(figsize=(3.7, 2.7))
        axes = figure.add_axes((0.13, 0.12, 0.84, 0.84))
        frequencies = np.array(course.frequencies)
        axes.plot(frequencies, density_db(course, course.signal), color=FOREGROUND, linewidth=1, linestyle=(0, (4, 3)))
        shown = some(course)
        for k, moment in enumerate(shown):
            alpha = 0.25 + 0.75 * k / max(len(shown) - 1, 1)
            (line,) = axes.plot(
                frequencies, density_db(course, moment.power), color=colour(number), linewidth=1.8, alpha=alpha
            )
            line.set_gid(f"step-{moment.step}")
        axes.set_xscale("log")
        axes.set_ylim(*limits)
        ticks = [t for t in (1 / 128, 1 / 32, 1 / 8, 1 / 2) if t >= frequencies[0] * 0.9]
        axes.xaxis.set_major_locator(FixedLocator(ticks))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"1/{round(1 / x)}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_locator(MaxNLocator(5))
        bare(axes)

        def group(gid: str) -> str:
            return f"<g><title>after step {gid[5:]}</title>" if gid.startswith("step-") else "<g>"

        return inline(figure, name, "Power of the error, in dB, by frequency, in parts of Nyquist's", group)


def some(course: Course) -> list:
    """The moments whose spectra are drawn: the first, the last, and others evenly between."""
    n = len(course.moments)
    return [course.moments[k] for k in sorted({round(i * (n - 1) / (_N_SPECTRA - 1)) for i in range(_N_SPECTRA)})]


def density_db(course: Course, power: Sequence[float]) -> np.ndarray:
    """Power a coefficient, in dB of the mean square of the whole signal a coefficient; of a constant, of its peak."""
    whole = sum(course.signal) / sum(course.counts) or 1.0
    density = np.maximum(np.array(power) / np.array(course.counts) / whole, _FLOOR)
    return 10 * np.log10(density)


def limits_of(courses: Sequence[Course]) -> tuple[float, float]:
    """Of a drawing that has room for all signals and for most errors: a few begin far above, and would press the others
    flat."""
    errors = np.concatenate([density_db(c, moment.power) for c in courses for moment in some(c)])
    signals = np.concatenate([density_db(c, c.signal) for c in courses])
    low = min(np.percentile(errors, 2), np.percentile(signals, 2))
    high = max(np.percentile(errors, 98), signals.max())
    low, high = 10 * math.floor(low / 10), 10 * math.ceil(high / 10)
    return low, max(high, low + 10)
