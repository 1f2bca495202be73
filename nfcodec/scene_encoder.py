"""A mesh's file with several parts -> one .nfld file: a field for each geometry, and the nodes that place them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from . import decode, io
from .atomic import check_output, write_atomic
from .container import META, PART, RAW, SCNE, Chunk, packed_chunk, read, write
from .encoder import Encoded, Report, Status, encode
from .errors import FormatError, MissingExtraError, NfldError, UsageError
from .measure import measure_scene
from .pack import meta_chunk
from .scene import pack_nodes, rounded_nodes
from .spec import Signal

__all__ = ["EncodedScene", "encode_scene"]

_KEPT = ("colour", "level_db")  # of a part's metadata; the rest is that of its mesh in the source
_OF_A_WHOLE = ("size", "bpp", "lossless")  # goals that parts do not share out


@dataclass(frozen=True)
class EncodedScene:
    """The result of `encode_scene`. report: of all parts as one mesh; parts: for each field what `encode` gave; n_parts:
    how often they are placed; met, target, reached: as `Encoded`, of the first part that missed the target."""

    data: bytes
    report: Report
    parts: list[Encoded]
    n_nodes: int
    n_parts: int
    encoding: str
    source_bytes: int
    seconds: float
    met: bool
    target: str | None
    reached: str | None
    signal: Signal = field(repr=False)  # all parts as one mesh

    kind = "scene"

    @property
    def bpp(self) -> float:
        """Bits a vertex of the source."""
        return 8 * len(self.data) / len(self.signal.mesh.vertices)


def encode_scene(
    source: str | os.PathLike,
    output: str | os.PathLike | None = None,
    *,
    overwrite: bool = False,
    time_limit: float | None = None,
    on_progress: Callable[[Status], None] | None = None,
    read_options: dict[str, Any] | None = None,
    **options: Any,
) -> EncodedScene:
    """Fits a field to each part of a mesh's file and writes them as one scene: the nodes of a glTF scene with
    their names, the objects of an OBJ file, or of a single mesh the pieces that no vertex joins. The same geometry is
    fitted and stored once.

    options: as of `encode`, and goals are those of each part, relative to its own diagonal; size, bpp and lossless do not
    apply. read_options: texture alone. Raises as `encode`.
    """
    start = time.monotonic()
    wrong = [name for name in _OF_A_WHOLE if options.get(name)]
    if wrong:
        raise UsageError(
            f"encoding a scene: got the goal {wrong[0]}, expected quality, psnr or max_error, which each part has"
        )
    if output is not None:
        check_output(output, overwrite)
    found = io.read_scene(source, **(read_options or {}))
    pack_nodes(found.nodes, len(found.signals))  # before the long work: it says what a file cannot hold
    corners = [np.stack([(v := signal.mesh.vertices).min(axis=0), v.max(axis=0)]) for signal in found.signals]
    nodes = pack_nodes(rounded_nodes(found.nodes, corners), len(corners))
    whole = io.read(source, **(read_options or {}))
    parts = []
    for number, signal in enumerate(found.signals):
        left = (
            None if time_limit is None else max(time_limit - time.monotonic() + start, 1e-3) / (len(found.signals) - number)
        )
        parts.append(_encode_part(signal, options | {"time_limit": left}, _told(on_progress, number, len(found.signals))))
    chunks = [packed_chunk(SCNE, nodes)]
    chunks += [Chunk(PART, number, RAW, _bare(part.data)) for number, part in enumerate(parts)]
    data = write([*chunks, meta_chunk(found.meta)])
    scene = decode.open(data)
    report = measure_scene(scene, whole, found.signals)
    if output is not None:
        write_atomic(output, data, overwrite)
    missed = next((part for part in parts if not part.met), parts[0])
    return EncodedScene(
        data=data,
        report=report,
        parts=parts,
        n_nodes=len(found.nodes),
        n_parts=len(scene.parts),
        encoding=parts[0].encoding,
        source_bytes=os.path.getsize(source),
        seconds=time.monotonic() - start,
        met=missed.met,
        target=missed.target,
        reached=missed.reached,
        signal=whole,
    )


def _encode_part(signal: Signal, options: dict[str, Any], on_progress: Callable[[Status], None] | None) -> Encoded:
    """One field; its errors say of which part they are."""
    try:
        return encode(signal, on_progress=on_progress, **options)
    except (FormatError, MissingExtraError):
        raise
    except NfldError as error:
        name = signal.meta["source"]
        raise (error if name in str(error) else type(error)(f"{name}: {error}")) from error


def _bare(data: bytes) -> bytes:
    """A part's file with only those of its metadata that are its own."""
    field = decode.open(data)
    meta = {key: field.meta[key] for key in _KEPT if key in field.meta}
    chunks = [chunk for chunk in read(data).chunks if chunk.type != META]
    return write([*chunks, meta_chunk(meta)] if meta else chunks)


def _told(on_progress: Callable[[Status], None] | None, number: int, n: int) -> Callable[[Status], None] | None:
    """The callback of one part of n: fractions are those of all."""
    if on_progress is None:
        return None
    return lambda status: on_progress(
        replace(status, phase=f"part {number + 1}/{n}, {status.phase}", fraction=(number + status.fraction) / n)
    )
