"""nfcodec as one codec among others."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__, decode
from ..encoder import encode
from ..fit.goals import Status
from ..measure import decode_for
from ..spec import Mesh, Signal
from .peers import Peer, Setting
from .rows import NFCODEC

__all__ = ["Finished", "Fitted"]


class _Ours(Peer):
    name = NFCODEC

    def decode(self, data: bytes, like: Signal) -> np.ndarray | Mesh:
        """At the source's resolution; surfaces as a mesh from a lattice as fine as the field's own."""
        return decode_for(decode.open(data), like)

    def version(self) -> str:
        """Of this package."""
        return f"nfcodec {__version__}"


class Fitted(_Ours):
    """Encoded for each of several targets, such as {"quality": 50}; `fixed` are the other arguments of `encode`.

    watch(setting, status) is called while a fit runs and may raise to end it.
    """

    def __init__(
        self,
        source: str | os.PathLike[str] | Signal,
        targets: Sequence[Setting],
        fixed: dict[str, Any],
        watch: Callable[[Setting, Status], None],
    ):
        self.source, self.targets, self.fixed, self.watch = source, targets, fixed, watch
        self.how = ", ".join(f"{key} {fixed[key]}" for key in ("encoding", "effort", "seed", "device"))

    def settings(self, signal: Signal) -> list[Setting]:
        """The targets as they were named."""
        return list(self.targets)

    def encode(self, signal: Signal, **target: Any) -> bytes:
        """What `nfcodec encode` writes."""
        return encode(self.source, **target, **self.fixed, on_progress=lambda status: self.watch(target, status)).data


class Finished(_Ours):
    """Files that are there already; their encode times are unknown."""

    how = "finished files"

    def __init__(self, files: Sequence[str | os.PathLike[str]]):
        self.files = [os.fspath(file) for file in files]

    def settings(self, signal: Signal) -> list[Setting]:
        """The files as they were named."""
        return [{"file": file} for file in self.files]

    def encode(self, signal: Signal, *, file: str) -> bytes:
        """Reads it."""
        return Path(file).read_bytes()
