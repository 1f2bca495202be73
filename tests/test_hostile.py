"""Files that somebody broke on purpose: structure-aware mutations with every checksum repaired. Only NfldError escapes."""

import contextlib
import json
import math
import struct
import tracemalloc
import warnings
import zlib

import numpy as np
import pytest
from field_cases import make_frozen, make_spec
from mutations import CHUNKS, FILES, INTERESTING, head_of, mutate_bytes, mutate_chunks, repaired

import nfcodec
from nfcodec import container, decode, header
from nfcodec.binary import Reader, Writer
from nfcodec.container import CTXN, DNET, FHDR, GRID, META, RANS, RAW, ZSTD, Chunk
from nfcodec.errors import FormatError, LimitError, NfldError, TruncatedError
from nfcodec.pack import pack

MEBIBYTE = 1 << 20


@pytest.fixture(autouse=True)
def small_limits(monkeypatch):
    """Sizes within the limits may cost seconds; a lower limit keeps thousands of mutations cheap and changes no rule."""
    monkeypatch.setattr(decode, "MAX_GRID_INTEGERS", 1 << 12)


def use(data, **options):
    """Opens a file and does everything with it; returns the code of its error, or None. Warnings count as faults."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            field = nfcodec.open(data, **options)
        except NfldError as error:
            assert "\n" not in str(error) and len(str(error)) < 600, error
            return getattr(error, "code", type(error).__name__)
        coords = np.full((3, field.spec.n_dims), 0.4)
        assert field.sample(coords).shape == (3, field.spec.channels)
        field.gradient(coords, level=0)
        shape = (2,) * field.spec.n_dims
        region = [(0.2, 0.2 + 2 / max(n, 8)) for n in field.spec.extent]  # few samples, however large the source
        assert field.decode(shape, region=region).shape == (*shape, field.spec.channels)
        if math.prod(field.spec.extent) < 1 << 12:
            try:
                field.decode()  # a residual is read only now
            except NfldError as error:
                return getattr(error, "code", type(error).__name__)
        json.dumps(field.info(), allow_nan=False).encode("utf-8")
        repr(field)
    return None


def replaced(name, kind, data):
    return container.write([Chunk(c.type, c.key, c.codec, data) if c.type == kind else c for c in CHUNKS[name]])


def chunk_of(name, kind):
    return next(c.data for c in CHUNKS[name] if c.type == kind)


def test_the_goldens_themselves_are_sound(monkeypatch):
    monkeypatch.undo()
    for name, data in FILES.items():
        assert use(data) is None, name


# ---------------------------------------------------------------- random mutations


@pytest.mark.parametrize("name", FILES)
def test_mutated_chunks(name):
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    results = []
    for _ in range(70):
        chunks = CHUNKS[name]
        for _ in range(int(rng.integers(1, 3))):
            chunks = mutate_chunks(chunks, rng)
        with contextlib.suppress(nfcodec.errors.UsageError):  # what the writer refuses
            results.append(use(container.write(chunks), allow_truncated=bool(rng.integers(0, 2))))
    assert len(set(results)) > 3  # the mutations reach different rules


def test_mutated_tables():
    rng = np.random.default_rng(1)
    for name in list(FILES)[::3]:
        head, payload = head_of(name)
        for _ in range(60):
            use(repaired(mutate_bytes(head, rng), payload), allow_truncated=bool(rng.integers(0, 2)))


@pytest.mark.parametrize("name", ["tiny", "volume-hash", "volume-codebook", "tsdf"])
def test_every_byte_of_the_field_header(name):
    data = chunk_of(name, FHDR)
    codes = set()
    for at in range(len(data)):
        for value in INTERESTING:
            codes.add(use(replaced(name, FHDR, data[:at] + bytes([value]) + data[at + 1 :])))
    assert {"limit-dimensions", "limit-channels", "limit-levels", "fhdr-kind", "fhdr-encoding"} <= codes


@pytest.mark.parametrize("name", ["tiny", "sdf-hash", "volume-4d-cubic"])
def test_floats_that_are_none(name):
    """Every four and eight bytes of the header as NaN, infinity, the greatest, the least and a subnormal float."""
    data = chunk_of(name, FHDR)
    for at in range(len(data)):
        for value in (float("nan"), float("inf"), float("-inf"), 3.4e38, -3.4e38, 1e-45, 0.0):
            use(replaced(name, FHDR, data[:at] + struct.pack("<f", value) + data[at + 4 :]))
            use(replaced(name, FHDR, data[:at] + struct.pack("<d", value * (1e270 if value > 1 else 1)) + data[at + 8 :]))


@pytest.mark.parametrize("name", ["tiny", "image-mask", "volume-codebook", "volume-hash-4d"])
def test_every_byte_of_the_networks_and_levels(name):
    for kind in (DNET, CTXN, GRID):
        if not any(c.type == kind for c in CHUNKS[name]):
            continue
        data = chunk_of(name, kind)
        for at in range(0, len(data), max(1, len(data) // 40)):
            for value in (0, 0x7F, 0xFF, data[at] ^ 1):
                use(replaced(name, kind, data[:at] + bytes([value]) + data[at + 1 :]))


# ---------------------------------------------------------------- lengths and order


def test_truncations_at_every_length():
    """Never a crash, and with allow_truncated a field exactly when its first levels are whole."""
    for name in ("tiny", "image-hash"):
        data = FILES[name]
        end_of_grid = len(data) - sum(len(c.data) for c in CHUNKS[name] if c.type == META)
        for n in range(len(data)):
            assert use(data[:n]) == ("truncated" if n else "signature")
            code = use(data[:n], allow_truncated=True)
            assert (code is None) == (n >= end_of_grid)


def test_truncations_of_every_chunk():
    for name in ("tiny", "volume-codebook"):
        for c in CHUNKS[name]:
            for n in range(len(c.data)):
                code = use(replaced(name, c.type, c.data[:n]))
                assert (code is None) == (c.type == META), (name, c, n)


@pytest.mark.parametrize("name", ["image-rgb8", "volume-hash", "image-codebook"])
@pytest.mark.parametrize("change", [-2, -1, 1, 2, 1 << 20, 1 << 40])
def test_lengths_of_levels_off_by_a_little(name, change):
    reader, out = Reader(chunk_of(name, GRID)), []
    while reader.left:
        out.append(reader.bytes(reader.varint()))
    for wrong in range(len(out)):
        writer = Writer()
        for k, part in enumerate(out):
            writer.varint(len(part) + change * (k == wrong)).bytes(part)
        assert use(replaced(name, GRID, writer.getvalue())) is not None


def test_chunks_left_out_doubled_moved_and_mistyped():
    chunks = {c.type: c for c in CHUNKS["tiny"]}
    f, d, c, g, m = (chunks[k] for k in (FHDR, DNET, CTXN, GRID, META))

    def code(*given):
        return use(container.write(list(given)))

    assert code(f, d, c, g) is None and code(m, f, d, c, g) is None
    assert code(d, c, g) == code(f, c, g) == code(f, d, g) == "chunk-count"
    assert code(f, d, c) == "chunk-count"
    assert code(f, Chunk(FHDR, 1, RAW, f.data), d, c, g) == "chunk-count"
    assert code(Chunk(FHDR, 1, RAW, f.data), d, c, g) == "chunk-count"
    assert code(d, f, c, g) == code(f, d, g, c) == "chunk-order"
    assert code(Chunk(FHDR, 0, ZSTD, f.data), d, c, g) == code(f, d, c, Chunk(GRID, 1, RAW, g.data)) == "chunk-codec"
    assert code(f, d, c, Chunk(GRID, 2, RANS, g.data)) == "grid-order"
    assert code(f, d, c, Chunk(GRID, 0, RANS, g.data)) == "leftover"
    assert code(f, d, c, g, Chunk(GRID, 0, RANS, g.data)) == "grid-order"
    first = Reader(g.data)
    level = Writer().bytes(g.data[: first.varint() + 1]).getvalue()
    assert code(f, d, c, Chunk(GRID, 0, RANS, level)) == "grid-count"
    assert code(f, d, c, g, Chunk(0x9F, 3, RAW, b"another's")) is None
    hashed = {c.type: c for c in CHUNKS["image-hash"]}
    assert code(hashed[FHDR], hashed[DNET], c, hashed[GRID]) == "chunk-count"


def test_a_context_network_for_other_lattices():
    three = next(c for c in CHUNKS["volume-f4"] if c.type == CTXN)
    assert use(replaced("tiny", CTXN, three.data)) == "context-net"
    single = next(c for c in CHUNKS["image-grey16"] if c.type == CTXN)
    assert use(replaced("image-rgba", CTXN, single.data)) == "context-net"


# ---------------------------------------------------------------- bombs


@contextlib.contextmanager
def memory_below(n_bytes):
    """Asserts on the peak of what Python and numpy ask for."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < n_bytes
    finally:
        tracemalloc.stop()


