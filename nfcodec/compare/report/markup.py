"""HTML from plain values: escaped text, tables, lists."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Cell", "definitions", "escape", "paragraphs", "section", "table"]


def escape(text: object) -> str:
    """Text for element contents and quoted attributes."""
    return html.escape(str(text), quote=True)


@dataclass(frozen=True)
class Cell:
    """One field of a table. markup: HTML, escaped by whoever made it. value: what a column is sorted by, None: last."""

    markup: str
    value: float | str | None = None


def table(
    head: Sequence[str],
    rows: Sequence[Sequence[Cell]],
    *,
    note: str,
    sortable: bool = False,
    classes: Sequence[str] = (),
) -> str:
    """A table whose first column is text and whose others are figures. head; note, below it: text; classes: of the rows."""
    kind = ' class="sortable"' if sortable else ""
    out = [f'<div class="scroll"><table{kind}><thead><tr>']
    out += [f'<th scope="col">{escape(text)}</th>' for text in head]
    out.append("</tr></thead><tbody>")
    for i, row in enumerate(rows):
        out.append(f'<tr class="{classes[i]}">' if classes and classes[i] else "<tr>")
        for j, cell in enumerate(row):
            value = f' data-value="{escape(_sort_key(cell.value))}"' if sortable and cell.value is not None else ""
            tag = 'th scope="row"' if j == 0 else "td"
            out.append(f"<{tag}{value}>{cell.markup}</{tag.split()[0]}>")
        out.append("</tr>")
    out.append(f"</tbody></table></div>{paragraphs(note, kind='note')}")
    return "".join(out)


def _sort_key(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:.9g}"


def section(name: str, title: str, *parts: str) -> str:
    """A part of the page with a heading; "" where all its parts are empty."""
    if not any(parts):
        return ""
    return f'<section id="{escape(name)}"><h2>{escape(title)}</h2>{"".join(parts)}</section>'


def paragraphs(*texts: str, kind: str = "") -> str:
    """One paragraph a text; empty ones are left out."""
    attribute = f' class="{escape(kind)}"' if kind else ""
    return "".join(f"<p{attribute}>{escape(text)}</p>" for text in texts if text)


def definitions(pairs: Sequence[tuple[str, str]]) -> str:
    """A list of terms and what they mean; terms without a text are left out."""
    items = "".join(f"<dt>{escape(term)}</dt><dd>{escape(text)}</dd>" for term, text in pairs if text)
    return f"<dl>{items}</dl>" if items else ""
