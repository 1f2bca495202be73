"""`nfcodec decode`: .nfld files in, files of the usual formats out."""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import UsageError
from ..text import seconds_text, size_text
from . import console
from .jobs import STREAM, Job, plan, run_all
from .values import REGION, SCALE, SHAPE, fractions_of

if TYPE_CHECKING:
    from ..field import Field
    from ..scene import Scene

# spelled out, because their own home needs numpy; a test compares them
MESH_METHODS = ("dual-contouring", "marching-cubes")


@click.command()
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "-o", "--output", metavar="OUT", help="The file to write; its suffix is the format. - for stdout, with --format."
)
@click.option("--out-dir", metavar="DIR", help="Where outputs go; folders below a FILE folder are kept.")
@click.option("--format", "suffix", metavar="SUFFIX", help="Of the outputs: png, nrrd, obj ...  [default: the source's]")
@click.option("--scale", type=SCALE, metavar="X", help="A factor on the source's resolution: 2.5, or for each axis 2,1,1.")
@click.option(
    "--shape", type=SHAPE, metavar="768x1024", help="Samples along each axis, in array order; of the region, if any."
)
@click.option(
    "--resolution",
    type=click.IntRange(2),
    metavar="N",
    help="Samples along the longest axis.  [meshes: 256, coarse levels fewer]",
)
@click.option("--region", type=REGION, metavar="A:B,C:D", help="A part of a lattice, see above.")
@click.option(
    "--level", "--lod", "level", type=click.IntRange(0), metavar="K",
    help="Level of detail: use levels 0 (coarsest) to K only.",
)
@click.option("--dtype", metavar="NAME", help="Of the values: uint8, float32 ...  [default: the source's]")
@click.option("--iso", type=float, metavar="X", help="The distance or occupancy at which a mesh is extracted.")
@click.option("--method", type=click.Choice(MESH_METHODS), help="How meshes are made.  [default: dual-contouring]")
@click.option(
    "--sharp/--soft",
    default=None,
    help="Meshes: whether edges that the field has rounded are put back.  [default: as the file says]",
)
@click.option("--device", default="cpu", metavar="NAME", help="What evaluates the field: cpu, or cuda through torch.")
@click.option(
    "--texture",
    type=click.IntRange(1),
    metavar="N",
    help="GLB: colours as a texture of N x N texels instead of at vertices.  [resolution then: 96]",
)
@click.option("--overwrite", is_flag=True, help="Replace existing outputs.")
@click.option("--allow-truncated", is_flag=True, help="Of a file cut short, decode the levels that are there.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each file on stdout.")
@click.option("--quiet", is_flag=True, help="No summary.")
def decode(files: tuple[str, ...], **options: Any) -> int:
    """Decode .nfld files at any resolution. Needs no torch, unless --device asks for it.

    A FILE is a file, a folder (searched for .nfld files) or - for stdin. Surfaces become meshes, or lattices of their
    distances where the output is of a lattice's format (npy, nrrd ...). Scenes become GLB with their nodes and names, or
    one mesh in another format. --level K is also the level of detail of meshes, which then have fewer faces.

    --region takes start:stop for each axis in array order: (z,) y, x. Numbers count samples of the source, as in a
    slice of its array; numbers with % are parts of the axis, with s seconds of sound or film; what is left out is the
    edge. 100:200,: are the rows 100 to 199, 25%:75%,25%:75% is the middle quarter, 1s:2.5s a part of a recording.
    """
    if options["output"] is None and options["out_dir"] is None:
        raise UsageError("naming the output: got no name, expected -o OUT or --out-dir DIR")
    suffix = options["suffix"]
    if suffix is not None:
        options["suffix"] = suffix = "." + suffix.lower().lstrip(".")
    if options["output"] == STREAM and (suffix is None or options["as_json"]):
        raise UsageError(
            "decoding to stdout: got --json or no --format, expected --format (such as png) alone; or name a file with -o"
        )
    jobs = plan(files, options["output"], options["out_dir"], (".nfld",), suffix)
    return run_all(
        jobs, lambda job: _decode(job, options), make_folders=options["out_dir"] is not None, as_json=options["as_json"]
    )


