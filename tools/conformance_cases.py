"""The files of the conformance suite that are no goldens: sound fields, and what a later draft may write."""

from __future__ import annotations

import make_goldens as goldens
import numpy as np
from conformance_parts import assemble, changed, chunks_of, data_of, image, level_0, put, split_levels, surface
from make_goldens import Case, pyramid

import nfcodec
from nfcodec import container
from nfcodec.container import FHDR, META, RAW, RESI, ZSTD, Chunk
from nfcodec.pack import Frozen, pack
from nfcodec.residual import Head

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


def truncated() -> dict[str, bytes]:
    """Files to be cut off."""
    return {name: split_levels(data_of(name)) for name in ("image-lossless", "volume-f4", "image-parts", "tiny")} | {
        "image-full": data_of("image-full")
    }


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
