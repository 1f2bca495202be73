"""The command line. Each command imports its work inside its function, so that --help needs click only.

Exit codes: 0 done; 1 a target or a check was not met; 2 usage, or an input that cannot be encoded; 3 a corrupt file;
4 a missing extra or a file for another version; 70 a fault of nfcodec itself; 130 interrupted.
Data go to stdout; progress, summaries, warnings and errors to stderr. NFCODEC_DEBUG=1 shows tracebacks.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence

import click

from .. import __version__
from . import console
from .compare import compare
from .decode import decode
from .doctor import doctor
from .encode import encode
from .export import export
from .inspect import info, verify
from .study import study
from .view import view

__all__ = ["commands", "main", "run"]


@click.group(
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)
@click.version_option(__version__, message="nfcodec %(version)s")
@click.pass_context
def commands(context: click.Context) -> int:
    """Neural fields as small files: meshes, images and volumes to .nfld and back, at any resolution."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())
    return 0


for command in (encode, decode, info, verify, view, compare, study, export, doctor):
    commands.add_command(command)


def main(args: Sequence[str] | None = None) -> int:
    """Runs one command line (default: sys.argv) and returns its exit code. Nothing escapes, not even Ctrl-C."""
    with warnings.catch_warnings():
        # what users can act on is a UserWarning; deprecations inside libraries are none of their business
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", UserWarning)
        warnings.showwarning = console.show_warning
        try:
            return int(commands.main(args, prog_name="nfcodec", standalone_mode=False) or 0)
        except SystemExit as stop:  # click's answer to a reader that closed the pipe
            return stop.code if isinstance(stop.code, int) else 1
        except BaseException as error:
            return console.report(error)


def run() -> None:
    """The entry point of the installed script."""
    sys.exit(main())
