"""The table of peers: what every signal is compared with, by kind of signal.

A peer is one small file beside this one and one row here; the rest of the comparison knows only `base.Peer`.
"""

from __future__ import annotations

from ...spec import SURFACE_KINDS
from .avif import Avif
from .base import Peer, Setting, package_version, text_of
from .jpeg import Jpeg
from .jpeg2000 import Jpeg2000
from .jpegxl import JpegXl
from .png import Png
from .webp import WebP

__all__ = ["Peer", "Setting", "package_version", "peers_of", "text_of"]

IMAGES: tuple[Peer, ...] = (Png(), Jpeg("4:2:0"), Jpeg("4:4:4"), WebP(), Jpeg2000(), Avif(), JpegXl())
SURFACES: tuple[Peer, ...] = ()
VOLUMES: tuple[Peer, ...] = ()


def peers_of(kind: str) -> tuple[Peer, ...]:
    """All peers for signals of a kind (a key of spec.KINDS), installed or not."""
    if kind in SURFACE_KINDS:
        return SURFACES
    return IMAGES if kind == "image" else VOLUMES
