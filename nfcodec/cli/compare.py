"""`nfcodec compare`: nfcodec and every installed peer on the user's own signal."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from ..errors import UsageError
from . import console
from .encode import KINDS
from .reports import check_outputs, exit_code, store_of, store_options, write
from .values import NAMES, NUMBERS, SIZES, given, read_options

if TYPE_CHECKING:
    from ..compare import Store

@click.command()
@click.argument("input", required=False)
@click.argument("files", nargs=-1, metavar="[FILE.nfld ...]")
@click.option("--set", "folder", metavar="FOLDER", help="Compare on every signal below a folder, and average.")
@click.option("--html", metavar="OUT", help="Write a report with curves and pictures: one file that needs no network.")
@click.option("--csv", "csv_path", metavar="OUT", help="Write every measured file as a row.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout in place of the table.")
@click.option("--peers", type=NAMES, metavar="A,B", help="Those to compare with, such as 'PNG,AVIF 4:4:4'.  [default: all]")
@click.option("--quality", type=NUMBERS, metavar="Q,Q", help="Of nfcodec's files.  [default: 20,35,50,65,80]")
@click.option("--size", type=SIZES, metavar="BYTES,BYTES", help="Of nfcodec's files, instead: 10KB,30KB,100KB.")
@click.option("--kind", type=click.Choice(KINDS), help="What the input is.  [default: told from the file]")
@click.option("--encoding", metavar="NAME", default="auto", show_default=True, help="Of nfcodec's files: as of encode.")
@click.option("--effort", type=click.IntRange(1, 9), default=5, show_default=True, help="1 takes seconds, 9 takes hours.")
@click.option("--seed", type=int, default=0, show_default=True, help="As in nfcodec encode.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@store_options
@read_options
@click.option("--quiet", is_flag=True, help="No progress.")
def compare(input: str | None, files: tuple[str, ...], folder: str | None, **options: Any) -> int:
    """Compare nfcodec with other codecs on INPUT, at equal error and at equal bytes.

    INPUT is encoded at several qualities, or finished FILEs of it are taken. Every peer that is installed is put through
    the same signal; the others are named with the pip line that brings them. Everything is decoded and measured.

    Results are kept by content: a second run costs nothing, and one that was interrupted goes on where it was.
    """
    if (input is None) == (folder is None):
        raise UsageError("choosing what to compare: expected either INPUT or --set FOLDER; see --help")
    if options["quality"] and options["size"]:
        raise UsageError("choosing nfcodec's files: got both --quality and --size, expected one of them")
    if folder is not None and not Path(folder).is_dir():
        raise UsageError(f"comparing a set: got {folder!r}, expected a folder")
    check_outputs(options)
    store = store_of(options)
    return _set(folder, store, options) if folder is not None else _one(input, files, store, options)


def _settings(options: dict[str, Any]) -> dict[str, Any]:
    names = ("kind", "encoding", "effort", "seed", "device", "peers", "time_limit")
    settings = {**{name: options[name] for name in names}, "read_options": given(options)}
    targets = [{name: value} for name in ("quality", "size") for value in sorted(set(options[name] or ()))]
    return {**settings, "targets": targets} if targets else settings


def _one(input: str, files: tuple[str, ...], store: Store, options: dict[str, Any]) -> int:
    from ..compare import compare, table

    progress = console.Progress(Path(input).name, options["quiet"])
    try:
        comparison = compare(input, files, store=store, on_progress=progress, **_settings(options))
    finally:
        progress.close()
    write(options["csv_path"], table.as_csv([comparison]), options)
    if options["as_json"]:
        console.print_json(table.as_dict(comparison))
    else:
        click.echo("\n".join(table.as_lines(comparison)))
    if options["html"]:  # last: of large meshes it takes a minute
        from ..compare import report

        write(options["html"], report.html(comparison), options)
    return exit_code(comparison.name, comparison.unfinished, options)


def _set(folder: str, store: Store, options: dict[str, Any]) -> int:
    from ..compare import by_kind, compare_set, table

    bars: list[console.Progress] = []

    def progress_of(name: str) -> console.Progress:
        for bar in bars:
            bar.close()
        bars[:] = [console.Progress(name, options["quiet"])]
        return bars[0]

    try:
        found = compare_set(folder, store=store, progress_of=progress_of, **_settings(options))
    finally:
        for bar in bars:
            bar.close()
    for name, why in found.failed:
        console.problem(f"{name}: {why}")
    write(options["csv_path"], table.as_csv(found.comparisons), options)
    if options["as_json"]:
        console.print_json(table.set_dict(found))
    else:
        for kind, comparisons in by_kind(found.finished).items():
            click.echo(f"{found.name}: {len(comparisons)} {kind}s\n")
            click.echo("\n".join([*table.set_lines(comparisons), ""]))
    if options["html"]:
        from ..compare import report

        write(options["html"], report.html_of_set(found), options)
    return exit_code(found.name, found.unfinished, options) or (2 if found.failed else 0)

