"""Bytes <-> a list of chunks. This module knows nothing of fields; spec/container.md describes the same layout.

    8 B  89 "NFC" 0D 0A 1A 0A    signature
    u8   major, u8 minor         readers of major 0 accept their own draft only
    u16  required_features       a bit that the reader does not know makes it refuse the file
    varint n_chunks              1..1024
    varint file_length
    n_chunks x { u8 type, varint key, u8 codec, varint stored_length, u32 crc32 of the stored bytes }
    u32  crc32 of everything before it
    the stored bytes of every chunk in table order, without gaps

Lengths only, no offsets: overlaps, holes and pointers out of the file cannot be written down. Integers are little
endian, varints LEB128 in their shortest form (`nfcodec.binary`).
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from .binary import Reader, Writer, write_varint
from .errors import ChecksumError, FormatError, LimitError, TruncatedError, UnsupportedError, UsageError
from .spec import DRAFT

__all__ = [
    "ANCILLARY",
    "CTXN",
    "DNET",
    "FHDR",
    "FULL",
    "GRID",
    "META",
    "PART",
    "RANS",
    "RAW",
    "RESI",
    "SCNE",
    "SIGNATURE",
    "ZSTD",
    "Chunk",
    "Container",
    "content_of",
    "pack_zstd",
    "packed_chunk",
    "read",
    "unpack_zstd",
    "write",
]

SIGNATURE = b"\x89NFC\r\n\x1a\n"
MAJOR = 0
MAX_CHUNKS = 1024
MAX_KEY = (1 << 32) - 1
MAX_STORED = (1 << 32) - 1
KNOWN_FEATURES = 0  # no bit is assigned in this draft

# bits of a chunk's type
ANCILLARY = 0x80  # never affects samples: a reader that does not know the type ignores the chunk

# chunk types
FHDR = 1  # description of the field
DNET = 2  # decoder network
CTXN = 3  # context network
GRID = 4  # integers of one level; key = level, coarse first
FULL = 5  # all of the above, of a small field
RESI = 6  # what the field misses at the source's samples
SCNE = 7  # nodes of a scene, raw or zstd
PART = 8  # a whole file: one field of a scene; key = its number
META = 0xC0  # JSON, raw or zstd
CRITICAL_TYPES = {
    FHDR: "FHDR", DNET: "DNET", CTXN: "CTXN", GRID: "GRID", FULL: "FULL", RESI: "RESI", SCNE: "SCNE", PART: "PART",
}  # fmt: skip
TYPE_NAMES = {**CRITICAL_TYPES, META: "META"}

# codecs: how a chunk's owner turns its stored bytes into what they mean
RAW = 0
ZSTD = 1
RANS = 2
CODECS = (RAW, ZSTD, RANS)

ZSTD_LEVEL = 19
ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
MAX_ZSTD_WINDOW = 1 << 23  # 8 MiB, what RFC 8878 section 3.1.1.1.2 asks every decoder to support


@dataclass(frozen=True)
class Chunk:
    """One row of the table with its bytes. type: u8, key: u32, codec: one of CODECS, data: the bytes as stored."""

    type: int
    key: int
    codec: int
    data: bytes

    def __repr__(self) -> str:
        return f"Chunk({_name(self.type)}, key={self.key}, codec={self.codec}, {len(self.data)} B)"


@dataclass(frozen=True)
class Container:
    """What `read` found.

    chunks: in file order, only sound ones. file_length: what the header states, bytes. n_missing: chunks of the table
    that are not in `chunks` because the data end, or a checksum fails, before them (only with allow_truncated);
    missing: their types. warnings: one line for each ancillary chunk that was dropped.
    """

    chunks: tuple[Chunk, ...]
    file_length: int
    n_missing: int = 0
    warnings: tuple[str, ...] = ()
    missing: tuple[int, ...] = ()

    def get(self, type: int, key: int = 0) -> Chunk | None:
        """The chunk with this type and key, or None."""
        return next((chunk for chunk in self.chunks if (chunk.type, chunk.key) == (type, key)), None)

    def all(self, type: int) -> list[Chunk]:
        """The chunks of this type in file order."""
        return [chunk for chunk in self.chunks if chunk.type == type]


class _Row(NamedTuple):
    type: int
    key: int
    codec: int
    length: int
    crc: int


def write(chunks: Sequence[Chunk], required_features: int = 0) -> bytes:
    """The file that holds `chunks` in the given order. Raises UsageError for what `read` would refuse."""
    if not 1 <= len(chunks) <= MAX_CHUNKS:
        raise UsageError(f"writing a container: got {len(chunks)} chunks, expected 1 to {MAX_CHUNKS}")
    if len({(chunk.type, chunk.key) for chunk in chunks}) != len(chunks):
        raise UsageError("writing a container: got two chunks with one type and key, expected each pair once")
    if not 0 <= required_features <= 0xFFFF:
        raise UsageError(f"writing a container: got required_features {required_features}, expected 16 bits")
    table = Writer()
    for chunk in chunks:
        sound = 0 <= chunk.type <= 0xFF and 0 <= chunk.key <= MAX_KEY and chunk.codec in CODECS
        if not sound or len(chunk.data) > MAX_STORED:
            raise UsageError(f"writing a container: got {chunk!r}, expected a u8 type, u32 key, known codec, < 4 GiB")
        table.u8(chunk.type).varint(chunk.key).u8(chunk.codec).varint(len(chunk.data)).u32(zlib.crc32(chunk.data))
    start = Writer().bytes(SIGNATURE).u8(MAJOR).u8(DRAFT).u16(required_features).varint(len(chunks)).getvalue()
    rows = table.getvalue()
    others = len(start) + len(rows) + 4 + sum(len(chunk.data) for chunk in chunks)
    # the length counts the bytes of its own varint, which is a fixed point of at most 8 steps
    n_bytes = next(n for n in range(1, 9) if len(write_varint(others + n)) <= n)
    header = start + write_varint(others + n_bytes) + rows
    return b"".join([header, zlib.crc32(header).to_bytes(4, "little"), *(chunk.data for chunk in chunks)])


def read(data: bytes, allow_truncated: bool = False) -> Container:
    """The chunks of a file. A chunk's bytes are checked against their CRC but not interpreted.

    allow_truncated: where the data end early, or a critical chunk's checksum fails, return the sound chunks before
    that place instead of raising; the header and table must be whole in any case.
    Raises UnsupportedError (other draft, unknown feature, critical type or codec), TruncatedError, ChecksumError,
    LimitError, FormatError. Ancillary chunks that cannot be used are dropped with a warning.
    """
    data = bytes(data)
    rows, file_length, position = _read_table(data)
    if len(data) > file_length:
        raise FormatError(
            f"reading a container: got {len(data)} bytes, expected {file_length}; something was appended to the file",
            "trailing-bytes",
        )
    if len(data) < file_length and not allow_truncated:
        raise TruncatedError(
            f"reading a container: got {len(data)} of {file_length} bytes; the file is cut off: fetch it again, or "
            "allow truncation to read its coarse levels"
        )
    chunks, warnings = [], []
    for index, row in enumerate(rows):
        stored = data[position : position + row.length]
        position += row.length
        name = f"chunk {_name(row.type)} {row.key}"
        problem = None
        if len(stored) < row.length:
            return _cut_short(chunks, file_length, rows[index:], warnings)
        if zlib.crc32(stored) != row.crc:
            problem = f"reading {name}: got a wrong checksum, expected {row.crc:08x}; the file is damaged"
        elif row.codec not in CODECS:
            problem = f"reading {name}: got codec {row.codec}, expected one of {CODECS}"
        if problem is None:
            chunks.append(Chunk(row.type, row.key, row.codec, stored))
        elif row.type & ANCILLARY:
            warnings.append(f"{problem}; the chunk was dropped")
        elif allow_truncated:
            return _cut_short(chunks, file_length, rows[index:], [*warnings, problem])
        else:
            raise ChecksumError(f"{problem}: fetch it again")
    return Container(tuple(chunks), file_length, 0, tuple(warnings))


def _cut_short(chunks: list[Chunk], file_length: int, rows: list[_Row], warnings: list[str]) -> Container:
    """What is left of a file without the chunks of `rows`."""
    return Container(tuple(chunks), file_length, len(rows), tuple(warnings), tuple(row.type for row in rows))


def _read_table(data: bytes) -> tuple[list[_Row], int, int]:
    """Checks everything before the first chunk. Returns (rows, file_length, position of the first chunk)."""
    reader = Reader(data, "the container's header")
    if data[:8] != SIGNATURE:
        if data and SIGNATURE.startswith(data[:8]):
            raise TruncatedError(f"reading a container: got {len(data)} bytes, expected a header; the file is cut off")
        if data[:4] == SIGNATURE[:4]:
            raise FormatError(
                "reading a container: got a signature with changed line ends; copy the file in binary mode", "signature"
            )
        raise FormatError(
            f"reading a container: got {data[:8].hex(' ') or 'no bytes'}, expected an .nfld signature", "signature"
        )
    reader.bytes(8)
    major, minor = reader.u8(), reader.u8()
    if (major, minor) != (MAJOR, DRAFT):
        raise UnsupportedError(
            f"reading a container: got format {major}.{minor}, expected {MAJOR}.{DRAFT}; use the nfcodec that wrote it",
            "version",
        )
    features = reader.u16()
    n_chunks = reader.varint()
    if not 1 <= n_chunks <= MAX_CHUNKS:
        raise LimitError(f"reading a container: got {n_chunks} chunks, expected 1 to {MAX_CHUNKS}", "n-chunks")
    file_length = reader.varint()
    rows = [_Row(reader.u8(), reader.varint(), reader.u8(), reader.varint(), reader.u32()) for _ in range(n_chunks)]
    computed = zlib.crc32(data[: reader.position])
    if reader.u32() != computed:
        raise ChecksumError("reading a container: got a wrong checksum of the header; the file is damaged")
    _check_table(rows, features)
    if reader.position + sum(row.length for row in rows) != file_length:
        raise FormatError("reading a container: got chunk lengths that do not add up to the file's length", "length")
    return rows, file_length, reader.position


def _check_table(rows: list[_Row], features: int) -> None:
    for bit in range(16):
        if features & ~KNOWN_FEATURES & 1 << bit:
            raise UnsupportedError(
                f"reading a container: got required feature bit {bit}, which this reader lacks; use a newer nfcodec",
                "feature",
            )
    seen = set()
    for row in rows:
        if row.key > MAX_KEY or row.length > MAX_STORED:
            raise LimitError(f"reading a container: got key {row.key}, {row.length} bytes, expected u32", "chunk-limit")
        if (row.type, row.key) in seen:
            raise FormatError(
                f"reading a container: got chunk {_name(row.type)} {row.key} twice, expected it once", "chunk-duplicate"
            )
        seen.add((row.type, row.key))
        if row.type & ANCILLARY:
            continue
        if row.type not in CRITICAL_TYPES:
            raise UnsupportedError(
                f"reading a container: got critical chunk type {row.type}, unknown to this reader; use a newer nfcodec",
                "chunk-type",
            )
        if row.codec not in CODECS:
            raise UnsupportedError(
                f"reading a container: got codec {row.codec}, which this reader lacks; use a newer nfcodec", "codec"
            )


def _name(type: int) -> str:
    return TYPE_NAMES.get(type, str(type))


def pack_zstd(data: bytes) -> bytes:
    """One zstd frame that states its content size, without a checksum (the chunk has its own)."""
    import zstandard

    return zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(data)


def packed_chunk(type: int, content: bytes) -> Chunk:
    """The chunk of key 0 of a type that is raw or zstd, as which it is smaller."""
    packed = pack_zstd(content)
    return Chunk(type, 0, ZSTD, packed) if len(packed) < len(content) else Chunk(type, 0, RAW, content)


def content_of(chunk: Chunk, max_length: int) -> bytes:
    """What a chunk holds that is raw or zstd. Raises as `unpack_zstd`."""
    return chunk.data if chunk.codec == RAW else unpack_zstd(chunk.data, max_length)


def unpack_zstd(data: bytes, max_length: int) -> bytes:
    """The content of exactly one zstd frame of at most `max_length` bytes, which the frame must state.

    The sizes are checked before decompressing, because `max_output_size` is ignored where a frame declares its size.
    Raises FormatError, LimitError.
    """
    import zstandard  # where used: most files have nothing in it

    try:
        if data[:4] != ZSTD_MAGIC:  # also refuses skippable frames
            raise FormatError(f"decompressing: got {data[:4].hex(' ')}, expected a zstd frame", "zstd")
        if len(data) > 5 and not data[4] & 32 and (window := (8 + (data[5] & 7)) << 7 + (data[5] >> 3)) > MAX_ZSTD_WINDOW:
            raise LimitError(f"decompressing: got a window of {window} bytes, expected 8 MiB", "zstd-window")
        frame = zstandard.get_frame_parameters(data)
        if frame.content_size == zstandard.CONTENTSIZE_UNKNOWN or frame.dict_id:
            raise FormatError("decompressing: got a frame without its size or with a dictionary", "zstd")
        if frame.content_size > max_length:
            raise LimitError(f"decompressing: got {frame.content_size} bytes, expected up to {max_length}", "zstd-size")
        if frame.content_size == 0:
            # zstandard returns early for empty content without a look at the rest, so check it here: one empty block
            if frame.has_checksum or data[zstandard.frame_header_size(data) :] != b"\x01\x00\x00":
                raise FormatError("decompressing: got bytes after an empty frame, expected none", "zstd")
            return b""
        content = zstandard.ZstdDecompressor().decompress(data, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise FormatError(f"decompressing: got a damaged zstd frame ({error})", "zstd") from None
    if len(content) != frame.content_size:
        raise FormatError(f"decompressing: got {len(content)} bytes, expected {frame.content_size}", "zstd")
    return content
