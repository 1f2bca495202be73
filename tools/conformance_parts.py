"""Files of the conformance suite put together from the parts of goldens, sound or not."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from nfcodec import container, header
from nfcodec.binary import Reader, Writer
from nfcodec.container import DNET, FHDR, GRID, RANS, Chunk
from nfcodec.entropy.tables import laplace_tables

GOLDEN = Path(__file__).parents[1] / "spec" / "golden"


def data_of(name: str) -> bytes:
    """A golden file."""
    return (GOLDEN / f"{name}.nfld").read_bytes()


def chunks_of(name: str) -> list[Chunk]:
    return list(container.read(data_of(name)).chunks)


def split_levels(data: bytes) -> bytes:
    """The same field with one GRID chunk a level."""
    chunks = []
    for chunk in container.read(data).chunks:
        if chunk.type != GRID:
            chunks.append(chunk)
            continue
        reader = Reader(chunk.data)
        for level in range(chunk.key + 1):
            payload = reader.bytes(reader.varint())
            chunks.append(Chunk(GRID, level, RANS, Writer().varint(len(payload)).bytes(payload).getvalue()))
    return container.write(chunks)


def chunk_ends(data: bytes) -> list[int]:
    """Where the header and each chunk end."""
    lengths = [len(chunk.data) for chunk in container.read(data).chunks]
    return [len(data) - sum(lengths[k:]) for k in range(len(lengths) + 1)]


def assemble(
    chunks: list[Chunk], *, version: bytes = bytes([container.MAJOR, container.DRAFT]), features: int = 0, n_chunks: bytes | None = None,
    longer: int = 0,
) -> bytes:  # fmt: skip
    """The file of any chunks, sound or not, with every checksum right."""
    table = Writer()
    for c in chunks:
        table.u8(c.type).varint(c.key).u8(c.codec).varint(len(c.data)).u32(zlib.crc32(c.data))
    start = container.SIGNATURE + version + struct.pack("<H", features) + (n_chunks or Writer().varint(len(chunks)).getvalue())
    others = len(start) + len(table.getvalue()) + 4 + sum(len(c.data) for c in chunks)
    n = 1 if others + 1 < 128 else 2
    head = start + Writer().varint(others + n + longer).getvalue() + table.getvalue()
    return head + struct.pack("<I", zlib.crc32(head)) + b"".join(c.data for c in chunks)


def changed(name: str, kind: int, change) -> bytes:
    """A golden file with the content of a chunk, bytes -> bytes, changed."""
    return assemble([Chunk(c.type, c.key, c.codec, change(c.data)) if c.type == kind else c for c in chunks_of(name)])


def put(at: int, new: bytes):
    """The change that writes bytes over others."""
    return lambda data: data[:at] + new + data[at + len(new) :]


IMAGE = {
    "kind": b"\0", "flags": b"\xa1", "axes": b"\2", "channels": b"\1", "dtype": b"\0", "extent": b"\4\5", "range": b"",
    "encoding": b"\0", "interpolation": b"\0", "log2_size": b"\0", "levels": b"\2", "resolutions": b"\4\5", "features": b"\1\1",
    "steps": b"\xcd\x3d\x76\x3d", "shapes": b"", "activation": b"\1", "layers": b"\0",
}  # fmt: skip
TSDF = {
    **IMAGE, "kind": b"\3", "flags": b"\x3e", "axes": b"\3", "channels": b"\2", "dtype": b"\7", "extent": b"\4\4\4",
    "range": struct.pack("<2f", 0, 1), "origin": struct.pack("<3d", 0, 0, 0), "cell": struct.pack("<d", 1),
    "truncation": struct.pack("<f", 1), "knee": struct.pack("<f", 1), "roles": b"\2", "resolutions": b"\4\4\4",
}  # fmt: skip
ORDER = (
    "kind", "flags", "axes", "channels", "dtype", "extent", "range", "origin", "cell", "truncation", "knee", "roles", "encoding",
    "interpolation", "log2_size", "levels", "resolutions", "features", "steps", "shapes", "activation", "layers",
)  # fmt: skip


def header_bytes(pieces: dict[str, bytes], **changes: bytes) -> bytes:
    """FHDR of named pieces."""
    pieces = {**pieces, **changes}
    return b"".join(pieces.get(name, b"") for name in ORDER)


def image(**changes: bytes) -> bytes:
    """`tiny` with a changed header."""
    return changed("tiny", FHDR, lambda _: header_bytes(IMAGE, **changes))


def surface(**changes: bytes) -> bytes:
    """A header of a surface, before chunks that do not belong to it."""
    return changed("tiny", FHDR, lambda _: header_bytes(TSDF, **changes))


assert header_bytes(IMAGE) == chunks_of("tiny")[0].data
assert header.unpack_spec(header_bytes(TSDF)).roles == ("distance", "trim")


def stream(symbols: list[tuple[int, int]]) -> bytes:
    """The rANS stream of (start, frequency)s: `spec/entropy.md`, section 2."""
    x, words = 1 << 16, []
    for start, frequency in reversed(symbols):
        if x >= frequency << 18:
            words.append(x & 0xFFFF)
            x >>= 16
        x = (x // frequency << 14) + x % frequency + start
    return struct.pack(f"<I{len(words)}H", x, *reversed(words))


def raw(value: int, n: int) -> list[tuple[int, int]]:
    """Raw bits as symbols."""
    parts = []
    while n:
        m = min(n, 14)
        parts.append(((value & (1 << m) - 1) << 14 - m, 1 << 14 - m))
        value, n = value >> m, n - m
    return parts


def escape(ones: int) -> list[tuple[int, int]]:
    """An escape below with the scale 0, up to the 1s of its excess."""
    return [(0, int(laplace_tables().cumulative[1])), *raw(1, 1) * ones]


def network(symbols: list[tuple[int, int]]) -> bytes:
    """`tiny` with another stream in its network, whose scales are 0."""
    return changed("tiny", DNET, lambda data: data[:2] + b"\0\0" + stream(symbols))


def indices(symbols: list[tuple[int, int]]) -> bytes:
    """`image-codebook` with another stream of indices in its first level."""

    def change(data: bytes) -> bytes:
        reader = Reader(data)
        level = Reader(reader.bytes(reader.varint()))
        columns, coded = level.bytes(level.varint()), stream(symbols)
        first = Writer().varint(len(columns)).bytes(columns).varint(len(coded)).bytes(coded).getvalue()
        return Writer().varint(len(first)).bytes(first).bytes(reader.bytes(reader.left)).getvalue()

    return changed("image-codebook", GRID, change)


def level_0(change) -> bytes:
    """`tiny` with its first level, bytes -> bytes, changed."""

    def inner(data: bytes) -> bytes:
        reader = Reader(data)
        first = change(reader.bytes(reader.varint()))
        return Writer().varint(len(first)).bytes(first).bytes(reader.bytes(reader.left)).getvalue()

    return changed("tiny", GRID, inner)


def level_bytes_longer(data: bytes) -> bytes:
    """A file of one level with a byte more in it."""
    chunks = []
    for chunk in container.read(data).chunks:
        if chunk.type == GRID:
            reader = Reader(chunk.data)
            chunk = Chunk(GRID, chunk.key, RANS, block(reader.bytes(reader.varint()) + b"\0"))
        chunks.append(chunk)
    return assemble(chunks)


def block(data: bytes) -> bytes:
    return Writer().varint(len(data)).bytes(data).getvalue()
