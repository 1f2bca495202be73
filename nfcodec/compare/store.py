"""Finished results by content, so that a second comparison of the same signal costs nothing.

One file a result: a line of JSON (facts, length and checksum of the payload), then the payload, which is the codec's own
file. The key is a hash of everything that a result depends on: the signal, the codec, its version and setting, this
package's code and the machine, whose times are among the facts. Damaged and foreign files count as not there.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ..atomic import write_atomic
from ..errors import NfldError
from ..spec import Signal

__all__ = ["Store", "code_hash", "default_folder", "key_of", "signal_hash"]

_LIMIT_BYTES = 2 << 30  # of the folder; what was used longest ago goes first
_SUFFIX = ".result"


def default_folder() -> Path | None:
    """Where results are kept: NFCODEC_CACHE, or the system's place for caches; None without platformdirs to know it."""
    given = os.environ.get("NFCODEC_CACHE")
    if given:
        return Path(given)
    try:
        import platformdirs
    except ImportError:
        return None
    return Path(platformdirs.user_cache_dir("nfcodec", appauthor=False)) / "compare"


def signal_hash(signal: Signal) -> str:
    """SHA-256 over kind, shapes, dtypes and samples; metadata have no part in it."""
    digest = hashlib.sha256(signal.kind.encode())
    arrays = [signal.values] if signal.mesh is None else [signal.mesh.vertices, signal.mesh.faces]
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


@cache
def code_hash(*names: str) -> str:
    """SHA-256 over the Python files of this package at `names`: files, or folders with all below them."""
    root = Path(__file__).resolve().parents[1]
    digest = hashlib.sha256()
    for name in names:
        path = root / name
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            digest.update(file.relative_to(root).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def key_of(*parts: Any) -> str:
    """One key of JSON-able parts."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


class Store:
    """Results in a folder; without one, or where it cannot be made, in a temporary folder that goes with the object."""

    def __init__(self, folder: str | os.PathLike[str] | None):
        self._unwritten: dict[str, tuple[dict[str, Any], bytes]] = {}  # what the folder could not take
        try:
            if folder is None:
                raise FileNotFoundError
            self.folder = Path(folder)
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            self._temporary = tempfile.TemporaryDirectory(prefix="nfcodec-")
            self.folder = Path(self._temporary.name)

    def get(self, key: str) -> tuple[dict[str, Any], bytes] | None:
        """(facts, payload) of a key, or None."""
        if key in self._unwritten:
            return self._unwritten[key]
        path = self._path(key)
        try:
            head, _, payload = path.read_bytes().partition(b"\n")
            facts = json.loads(head)
            if facts["key"] != key or facts["payload_sha256"] != hashlib.sha256(payload).hexdigest():
                return None
            os.utime(path)
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return facts, payload

    def put(self, key: str, facts: dict[str, Any], payload: bytes) -> None:
        """Keeps a result; one that cannot be written lasts as long as the object."""
        facts = {**facts, "key": key, "payload_sha256": hashlib.sha256(payload).hexdigest()}
        try:
            write_atomic(self._path(key), json.dumps(facts).encode() + b"\n" + payload, overwrite=True)
        except (NfldError, OSError):
            self._unwritten[key] = facts, payload

    def prune(self, limit_bytes: int = _LIMIT_BYTES) -> None:
        """Removes what was used longest ago until the folder is within the limit."""
        found = []
        for path in self.folder.glob(f"*{_SUFFIX}"):
            try:
                status = path.stat()
                found.append((status.st_mtime, status.st_size, path))
            except OSError:
                continue  # another process was faster
        total = sum(size for _, size, _ in found)
        for _, size, path in sorted(found):
            if total <= limit_bytes:
                break
            path.unlink(missing_ok=True)
            total -= size

    def _path(self, key: str) -> Path:
        return self.folder / f"{key}{_SUFFIX}"
