"""The page: the template of the viewer with the file, the modules and what is known of both."""

from __future__ import annotations

import base64
import json
import re
from pathlib import Path
from typing import Any

from ..errors import UsageError
from ..field import Field
from ..scene import Scene
from ..spec import Signal
from ..text import small_text
from .bundle import bundle

__all__ = ["page"]

_VIEW = Path(__file__).parents[1] / "view"
_ENTRIES = ("viewer/main.js", "viewer/worker.js")


def page(data: bytes, name: str, signal: Signal | None = None, source_bytes: int | None = None) -> str:
    """An HTML file that shows a field.

    data: a whole .nfld file. name: the page's title. signal: the field's source, to be shown beside it and measured
    against; source_bytes: the size of its file.
    Raises FormatError for a broken file, UsageError for a field of one axis and for a signal that is not the field's
    source.
    """
    from ..decode import open as open_field

    field = open_field(data)
    if isinstance(field, Scene):
        raise UsageError(f"viewing {name}: got a scene of several fields, expected one; decode it to GLB and view that")
    if field.spec.n_dims == 1:
        raise UsageError(f"viewing {name}: got a field of one axis, expected 2 to 4; decode it and draw its curve instead")
    facts: dict[str, Any] = _facts(field, name)
    source = b""
    if signal is not None:
        from ..measure import measure
        from .source import packed_source

        report = measure(field, signal)
        facts["quality"] = f"{small_text(report.rms)} RMS" if field.is_surface else f"{report.psnr_db:.1f} dB"
        facts["source"], source = packed_source(field, signal)
        facts["sourceBytes"] = source_bytes
    parts = {
        "style": (_VIEW / "viewer" / "page.css").read_text("utf-8"),
        "facts": json.dumps(facts).replace("<", "\\u003c"),
        "field": base64.b64encode(data).decode(),
        "source": base64.b64encode(source).decode(),
        "modules": bundle(_VIEW, _ENTRIES),
    }
    template = (_VIEW / "viewer" / "page.html").read_text("utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], template)


def _facts(field: Field, name: str) -> dict[str, Any]:
    """What the viewer says of the file."""
    info = field.info()
    values = info["meta"].get("level_db")  # anybody's JSON
    sound = isinstance(values, list) and all(isinstance(v, (int, float)) for v in values)
    return {
        "name": name,
        "kind": field.kind,
        "extent": info["extent"],
        "nChannels": info["channels"],
        "nLevels": info["n_levels"],
        "resolutions": info["resolutions"],
        "fileBytes": info["file_bytes"],
        "levelBytes": info["level_bytes"],
        "levelDb": values if sound else None,
        "spacing": _spacing(info["meta"].get("spacing"), field.spec.n_dims),
    }


def _spacing(value: Any, n_dims: int) -> list[float]:
    """Edges of a sample, in axis order; 1 where the file does not say, or nothing of use."""
    if not isinstance(value, list) or len(value) != n_dims or not all(isinstance(v, (int, float)) and v > 0 for v in value):
        return [1.0] * n_dims
    return [float(v) for v in value]
