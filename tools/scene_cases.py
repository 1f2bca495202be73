"""Scenes of the conformance suite: sound ones that the goldens leave out, and ones that break one rule each."""

from __future__ import annotations

import struct

import make_scenes as scenes
from conformance_parts import assemble, chunks_of, data_of
from make_scenes import NODES

from nfcodec import container
from nfcodec.binary import Writer
from nfcodec.container import FHDR, PART, RANS, RAW, SCNE, ZSTD, Chunk
from nfcodec.limits import MAX_SCENE_BYTES, MAX_SCENE_DEPTH
from nfcodec.scene import Node, Similarity

SCENE = scenes.scene(*NODES["scene-tree"])
PARTS = [chunk for chunk in container.read(SCENE).chunks if chunk.type == PART]
OCCUPANCY = ("occupancy",)


def valid() -> dict[str, bytes]:
    """Most and least of what may be."""
    deep = [Node(f"{k}", k - 1 if k else None, 0 if k == MAX_SCENE_DEPTH - 1 else None, Similarity((0.5, 0.0, 0.0))) for k in range(MAX_SCENE_DEPTH)]
    far = Similarity((1e18, 0.0, -1e18), scenes.unit((1.0, 1.0, 0.0, 0.0)), -1e9)
    return {
        "scene-one": scenes.scene(("sdf-dense",), [Node("", None, 0)], {}),
        "scene-deep": scenes.scene(("sdf-dense",), deep, {}),
        "scene-far": scenes.scene(("sdf-dense",), [Node("n" * 255, None, 0, far), Node("small", 0, 0, Similarity(scale=1e-9))], {}),
        "scene-nothing-placed": scenes.scene(("sdf-dense", "sdf-dense"), [Node("a"), Node("b", 0, 1)], {}),
    }  # fmt: skip


def truncated() -> dict[str, bytes]:
    """A scene to be cut off."""
    return {"scene": SCENE}


def nodes(*rows: bytes, n_fields: int = 2, n_nodes: int | None = None) -> bytes:
    """The content of SCNE with these rows."""
    return Writer().varint(n_fields).varint(len(rows) if n_nodes is None else n_nodes).bytes(b"".join(rows)).getvalue()


def row(parent: int = 0, field: int = 1, flags: int = 0, numbers: bytes = b"", name: bytes = b"\0") -> bytes:
    return Writer().varint(parent).varint(field).u8(flags).bytes(numbers).bytes(name).getvalue()


def with_nodes(content: bytes, codec: int = RAW) -> bytes:
    return assemble([Chunk(SCNE, 0, codec, content), *PARTS])


def invalid() -> dict[str, tuple[str, bytes]]:
    """name -> (code, file)."""

    def f64(*numbers: float) -> bytes:
        return struct.pack(f"<{len(numbers)}d", *numbers)

    head = Chunk(SCNE, 0, RAW, nodes(row()))
    packed = container.pack_zstd(head.data)
    inner = PARTS[0].data
    damaged = inner[:-1] + bytes([inner[-1] ^ 1])
    field = chunks_of("sdf-dense")
    broken = {
        "limit-scene-fields": with_nodes(nodes(row(field=0), n_fields=0)),
        "limit-scene-fields.many": with_nodes(nodes(row(), n_fields=1001)),
        "limit-scene-nodes": with_nodes(nodes()),
        "limit-scene-nodes.many": with_nodes(nodes(row(), n_nodes=16385)),
        "limit-scene-depth": with_nodes(nodes(*(row(parent=k) for k in range(MAX_SCENE_DEPTH + 1)))),
        "limit-name": with_nodes(nodes(row(name=b"\x80\x02" + b"n" * 256))),
        "node-name": with_nodes(nodes(row(name=b"\1\xff"))),
        "node-name.surrogate": with_nodes(nodes(row(name=b"\3\xed\xa0\x80"))),
        "node-parent": with_nodes(nodes(row(parent=1))),
        "node-parent.later": with_nodes(nodes(row(parent=2), row())),
        "node-field": with_nodes(nodes(row(field=3))),
        "node-flags": with_nodes(nodes(row(flags=8))),
        "node-translation": with_nodes(nodes(row(flags=1, numbers=f64(0, -2e18, 0)))),
        "node-rotation": with_nodes(nodes(row(flags=2, numbers=f64(0.5, 0.5, 0.5, 0.6)))),
        "node-rotation.zero": with_nodes(nodes(row(flags=2, numbers=f64(0, 0, 0, 0)))),
        "node-scale": with_nodes(nodes(row(flags=4, numbers=f64(0)))),
        "node-scale.large": with_nodes(nodes(row(flags=4, numbers=f64(-2e9)))),
        "not-finite.node": with_nodes(nodes(row(flags=4, numbers=f64(float("nan"))))),
        "leftover.scene": with_nodes(nodes(row()) + b"\0"),
        "truncated.scene": with_nodes(nodes(row(), n_nodes=2)),
        "part-order": assemble([head, PARTS[1], PARTS[0]]),
        "part-order.many": assemble([head, *PARTS, Chunk(PART, 2, RAW, inner)]),
        "part-count": assemble([head, PARTS[0]]),
        "part-count.none": assemble([head]),
        "part-nested": assemble([head, PARTS[0], Chunk(PART, 1, RAW, scenes.scene(*NODES["scene-shared"]))]),
        "part-kind": assemble([head, PARTS[0], Chunk(PART, 1, RAW, data_of("tiny"))]),
        "checksum.part": assemble([head, Chunk(PART, 0, RAW, damaged), PARTS[1]]),
        "truncated.part": assemble([head, Chunk(PART, 0, RAW, inner[:-1]), PARTS[1]]),
        "signature.part": assemble([head, Chunk(PART, 0, RAW, b""), PARTS[1]]),
        "chunk-count.scene": assemble([field[0], head, *PARTS]),
        "chunk-count.no-scene": assemble(PARTS),
        "chunk-count.two-scenes": assemble([head, Chunk(SCNE, 1, RAW, head.data), *PARTS]),
        "chunk-order.scene": assemble([PARTS[0], head, PARTS[1]]),
        "chunk-order.field": assemble([head, Chunk(FHDR, 0, RAW, field[0].data), *PARTS]),
        "chunk-codec.scene": assemble([Chunk(SCNE, 0, RANS, head.data), *PARTS]),
        "chunk-codec.part": assemble([head, Chunk(PART, 0, ZSTD, container.pack_zstd(inner)), PARTS[1]]),
        "zstd.scene": with_nodes(head.data, ZSTD),
        "zstd.scene-cut-off": with_nodes(packed[:-1], ZSTD),
        "zstd.scene-twice": with_nodes(packed + packed, ZSTD),
        "zstd-size.scene": with_nodes(container.pack_zstd(bytes(MAX_SCENE_BYTES + 1)), ZSTD),
        "zstd-window.scene": with_nodes(b"\x28\xb5\x2f\xfd\x80\xff\x08\0\0\0\x41\0\0abcdefgh", ZSTD),
        "node-field.zstd": with_nodes(container.pack_zstd(nodes(row(field=3))), ZSTD),
    }  # fmt: skip
    return {name: (name.split(".")[0], data) for name, data in broken.items()}
