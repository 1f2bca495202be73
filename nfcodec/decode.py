"""Bytes, path or stream -> `Field`. The only way in; never imports torch."""

from __future__ import annotations

import builtins
import json
import math
import os
from typing import Any, BinaryIO

from . import container, header
from .binary import Reader
from .container import CTXN, DNET, FHDR, GRID, META, Chunk, Container
from .encodings import LevelData, load
from .entropy.context import ContextNet
from .errors import FormatError, LimitError, TruncatedError, UsageError
from .field import Field
from .spec import MAX_GRID_INTEGERS, FieldSpec

MAX_META_LENGTH = 1 << 20


def open(source: str | os.PathLike | bytes | BinaryIO, *, allow_truncated: bool = False) -> Field:
    """Opens a .nfld file.

    source: a path, the bytes themselves, or a binary stream. allow_truncated: of a file cut short, give the levels
    that are complete instead of an error; at least the coarsest must be. Raises FormatError (or one of its kin) on
    bytes that are no sound file, UnsupportedError on a file for another version, UsageError when it cannot be read.
    """
    return from_container(container.read(read_bytes(source), allow_truncated=allow_truncated))


def read_bytes(source: str | os.PathLike | bytes | BinaryIO) -> bytes:
    """The whole content of a path, stream or bytes."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source)
    if hasattr(source, "read"):
        return source.read()
    try:
        with builtins.open(source, "rb") as file:
            return file.read()
    except OSError as err:
        raise UsageError(f"opening {os.fspath(source)}: {err.strerror or err}; give the path of a .nfld file") from err


def from_container(parts: Container) -> Field:
    """Decodes the chunks of a file that `container.read` has checked."""
    chunks: dict[int, list[Chunk]] = {}
    for chunk in parts.chunks:
        chunks.setdefault(chunk.type, []).append(chunk)
    spec = header.unpack_spec(_single(chunks, FHDR, "FHDR").data)
    check_size(spec)
    mlp = header.unpack_mlp(spec.mlp, _single(chunks, DNET, "DNET").data)
    net = ContextNet.from_bytes(_single(chunks, CTXN, "CTXN").data) if CTXN in chunks else None
    encoding = load(spec.grid.encoding)

    levels: list[LevelData] = []
    sizes = []
    for chunk in chunks.get(GRID, []):
        # a chunk's key is its last level; it holds the levels since the chunk before
        if not len(levels) <= chunk.key < spec.grid.n_levels:
            raise FormatError(f"reading levels: got a chunk up to level {chunk.key} after {len(levels)} levels", "grid-order")
        reader = Reader(chunk.data)
        while len(levels) <= chunk.key:
            data = reader.bytes(reader.varint())
            levels.append(encoding.decode_level(spec.grid, levels, len(levels), data, net))
            sizes.append(len(data))
        reader.done()
    if not levels:
        raise TruncatedError("reading levels: got no complete level, expected at least the coarsest")
    if len(levels) < spec.grid.n_levels and not parts.n_missing:
        raise FormatError(f"reading levels: got {len(levels)}, expected {spec.grid.n_levels}", "grid-count")

    meta = _meta(chunks[META][0]) if META in chunks else {}
    stored = {c.type: len(c.data) for c in parts.chunks}
    report = {
        "file_bytes": parts.file_length,
        "network_bytes": stored[DNET],
        "context_bytes": stored.get(CTXN, 0),
        "level_bytes": sizes,
        "meta_bytes": stored.get(META, 0),
        "header_bytes": parts.file_length - sum(len(c.data) for c in parts.chunks if c.type != FHDR) if not parts.n_missing else 0,
        "complete": not parts.n_missing,
        "warnings": list(parts.warnings),
    }
    return Field(spec, encoding(spec.grid, levels, spec.steps), mlp, meta, report)


def check_size(spec: FieldSpec) -> None:
    """Refuses a header whose levels would need more integers than the format allows."""
    encoding = load(spec.grid.encoding)
    total = 0
    for level in range(spec.grid.n_levels):
        total += sum(math.prod(shape) for shape in encoding.level_shapes(spec.grid, level).values())
        if total > MAX_GRID_INTEGERS:
            raise LimitError(f"reading the field header: got more than {MAX_GRID_INTEGERS} grid integers", "limit-grid-integers")


def _single(chunks: dict[int, list[Chunk]], kind: int, name: str) -> Chunk:
    found = chunks.get(kind, [])
    if len(found) != 1:
        raise FormatError(f"reading chunks: got {len(found)} of type {name}, expected 1", "chunk-count")
    return found[0]


def _meta(chunk: Chunk) -> dict[str, Any]:
    """Metadata never affects samples, so what cannot be read is dropped."""
    try:
        data = container.unpack_zstd(chunk.data, MAX_META_LENGTH)
        meta = json.loads(data.decode("utf-8"))
    except (FormatError, ValueError, RecursionError):
        return {}
    return meta if isinstance(meta, dict) else {}
