"""The files of the conformance suite: sound fields that the goldens leave out, and files that break one rule each."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import make_goldens as goldens
import numpy as np
from make_goldens import Case, pyramid

import nfcodec
from nfcodec import container, header
from nfcodec.binary import Reader, Writer
from nfcodec.container import CTXN, DNET, FHDR, GRID, META, RANS, RAW, RESI, ZSTD, Chunk
from nfcodec.entropy.streams import encode_columns
from nfcodec.entropy.tables import laplace_tables
from nfcodec.pack import Frozen, pack
from nfcodec.residual import Head

GOLDEN = Path(__file__).parents[1] / "spec" / "golden"

VALID = (
    Case("one-cell-1d", "volume", (1,), ((1,),), n_hidden_layers=0, context_layers=0),
    Case("one-cell-4d", "volume", (1, 1, 1, 1), ((1, 1, 1, 1),), 2, dtype="i1", scale=(100.0,), clip=False),
    Case("one-cell-cubic", "image", (5, 3), ((1, 1), (1, 3)), interpolation="cubic"),
    Case("long-line", "volume", (301,), pyramid((301,), 6), dtype="u4", scale=(4294967295.0,), spread=6.0),
    Case("channels-16", "volume", (3, 4), ((3, 4),), 16, dtype="i4", offset=(-1e6,), scale=(2e6,), n_features=(2,)),
    Case("features-16", "image", (6, 5), ((3, 3), (6, 5)), n_features=(16, 16), interpolation="mitchell", shapes=((0.5, 0.25), (1.0, -2.0))),
    Case("levels-32", "image", (4, 4), ((2, 1),) * 32),
    Case("hidden-15", "image", (6, 6), ((3, 3), (6, 6)), n_hidden_layers=15, n_neurons=3),
    Case("wide-layer", "image", (4, 4), ((2, 2),), n_neurons=300),
    Case("context-3-layers", "volume", (5, 6, 7), ((3, 3, 4), (5, 6, 7)), n_features=(2, 1), context_layers=3),
    Case("downhill", "image", (8, 9), ((4, 5), (8, 9)), offset=(200.0,), scale=(-150.0,)),
    Case("knee-clip", "volume", (7, 9), ((4, 5), (7, 9)), dtype="f8", offset=(1.0,), scale=(50.0,), knee=2.0),
    Case("far-integers", "image", (6, 7), ((3, 4), (6, 7)), spread=2.0**23, context_layers=0),
    Case("masks", "volume", (13, 14, 15), pyramid((13, 14, 15), 3), sparse=True, empty=(1,)),
    Case("hash-3-of-4", "volume", (5, 5, 5, 5), ((2, 2, 2, 2), (3, 3, 3, 3), (5, 5, 5, 5)), n_features=(1, 2, 1), encoding="hash", log2_size=6),
    Case("hash-one-row", "image", (5, 5), ((5, 5),), encoding="hash", log2_size=0),
    Case("codebook-one-row", "image", (5, 5), ((5, 5),), encoding="codebook", log2_size=0),
    Case("four-parts", "volume", (6, 5, 4), ((3, 3, 2), (6, 5, 4)), encoding="hash", log2_size=5, n_features=(1, 2), before=(("identity", {}), ("frequency", {"n_frequencies": 3}), ("spherical-harmonics", {"degree": 4})), activation="tanh"),
    Case("boundaries-4d", "volume", (4, 5, 3, 4), ((2, 3, 2, 2), (4, 5, 3, 4)), boundary=("wrap", "reflect", "clamp", "wrap")),
    Case("codebook-reflect", "image", (9, 7), ((5, 4), (9, 7)), encoding="codebook", log2_size=3, interpolation="cubic", boundary=("reflect", "wrap")),
    Case("smoothstep-1d", "volume", (17,), ((5,), (17,)), interpolation="smoothstep", boundary=("reflect",)),
    Case("cp-wrap", "image", (9, 8), ((5, 4), (9, 8)), n_features=(2, 3), encoding="cp", interpolation="mitchell", shapes=((0.5, 0.25), (0.0, 0.5)), boundary=("wrap", "clamp"), spread=8.0),
    Case("points-and-hash", "volume", (6, 5, 4), ((6, 5, 4),), encoding="points", log2_size=5, n_features=(2,), before=(("identity", {}),)),
    Case("mesh-and-dense", "volume", (5, 6, 4), ((3, 3, 2), (5, 6, 4)), encoding="mesh", log2_size=3, n_features=(1, 2), before=(("frequency", {"n_frequencies": 2}),)),
    Case("residual-triplane", "volume", (6, 5, 7), ((3, 3, 4), (6, 5, 7)), n_features=(1, 2), encoding="triplane", joining="sum", interpolation="smoothstep", residual=Head(1, 0, detail_shift=11)),
    Case("residual-planes", "volume", (6, 5, 7), ((3, 3, 4), (6, 5, 7)), n_features=(1, 2), encoding="triplane", joining="concatenation", boundary=("wrap", "clamp", "reflect"), residual=Head(1, 0, detail_shift=11)),
    Case("residual-kplanes", "volume", (3, 4, 3, 2), ((3, 2, 3, 2),), n_features=(2,), encoding="kplanes", interpolation="nearest", spread=8.0, residual=Head(1, 0, detail_shift=11)),
    Case("residual-vm", "image", (9, 8), ((5, 8),), n_features=(2,), encoding="vm", spread=8.0, residual=Head(1, 0, detail_shift=11)),
    Case("residual-1d", "volume", (37,), pyramid((37,), 3), dtype="i2", scale=(3000.0,), clip=False, residual=Head(3, 1, detail_shift=10), residual_spread=4.0),
    Case("residual-4d", "volume", (3, 4, 3, 4), pyramid((3, 4, 3, 4), 2), 2, dtype="f8", scale=(3.0,), clip=False, interpolation="cubic", residual=Head(0.25, 0.125, lead=1, detail_shift=14)),
    Case("stereo", "volume", (41,), pyramid((41,), 3), 2, "i2", n_features=(2, 2, 1), offset=(-32768.0,), scale=(65535.0,), interpolation="mitchell", shapes=((0.25, 0.5), (0.5, 0.25), (0.0, 0.5)), meta={"source": "a.wav", "axes": "tc", "sample_rate": 8000}),
    Case("film", "volume", (4, 5, 6), pyramid((4, 5, 6), 2), 3, n_features=(3, 1), interpolation="cubic", meta={"axes": "tyxc", "frame_rate": 12.5, "quantity": "colour"}),
    Case("residual-f2", "image", (7, 8), pyramid((7, 8), 2), dtype="f2", scale=(3.0,), residual=Head(0.125, 0.0625, detail_shift=14)),
)  # fmt: skip


def more_valid() -> dict[str, bytes]:
    """What no case of random integers gives."""
    return {"largest-alphabet": _largest_alphabet(), "grids": split_levels(data_of("image-mask"))}


def _largest_alphabet() -> bytes:
    """A codebook of 4096 rows, of which a thousand are named, evenly."""
    found = nfcodec.open(goldens.build(Case("alphabet", "image", (32, 32), ((32, 32),), encoding="codebook", log2_size=12, spread=0.2)))
    levels = [dict(level) for level in found.grid.levels]
    levels[0]["indices"] = np.random.default_rng(7).integers(0, 4096, (32, 32)).astype(np.int32)
    return pack(found.spec, Frozen(levels, found.mlp.tensors, found.mlp.shifts))


# ---------------------------------------------------------------- files from parts


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


# ---------------------------------------------------------------- streams


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


# ---------------------------------------------------------------- broken files


def invalid() -> dict[str, tuple[str, bytes]]:
    """name -> (code, bytes): each breaks one rule."""
    found = {**_container(), **_streams(), **_chunks(), **_header(), **_points(), **_mesh(), **_residual()}
    return {name: (name.split(".")[0], data) for name, data in found.items()}


def _container() -> dict[str, bytes]:
    tiny = chunks_of("tiny")
    data = data_of("tiny")
    return {
        "signature": b"\x88" + data[1:],
        "signature.empty": b"",
        "version": assemble(tiny, version=b"\0\0"),
        "feature": assemble(tiny, features=1 << 7),
        "n-chunks": assemble([]),
        "length": assemble(tiny, longer=1),
        "trailing-bytes": data + b"\0",
        "truncated": data[:-1],
        "truncated.fhdr": image(layers=b""),
        "checksum": data[:60] + bytes([data[60] ^ 1]) + data[61:],
        "checksum.header": data[:16] + bytes([data[16] ^ 1]) + data[17:],
        "chunk-limit": assemble([*tiny, Chunk(META, 1 << 32, RAW, b"{}")]),
        "chunk-duplicate": assemble([*tiny, tiny[-1]]),
        "chunk-type": assemble([*tiny, Chunk(max(container.CRITICAL_TYPES) + 1, 0, RAW, b"")]),
        "codec": assemble([*tiny[:3], Chunk(GRID, 1, 9, tiny[3].data), *tiny[4:]]),
        "varint": assemble(tiny, n_chunks=b"\x85\0"),
    }


def _streams() -> dict[str, bytes]:
    return {
        "rans-length": level_0(lambda level: level + b"\0"),
        "rans-state": level_0(lambda level: level + b"\0\0"),
        "rans-state.start": level_0(lambda level: level[:1] + b"\0\0\0\0" + level[5:]),
        "rans-exhausted": level_0(lambda level: level[:-2]),
        "escape": network(escape(25)),
        "value-range": network(escape(24) + raw(0, 1) + raw((1 << 24) - 1, 24)),
        "scale": changed("tiny", DNET, put(2, b"\x52")),
        "static-table": indices(raw(0, 2) + raw(82, 7)),
        "static-table.level": indices(raw(0, 2) + raw(0, 7) + raw(1, 1) + escape(8) + raw(0, 1) + raw(0, 8)),
        "empty-context": indices(raw(0, 2) + raw(0, 7) + raw(0, 1)),
        "level-flags": level_0(lambda level: b"\2" + level[1:]),
        "context-net": changed("tiny", CTXN, lambda _: next(c.data for c in chunks_of("volume-1d") if c.type == CTXN)),
        "context-net.bounds": changed("tiny", CTXN, put(4, b"\x0d")),
        # neurons without a layer, before a stream of an odd length
        "context-net.layers": changed("tiny", CTXN, lambda data: data[:2] + b"\5" + data[3:-1]),
    }


def _chunks() -> dict[str, bytes]:
    fhdr, dnet, ctxn, grid, meta = chunks_of("tiny")
    one_level = Reader(grid.data)
    first = one_level.bytes(one_level.varint())
    return {
        "chunk-count": assemble([fhdr, dnet, Chunk(DNET, 1, RANS, dnet.data), ctxn, grid]),
        "chunk-count.no-dnet": assemble([fhdr, ctxn, grid]),
        "chunk-count.no-grid": assemble([fhdr, dnet, ctxn]),
        "chunk-count.full": assemble([grid, *chunks_of("image-full")]),
        "chunk-order": assemble([fhdr, ctxn, dnet, grid]),
        "chunk-codec": assemble([fhdr, Chunk(DNET, 0, RAW, dnet.data), ctxn, grid]),
        "limit-network-shift": changed("tiny", DNET, put(0, b"\x19")),
        "grid-order": assemble([fhdr, dnet, ctxn, Chunk(GRID, 2, RANS, grid.data)]),
        "grid-count": assemble([fhdr, dnet, ctxn, Chunk(GRID, 0, RANS, bytes([len(first)]) + first)]),
        "leftover.grid": changed("tiny", GRID, lambda data: data + b"\0"),
    }


def _header() -> dict[str, bytes]:
    nan, far = struct.pack("<f", float("nan")), struct.pack("<d", 2e30)
    without = lambda name: bytes([IMAGE["flags"][0] & ~{"full_range": 128, "halving": 32}[name]])  # noqa: E731
    return {
        "fhdr-kind": image(kind=b"\x63"),
        "fhdr-kind.axes": image(axes=b"\3", extent=b"\4\5\6"),
        "fhdr-kind.placed": surface(flags=b"\x3c", origin=b"", cell=b""),
        "fhdr-flags": image(dtype=b"\3"),
        "fhdr-flags.shared": image(flags=b"\xe1", levels=b"\1", steps=b"\xcd\x3d"),
        "fhdr-dtype": image(dtype=b"\x63"),
        "not-finite": image(flags=without("full_range"), range=nan + nan),
        "fhdr-origin": surface(origin=far * 3),
        "fhdr-cell": surface(cell=struct.pack("<d", 0)),
        "fhdr-truncation": surface(truncation=struct.pack("<f", 0)),
        "fhdr-knee": surface(knee=struct.pack("<f", -1)),
        "fhdr-role": surface(roles=b"\1"),
        "fhdr-role.colours": surface(roles=b"\3"),
        "fhdr-encoding": image(encoding=b"\x63"),
        "fhdr-encoding.twice": image(encoding=b"\x90\x10", interpolation=b"", log2_size=b"", levels=b"", resolutions=b"", features=b"", steps=b""),
        "fhdr-parameter": image(encoding=b"\x91\0"),
        "fhdr-interpolation": image(interpolation=b"\x63"),
        "fhdr-boundary": image(interpolation=b"\x80\0"),
        "fhdr-boundary.unknown": image(interpolation=b"\x80\x0c"),
        "fhdr-boundary.axis": image(interpolation=b"\x80\x10"),
        "fhdr-joining": surface(encoding=b"\3", interpolation=b"\0\x63"),
        "fhdr-encoding.axes": image(encoding=b"\3"),
        "fhdr-step": image(steps=b"\0\0\x76\x3d"),
        "fhdr-activation": image(activation=b"\x63"),
        "leftover": image(layers=b"\0\0"),
        "limit-dimensions": image(axes=b"\5"),
        "limit-channels": image(channels=b"\x11"),
        "limit-extent": image(extent=b"\0\5"),
        "limit-parts": image(encoding=b"\x90\x91\1\x93\1\x95\1\x80"),
        "limit-log2_size": image(log2_size=b"\1"),
        "limit-levels": image(levels=b"\x21"),
        "limit-resolution": image(resolutions=b"\4\x81\x80\x40"),
        "limit-features": image(features=b"\1\x11"),
        "limit-surrounded-levels": image(interpolation=b"\2", resolutions=b"\4\4", shapes=b"\0\0\0\0\1"),
        "limit-hidden-layers": image(layers=b"\x10"),
        "limit-neurons": image(layers=b"\1\0"),
        "limit-grid-integers": image(resolutions=b"\x80\x80\x40\x80\x80\x40"),
    }  # fmt: skip


def _points() -> dict[str, bytes]:
    def cloud(rows: list[list[int]], n: int | None = None, reach: int = 3, resolution: bytes = b"\x14\x14") -> bytes:
        """An image of one level of points: differences of y, x, size, feature."""
        fhdr = header_bytes(IMAGE, encoding=b"\7", log2_size=b"\x09", levels=b"\1", resolutions=resolution, features=b"\1", steps=b"\xcd\x3d")
        columns = encode_columns(np.array(rows, np.int32).reshape(-1, 4))
        level = Writer().varint(len(rows) if n is None else n).varint(reach).bytes(columns).getvalue()
        weights = header.pack_mlp([np.array([3], np.int32), np.array([[5]], np.int32)], [4, 4])
        return assemble([Chunk(FHDR, 0, RAW, fhdr), Chunk(DNET, 0, RANS, weights), Chunk(GRID, 0, RANS, _block(level))])

    crowd = [[0, 0, 0, 1]] * 257
    assert nfcodec.open(cloud(crowd[:256])).n_levels == 1
    return {
        "limit-points": cloud(crowd, n=401),
        "limit-points.reach": cloud(crowd[:1], reach=0),
        "limit-neighbours": cloud(crowd),
        "points-place": cloud([[-1, 0, 0, 1]]),
        "points-place.far": cloud([[0, 10, 0, 1]]),
        "points-place.size": cloud([[0, 0, 16, 1]]),
        "limit-log2_size.points": image(encoding=b"\7", log2_size=b"\x11"),
        "fhdr-interpolation.points": image(encoding=b"\7", interpolation=b"\1"),
    }


def _mesh() -> dict[str, bytes]:
    right = [[0, 0, 0], [0, 1, 0], [0, 0, 1]]  # steps of faces from one corner to the next

    def mesh(vertices: list[list[int]] = [[0, -1, -1, 1], [0, -1, 1, 2], [1, 0, 0, 3], [0, 1, 0, 4]], faces: list[list[int]] = right[:2], n: int = 4) -> bytes:
        """A volume of one level of a mesh: differences of z, y, x and a feature; steps of corners."""
        grid = goldens.Case("m", "volume", (4, 5, 6), ((4, 5, 6),), encoding="mesh", log2_size=2, n_hidden_layers=0)
        chunks = list(container.read(goldens.build(grid)).chunks)
        level = Writer().varint(n).varint(len(faces))
        for table in (vertices, faces):
            level.bytes(encode_columns(np.array(table, np.int32).reshape(len(table), -1)))
        return assemble([Chunk(GRID, 0, RANS, _block(level.getvalue())) if c.type == GRID else c for c in chunks])

    assert nfcodec.open(mesh()).n_levels == 1
    flat = [[0, 0, 0, 1], [1, 0, 0, 1], [1, 0, 0, 1], [0, 1, 0, 1]]
    return {
        "limit-mesh": mesh(n=5),
        "limit-mesh.faces": mesh(faces=[[0, 0, 0]] * 17),
        "limit-log2_size.mesh": surface(encoding=b"\x08", log2_size=b"\x0f"),
        "fhdr-interpolation.mesh": surface(encoding=b"\x08", interpolation=b"\3"),
        "fhdr-encoding.mesh": image(encoding=b"\x08"),
        "mesh-place": mesh([[0, -1, -1, 1], [0, -3, 1, 2], [1, 0, 0, 3], [0, 1, 0, 4]]),
        "mesh-place.first": mesh([[-1, -1, -1, 1], [0, -1, 1, 2], [1, 0, 0, 3], [0, 1, 0, 4]]),
        "mesh-face": mesh(faces=[[0, 1, 1]]),
        "mesh-face.order": mesh(faces=[[0, -1, 1]]),
        "mesh-face.before": mesh(faces=[[-1, 0, 0]]),
        "mesh-face.flat": mesh(flat),
        "leftover.mesh": level_bytes_longer(mesh()),
    }


def level_bytes_longer(data: bytes) -> bytes:
    """A file of one level with a byte more in it."""
    chunks = []
    for chunk in container.read(data).chunks:
        if chunk.type == GRID:
            reader = Reader(chunk.data)
            chunk = Chunk(GRID, chunk.key, RANS, _block(reader.bytes(reader.varint()) + b"\0"))
        chunks.append(chunk)
    return assemble(chunks)


def _residual() -> dict[str, bytes]:
    resi = next(c for c in chunks_of("image-lossless") if c.type == RESI)

    def beside(name: str) -> bytes:
        return assemble([*(c for c in chunks_of(name) if c.type != META), resi])

    long = [c for c in chunks_of("tiny") if c.type != META]
    long[0] = Chunk(FHDR, 0, RAW, header_bytes(IMAGE, extent=b"\x81\x80\x40\5"))
    heavy = goldens.build(Case("heavy", "image", (1, 1), ((1, 1),) * 9, n_features=(16,) * 9, n_hidden_layers=0))
    mlp = nfcodec.open(heavy).mlp
    weights = header.pack_mlp([mlp.tensors[0], np.full_like(mlp.tensors[1], 1 << 24)], mlp.shifts)
    heavy_chunks = [Chunk(DNET, 0, RANS, weights) if c.type == DNET else c for c in container.read(heavy).chunks]
    return {
        "resi-kind": beside("sdf-dense"),
        "resi-field": beside("act-sine"),
        "resi-field.points": beside("image-points"),
        "resi-field.mesh": beside("volume-mesh"),
        "resi-extent": assemble([*long, resi]),
        "resi-network": assemble([*heavy_chunks, resi]),
        "resi-flags": changed("image-lossless", RESI, put(0, b"\4")),
        "resi-flags.lead": changed("image-lossless", RESI, put(1, b"\3")),
        "resi-step": changed("image-lossless", RESI, put(2, b"\2")),
        "resi-shift": changed("image-lossless", RESI, put(3, b"\x29")),
        "context-net.resi": changed("image-lossless", RESI, lambda data: data[:4] + _block(chunks_of("tiny")[2].data) + data[5 + data[4] :]),
    }  # fmt: skip


def _block(data: bytes) -> bytes:
    return Writer().varint(len(data)).bytes(data).getvalue()


def truncated() -> dict[str, bytes]:
    """Files to be cut off."""
    return {name: split_levels(data_of(name)) for name in ("image-lossless", "volume-f4", "image-parts", "tiny")} | {
        "image-full": data_of("image-full")
    }


# ---------------------------------------------------------------- what the future may bring


def accepted() -> dict[str, bytes]:
    """Files of `tiny` with what a reader ignores, with a warning at most."""
    *field, _ = chunks_of("tiny")

    def meta(data: bytes, codec: int = RAW, key: int = 0) -> bytes:
        return assemble([*field, Chunk(META, key, codec, data)])

    deep = b'{"a":' * 17 + b"1" + b"}" * 17
    damaged = bytearray(meta(b'{"a":1}'))
    damaged[-2] ^= 1
    first, *rest = field
    text = b'{"text":"' + b"long " * 40 + b'"}'
    return {
        "ancillary": assemble([Chunk(0x81, 5, 77, b"?"), first, Chunk(0xC1, 0, RAW, b""), *rest, Chunk(0xFF, 0, ZSTD, b"?")]),
        "meta-zstd": meta(container.pack_zstd(text), ZSTD),
        "meta-other-key": meta(b'{"a":1}', key=1),
        "meta-codec": meta(b'{"a":1}', 99),
        "meta-damaged": bytes(damaged),
        "meta-no-json": meta(b"{"),
        "meta-no-object": meta(b"[1]"),
        "meta-not-utf8": meta(b'{"a":"\xff"}'),
        "meta-not-finite": meta(b'{"a":1e999}'),
        "meta-nan": meta(b'{"a":NaN}'),
        "meta-surrogate": meta(b'{"a":"\\ud800"}'),
        "meta-deep": meta(deep),
        "meta-deep-enough": meta(b'{"a":' * 16 + b"1" + b"}" * 16),
        "meta-zstd-size": meta(b"\x28\xb5\x2f\xfd\xa0\0\0\x20\0", ZSTD),
        "meta-zstd-window": meta(b"\x28\xb5\x2f\xfd\x80\xff\x08\0\0\0\x41\0\0abcdefgh", ZSTD),
        "meta-zstd-broken": meta(container.pack_zstd(text)[:-3], ZSTD),
        "meta-zstd-twice": meta(container.pack_zstd(b"{}") * 2, ZSTD),
        "meta-zstd-no-frame": meta(b"not a frame", ZSTD),
    }  # fmt: skip


def refused() -> dict[str, tuple[str, bytes]]:
    """Files that another draft might write: a reader of this one must not guess."""
    tiny = chunks_of("tiny")
    following = lambda table: bytes([max(table) + 1])  # noqa: E731
    from nfcodec import spec as s

    return {
        "next-draft": ("version", assemble(tiny, version=bytes([0, container.DRAFT + 1]))),
        "next-major": ("version", assemble(tiny, version=b"\1\0")),
        "feature-0": ("feature", assemble(tiny, features=1)),
        "feature-15": ("feature", assemble(tiny, features=1 << 15)),
        "next-critical-chunk": ("chunk-type", assemble([*tiny, Chunk(max(container.CRITICAL_TYPES) + 1, 0, RAW, b"")])),
        "next-codec": ("codec", assemble([Chunk(FHDR, 0, max(container.CODECS) + 1, tiny[0].data), *tiny[1:]])),
        "next-kind": ("fhdr-kind", image(kind=following(s.KINDS.values()))),
        "next-dtype": ("fhdr-dtype", image(dtype=following(s.DTYPES.values()))),
        "next-role": ("fhdr-role", surface(roles=following(s.ROLES.values()))),
        "next-encoding": ("fhdr-encoding", image(encoding=following(s.ENCODINGS.values()))),
        "next-interpolation": ("fhdr-interpolation", image(interpolation=following(s.INTERPOLATIONS.values()))),
        "next-boundary": ("fhdr-boundary", image(interpolation=bytes([0x80, max(s.BOUNDARIES.values()) + 1]))),
        "next-joining": ("fhdr-joining", surface(encoding=b"\3", interpolation=b"\0" + following(s.JOININGS.values()))),
        "next-activation": ("fhdr-activation", image(activation=following(s.ACTIVATIONS.values()))),
        "next-level-flag": ("level-flags", level_0(lambda level: b"\2" + level[1:])),
        "next-residual-flag": ("resi-flags", changed("image-lossless", RESI, put(0, b"\4"))),
    }
