"""`nfcodec encode`: signals in, .nfld files out."""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from ..errors import NfldError, UsageError
from ..text import quality_text, ratio_text, seconds_text, size_text, small_text
from . import console
from .jobs import STREAM, Job, plan, run_all
from .values import SIZE, given, read_options

if TYPE_CHECKING:
    from ..encoder import Encoded
    from ..scene_encoder import EncodedScene

# spelled out, because spec.py needs numpy; tests compare them
KINDS = ("image", "volume", "sdf", "tsdf", "occupancy", "udf")
ENCODINGS = (
    "auto", "dense", "hash", "codebook", "triplane", "kplanes", "cp", "vm", "points", "mesh", "identity", "frequency",
    "random-fourier", "one-blob", "super-gaussian", "spherical-harmonics",
)  # fmt: skip
INTERPOLATIONS = ("auto", "nearest", "linear", "smoothstep", "cubic", "mitchell")
ACTIVATIONS = (
    "auto", "identity", "relu", "prelu", "sine", "tanh", "sigmoid", "silu", "softplus", "gaussian", "quadratic",
    "multi-quadratic", "laplacian", "super-gaussian", "expsin", "gabor", "finer",
)  # fmt: skip
ENCODING_HELP = (
    f"How features are laid out: {', '.join(ENCODINGS)}; several with +. Numbers after a colon; of grids n_levels, "
    "n_features, coarsest, finest (vertices along the longest axis), log2_size (hash, codebook), n_points, n_vertices: "
    "hash:n_levels=16,n_features=2,log2_size=14,coarsest=16,finest=256 is Instant-NGP's."
)
_PART_NAME = 64  # characters of a part's name in that of its file
_TARGETS = ("quality", "psnr", "max_error", "size", "bpp", "lossless")


@click.command()
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option(
    "-o", "--output", metavar="OUT", help="The file to write, or - for stdout.  [default: beside INPUT, as .nfld]"
)
@click.option("--out-dir", metavar="DIR", help="Where outputs go; folders below an INPUT folder are kept.")
@click.option("--kind", type=click.Choice(KINDS), help="What the input is.  [default: told from the file]")
@click.option(
    "--encoding", metavar="NAME[:NUMBER=X,...][+NAME...]", default="auto", show_default=True, help=ENCODING_HELP
)
@click.option(
    "--activation", metavar="NAME[:NUMBER=X,...]", default="auto", show_default=True,
    help=f"Of the network: {', '.join(ACTIVATIONS)}.",
)  # fmt: skip
@click.option("--network", metavar="WIDTHxLAYERS", help="Neurons and hidden layers: 256x4.  [default: by the signal]")
@click.option(
    "--interpolation", type=click.Choice(INTERPOLATIONS), default="auto", show_default=True, help="Between features."
)
@click.option(
    "--boundary", metavar="NAME[,NAME...]", default="clamp", show_default=True,
    help="Beyond the ends of all or of each axis: clamp, wrap (panoramas, textures that tile) or reflect.",
)
@click.option("--quality", type=float, metavar="0..100", help="The one knob for quality.  [default: 50]")
@click.option("--psnr", type=float, metavar="DB", help="Reach this PSNR. Surfaces: 20 log10(diagonal / RMS distance).")
@click.option("--max-error", type=float, metavar="X", help="No sample is further off; surfaces: distance / diagonal.")
@click.option("--size", type=SIZE, metavar="BYTES", help="At most this many bytes: 30000, 30KB, 1.5MB.")
@click.option("--bpp", type=float, metavar="BITS", help="At most this many bits a pixel, voxel or vertex.")
@click.option("--lossless", is_flag=True, default=None, help="Keep every sample exactly: images and volumes of integers.")
@click.option("--progressive", is_flag=True, help="Train coarse levels to look well alone; costs a few per cent of bytes.")
@click.option("--close-holes", is_flag=True, help="Let surfaces go on where a mesh has holes: saves some bytes.")
@click.option(
    "--parts", is_flag=True, help="A scene: a field for each node or object, or each piece of a mesh, with nodes and names."
)
@click.option("--separate", is_flag=True, help="With --parts: a file for each part instead of one scene.")
@click.option("--effort", type=click.IntRange(1, 9), default=5, show_default=True, help="1 takes seconds, 9 takes hours.")
@click.option("--time-limit", type=float, metavar="SECONDS", help="Wind up the fit after this time.")
@click.option("--seed", type=int, default=0, show_default=True, help="Same seed, same machine: same file.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--overwrite", is_flag=True, help="Replace existing outputs.")
@read_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each input on stdout.")
@click.option("--quiet", is_flag=True, help="No progress and no summary.")
def encode(inputs: tuple[str, ...], **options: Any) -> int:
    """Encode meshes, images and volumes as neural fields.

    An INPUT is a file or a folder; a folder is searched for files of known suffixes. Give one of --quality, --psnr,
    --max-error, --size, --bpp and --lossless at most. The written bytes are decoded and measured first; if they miss
    the target, the file is written all the same and the exit code is 1. For images and volumes --max-error and
    --lossless are guarantees, which hold at every sample.
    """
    targets = ["--" + name.replace("_", "-") for name in _TARGETS if options[name] is not None]
    if len(targets) > 1:
        raise UsageError(f"choosing a target: got {' and '.join(targets)}, expected one at most")
    if STREAM in inputs:
        raise UsageError("encoding from stdin: got no suffix to tell the format by; give a file")
    stray = [name for name in inputs if name.endswith(".nfld")]
    if stray:
        raise UsageError(f"encoding {stray[0]}: it is a .nfld file already; decode it, or name an output with -o")

    from .. import io

    # bare samples are not told apart from any other file without a shape
    known = tuple(s for s in io.suffixes() if options["shape"] or io.FORMATS[s].name != "raw")
    jobs = plan(inputs, options["output"], options["out_dir"], known, ".nfld")
    if options["separate"] and not options["parts"]:
        raise UsageError("encoding parts: got --separate without --parts, expected both")
    if options["separate"]:
        return _encode_separately(jobs, options)
    return run_all(
        jobs, lambda job: _encode(job, options), make_folders=options["out_dir"] is not None, as_json=options["as_json"]
    )


