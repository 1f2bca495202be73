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
from ..scene.scene import one_colour
from ..spec import Signal
from ..text import small_text
from .bundle import bundle

__all__ = ["page"]

_VIEW = Path(__file__).parents[1] / "view"
_ENTRIES = ("viewer/main.js", "viewer/worker.js")


def page(data: bytes, name: str, signal: Signal | None = None, source_bytes: int | None = None) -> str:
    """An HTML file that shows a field, or a scene of several.

    data: a whole .nfld file. name: the page's title. signal: the field's source, to be shown beside it and measured
    against, of a scene all parts as one mesh; source_bytes: the size of its file.
    Raises FormatError for a broken file, UsageError for a field of one axis, for a scene that places no field, and for a
    signal that is not the field's source.
    """
    from ..decode import open as open_field

    shown = open_field(data)
    facts = {"name": name} | (_scene_facts(shown, name) if isinstance(shown, Scene) else _facts(shown, name))
    source = b""
    if signal is not None:
        from .source import packed_source

        facts["quality"] = _quality(shown, signal)
        facts["source"], source = packed_source(shown, signal)
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


def _quality(shown: Field | Scene, signal: Signal) -> str:
    """The error against the source, in words."""
    from ..measure import measure, measure_scene

    if isinstance(shown, Scene):
        return f"{small_text(measure_scene(shown, signal).rms)} RMS"
    report = measure(shown, signal)
    return f"{small_text(report.rms)} RMS" if shown.is_surface else f"{report.psnr_db:.1f} dB"


def _scene_facts(scene: Scene, name: str) -> dict[str, Any]:
    """What the viewer says of a scene's file. Its levels are those of all fields together."""
    info = scene.info()
    if info["box"] is None:
        raise UsageError(f"viewing {name}: got a scene whose nodes place no field, expected one at least")
    n_levels = max(field["n_levels"] for field in info["fields"])
    return {
        "kind": "scene",
        "nParts": info["n_parts"],
        "fields": [
            {
                "kind": field.kind,
                "extent": list(field.spec.extent),
                "bytes": n_bytes,
                "painted": "red" in field.spec.roles or one_colour(field.meta) is not None,
            }
            for field, n_bytes in zip(scene.fields, info["part_bytes"], strict=True)
        ],
        "box": info["box"],
        "nLevels": n_levels,
        "resolutions": [],
        "fileBytes": info["file_bytes"],
        "levelBytes": [
            sum(field["level_bytes"][level] for field in info["fields"] if level < field["n_levels"])
            for level in range(n_levels)
        ],
        "levelDb": None,
    }


def _facts(field: Field, name: str) -> dict[str, Any]:
    """What the viewer says of a field's file."""
    if field.spec.n_dims == 1:
        raise UsageError(f"viewing {name}: got a field of one axis, expected 2 to 4; decode it and draw its curve instead")
    info = field.info()
    values = info["meta"].get("level_db")  # anybody's JSON
    sound = isinstance(values, list) and all(isinstance(v, (int, float)) for v in values)
    return {
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
