"""Outputs that appear whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from nfcodec.errors import NfldError, UsageError

__all__ = ["replacing"]


def _refuse_existing(path: Path, overwrite: bool) -> None:
    if path.is_dir():
        raise UsageError(f"writing {str(path)!r}: it is a folder, expected a file name; add a name and a suffix")
    if path.exists() and not overwrite:
        raise UsageError(f"writing {str(path)!r}: it exists already; pass --overwrite (overwrite=True) or another name")


@contextmanager
def replacing(path: str | os.PathLike, overwrite: bool = False) -> Iterator[Path]:
    """Yield a path to write to, in the same folder and with the same suffixes; on success it takes the name `path`.

    On any error, Ctrl-C included, what was written is removed and an existing `path` stays as it was. Raises UsageError
    if `path` exists and overwrite is false, or if its folder is missing or cannot be written; errors of libraries in the
    block become one NfldError.
    """
    path = Path(path)
    _refuse_existing(path, overwrite)
    if not path.parent.is_dir():
        raise UsageError(f"writing {str(path)!r}: the folder {str(path.parent)!r} does not exist; make it first")
    # the suffix stays last, since libraries choose the format by it
    temporary = path.with_name(f".{secrets.token_hex(6)}.{path.name}")
    try:
        yield temporary
        _refuse_existing(path, overwrite)
        os.replace(temporary, path)
    except NfldError:
        raise
    except Exception as err:
        raise UsageError(f"writing {str(path)!r} failed: {_one_line(err)}; check the folder's space and permissions") from err
    finally:
        temporary.unlink(missing_ok=True)


def _one_line(err: BaseException) -> str:
    text = str(err).strip().splitlines()
    return f"{type(err).__name__}: {text[0][:200]}" if text else type(err).__name__