def with_meta(data, codec=ZSTD):
    return container.write([*(c for c in CHUNKS["tiny"] if c.type != META), Chunk(META, 0, codec, data)])


NOT_META = {
    "bomb": container.pack_zstd(bytes(64 * MEBIBYTE)),
    "long": container.pack_zstd(b'{"a":"' + b"x" * MEBIBYTE + b'"}'),
    "deep": container.pack_zstd(b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
    "rather deep": container.pack_zstd(b'{"a":' + b"[" * 16 + b"]" * 16 + b"}"),
    "array": container.pack_zstd(b"[1]"),
    "no json": container.pack_zstd(b"{"),
    "no text": container.pack_zstd(b'{"a":"\xff"}'),
    "surrogate": container.pack_zstd(b'{"a":"\\ud800"}'),
    "nan": container.pack_zstd(b'{"a":NaN}'),
    "infinite": container.pack_zstd(b'{"a":1e999}'),
    "digits": container.pack_zstd(b'{"a":' + b"9" * 10_000 + b"}"),
    "empty": b"",
    "no zstd": b"{}",
}


@pytest.mark.parametrize("name", NOT_META)
def test_metadata_that_cannot_be_used_is_dropped(name):
    data = with_meta(NOT_META[name])
    with memory_below(24 * MEBIBYTE):
        field = nfcodec.open(data)
    assert field.meta == {} and len(field.info()["warnings"]) == 1 and "metadata" in field.info()["warnings"][0]
    assert np.array_equal(field.decode(), nfcodec.open(FILES["tiny"]).decode())


def test_metadata_that_can_be_used_is_kept():
    deep = {"a": {"b": [[[[1.5, "é", None]]]]}}
    field = nfcodec.open(with_meta(container.pack_zstd(json.dumps(deep).encode())))
    assert field.meta == deep and field.info()["warnings"] == []
    raw = nfcodec.open(with_meta(json.dumps(deep).encode(), RAW))
    assert raw.meta == deep and raw.info()["warnings"] == []
    assert nfcodec.open(with_meta(b"{}", RANS)).info()["warnings"]
    long = b'{"a":"' + b"x" * MEBIBYTE + b'"}'
    assert nfcodec.open(with_meta(long, RAW)).info()["warnings"]


HUGE = {
    "dense": dict(resolutions=((1 << 20, 1 << 20),)),
    "levels": dict(resolutions=((1 << 12, 1 << 12),) * 32, n_features=(16,) * 32),
    "codebook": dict(encoding="codebook", resolutions=((1 << 20, 1 << 20),), log2_size=12),
    "hash": dict(encoding="hash", resolutions=((1 << 20, 1 << 20),), log2_size=24, n_features=(16,)),
}


@pytest.mark.parametrize("name", HUGE)
def test_limits_are_met_before_anything_is_allocated(name, monkeypatch):
    monkeypatch.undo()  # the format's own limits
    small = make_spec(encoding=HUGE[name].get("encoding", "dense"))
    chunks = list(container.read(pack(small, make_frozen(small, np.random.default_rng(0)))).chunks)
    chunks[0] = Chunk(FHDR, 0, RAW, header.pack_spec(make_spec(**HUGE[name])))
    data = container.write(chunks)
    with memory_below(2 * MEBIBYTE), pytest.raises(LimitError, match="integers"):
        nfcodec.open(data)


def test_a_table_that_ends_early_costs_little(monkeypatch):
    """2**24 rows within the limits but 20 bytes in the file: values are read piece by piece, not set up at once."""
    monkeypatch.undo()
    monkeypatch.setenv("NFCODEC_KERNELS", "numpy")
    small = make_spec(encoding="hash")
    chunks = list(container.read(pack(small, make_frozen(small, np.random.default_rng(0)))).chunks)
    large = make_spec(encoding="hash", resolutions=((1 << 14, 1 << 14),) * 2, log2_size=22)
    chunks[0] = Chunk(FHDR, 0, RAW, header.pack_spec(large))
    with memory_below(4 * (1 << 23) + 64 * MEBIBYTE), pytest.raises(FormatError):
        nfcodec.open(container.write(chunks))


def test_an_overflowing_network_gives_infinite_samples_and_no_warning():
    spec = make_spec(step=1e38, scale=3e38)
    frozen = make_frozen(spec, np.random.default_rng(0))
    frozen.tensors = [np.full_like(t, 1 << 24) for t in frozen.tensors]
    frozen.shifts = [0] * len(frozen.shifts)
    field = nfcodec.open(pack(spec, frozen))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not np.isfinite(field.sample(np.full((1, 2), 0.3))).all()
        field.gradient(np.full((1, 2), 0.3))
        for dtype in ("u1", "i4", "f2", "f4", "b1"):
            assert field.decode(dtype=dtype).dtype == np.dtype(dtype)


def test_every_shorter_stream_is_told_apart_from_a_broken_one():
    with pytest.raises(TruncatedError, match="cut off"):
        nfcodec.open(FILES["tiny"][:-1])
    with pytest.raises(NfldError, match="signature"):
        nfcodec.open(b"\x89PNG\r\n\x1a\n" + FILES["tiny"][8:])
