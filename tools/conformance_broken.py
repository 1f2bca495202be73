"""Files of the conformance suite that break one rule each."""

from __future__ import annotations

import struct

import make_goldens as goldens
import numpy as np
from conformance_parts import (
    IMAGE,
    assemble,
    block,
    changed,
    chunks_of,
    data_of,
    escape,
    header_bytes,
    image,
    indices,
    level_0,
    level_bytes_longer,
    network,
    put,
    raw,
    surface,
)  # fmt: skip
from make_goldens import Case

import nfcodec
from nfcodec import container, header
from nfcodec.binary import Reader, Writer
from nfcodec.container import CTXN, DNET, FHDR, GRID, META, RANS, RAW, RESI, Chunk
from nfcodec.entropy.streams import encode_columns, encode_indices


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
        "limit-resolution": image(resolutions=b"\4\x81\x80\x80\x02"),
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
        return assemble([Chunk(FHDR, 0, RAW, fhdr), Chunk(DNET, 0, RANS, weights), Chunk(GRID, 0, RANS, block(level))])

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
    # four vertices and two faces: one whose corners are told, and another at its first edge
    rows = [[1, 2, 2, 1], [0, 0, 2, 1], [0, 1, -1, 1], [1, -1, 0, 1]]

    def mesh(rows: list[list[int]] = rows, symbols: tuple[int, ...] = (1,), far: tuple[int, ...] = (0, 0, 0), n: int = 4, n_faces: int = 2) -> bytes:
        """A volume of one level of a mesh: what is added to z, y, x and a feature, and its walk."""
        grid = goldens.Case("m", "volume", (4, 5, 6), ((4, 5, 6),), encoding="mesh", log2_size=2, n_hidden_layers=0)
        chunks = list(container.read(goldens.build(grid)).chunks)
        level = Writer().varint(n).varint(n_faces).varint(len(symbols)).varint(len(far))
        level.bytes(encode_indices(np.array(symbols, np.int32), 5)).bytes(encode_columns(np.array(far, np.int32)[:, None]))
        level.bytes(encode_columns(np.array(rows, np.int32)))
        return assemble([Chunk(GRID, 0, RANS, block(level.getvalue())) if c.type == GRID else c for c in chunks])

    assert nfcodec.open(mesh()).n_levels == nfcodec.open(mesh(symbols=(0, 0, 1))).n_levels == 1
    return {
        "limit-mesh": mesh(n=5),
        "limit-mesh.faces": mesh(n_faces=17),
        "limit-mesh.symbols": mesh(symbols=(0,) * 7),
        "limit-mesh.far": mesh(far=(0,) * 7),
        "limit-log2_size.mesh": surface(encoding=b"\x08", log2_size=b"\x0f"),
        "fhdr-interpolation.mesh": surface(encoding=b"\x08", interpolation=b"\3"),
        "fhdr-encoding.mesh": image(encoding=b"\x08"),
        "mesh-place": mesh([*rows[:2], [0, 3, -1, 1], rows[3]]),
        "mesh-place.first": mesh([[-1, 2, 2, 1], *rows[1:]]),
        "mesh-value": mesh([*rows[:2], [0, 1, -1, 2**24], rows[3]]),
        "mesh-face": mesh(symbols=()),
        "mesh-face.none": mesh(symbols=(0, 0, 2)),
        "mesh-face.start": mesh(far=(0, 0, 1)),
        "mesh-face.back": mesh(symbols=(4,), far=(0, 0, 0, 4)),
        "mesh-face.below": mesh(symbols=(4,), far=(0, 0, 0, -1)),
        "mesh-face.many": mesh(symbols=(0, 1, 1), n=4, n_faces=3),
        "mesh-face.left": mesh(symbols=(1, 0)),
        "mesh-face.far": mesh(far=(0, 0, 0, 0)),
        "mesh-face.flat": mesh([[1, 2, 2, 1], [0, 0, 1, 1], [0, 0, 1, 1], rows[3]]),
        "leftover.mesh": level_bytes_longer(mesh()),
    }


def _residual() -> dict[str, bytes]:
    resi = next(c for c in chunks_of("image-lossless") if c.type == RESI)

    def beside(name: str) -> bytes:
        return assemble([*(c for c in chunks_of(name) if c.type != META), resi])

    long = [c for c in chunks_of("tiny") if c.type != META]
    long[0] = Chunk(FHDR, 0, RAW, header_bytes(IMAGE, extent=b"\x81\x80\x80\x02\5"))
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
        "context-net.resi": changed("image-lossless", RESI, lambda data: data[:4] + block(chunks_of("tiny")[2].data) + data[5 + data[4] :]),
    }  # fmt: skip
