"""A whole field in one chunk: it comes back as from chunks in parts, is smaller, and broken ones are refused."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from field_cases import make_frozen, make_spec, specs
from hypothesis import given, settings
from hypothesis import strategies as st

import nfcodec
from nfcodec import container, decode, header
from nfcodec.container import FULL, GRID, META, RANS, RAW, ZSTD, Chunk
from nfcodec.encodings import load
from nfcodec.errors import FormatError, LimitError, NfldError, TruncatedError
from nfcodec.pack import pack
from nfcodec.single import pack_single, unpack_single
from nfcodec.spec import CompositeSpec

GOLDEN = Path(__file__).parents[1] / "spec" / "golden"
PLAIN = make_spec("image", (9, 8), ((5, 4), (9, 8)), dtype="u1", channels=3, n_features=(3, 1), offset=0.0, scale=255.0)


def full_of(data):
    return container.read(data).get(FULL)


def beside():
    """A dense grid, with a context network, beside another encoding."""
    return make_spec(sees=CompositeSpec((PLAIN.grid, load("identity").describe(2))))


def content(spec, seed=0, spread=3.0):
    frozen = make_frozen(spec, np.random.default_rng(seed), spread)
    levels = [level["latents"] for level in frozen.levels]
    return pack_single(spec, levels, frozen.tensors, frozen.shifts, frozen.context), frozen


@given(specs(encodings=("dense",), alone=True), st.integers(0, 2**32), st.sampled_from([0.3, 3.0, 3e4]))
@settings(max_examples=60, deadline=None)
def test_it_reads_as_what_was_packed(spec, seed, spread):
    data, frozen = content(spec, seed, spread)
    found, mlp, levels, sizes = unpack_single(data, decode.Budget().take)
    assert found == spec
    for level, wanted in zip(levels, frozen.levels, strict=True):
        assert level["latents"].dtype == np.int32 and np.array_equal(level["latents"], wanted["latents"])
    wanted = header.assemble_mlp(spec.mlp, frozen.tensors, frozen.shifts)
    for a, b in zip([*mlp.weights, *mlp.biases, mlp.skip], [*wanted.weights, *wanted.biases, wanted.skip], strict=True):
        assert np.array_equal(a, b)
    parts = sizes["network_bytes"] + sizes["context_bytes"] + sum(sizes["level_bytes"])
    # beside what was counted there are the description and the stream's first state
    assert parts == len(data) - len(header.pack_spec(spec)) - 4


@given(specs(), st.integers(0, 2**32))
@settings(max_examples=40, deadline=None)
def test_both_forms_are_the_same_field(spec, seed):
    frozen = make_frozen(spec, np.random.default_rng(seed))
    meta = {"source": "a.png"}
    parts, single = (nfcodec.open(pack(spec, frozen, meta, compact=compact)) for compact in (False, True))
    assert single.spec == parts.spec and single.meta == parts.meta == meta
    for a, b in zip(single.grid.levels, parts.grid.levels, strict=True):
        assert all(np.array_equal(a[key], b[key]) for key in b)
    coords = np.random.default_rng(1).random((5, spec.n_dims))
    assert np.array_equal(single.sample(coords), parts.sample(coords), equal_nan=True)
    info = single.info()
    assert info["file_bytes"] <= parts.info()["file_bytes"]
    known = ("network_bytes", "context_bytes", "meta_bytes", "header_bytes")
    assert info["file_bytes"] - sum(info["level_bytes"]) - sum(info[key] for key in known) in range(3 * spec.grid.n_levels + 1)


def test_it_saves_what_chunks_and_streams_cost():
    frozen = make_frozen(PLAIN, np.random.default_rng(0))
    one, parts = (pack(PLAIN, frozen, compact=compact) for compact in (True, False))
    assert [c.type for c in container.read(one).chunks] == [FULL]
    assert len(one) <= len(parts) - 40
    assert nfcodec.open(one).info()["header_bytes"] <= 60


def test_large_fields_and_other_encodings_stay_in_parts():
    large = make_spec("volume", (90, 90, 4), ((90, 90, 4),), n_features=(1,))
    for spec in (large, make_spec(encoding="hash"), make_spec(encoding="codebook"), beside()):
        data = pack(spec, make_frozen(spec, np.random.default_rng(0)), compact=True)
        assert full_of(data) is None and container.read(data).all(GRID)


def test_what_stands_beside_it():
    data, frozen = content(PLAIN)
    parts = container.read(pack(PLAIN, frozen)).chunks
    full = Chunk(FULL, 0, RANS, data)

    def code(*chunks):
        with pytest.raises(FormatError) as caught:
            nfcodec.open(container.write(list(chunks)))
        assert "\n" not in str(caught.value)
        return caught.value.code

    meta = Chunk(META, 0, RAW, b'{"source":"a"}')
    assert nfcodec.open(container.write([meta, full])).meta == {"source": "a"}
    assert nfcodec.open(container.write([full, Chunk(0x9F, 3, RAW, b"another's")])).n_levels == 2
    assert code(*parts, full) == code(parts[0], full) == code(full, Chunk(FULL, 1, RANS, data)) == "chunk-count"
    assert code(Chunk(FULL, 1, RANS, data)) == "chunk-count"
    assert code(full, parts[-1]) == "chunk-order"
    assert code(Chunk(FULL, 0, RAW, data)) == code(Chunk(FULL, 0, ZSTD, data)) == "chunk-codec"
    assert code(Chunk(FULL, 0, RANS, data + b"\0\0")) == "rans-state"
    assert code(Chunk(FULL, 0, RANS, data + b"\0")) == "rans-length"
    assert code(Chunk(FULL, 0, RANS, data[:20])) == "truncated"
    assert code(Chunk(FULL, 0, RANS, header.pack_spec(PLAIN))) == "rans-length"
    for other in (make_spec(encoding="hash"), beside()):
        assert code(Chunk(FULL, 0, RANS, header.pack_spec(other) + bytes(8))) == "fhdr-encoding"


def test_it_is_whole_or_nothing():
    data = container.write([Chunk(FULL, 0, RANS, content(PLAIN)[0])])
    for n in range(len(data)):
        with pytest.raises(FormatError) as caught:
            nfcodec.open(data[:n], allow_truncated=True)
        assert isinstance(caught.value, TruncatedError) or n == 0


def test_limits_are_met_before_anything_is_allocated():
    huge = make_spec(resolutions=((1 << 20, 1 << 20),), n_features=(1,))
    with pytest.raises(LimitError):
        nfcodec.open(container.write([Chunk(FULL, 0, RANS, header.pack_spec(huge) + bytes(64))]))


@pytest.mark.parametrize("name", ["image-full", "image-full-one-level", "volume-full"])
def test_broken_ones_raise_nothing_else(name, monkeypatch):
    monkeypatch.setattr(decode, "MAX_GRID_INTEGERS", 1 << 12)
    chunk = full_of((GOLDEN / f"{name}.nfld").read_bytes())
    rng = np.random.default_rng(0)
    refused = 0
    for trial in range(400):
        data = bytearray(chunk.data)
        for _ in range(1 + trial % 3):
            at = rng.integers(0, len(data) if trial % 2 else 40)
            data[at] = rng.integers(0, 256) if trial % 5 else data[at] ^ 1 << rng.integers(8)
        if trial % 7 == 0:
            data = data[: rng.integers(0, len(data))]
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                field = nfcodec.open(container.write([Chunk(FULL, 0, RANS, bytes(data))]))
            except NfldError as error:
                refused += 1
                assert "\n" not in str(error)
            else:
                field.sample(np.full((2, field.spec.n_dims), 0.4))
    assert refused > 200  # the stream's end is its checksum
