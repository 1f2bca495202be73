"""Bytes, path or stream -> `Field`, or `Scene` of several. The only way in; never imports torch."""

from __future__ import annotations

import builtins
import itertools
import math
import os
from typing import TYPE_CHECKING, Any, BinaryIO

from . import container, header
from .binary import Reader
from .container import (
    ANCILLARY,
    CTXN,
    DNET,
    FHDR,
    FULL,
    GRID,
    META,
    PART,
    RANS,
    RAW,
    RESI,
    SCNE,
    ZSTD,
    Chunk,
    Container,
)  # fmt: skip
from .encodings import Encoding, LevelData, load
from .entropy.context import ContextNet
from .errors import FormatError, LimitError, TruncatedError, UsageError
from .field import Field
from .limits import MAX_GRID_INTEGERS, MAX_SCENE_BYTES
from .mlp import Mlp
from .residual import Residual, unpack_residual
from .single import unpack_single
from .spec import SURFACE_KINDS, FieldSpec

if TYPE_CHECKING:
    from .scene import Scene

MAX_META_LENGTH = 1 << 20
MAX_META_DEPTH = 16
# critical chunks come in this order, so that a reader can begin before the end
ORDER = (FHDR, DNET, CTXN, GRID, FULL, RESI, SCNE, PART)
CHUNK_CODECS = {
    FHDR: (RAW,), DNET: (RANS,), CTXN: (RANS,), GRID: (RANS,), FULL: (RANS,), RESI: (RANS,),
    SCNE: (RAW, ZSTD), PART: (RAW,),
}  # fmt: skip


def open(source: str | os.PathLike | bytes | BinaryIO, *, allow_truncated: bool = False) -> Field | Scene:
    """Opens a .nfld file: a field, or a scene of several.

    source: a path, the bytes themselves, or a binary stream. allow_truncated: of a file cut short, give the levels
    that are complete instead of an error; at least the coarsest must be, of a scene one field. Raises FormatError (or one
    of its kin) on bytes that are no sound file, UnsupportedError on a file for another version, UsageError when it cannot
    be read.
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
    except (OSError, ValueError) as err:
        reason = getattr(err, "strerror", None) or err
        raise UsageError(f"opening {os.fspath(source)}: {reason}; give the path of a .nfld file") from err


def from_container(parts: Container) -> Field | Scene:
    """Decodes the chunks of a file that `container.read` has checked."""
    _check_order(parts.chunks)
    if parts.all(SCNE) or SCNE in parts.missing or parts.all(PART) or PART in parts.missing:
        return _scene(parts)
    return _one_field(parts, Budget())


def _one_field(parts: Container, budget: Budget) -> Field:
    """The field of a file that holds one, its chunks in order."""
    if parts.all(FULL) or FULL in parts.missing:
        return _from_single(parts, budget)
    spec = header.unpack_spec(_single(parts, FHDR, "FHDR").data)
    budget.take(spec)
    encoding = load(spec.grid.encoding)
    mlp = header.unpack_mlp(spec.mlp, _single(parts, DNET, "DNET").data)
    if not encoding.uses_context and parts.all(CTXN):
        raise FormatError(f"reading chunks: got a context network, which {spec.grid.encoding} has not", "chunk-count")
    net = _context(parts, spec) if encoding.uses_context else None

    levels: list[LevelData] = []
    sizes = []
    for chunk in parts.all(GRID):
        # a chunk's key is its last level; it holds the levels since the chunk before
        if not len(levels) <= chunk.key < spec.grid.n_levels:
            raise FormatError(
                f"reading levels: got a chunk up to level {chunk.key} after {len(levels)} levels", "grid-order"
            )
        reader = Reader(chunk.data, "levels")
        while len(levels) <= chunk.key:
            data = reader.bytes(reader.varint())
            levels.append(encoding.decode_level(spec.grid, levels, len(levels), data, net))
            sizes.append(len(data))
        reader.done()
    is_cut = GRID in parts.missing
    if not levels and is_cut:
        raise TruncatedError("reading levels: got no complete level, expected at least the coarsest")
    if not levels:
        raise FormatError("reading chunks: got no GRID, expected at least one", "chunk-count")
    if len(levels) < spec.grid.n_levels and not is_cut:
        raise FormatError(f"reading levels: got {len(levels)}, expected {spec.grid.n_levels}", "grid-count")

    stored = {c.type: len(c.data) for c in parts.chunks}
    sizes = {
        "network_bytes": stored[DNET],
        "context_bytes": stored.get(CTXN, 0),
        "level_bytes": sizes,
    }
    grid_bytes = sum(len(c.data) for c in parts.all(GRID))
    grid = encoding(spec.grid, levels, spec.steps)
    residual = None
    if parts.all(RESI):
        residual = unpack_residual(spec, grid, mlp, _single(parts, RESI, "RESI").data)
    return _field(parts, spec, mlp, grid, sizes, grid_bytes, residual)


def _context(parts: Container, spec: FieldSpec) -> ContextNet:
    """The network of CTXN, which must be one for the field's dense levels."""
    net = ContextNet.from_bytes(_single(parts, CTXN, "CTXN").data)
    dense = next(part for part in spec.grid.parts if load(part.encoding).uses_context)
    if net.n_dims != spec.n_dims or net.multi != (max(dense.n_features) > 1):
        raise FormatError("reading chunks: got a context network for levels of another kind than the file's", "context-net")
    return net


