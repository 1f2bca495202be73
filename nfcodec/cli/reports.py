"""What commands share that measure for long, keep results and write reports of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from ..text import seconds_text
from . import console

if TYPE_CHECKING:
    from ..compare import Store

__all__ = ["check_outputs", "exit_code", "store_of", "store_options", "write"]


def store_options(command: Callable) -> Callable:
    """Adds the options of what is kept and written."""
    for option in (
        click.option("--overwrite", is_flag=True, help="Replace existing reports."),
        click.option("--no-cache", is_flag=True, help="Neither look up results nor keep them."),
        click.option(
            "--cache", metavar="DIR", help="Where results are kept.  [default: the system's place, or NFCODEC_CACHE]"
        ),
        click.option(
            "--time-limit", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help="Begin nothing new then."
        ),
    ):
        command = option(command)
    return command


def check_outputs(options: dict[str, Any]) -> None:
    """Refuses reports that cannot be written before hours of work."""
    from ..atomic import check_output

    for path in (options["html"], options["csv_path"]):
        if path is not None:
            check_output(path, options["overwrite"])
    if options["html"]:
        from ..compare import report

        report.require()


def store_of(options: dict[str, Any]) -> Store:
    """Where results are kept."""
    from ..compare import Store, default_folder

    return Store(None if options["no_cache"] else options["cache"] or default_folder())


def write(path: str | None, text: str, options: dict[str, Any]) -> None:
    """A report, where one was asked for."""
    from ..atomic import write_atomic

    if path is not None:
        write_atomic(path, text.encode(), options["overwrite"])
        if not options["quiet"]:
            click.echo(f"wrote {path}", err=True)


def exit_code(name: str, unfinished: str, options: dict[str, Any]) -> int:
    """Says why work on `name` was left unfinished, where it was."""
    if unfinished == "interrupted":
        console.problem(f"{name}: interrupted; what is done is kept, and the same command goes on from there")
        return console.EXIT_INTERRUPTED
    if unfinished:
        console.problem(f"warning: {name}: not everything was run within {seconds_text(options['time_limit'])}")
    return 0
