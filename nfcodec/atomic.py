"""Outputs that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import NfldError, UsageError

__all__ = ["check_output", "replacing", "write_atomic"]

_MAX_NAME = 48  # characters of the file's name in that of its temporary file: names have a limit in bytes


def check_output(path: str | os.PathLike[str], overwrite: bool = False) -> Path:
    """The file behind `path`, links followed, if it may be written; call it before long work.

    Raises UsageError where it is a folder or device, where it exists and `overwrite` is false, and where its folder is
    missing or may not be written.
    """
    target = Path(os.path.realpath(path))
    if target.exists():
        if not target.is_file():
            raise UsageError(f"writing {path}: got a folder or device, expected the name of a file")
        if not overwrite:
            raise _exists(path)
    if not target.parent.is_dir():
        raise UsageError(f"writing {path}: the folder {target.parent} does not exist; make it first")
    if not os.access(target.parent, os.W_OK):
        raise UsageError(f"writing {path}: the folder {target.parent} may not be written; choose another place")
    return target


@contextmanager
def replacing(path: str | os.PathLike[str], overwrite: bool = False) -> Iterator[Path]:
    """Yields a path to write to, beside `path` and with its suffixes; when the block ends it takes the name `path`.

    On any error, Ctrl-C included, what was written is removed and an existing file stays as it was. Without `overwrite`
    it stays even if it appears while the block runs. A link stays a link, a replaced file's mode is kept. Raises
    UsageError, before the block for what `check_output` refuses, after it for whatever else the block raises.
    """
    target = check_output(path, overwrite)
    # the suffix stays last, since libraries choose the format by it
    temporary = target.with_name(f".{secrets.token_hex(6)}.{Path(path).name[-_MAX_NAME:]}")
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        if overwrite:
            if target.exists():
                shutil.copymode(target, temporary)
            os.replace(temporary, target)
        else:
            _rename_new(temporary, target, path)
    except (NfldError, MemoryError):
        raise
    except Exception as error:
        raise UsageError(f"writing {path}: {_reason(error)}; check the folder's space and permissions") from error
    finally:
        temporary.unlink(missing_ok=True)


def write_atomic(path: str | os.PathLike[str], data: bytes, overwrite: bool = False) -> None:
    """Writes a file as `replacing` does. Raises UsageError."""
    with replacing(path, overwrite) as temporary:
        temporary.write_bytes(data)


def _exists(path: str | os.PathLike[str]) -> UsageError:
    return UsageError(f"writing {path}: it exists already; pass --overwrite (overwrite=True) or another name")


def _rename_new(temporary: Path, target: Path, path: str | os.PathLike[str]) -> None:
    """Renames without replacing: a hard link fails where the name exists, os.replace does not."""
    try:
        os.link(temporary, target)
    except FileExistsError:
        raise _exists(path) from None
    except OSError:  # a file system without hard links: the window between check and rename is the best there is
        if target.exists():
            raise _exists(path) from None
        os.replace(temporary, target)


def _reason(error: Exception) -> str:
    """One line of text."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:200]}" if text else type(error).__name__