def _from_single(parts: Container, budget: Budget) -> Field:
    """The field of a file that holds it in one chunk."""
    if any(not chunk.type & ANCILLARY and chunk.type != FULL for chunk in parts.chunks):
        raise FormatError(
            "reading chunks: got FULL beside chunks of a field in parts, expected one or the other", "chunk-count"
        )
    spec, mlp, levels, sizes = unpack_single(_single(parts, FULL, "FULL").data, budget.take)
    grid = load(spec.grid.encoding)(spec.grid, levels, spec.steps)
    return _field(parts, spec, mlp, grid, sizes, sum(sizes["level_bytes"]), None)


def _field(
    parts: Container,
    spec: FieldSpec,
    mlp: Mlp,
    grid: Encoding,
    sizes: dict[str, Any],
    grid_bytes: int,
    residual: Residual | None,
) -> Field:
    """The field with its metadata and the account of its bytes."""
    meta, warnings = _metadata(parts)
    if RESI in parts.missing:
        warnings.append("reading the residual: got a file cut short before its end; values are the field's alone")
    meta_bytes = sum(len(c.data) for c in parts.all(META))
    residual_bytes = sum(len(c.data) for c in parts.all(RESI))
    known = sizes["network_bytes"] + sizes["context_bytes"] + grid_bytes + residual_bytes + meta_bytes
    report = {
        "file_bytes": parts.file_length,
        **sizes,
        "residual_bytes": residual_bytes,
        "meta_bytes": meta_bytes,
        "header_bytes": 0 if parts.n_missing else parts.file_length - known,
        "complete": not parts.n_missing,
        "warnings": warnings,
    }
    return Field(spec, grid, mlp, meta, report, residual)


class Budget:
    """The integers of levels that a file may still have."""

    def __init__(self) -> None:
        self.left = MAX_GRID_INTEGERS

    def take(self, spec: FieldSpec) -> None:
        """Refuses a header whose levels would need more integers than the format allows."""
        encoding = load(spec.grid.encoding)
        for level in range(spec.grid.n_levels):
            self.left -= sum(math.prod(shape) for shape in encoding.level_shapes(spec.grid, level).values())
            if self.left < 0:
                raise LimitError(
                    f"reading the field header: got more than {MAX_GRID_INTEGERS} grid integers", "limit-grid-integers"
                )


def _scene(parts: Container) -> Scene:
    """The scene of a file that holds one: spec/scene.md, section 1."""
    from .scene import Scene, unpack_nodes  # most files hold one field

    if any(not chunk.type & ANCILLARY and chunk.type not in (SCNE, PART) for chunk in parts.chunks):
        raise FormatError("reading chunks: got a scene beside chunks of a field, expected one or the other", "chunk-count")
    nodes, n_fields = unpack_nodes(container.content_of(_single(parts, SCNE, "SCNE"), MAX_SCENE_BYTES))
    fields: list[Field | None] = []
    budget = Budget()
    for number, chunk in enumerate(parts.all(PART)):
        if chunk.key != number or number >= n_fields:
            raise FormatError(f"reading a scene: got the part {chunk.key} after {number} of {n_fields}", "part-order")
        fields.append(_part(chunk, budget))
    is_cut = PART in parts.missing
    if not fields and is_cut:
        raise TruncatedError("reading a scene: got no complete field, expected at least one")
    if len(fields) < n_fields and not is_cut:
        raise FormatError(f"reading a scene: got {len(fields)} fields, expected {n_fields}", "part-count")
    meta, warnings = _metadata(parts)
    warnings += [f"field {k}: {text}" for k, field in enumerate(fields) for text in field.sizes["warnings"]]
    part_bytes = [len(chunk.data) for chunk in parts.all(PART)]
    meta_bytes = sum(len(c.data) for c in parts.all(META))
    sizes = {
        "file_bytes": parts.file_length,
        "part_bytes": part_bytes,
        "meta_bytes": meta_bytes,
        "header_bytes": 0 if parts.n_missing else parts.file_length - sum(part_bytes) - meta_bytes,
        "complete": not parts.n_missing,
        "warnings": warnings,
    }
    return Scene(nodes, fields + [None] * (n_fields - len(fields)), meta, sizes)


