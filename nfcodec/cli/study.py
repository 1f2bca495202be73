"""`nfcodec study`: encodings, activations and structures on the user's own signal."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..errors import UsageError
from . import console
from .encode import KINDS
from .reports import check_outputs, exit_code, store_of, store_options, write
from .values import CHOICES, SIZE, given, read_options


@click.command()
@click.argument("input")
@click.option("--encodings", type=CHOICES, metavar="A,B", help="As of encode, numbers too, or all.  [default: seven]")
@click.option("--activations", type=CHOICES, metavar="A,B", help="As of encode, or all.  [default: four of them]")
@click.option(
    "--on", metavar="NAME", default="identity", show_default=True, help="The encoding activations are tried with."
)
@click.option("--bytes", "size", type=SIZE, metavar="BYTES", help="Of every file: 30000, 30KB, 1.5MB.")
@click.option(
    "--quality", type=float, metavar="0..100", help="Or of a dense grid, whose bytes the others get.  [default: 50]"
)
@click.option("--html", metavar="OUT", help="Write a report with curves and spectra: one file that needs no network.")
@click.option("--csv", "csv_path", metavar="OUT", help="Write every measured file as a row.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout in place of the table.")
@click.option("--kind", type=click.Choice(KINDS), help="What the input is.  [default: told from the file]")
@click.option("--effort", type=click.IntRange(1, 9), default=3, show_default=True, help="1 takes seconds, 9 takes hours.")
@click.option("--seed", type=int, default=0, show_default=True, help="As in nfcodec encode.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@store_options
@read_options
@click.option("--quiet", is_flag=True, help="No progress.")
def study(input: str, **options: Any) -> int:
    """Fit INPUT with several encodings, activations and structures, all with the same effort, until files have the same
    size.

    Shows bytes, error and times of each, how its error fell over the steps of the fit, and which frequencies it is made of:
    --html and --json have all of it. What does not suit the signal is left out, and named.

    Results are kept by content: a second run costs nothing, and one that was interrupted goes on where it was.
    """
    if options["size"] and options["quality"] is not None:
        raise UsageError("choosing what files are to have: got both --bytes and --quality, expected one of them")
    check_outputs(options)
    from ..study import study as run
    from ..study import table

    names = ("kind", "encodings", "activations", "on", "size", "quality", "effort", "seed", "device", "time_limit")
    chosen = {name: options[name] for name in names if options[name] is not None}
    progress = console.Progress(Path(input).name, options["quiet"])
    try:
        done = run(input, **chosen, store=store_of(options), read_options=given(options), on_progress=progress)
    finally:
        progress.close()
    write(options["csv_path"], table.as_csv(done), options)
    if options["as_json"]:
        console.print_json(table.as_dict(done))
    else:
        click.echo("\n".join(table.as_lines(done)))
    if options["html"]:
        from ..study import report

        write(options["html"], report.html(done), options)
    return exit_code(done.name, done.unfinished, options)
