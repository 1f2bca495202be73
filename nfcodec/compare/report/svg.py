"""Drawings by matplotlib as parts of a page: inline SVG, whose colours are CSS variables, so that one serves light and
dark."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from .markup import escape

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["FOREGROUND", "bare", "colour", "inline", "line_group", "marker", "point_group", "style", "swatch"]

# shape and colour together tell codecs apart; colours are --c0 ... in page.css
_MARKERS = "osD^vP*X<>hdp8"
_N_COLOURS = 14
FOREGROUND, _GRID = "#0101fe", "#0102fe"  # stand-ins that become CSS variables


def marker(number: int) -> str:
    """matplotlib's name of the shape of number `number` in a legend."""
    return _MARKERS[(number + number // _N_COLOURS) % len(_MARKERS)]


def colour(number: int) -> str:
    """A stand-in for the colour of number `number` in a legend."""
    return f"#03{number % _N_COLOURS:02x}fe"


@contextmanager
def style(name: str) -> Iterator[None]:
    """matplotlib's settings for a drawing of that name."""
    import matplotlib

    settings = {
        "svg.fonttype": "none",
        "svg.hashsalt": f"nfcodec {name}",
        "font.size": 11,
        "text.color": FOREGROUND,
        "axes.labelcolor": FOREGROUND,
        "axes.edgecolor": _GRID,
        "xtick.color": _GRID,
        "ytick.color": _GRID,
        "xtick.labelcolor": FOREGROUND,
        "ytick.labelcolor": FOREGROUND,
        "grid.color": _GRID,
        "path.simplify": False,
    }
    with matplotlib.rc_context(settings):
        yield


def bare(axes: Axes) -> None:
    """A grid and labels, and no more lines than that."""
    axes.grid(True, which="major", linewidth=0.6)
    axes.tick_params(length=0, which="both", pad=6)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def point_group(number: int, text: str) -> str:
    """The tag of a mark of number `number`, with what it shows."""
    return f'<g class="point" data-codec="{number}"><title>{escape(text)}</title>'


def line_group(number: int) -> str:
    """The tag of a line of number `number`."""
    return f'<g class="line" data-codec="{number}">'


def inline(figure: Figure, name: str, title: str, group: Callable[[str], str] = lambda gid: "<g>") -> str:
    """A figure as <svg>: no header, no fonts, own names for ids, classes and texts for the script. name: of letters, unlike
    that of any other drawing on the page. group: the tag, and what it begins with, of the group that was given this gid."""
    out = io.StringIO()
    figure.savefig(
        out, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
    )
    svg = out.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.S)
    svg = re.sub(
        r'<svg [^>]*?viewBox="([^"]*)"[^>]*>',
        rf'<svg class="chart" viewBox="\1" role="img" aria-label="{escape(title)}">',
        svg,
        count=1,
    )
    svg = svg.replace("xlink:href", "href")
    svg = re.sub(r'<g id="([^"]*)">', lambda found: group(found[1]), svg)
    svg = re.sub(r"font(-\w+)?: [^;\"]*;? ?", "", svg)
    svg = svg.replace(FOREGROUND, "var(--ink)").replace(_GRID, "var(--line)")
    svg = re.sub(r"#03([0-9a-f]{2})fe", lambda m: f"var(--c{int(m[1], 16)})", svg)
    # ids of marks and clips are hashes that charts of one page may share
    return re.sub(r'(id="|href="#|url\(#)', rf"\g<1>{name}-", svg).strip()


def swatch(number: int) -> str:
    """The mark of number `number`, as it is in the curves."""
    from matplotlib.markers import MarkerStyle

    style = MarkerStyle(marker(number))
    path = style.get_path().transformed(style.get_transform())
    steps = []
    for vertices, code in path.iter_segments():
        letter = {1: "M", 2: "L", 3: "Q", 4: "C", 79: "Z"}[int(code)]
        flipped = 11 * vertices * ([1, -1] * (len(vertices) // 2))  # SVG counts y downwards
        steps.append(letter + ("" if letter == "Z" else " ".join(f"{v:.2f}" for v in flipped)))
    drawing = f'<path d="{" ".join(steps)}" style="fill: var(--c{number % _N_COLOURS})"/>'
    return f'<svg class="swatch" viewBox="-7 -7 14 14" aria-hidden="true">{drawing}</svg>'
