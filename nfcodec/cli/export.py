"""`nfcodec export`: a field as a program in another language."""

from __future__ import annotations

import os
from typing import Any

import click

from ..errors import UsageError
from ..text import size_text
from . import console
from .inspect import open_field
from .jobs import Job, run_one

# spelled out, because their own home needs numpy; a test compares them
LANGUAGES = {
    "c": "A C99 header without dependencies.",
    "glsl": "A function in GLSL ES 3.00, for WebGL 2.",
    "wgsl": "A function in WGSL, for WebGPU.",
    "onnx": "An ONNX graph, opset 18.",
}


def _outputs(command):
    for language, text in reversed(LANGUAGES.items()):
        command = click.option(f"--{language}", metavar="OUT", help=text)(command)
    return command


@click.command()
@click.argument("file")
@_outputs
@click.option("--level", "--lod", "level", type=click.IntRange(0), metavar="K", help="Use levels 0 (coarsest) to K only.")
@click.option("--name", default="nfld", metavar="NAME", help="What all names in it begin with.  [default: nfld]")
@click.option("--overwrite", is_flag=True, help="Replace existing outputs.")
@click.option("--allow-truncated", is_flag=True, help="Of a file cut short, export the levels that are there.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
@click.option("--quiet", is_flag=True, help="No summary.")
def export(file: str, as_json: bool, **options: Any) -> int:
    """Write the field of a .nfld FILE as a function in another language, to evaluate it there.

    In C: nfld_sample(p, values), p in array order as in Python; in GLSL and WGSL: nfld(p) with p = (x, y, z). Grids stay
    small integers. What a shader's text would be too long with goes to a file beside it, OUT.bin, for an integer texture
    or a storage buffer; the comment at its beginning says how. Guarantees (--max-error) do not go along.
    """
    return run_one(file, lambda job: _export(job, options, as_json), as_json)


def _export(job: Job, options: dict[str, Any], as_json: bool) -> int:
    from .. import codegen

    wanted = [(language, options[language]) for language in LANGUAGES if options[language] is not None]
    if not wanted:
        raise UsageError(f"naming the output: got none, expected {', '.join(f'--{language}' for language in LANGUAGES)}")
    field = open_field(job.source, options["allow_truncated"])
    shared = {key: options[key] for key in ("level", "name", "overwrite")}
    outputs = [path for language, out in wanted for path in codegen.write(field, out, language, **shared)]
    sizes = [os.path.getsize(path) for path in outputs]
    if as_json:
        written = [{"output": str(path), "output_bytes": size} for path, size in zip(outputs, sizes)]
        console.print_json({"input": job.source, "file_bytes": field.sizes["file_bytes"], "outputs": written})
    if not options["quiet"]:
        written = ", ".join(f"{path.name} {size_text(size)}" for path, size in zip(outputs, sizes))
        click.echo(f"{job.name} {size_text(field.sizes['file_bytes'])} -> {written}", err=True)
    return 0
