"""The table of peers: what every signal is compared with, by kind of signal.

A peer is one small file beside this one and one row here; the rest of the comparison knows only `base.Peer`.
"""

from __future__ import annotations

from ...spec import SURFACE_KINDS
from .avif import Avif
from .base import Peer, Setting, package_version, text_of
from .block_means import BlockMeans
from .blosc2 import Blosc2
from .draco import Draco
from .interchange import Interchange
from .jpeg import Jpeg
from .jpeg2000 import Jpeg2000
from .jpegxl import JpegXl
from .meshoptimizer import Meshoptimizer
from .png import Png
from .raw import RawZstd
from .simplify import SimplifyDraco
from .sperr import Sperr
from .sz3 import Sz3
from .tthresh import Tthresh
from .voxels import DenseVoxels, SparseVoxels
from .webp import WebP
from .zfp import Zfp

__all__ = ["Peer", "Setting", "package_version", "peers_of", "text_of"]

IMAGES: tuple[Peer, ...] = (Png(), Jpeg("4:2:0"), Jpeg("4:4:4"), WebP(), Jpeg2000(), Avif(), JpegXl())
SURFACES: tuple[Peer, ...] = (
    *(Interchange(format) for format in ("obj", "stl", "ply", "glb")),
    Draco(),
    Meshoptimizer(),
    SimplifyDraco(),
    *(DenseVoxels(values) for values in ("half", "int8")),
    *(SparseVoxels(values) for values in ("half", "int8")),
)
VOLUMES: tuple[Peer, ...] = (RawZstd(), Blosc2(), Zfp(), Sz3(), Sperr(), Tthresh(), BlockMeans())


def peers_of(kind: str) -> tuple[Peer, ...]:
    """All peers for signals of a kind (a key of spec.KINDS), installed or not."""
    if kind in SURFACE_KINDS:
        return SURFACES
    return IMAGES if kind == "image" else VOLUMES
