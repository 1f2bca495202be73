"""`nfcodec info` and `nfcodec verify`: what a file holds, and whether it is sound and what it is worth."""

from __future__ import annotations

import dataclasses
import sys
from typing import TYPE_CHECKING, Any

import click

from ..errors import FormatError
from ..text import size_text, small_text
from . import console
from .jobs import STREAM, Job, run_one
from .values import given, read_options, read_source

if TYPE_CHECKING:
    from ..field import Field
    from ..measure import Report
    from ..scene import Scene

_PROBE = 64  # samples along the longest axis of the lattice that verify evaluates
_META_LENGTH = 200  # characters of one value in the listing


@click.command()
@click.argument("file")
@click.option("--allow-truncated", is_flag=True, help="Look at the levels that are there if the file is cut short.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def info(file: str, allow_truncated: bool, as_json: bool) -> int:
    """Show what a .nfld FILE holds: kind, shapes, encoding, network, bytes of each part, metadata."""

    def show(job: Job) -> int:
        facts = open_field(file, allow_truncated).info()
        if as_json:
            console.print_json({"file": file, **facts})
        else:
            click.echo("\n".join(describe_scene(facts) if facts["kind"] == "scene" else describe(facts)))
        return 0

    return run_one(file, show, as_json)


@click.command()
@click.argument("file")
@click.argument("source", required=False)
@read_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def verify(file: str, source: str | None, as_json: bool, **options: Any) -> int:
    """Check a .nfld FILE by decoding all of it; with its SOURCE, also measure how close it is.

    The exit code is 0 for a sound file, 3 for a corrupt one, 1 if SOURCE is another signal than the file's.
    """
    return run_one(file, lambda job: _verify(file, source, options, as_json), as_json)


def _verify(file: str, source: str | None, options: dict[str, Any], as_json: bool) -> int:
    import nfcodec

    field = open_field(file)
    if field.sizes["warnings"]:
        raise FormatError(f"verifying {file}: {'; '.join(field.sizes['warnings'])}")
    is_scene = isinstance(field, nfcodec.Scene)
    for one in field.fields if is_scene else [field]:
        _probe(file, one)
    n_bytes = field.sizes["file_bytes"]
    facts: dict[str, Any] = {"file": file, "sound": True, "file_bytes": n_bytes}
    if is_scene:
        facts |= {"n_parts": len(field.parts), "n_fields": len(field.fields)}
        text = f"{file}: sound, {size_text(n_bytes)}, scene, {len(field.parts)} parts of {len(field.fields)} fields"
    else:
        facts["n_levels"] = field.n_levels
        text = f"{file}: sound, {size_text(n_bytes)}, {field.kind}, {field.n_levels} levels"
    if source is not None:
        measured = _measure(field, source, options)
        if measured is None:
            console.problem(f"verifying {file}: {source} is not its source; give the signal that was encoded")
            return console.EXIT_TARGET
        facts |= {"source": source, **dataclasses.asdict(measured)}
        text += f", {_measured_text(is_scene or field.is_surface, measured)}"
    if as_json:
        console.print_json(facts)
    else:
        click.echo(text)
    return 0


def _probe(file: str, field: Field) -> None:
    """Decodes a coarse lattice, and all of a residual; FormatError for what is not finite."""
    import numpy as np

    probe = field.decode(resolution=min(_PROBE, max(field.spec.extent)), dtype="f4")
    if field.residual is not None:
        field.decode()  # its planes are read only now
    if not np.isfinite(probe).all():
        raise FormatError(
            f"verifying {file}: got values that are not finite; the file is damaged, encode it again", "values"
        )


def open_field(file: str, allow_truncated: bool = False) -> Field | Scene:
    """The field of a path, or of stdin."""
    import nfcodec

    return nfcodec.open(sys.stdin.buffer if file == STREAM else file, allow_truncated=allow_truncated)


def _measure(field: Field | Scene, source: str, options: dict[str, Any]) -> Report | None:
    """The report, or None if the signal cannot be the one that was encoded."""
    import nfcodec

    from .. import io
    from ..measure import measure, measure_scene

    signal = read_source(field, source, options)
    if isinstance(field, nfcodec.Scene):
        if signal.mesh is None:
            return None
        found = io.read_scene(source, **given(options))
        is_same = [node.field for node in found.nodes] == [node.field for node in field.nodes]
        return measure_scene(field, signal, found.signals if is_same else ())
    same = field.is_surface == (signal.mesh is not None)
    if same and not field.is_surface:
        same = (field.spec.extent, field.spec.channels) == (signal.extent, signal.channels)
    return measure(field, signal) if same else None


def _measured_text(is_surface: bool, report: Report) -> str:
    if not is_surface:
        log = "" if report.log_psnr_db is None else f" ({report.log_psnr_db:.2f} dB on a logarithmic scale)"
        snr = "" if report.snr_db is None else f", SNR {report.snr_db:.2f} dB"
        holes = "" if report.n_wrong_holes is None else f", {report.n_wrong_holes} wrong holes"
        if report.angular_deg is not None:
            holes += f", end-point error {small_text(report.end_point_error)}, angle {report.angular_deg:.2f} degrees"
        return f"{report.psnr_db:.2f} dB{log}{snr}{holes}, max error {report.max_error:g}"
    back = "" if report.rms_back is None else f" and {small_text(report.rms_back)} back"
    colours = "" if report.color_psnr_db is None else f", colours {report.color_psnr_db:.2f} dB"
    return f"{small_text(report.rms)} RMS of the diagonal{back}, largest {small_text(report.max_error)}{colours}"


def _level_db(facts: dict[str, Any], level: int) -> str:
    """What the levels up to this one are worth against the source, where the file says it."""
    values = facts["meta"].get("level_db")  # anybody's JSON
    if not isinstance(values, list) or level >= len(values) or not isinstance(values[level], (int, float)):
        return ""
    return f", {values[level]:.1f} dB up to here"


def _boundary(facts: dict[str, Any]) -> str:
    """What lies beyond each axis, where that is not its edge everywhere."""
    return "" if set(facts["boundary"]) == {"clamp"} else f", {', '.join(facts['boundary'])} at the ends"


def describe(facts: dict[str, Any]) -> list[str]:
    """`Field.info()` as lines of text."""

    def times(numbers: list[int]) -> str:
        return "x".join(map(str, numbers))

    size = size_text
    interpolation = "" if facts["interpolation"] == "none" else f", {facts['interpolation']} interpolation"
    lines = [
        f"kind       {facts['kind']}",
        f"extent     {times(facts['extent'])} samples, {facts['channels']} channels of {facts['dtype']}",
        f"encoding   {facts['encoding']}{interpolation}{_boundary(facts)}",
        f"network    {' -> '.join(map(str, facts['network']))}, {facts['activation']}",
        f"file       {size(facts['file_bytes'])}: header {size(facts['header_bytes'])}, "
        f"network {size(facts['network_bytes'])}, context {size(facts['context_bytes'])}, "
        f"metadata {size(facts['meta_bytes'])}",
    ]
    for level, n_bytes in enumerate(facts["level_bytes"]):
        resolution = times(facts["resolutions"][level]) or "of the coordinate"
        n_features = facts["n_features"][level]
        lines.append(f"level {level:<4} {resolution}, {n_features} features, {size(n_bytes)}{_level_db(facts, level)}")
    if facts["max_error"] is not None:
        held = "lossless" if facts["lossless"] else f"max error {facts['max_error']:g}"
        lines.append(f"residual   {size(facts['residual_bytes'])}: {held} at every sample of the source")
    if not facts["complete"]:
        lines.append(f"cut short  {facts['n_levels_present']} of {facts['n_levels']} levels are there")
    if facts["box"] is not None:
        low, edges = facts["box"]["origin"][::-1], facts["box"]["size"][::-1]
        lines.append(f"box        x y z from {' '.join(f'{v:g}' for v in low)}, size {' '.join(f'{v:g}' for v in edges)}")
    if len(facts["roles"]) > 1:
        lines.append(f"channels   {', '.join(facts['roles'])}")
    if facts["truncation"]:
        lines.append(f"truncation {facts['truncation']:g}")
    lines += [_shown(f"{key:<10} {value}") for key, value in facts["meta"].items() if key != "level_db"]
    lines += [f"warning    {text}" for text in facts["warnings"]]
    return lines


def describe_scene(facts: dict[str, Any]) -> list[str]:
    """`Scene.info()` as lines of text: the fields, then the tree of nodes."""
    size, n_fields = size_text, len(facts["fields"])
    lines = [
        f"kind       scene: {len(facts['nodes'])} nodes, {facts['n_parts']} parts of {n_fields} fields",
        f"file       {size(facts['file_bytes'])}: header {size(facts['header_bytes'])}, "
        f"parts {size(sum(facts['part_bytes']))}, metadata {size(facts['meta_bytes'])}",
    ]
    if facts["box"] is not None:
        low, high = facts["box"]["low"], facts["box"]["high"]
        edges = (b - a for a, b in zip(low, high))
        lines.append(f"box        x y z from {' '.join(f'{v:g}' for v in low)}, size {' '.join(f'{v:g}' for v in edges)}")
    for number, field in enumerate(facts["fields"]):
        text = "missing: the file is cut short"
        if field is not None:
            extent = "x".join(map(str, field["extent"]))
            channels = f", {', '.join(field['roles'][1:])}" if len(field["roles"]) > 1 else ""
            levels = f"{field['n_levels']} levels, {size(field['file_bytes'])}"
            text = f"{field['kind']}, {extent} samples, {field['encoding']}, {levels}{channels}"
            text += f", {field['meta']['colour']}" if "colour" in field["meta"] else ""
        lines.append(_shown(f"field {number:<4} {text}"))
    depths: list[int] = []
    for node in facts["nodes"]:
        depths.append(0 if node["parent"] is None else depths[node["parent"]] + 1)
        what = "" if node["field"] is None else f": field {node['field']}"
        lines.append(_shown(f"node       {'  ' * depths[-1]}{node['name'] or '(no name)'}{what}"))
    lines += [_shown(f"{key:<10} {value}") for key, value in facts["meta"].items()]
    return [*lines, *(f"warning    {text}" for text in facts["warnings"])]


def _shown(text: str) -> str:
    """What comes from a file, for a terminal: no control characters, no endless lines."""
    text = text if len(text) <= _META_LENGTH else text[: _META_LENGTH - 3] + "..."
    return "".join(c if c.isprintable() else "?" for c in text)