def _decode(job: Job, options: dict[str, Any]) -> int:
    import nfcodec

    from .. import io
    from ..export import default_suffix

    start = time.monotonic()
    source = sys.stdin.buffer if job.source == STREAM else job.source
    field = nfcodec.open(source, allow_truncated=options["allow_truncated"])
    is_scene = isinstance(field, nfcodec.Scene)
    export = (_scene_writer if is_scene else _field_writer)(job, field, options)
    if job.output == STREAM:
        # libraries want names and places to seek in, so the bytes go through a file
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "output" + options["suffix"])
            shape = export(path, overwrite=False)
            data = Path(path).read_bytes()
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        name, n_bytes = "stdout", len(data)
    else:
        path = job.output or str(job.folder / (job.stem + default_suffix(field)))
        shape = export(path, overwrite=options["overwrite"])
        name, n_bytes = os.path.basename(path), io.n_bytes(path)
    seconds = time.monotonic() - start
    if options["as_json"]:
        facts = {"input": job.source, "output": path, "kind": "scene" if is_scene else field.kind, **shape}
        console.print_json(
            {**facts, "file_bytes": field.sizes["file_bytes"], "output_bytes": n_bytes, "seconds": round(seconds, 3)}
        )
    if not options["quiet"]:
        made = "x".join(map(str, shape["shape"])) if "shape" in shape else f"{shape['n_faces']} faces"
        made += f" of {shape['n_parts']} parts" if is_scene else ""
        sizes = size_text(field.sizes["file_bytes"]), size_text(n_bytes)
        click.echo(f"{job.name} {sizes[0]} -> {name} {sizes[1]} ({made}, {seconds_text(seconds)})", err=True)
    return 0


def _field_writer(job: Job, field: Field, options: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    """What writes the field as it is wanted: (path, overwrite=) -> what `export` says."""
    import nfcodec

    from ..export import export
    from ..io.placement import samples_per_second

    if options["device"] != "cpu":
        field = nfcodec.on_device(field, options["device"])
    _tell_what_is_missing(job, field)
    names = ("shape", "scale", "resolution", "level", "dtype", "iso", "method", "sharp", "texture")
    wanted = {key: options[key] for key in names}
    region = fractions_of(options["region"], field.spec.extent, samples_per_second(field.meta))
    return partial(export, field, **wanted, region=region)


def _scene_writer(job: Job, scene: Scene, options: dict[str, Any]) -> Callable[..., dict[str, Any]]:
    """The same of a scene, whose parts have no lattice in common."""
    from ..export import export_scene

    for name in ("shape", "scale", "region", "dtype", "sharp", "texture"):
        if options[name] is not None:
            expected = "expected --resolution or --level, which its parts share"
            raise UsageError(f"decoding {job.name}: got --{name} for a scene, {expected}")
    if options["device"] != "cpu":
        raise UsageError(f"decoding {job.name}: got --device {options['device']} for a scene, expected cpu; leave it out")
    for text in scene.sizes["warnings"]:
        console.problem(f"warning: {job.name}: {text}")
    n_missing = sum(field is None for field in scene.fields)
    if n_missing:
        n = len(scene.fields)
        console.problem(f"warning: {job.name}: the file is cut short; {n_missing} of {n} fields are missing")
    return partial(export_scene, scene, **{key: options[key] for key in ("resolution", "level", "iso", "method")})


def _tell_what_is_missing(job: Job, field: Field) -> None:
    for text in field.sizes["warnings"]:
        console.problem(f"warning: {job.name}: {text}")
    if field.n_levels < field.spec.grid.n_levels:
        console.problem(
            f"warning: {job.name}: the file is cut short; using {field.n_levels} of {field.spec.grid.n_levels} levels"
        )