def _encode_separately(jobs: list[Job], options: dict[str, Any]) -> int:
    """Every part of every input, each to a file beside that of the whole: scene-wheel.nfld for scene.nfld."""
    from .. import io

    worst = 0
    for job in jobs:
        if job.output == STREAM:
            raise UsageError("encoding parts to stdout: expected files, as there are several; use -o or --out-dir")
        try:
            names = io.parts(job.source)
        except NfldError as error:
            worst = max(worst, console.report(error, job.name))
            continue
        stem, taken = job.output.removesuffix(".nfld"), set()
        for part, name in enumerate(names):
            name = "".join(c if c.isalnum() or c in "._-" else "_" for c in name)[:_PART_NAME]
            while name in taken:
                name = f"{name}-{part}"
            taken.add(name)
            one = replace(job, output=f"{stem}-{name}.nfld")
            worst = max(worst, run_all(
                [one], lambda job, part=part: _encode(job, {**options, "part": part}),
                make_folders=options["out_dir"] is not None, as_json=options["as_json"],
            ))  # fmt: skip
    return worst


def _encode(job: Job, options: dict[str, Any]) -> int:
    import nfcodec

    progress = console.Progress(job.name, options["quiet"])
    passed_on = (*_TARGETS, "progressive", "close_holes", "kind", "encoding", "activation", "network", "interpolation")
    passed_on += ("boundary", "effort", "time_limit", "seed", "device", "overwrite")
    encode = nfcodec.encode_scene if options["parts"] and not options["separate"] else nfcodec.encode
    try:
        encoded = encode(
            job.source,
            None if job.output == STREAM else job.output,
            **{key: options[key] for key in passed_on if options[key] is not None},
            on_progress=progress,
            read_options=given(options) | ({"part": options["part"]} if "part" in options else {}),
        )
    finally:
        progress.close()
    if job.output == STREAM:
        sys.stdout.buffer.write(encoded.data)
        sys.stdout.buffer.flush()
    smaller = None
    if encoded.signal.mesh is not None and not options["quiet"] | (job.output == STREAM):
        from ..compare.advice import smaller_mesh

        smaller = smaller_mesh(encoded.signal, encoded.report, len(encoded.data))
    if options["as_json"] and job.output != STREAM:
        console.print_json(_facts(job, encoded, options) | {"smaller_mesh": smaller and dataclasses.asdict(smaller)})
    if not options["quiet"]:
        click.echo(_summary(job, encoded), err=True)
    if smaller is not None:
        more = "" if smaller.codec == "Draco" else "; Draco makes it smaller still: pip install 'nfcodec[compare]' to see"
        size = f"{smaller.bytes:,} bytes at an RMS of {small_text(smaller.rms)}"
        console.problem(f"note: {job.name}: the source mesh with {smaller.codec} is smaller: {size}{more}")
    if not encoded.met:
        console.problem(
            f"{job.name}: the target of {encoded.target} was missed, {encoded.reached} was reached; the file was written: "
            "try a higher --effort or another target"
        )
        return console.EXIT_TARGET
    return 0


def _summary(job: Job, encoded: Encoded | EncodedScene) -> str:
    n_bytes, report = len(encoded.data), encoded.report
    quality = quality_text(report.psnr_db, report.rms, encoded.kind not in ("image", "volume"))
    if report.rms_back is not None:
        quality += f" and {small_text(report.rms_back)} back"
    if report.n_wrong_holes:
        quality += f", {report.n_wrong_holes} wrong holes"
    if report.angular_deg is not None:
        quality += f", end-point error {small_text(report.end_point_error)}, angle {report.angular_deg:.2f} degrees"
    if report.snr_db is not None:
        quality += f", SNR {report.snr_db:.2f} dB"
    if report.color_psnr_db is not None:
        quality += f", colours {report.color_psnr_db:.2f} dB"
    details = [ratio_text(encoded.source_bytes / n_bytes), quality, seconds_text(encoded.seconds)]
    if encoded.kind == "scene":
        details.insert(0, f"{encoded.n_parts} parts of {len(encoded.parts)} fields")
    name = "stdout" if job.output == STREAM else job.output.rsplit("/", 1)[-1]
    sizes = size_text(encoded.source_bytes), size_text(n_bytes)
    return f"{job.name} {sizes[0]} -> {name} {sizes[1]} ({', '.join(details)})"


def _facts(job: Job, encoded: Encoded | EncodedScene, options: dict[str, Any]) -> dict[str, Any]:
    of_scene = {}
    if encoded.kind == "scene":
        of_scene = {"n_nodes": encoded.n_nodes, "n_parts": encoded.n_parts}
        of_scene["part_bytes"] = [len(part.data) for part in encoded.parts]
    return {
        "input": job.source,
        "output": job.output,
        "kind": encoded.kind,
        **of_scene,
        "encoding": encoded.encoding,
        "source_bytes": encoded.source_bytes,
        "file_bytes": len(encoded.data),
        "ratio": encoded.source_bytes / len(encoded.data),
        "bpp": encoded.bpp,
        **dataclasses.asdict(encoded.report),
        "target": encoded.target,
        "reached": encoded.reached,
        "met": encoded.met,
        "effort": options["effort"],
        "seed": options["seed"],
        "seconds": round(encoded.seconds, 3),
    }
