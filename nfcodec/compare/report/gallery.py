"""Pictures side by side: groups of panels that zoom together, each with layers (picture, error map) to switch between."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ...spec import Mesh
from ...text import size_text, small_text
from ..rows import NFCODEC, Comparison, Row
from ..table import error_text
from .colours import css_gradient
from .markup import escape, paragraphs
from .svg import swatch

__all__ = ["Gallery", "Group", "Panel", "Shown", "decoded_of", "end_of_scale", "gallery_html", "panel_of", "short"]

END_PERCENTILE = 99.5  # of nfcodec's errors that are shown: end of the colour scale
_ALIKE = 0.02  # sizes this close are not remarked upon


@dataclass(frozen=True)
class Panel:
    """One picture. layers: (h, w, 3 or 4) uint8, or (h, w) uint8 for grey, None where the layer has none. number: of the
    codec in the legend, None for the source. lines: text below it. missing: why there is no picture, or ""."""

    name: str
    number: int | None
    lines: Sequence[str]
    layers: Sequence[np.ndarray | None]
    missing: str = ""


@dataclass(frozen=True)
class Group:
    """Panels of one crop, view or slice."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True)
class Gallery:
    """layers: their names. end: error of the last colour, in `unit`s. notes: paragraphs above. overview: the whole
    picture and where the groups are in it: (top, left, height, width) as shares."""

    layers: Sequence[str]
    groups: Sequence[Group]
    end: float
    unit: str
    notes: Sequence[str]
    overview: np.ndarray | None = None
    boxes: Sequence[tuple[float, float, float, float]] = ()


@dataclass(frozen=True)
class Shown:
    """A file whose decoded output is shown, and the number of its codec in the legend."""

    row: Row
    number: int


def decoded_of(comparison: Comparison, row: Row) -> tuple[np.ndarray | Mesh | None, str]:
    """Decoded output of a row, or None and why there is none."""
    if comparison.decode is None:
        return None, "no decoded output"
    try:
        decoded = comparison.decode(row)
    except Exception as error:  # any library's; a page without one picture is better than none
        return None, f"not decoded: {type(error).__name__}: {error}"
    return decoded, "" if decoded is not None else "no decoded output"


def end_of_scale(ours: np.ndarray, others: Callable[[], float]) -> float:
    """Error of the last colour, two digits, from nfcodec's errors (n,); without any, `others()` or 1."""
    end = float(np.percentile(ours, END_PERCENTILE)) if ours.size else 0.0
    end = end or others() or 1.0
    digits = 1 - math.floor(math.log10(end))
    return float(f"{math.ceil(end * 10.0**digits - 1e-9) * 10.0**-digits:.6g}")


def panel_of(
    comparison: Comparison, shown: Shown, layers: Sequence[np.ndarray | None], line: str, missing: str = ""
) -> Panel:
    """A codec's panel with its real bytes, beside nfcodec's, and its error over the whole signal. line: about this view."""
    row, reference = shown.row, comparison.reference
    size = size_text(row.n_bytes, 3)
    if reference is not None and row.codec != NFCODEC:
        ratio = row.n_bytes / reference.n_bytes
        size += f", {ratio:.3g} times nfcodec's" if abs(ratio - 1) > _ALIKE else ", as nfcodec"
    quality = error_text(comparison, comparison.db(row))
    return Panel(row.codec, shown.number, [row.setting, f"{size}; {quality}", line], layers, missing)


def short(value: float) -> str:
    """Two digits: `12`, `0.034`, `3.2e-4`."""
    if value and not 1e-2 <= value < 1e5:
        return small_text(value)
    return f"{value:.0f}" if value >= 10 else f"{value:.2g}"


def data_uri(image: np.ndarray) -> str:
    """Lossless WebP of (h, w), (h, w, 3) or (h, w, 4) uint8."""
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(image).save(out, "WEBP", lossless=True, quality=60, method=4)
    return f"data:image/webp;base64,{base64.b64encode(out.getvalue()).decode()}"


def gallery_html(gallery: Gallery) -> str:
    """Everything of a gallery; layers are switched without a script, a script adds zoom and pan."""
    overview = "" if gallery.overview is None else _overview(gallery)
    out = [f'<div class="intro"><div>{paragraphs(*gallery.notes)}</div>{overview}</div><div class="gallery">']
    out.append('<div class="tools"><div class="layers" role="radiogroup" aria-label="What the panels show">')
    for i, name in enumerate(gallery.layers):
        checked = " checked" if i == 0 else ""
        out.append(f'<label><input type="radio" name="layer" value="{i}"{checked}><span>{escape(name)}</span></label>')
    out.append("</div>")
    out.append(
        f'<div class="scale"><span>error 0</span><i style="background-image: {css_gradient()}"></i>'
        f"<span>{escape(short(gallery.end))} {escape(gallery.unit)} or more</span></div></div>"
    )
    for group in gallery.groups:
        out.append(f'<div class="group" tabindex="0" aria-label="{escape(group.title)}"><h3>{escape(group.title)}</h3>')
        out.append(f'<div class="panels" style="--columns: {_columns(len(group.panels))}">')
        out += [_panel(panel, gallery.layers) for panel in group.panels]
        out.append("</div></div>")
    out.append("</div>")
    return "".join(out)


def _columns(n_panels: int) -> int:
    """4 to 6 in a row, so that the last row is as full as can be; few panels are larger."""
    return min((4, 5, 6), key=lambda n: -n_panels % n) if n_panels > 3 else 3


def _panel(panel: Panel, layers: Sequence[str]) -> str:
    out = ['<figure class="panel">']
    shapes = [layer.shape for layer in panel.layers if layer is not None]
    if shapes:
        height, width = shapes[0][:2]
        kind = "pane source" if panel.number is None else "pane"
        out.append(f'<div class="{kind}" style="aspect-ratio: {width} / {height}">')
        for i, (name, layer) in enumerate(zip(layers, panel.layers)):
            if layer is not None:
                alt = escape(f"{panel.name}, {name}")
                size = f'width="{width}" height="{height}"'
                out.append(f'<img class="layer-{i}" src="{data_uri(layer)}" alt="{alt}" {size} draggable="false">')
        out.append("</div>")
    else:
        out.append(f'<div class="pane empty"><p>{escape(panel.missing)}</p></div>')
    mark = "" if panel.number is None else swatch(panel.number)
    lines = "".join(f"<span>{escape(line)}</span>" for line in panel.lines if line)
    out.append(f"<figcaption><b>{mark}{escape(panel.name)}</b>{lines}</figcaption></figure>")
    return "".join(out)


def _overview(gallery: Gallery) -> str:
    out = [f'<div class="overview"><img src="{data_uri(gallery.overview)}" alt="the whole picture">']
    for group, (top, left, height, width) in zip(gallery.groups, gallery.boxes):
        place = f"top: {100 * top:.2f}%; left: {100 * left:.2f}%; height: {100 * height:.2f}%; width: {100 * width:.2f}%"
        out.append(f'<i style="{place}"><b>{escape(group.title.split(":")[0])}</b></i>')
    out.append("</div>")
    return "".join(out)
