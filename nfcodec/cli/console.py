"""What the user sees: errors, warnings, summaries and progress on stderr, JSON on stdout; one line each."""

from __future__ import annotations

import json
import math
import os
import shutil
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any

import click

from ..errors import NfldError
from ..text import size_text

if TYPE_CHECKING:
    from ..fit.goals import Status

EXIT_TARGET, EXIT_USAGE, EXIT_FAULT, EXIT_INTERRUPTED = 1, 2, 70, 130
_SECONDS_BETWEEN_LINES = 10.0  # of progress, where stderr is not a terminal
_SECONDS_BETWEEN_DRAWINGS = 0.1  # where it is one
_BAR_CELLS = 20

_warned: set[str] = set()


def explain(error: BaseException) -> tuple[str, int]:
    """An exception as one line and an exit code."""
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return "interrupted; nothing was left half written", EXIT_INTERRUPTED
    if isinstance(error, NfldError):
        return _one_line(str(error)), error.exit_code
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        hint = f"; see {context.command_path} --help" if context is not None else ""
        return _one_line(error.format_message()).rstrip(".") + hint, EXIT_USAGE
    if isinstance(error, MemoryError):
        return "not enough memory; ask for a smaller resolution or a region, or encode a part of the signal", EXIT_FAULT
    if isinstance(error, OSError) and error.strerror:
        place = f"{error.filename}: " if error.filename else ""
        return f"{place}{error.strerror}; check the path, its permissions and the free space", EXIT_USAGE
    detail = _one_line(f"{type(error).__name__}: {error}")
    return f"internal error ({detail}); set NFCODEC_DEBUG=1 to see where, and please report it", EXIT_FAULT


def report(error: BaseException, name: str = "") -> int:
    """Prints an exception as one line, after the name of the input that caused it; returns the exit code."""
    message, code = explain(error)
    if os.environ.get("NFCODEC_DEBUG") not in (None, "", "0"):
        traceback.print_exception(error, file=sys.stderr)
    # most messages name the file already
    problem(message if not name or name in message else f"{name}: {message}")
    return code


def problem(message: str) -> None:
    """One line on stderr, even with --quiet."""
    click.echo(f"nfcodec: {message}", err=True)


def show_warning(message: Warning | str, category: type, *rest: Any, **kwargs: Any) -> None:
    """`warnings.showwarning` of the command line: one line, once."""
    text = _one_line(str(message))
    if text not in _warned:
        _warned.add(text)
        problem(f"warning: {text}")


def _one_line(text: str) -> str:
    return " ".join(text.split())


# ---- data


def print_json(value: dict[str, Any]) -> None:
    """One JSON object on one line of stdout. JSON has no infinities and no NaN: they become null."""
    click.echo(json.dumps(_strict(value), ensure_ascii=False, allow_nan=False))


def _strict(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


# ---- progress


class Progress:
    """The callback of `encode`: a bar that redraws itself on a terminal, a line every ten seconds elsewhere."""

    def __init__(self, name: str, quiet: bool = False):
        self.name, self.quiet = name, quiet
        self.is_terminal = sys.stderr.isatty()
        self._drawn = ""
        self._last = -math.inf if self.is_terminal else time.monotonic()

    def __call__(self, status: Status) -> None:
        pause = _SECONDS_BETWEEN_DRAWINGS if self.is_terminal else _SECONDS_BETWEEN_LINES
        if self.quiet or time.monotonic() - self._last < pause:
            return
        self._last = time.monotonic()
        text = self.line(status)
        if self.is_terminal:
            self._draw(text[: shutil.get_terminal_size().columns - 1])
        else:
            click.echo(text, err=True)

    def line(self, status: Status) -> str:
        """`bunny.obj: fit [#####---------------]  25%  41.20 dB  58 KB  12 s left`"""
        fraction = min(max(status.fraction, 0.0), 1.0)
        n_full = round(fraction * _BAR_CELLS)
        parts = [f"[{'#' * n_full}{'-' * (_BAR_CELLS - n_full)}] {100 * fraction:3.0f}%"]
        if status.psnr_db is not None:
            parts.append(f"{status.psnr_db:.2f} dB")
        if status.bytes is not None:
            parts.append(size_text(status.bytes))
        if status.seconds_left is not None:
            parts.append(f"{status.seconds_left:.0f} s left")
        return f"{self.name}: {status.phase} " + "  ".join(parts)

    def close(self) -> None:
        """Clears the bar, so that the summary takes its line."""
        if self._drawn:
            self._draw("")
            click.echo("\r", nl=False, err=True)

    def _draw(self, text: str) -> None:
        click.echo("\r" + text.ljust(len(self._drawn)), nl=False, err=True)
        self._drawn = text