def _part(chunk: Chunk, budget: Budget) -> Field:
    """The field of a scene's part, which is a whole file."""
    inner = container.read(chunk.data)
    _check_order(inner.chunks)
    if inner.all(SCNE) or inner.all(PART):
        raise FormatError(f"reading part {chunk.key}: got a scene in a scene, expected a field", "part-nested")
    field = _one_field(inner, budget)
    if field.kind not in SURFACE_KINDS:
        raise FormatError(f"reading part {chunk.key}: got the kind {field.kind}, expected a surface", "part-kind")
    return field


def _check_order(chunks: tuple[Chunk, ...]) -> None:
    critical = [chunk for chunk in chunks if not chunk.type & ANCILLARY]
    for chunk in critical:
        if chunk.codec not in (codecs := CHUNK_CODECS[chunk.type]):
            expected = " or ".join(map(str, codecs))
            raise FormatError(f"reading chunks: got {chunk!r}, expected codec {expected}", "chunk-codec")
    places = [ORDER.index(chunk.type) for chunk in critical]
    if places != sorted(places):
        raise FormatError("reading chunks: got another order than FHDR, DNET, CTXN, GRID, RESI; SCNE, PART", "chunk-order")


def _single(parts: Container, kind: int, name: str) -> Chunk:
    """The only chunk of its type, whose key is 0."""
    found = parts.all(kind)
    if not found and kind in parts.missing:
        raise TruncatedError(f"reading chunks: got no whole {name}, the file is cut off before it; fetch it again")
    if len(found) != 1 or found[0].key:
        keys = [chunk.key for chunk in found]
        raise FormatError(f"reading chunks: got {name} with keys {keys}, expected one with key 0", "chunk-count")
    return found[0]


def _metadata(parts: Container) -> tuple[dict[str, Any], list[str]]:
    """The metadata, and what was dropped on the way, a line each."""
    warnings = list(parts.warnings)
    if chunk := parts.get(META):
        try:
            return _meta(chunk), warnings
        except (FormatError, ValueError, RecursionError) as error:  # metadata never affects samples
            warnings.append(f"reading metadata: got something else than a JSON object ({error}); it was dropped")
    return {}, warnings


def _meta(chunk: Chunk) -> dict[str, Any]:
    """The metadata; FormatError, ValueError or RecursionError where they are anything but a JSON object."""
    if chunk.codec not in (RAW, ZSTD) or len(chunk.data) > MAX_META_LENGTH:
        raise ValueError(f"{len(chunk.data)} bytes of codec {chunk.codec}")
    text = container.content_of(chunk, MAX_META_LENGTH)
    import json  # many files have no metadata

    meta = json.loads(text.decode("utf-8"))
    if not isinstance(meta, dict):
        raise ValueError(type(meta).__name__)
    _check_json(meta, MAX_META_DEPTH)
    return meta


def _check_json(value: Any, depth: int) -> None:
    """Python's parser takes NaN, 1e999, lone surrogates and any depth, which others cannot write out again."""
    if isinstance(value, (dict, list)):
        if depth == 0:
            raise ValueError(f"nested more than {MAX_META_DEPTH} deep")
        for inner in itertools.chain(value, value.values()) if isinstance(value, dict) else value:
            _check_json(inner, depth - 1)
    elif isinstance(value, str):
        value.encode("utf-8")
    elif isinstance(value, float) and not math.isfinite(value):
        raise ValueError(f"the number {value}")
