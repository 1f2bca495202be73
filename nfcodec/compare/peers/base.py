"""What a peer is: another codec put through the same signal, one small file each."""

from __future__ import annotations

import importlib
import importlib.metadata
import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from ...spec import Mesh, Signal

__all__ = ["Peer", "Setting", "package_version", "text_of"]

Setting = dict[str, Any]  # JSON-able arguments of one `encode`; {} where there is nothing to set


class Peer(ABC):
    """A codec that is not ours, with its best sensible settings.

    Nothing heavy is imported before `encode`, `decode` or `version`. Files are whole: what a user would have on disk.
    Instances hold no state, so that a result depends on signal, setting and version alone.
    """

    name: str  # as shown, and the key of stored results
    needs: tuple[tuple[str, str], ...] = ()  # (module to import, name that pip knows), beyond the base installation
    how: str = ""  # one line: the settings that do not change, for the report
    aim: str = ""  # one line where its encoder minimises another error than the one that is measured here
    lossless: bool = False

    def missing(self) -> list[str]:
        """Names, as pip knows them, of the packages that cannot be imported."""
        return [package for module, package in self.needs if not _importable(module)]

    def refuses(self, signal: Signal) -> str | None:
        """Why this signal cannot be put through it, or None: 'JPEG holds 8 bits a sample'."""
        return None

    @abstractmethod
    def settings(self, signal: Signal) -> list[Setting]:
        """The ladder, small files first; all settings have the same keys."""

    def between(self, a: Setting, b: Setting) -> Setting | None:
        """A setting between two of the ladder, or None. Here: the middle of the one number in which they differ.

        Integers: the mean, rounded; floats: the geometric mean.
        """
        differing = [key for key in a if a[key] != b[key]]
        if len(differing) != 1:
            return None
        (key,) = differing
        x, y = a[key], b[key]
        if isinstance(x, int) and isinstance(y, int):
            middle: int | float = (x + y) // 2
        elif isinstance(x, float) and isinstance(y, float) and x > 0 and y > 0:
            middle = math.sqrt(x * y)
        else:
            return None
        return {**a, key: middle} if middle not in (x, y) else None

    @abstractmethod
    def encode(self, signal: Signal, **setting: Any) -> bytes:
        """The whole file."""

    @abstractmethod
    def decode(self, data: bytes, like: Signal) -> np.ndarray | Mesh:
        """Values (*extent, C) in the source's dtype, or a mesh in the source's coordinates.

        like: only what a file name or a container would tell is taken from it: extent, channels, dtype.
        """

    @abstractmethod
    def version(self) -> str:
        """Of the library that does the work, for the report: 'libjpeg-turbo 3.1.3 (Pillow 13.0.0)'."""


def text_of(setting: Setting) -> str:
    """`quality=85, effort=7`, or `-` where there is nothing to set."""
    parts = [f"{key}={value:.4g}" if isinstance(value, float) else f"{key}={value}" for key, value in setting.items()]
    return ", ".join(parts) or "-"


def package_version(package: str) -> str:
    """`Pillow 13.0.0`, by the name that pip knows."""
    return f"{package} {importlib.metadata.version(package)}"


def _importable(module: str) -> bool:
    try:
        importlib.import_module(module)
    except ImportError:
        return False
    return True
