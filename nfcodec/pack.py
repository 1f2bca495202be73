"""Integers of a field -> the bytes of a file; `nfcodec.decode` is the way back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from . import container, header
from .binary import Writer
from .container import CTXN, DNET, FHDR, FULL, GRID, META, RANS, RAW, RESI, Chunk
from .encodings import LevelData, load
from .entropy.context import ContextNet
from .single import pack_single
from .spec import FieldSpec

_SMALL_CHUNK = 3584  # bytes; coarse levels share a chunk until it is this large, which saves a table row each
_SINGLE_CHUNK = 8192  # bytes of levels up to which a field may be one chunk: no prefix of it is of use


@dataclass
class Frozen:
    """A fitted field in integers: all that a file needs beside its spec and metadata.

    levels: as the encoding keeps them. tensors, shifts: the network's, in the order of `header.mlp_shapes`.
    context: the context network, or None for encodings without.
    """

    levels: list[LevelData]
    tensors: list[np.ndarray]
    shifts: list[int]
    context: ContextNet | None = None


def pack(
    spec: FieldSpec,
    frozen: Frozen,
    meta: dict[str, Any] | None = None,
    residual: bytes | None = None,
    *,
    compact: bool = False,
) -> bytes:
    """The whole file. residual: the content of RESI, of `residual.pack_residual`. compact: whether a small field without
    one may come as one chunk, where that is smaller."""
    chunks = _chunks(spec, frozen)
    grids = [len(chunk.data) for chunk in chunks if chunk.type == GRID]
    is_small = len(grids) == 1 and grids[0] <= _SINGLE_CHUNK
    if compact and is_small and residual is None and spec.grid.encoding == "dense":
        levels = [level["latents"] for level in frozen.levels]
        data = pack_single(spec, levels, frozen.tensors, frozen.shifts, frozen.context)
        if len(data) < sum(len(chunk.data) for chunk in chunks):
            chunks = [Chunk(FULL, 0, RANS, data)]
    if residual is not None:
        chunks.append(Chunk(RESI, 0, RANS, residual))
    if meta:
        chunks.append(meta_chunk(meta))
    return container.write(chunks)


def with_meta(data: bytes, meta: dict[str, Any]) -> bytes:
    """The file that `pack` gives with these metadata, from one that has others."""
    return container.write([*(chunk for chunk in container.read(data).chunks if chunk.type != META), meta_chunk(meta)])


def meta_chunk(meta: dict[str, Any]) -> Chunk:
    """Metadata as a chunk, compressed where that is smaller."""
    text = json.dumps(meta, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode("utf-8")
    return container.packed_chunk(META, text)


def _chunks(spec: FieldSpec, frozen: Frozen) -> list[Chunk]:
    """The critical chunks of the field, a part each."""
    chunks = [
        Chunk(FHDR, 0, RAW, header.pack_spec(spec)),
        Chunk(DNET, 0, RANS, header.pack_mlp(frozen.tensors, frozen.shifts)),
    ]
    if frozen.context is not None:
        chunks.append(Chunk(CTXN, 0, RANS, frozen.context.to_bytes()))
    encoding, writer, size = load(spec.grid.encoding), Writer(), 0
    for level in range(spec.grid.n_levels):
        data = encoding.encode_level(spec.grid, frozen.levels, level, frozen.context)
        writer.varint(len(data)).bytes(data)
        size += len(data)
        if size >= _SMALL_CHUNK or level == spec.grid.n_levels - 1:
            chunks.append(Chunk(GRID, level, RANS, writer.getvalue()))
            writer, size = Writer(), 0
    return chunks
