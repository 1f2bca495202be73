"""The container: chunks in, the same chunks out, and one clear error for everything else."""

import struct
import zlib

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from nfcodec import container
from nfcodec.binary import MAX_VARINT, Reader, Writer, read_varint, write_varint
from nfcodec.container import CTXN, DNET, FHDR, GRID, META, RANS, RAW, SIGNATURE, ZSTD, Chunk
from nfcodec.errors import (
    ChecksumError,
    FormatError,
    LimitError,
    NfldError,
    TruncatedError,
    UnsupportedError,
    UsageError,
)

FILE = [
    Chunk(FHDR, 0, RAW, b"a field"),
    Chunk(DNET, 0, RANS, bytes(range(40))),
    Chunk(CTXN, 0, RANS, bytes(range(50))),
    *(Chunk(GRID, level, RANS, bytes([level]) * 4**level) for level in range(5)),
    Chunk(META, 0, ZSTD, container.pack_zstd(b"{}")),
]
DATA = container.write(FILE)


def rebuilt(rows, payload, major=0, minor=container.DRAFT, features=0, n_chunks=None, length=None):
    """A file with the table as given and sound checksums; rows of (type, key, codec, length, crc)."""
    head = SIGNATURE + struct.pack("<BBH", major, minor, features)
    head += write_varint(len(rows) if n_chunks is None else n_chunks)
    table = b"".join(Writer().u8(t).varint(k).u8(c).varint(n).u32(crc).getvalue() for t, k, c, n, crc in rows)
    total = len(head) + 2 + len(table) + 4 + len(payload)  # the varint of the length is written with 2 bytes
    head += write_varint(total if length is None else length) + table
    return head + struct.pack("<I", zlib.crc32(head)) + payload


def row(type=FHDR, key=0, codec=RAW, data=b"x" * 200):
    return type, key, codec, len(data), zlib.crc32(data)


def code_of(data, **options):
    with pytest.raises((FormatError, UnsupportedError)) as caught:
        container.read(data, **options)
    assert "\n" not in str(caught.value)
    return caught.value.code


chunk_lists = st.lists(
    st.builds(
        Chunk,
        st.sampled_from([FHDR, DNET, CTXN, GRID, META, 0x9F]),
        st.integers(0, 2**32 - 1),
        st.sampled_from([RAW, ZSTD, RANS]),
        st.binary(max_size=300),
    ),
    min_size=1,
    max_size=20,
    unique_by=lambda chunk: (chunk.type, chunk.key),
)


@given(chunk_lists)
@settings(max_examples=60, deadline=None)
def test_round_trip(chunks):
    data = container.write(chunks)
    found = container.read(data)
    assert list(found.chunks) == chunks
    assert (found.file_length, found.n_missing, found.warnings) == (len(data), 0, ())


@pytest.mark.parametrize("size", [*range(60, 180), *range(16330, 16400)])
def test_the_length_counts_its_own_bytes(size):
    data = container.write([Chunk(FHDR, 0, RAW, bytes(size))])
    assert container.read(data).file_length == len(data)


def test_a_usual_file_has_little_overhead():
    assert len(FILE) == 9
    assert len(DATA) - sum(len(chunk.data) for chunk in FILE) < 100


def test_chunks_are_found_by_type_and_key():
    found = container.read(DATA)
    assert found.get(GRID, 3) is found.chunks[6]
    assert found.get(GRID, 9) is None
    assert found.all(GRID) == FILE[3:8]


def test_every_truncation_is_refused():
    for n in range(len(DATA)):
        with pytest.raises(FormatError) as caught:
            container.read(DATA[:n])
        assert isinstance(caught.value, TruncatedError) or n == 0


def test_every_truncation_gives_the_leading_chunks():
    sizes = [len(chunk.data) for chunk in FILE]
    start = len(DATA) - sum(sizes)
    for n in range(start, len(DATA)):
        found = container.read(DATA[:n], allow_truncated=True)
        whole = next(k for k in range(len(FILE) + 1) if k == len(FILE) or start + sum(sizes[: k + 1]) > n)
        assert list(found.chunks) == FILE[:whole]
        assert found.n_missing == len(FILE) - whole
    with pytest.raises(TruncatedError):
        container.read(DATA[: start - 1], allow_truncated=True)


def test_every_bit_flip_is_noticed():
    meta = len(DATA) - len(FILE[-1].data)
    for bit in range(8 * len(DATA)):
        data = bytearray(DATA)
        data[bit // 8] ^= 1 << bit % 8
        if bit // 8 < meta:
            with pytest.raises(NfldError):
                container.read(bytes(data))
        else:  # ancillary: dropped, and said so
            found = container.read(bytes(data))
            assert list(found.chunks) == FILE[:-1] and len(found.warnings) == 1


def test_bit_flips_with_repaired_checksums_do_not_crash():
    start = len(DATA) - sum(len(chunk.data) for chunk in FILE)
    for bit in range(8 * (start - 4)):
        head = bytearray(DATA[: start - 4])
        head[bit // 8] ^= 1 << bit % 8
        data = bytes(head) + struct.pack("<I", zlib.crc32(head)) + DATA[start:]
        for options in ({}, {"allow_truncated": True}):
            try:
                container.read(data, **options)
            except NfldError:
                pass


def test_a_damaged_chunk_ends_what_is_salvaged():
    data = bytearray(DATA)
    data[-len(FILE[-1].data) - 1] ^= 1  # the last GRID
    with pytest.raises(ChecksumError):
        container.read(bytes(data))
    found = container.read(bytes(data), allow_truncated=True)
    assert list(found.chunks) == FILE[:7] and found.n_missing == 2 and "GRID 4" in found.warnings[0]


def test_what_readers_refuse():
    payload = b"x" * 200
    assert len(container.read(rebuilt([row()], payload)).chunks) == 1
    assert code_of(b"") == "signature"
    assert code_of(b"PK\x03\x04 something else") == "signature"
    assert code_of(DATA.replace(b"\r\n", b"\n", 1)) == "signature"
    assert code_of(rebuilt([row()], payload, major=1)) == "version"
    assert code_of(rebuilt([row()], payload, minor=container.DRAFT + 1)) == "version"
    assert code_of(rebuilt([row()], payload, features=1 << 5)) == "feature"
    assert code_of(rebuilt([], b"", n_chunks=0, length=200)) == "n-chunks"
    assert code_of(rebuilt([row()], payload, n_chunks=1025)) == "n-chunks"
    assert code_of(rebuilt([row(), row()], payload * 2)) == "chunk-duplicate"
    assert code_of(rebuilt([row(type=max(container.CRITICAL_TYPES) + 1)], payload)) == "chunk-type"
    assert code_of(rebuilt([row(codec=3)], payload)) == "codec"
    assert code_of(rebuilt([row(key=2**32)], payload)) == "chunk-limit"
    assert code_of(rebuilt([row()], payload + b"y")) == "length"
    assert code_of(rebuilt([row()], payload, length=2**40)) == "length"
    assert code_of(DATA + b"\0") == "trailing-bytes"
    assert code_of(DATA + b"\0", allow_truncated=True) == "trailing-bytes"


def test_the_feature_bit_is_named():
    with pytest.raises(UnsupportedError, match="bit 5"):
        container.read(container.write(FILE, required_features=1 << 5))


def test_unknown_ancillary_chunks_are_no_obstacle():
    payload = b"x" * 200
    assert container.read(rebuilt([row(type=0x81)], payload)).warnings == ()
    found = container.read(rebuilt([row(type=0x81, codec=77)], payload))
    assert found.chunks == () and "codec 77" in found.warnings[0]


@pytest.mark.parametrize(
    "chunks",
    [
        [],
        [FILE[0], FILE[0]],
        [Chunk(256, 0, RAW, b"")],
        [Chunk(FHDR, 2**32, RAW, b"")],
        [Chunk(FHDR, 0, 9, b"")],
        [Chunk(GRID, key, RAW, b"") for key in range(1025)],
    ],
)
def test_writing_what_cannot_be_read_is_refused(chunks):
    with pytest.raises(UsageError):
        container.write(chunks)


@given(st.binary(max_size=3000))
@settings(max_examples=40, deadline=None)
def test_zstd_round_trip(content):
    assert container.unpack_zstd(container.pack_zstd(content), len(content)) == content


def test_zstd_bombs_and_oddities():
    bomb = container.pack_zstd(bytes(1 << 24))
    assert len(bomb) < 1000
    with pytest.raises(LimitError):
        container.unpack_zstd(bomb, (1 << 24) - 1)
    sound = container.pack_zstd(b"metadata" * 9)
    unsized = zstandard.ZstdCompressor(write_content_size=False).compress(b"metadata")
    skippable = b"\x50\x2a\x4d\x18\x04\0\0\0abcd"
    lying = bytearray(sound)
    lying[5] += 1  # the content size of a short single-segment frame
    empty = container.pack_zstd(b"")
    wide = zstandard.ZstdCompressor(compression_params=zstandard.ZstdCompressionParameters(window_log=25)).compressobj(
        size=100_000_000
    )
    wide_frame = wide.compress(b"x") + wide.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    for data in (b"", sound[:-1], sound + b"\0", sound * 2, unsized, skippable, skippable + sound, bytes(lying),
                 empty + b"\0", empty[:-1]):  # fmt: skip
        with pytest.raises(FormatError):
            container.unpack_zstd(data, 1 << 30)
    with pytest.raises(LimitError) as caught:
        container.unpack_zstd(wide_frame, 1 << 30)
    assert caught.value.code == "zstd-window"


@given(st.integers(0, MAX_VARINT))
def test_varints(value):
    assert read_varint(write_varint(value) + b"\xff") == (value, len(write_varint(value)))


@pytest.mark.parametrize("data", ["8000", "ff00", "80808080808000", "ffffffffffffff7f", "ffffffffffffffff01", "80", ""])
def test_varints_have_one_form(data):
    with pytest.raises(FormatError):
        read_varint(bytes.fromhex(data))


def test_reader_mirrors_writer():
    out = Writer().u8(7).u16(300).u32(2**32 - 1).f32(0.5).f64(-1e300).varint(2**53 - 1).bytes(b"xyz")
    reader = Reader(out.getvalue(), "a test")
    assert (reader.u8(), reader.u16(), reader.u32(), reader.f32()) == (7, 300, 2**32 - 1, 0.5)
    assert (reader.f64(), reader.varint(), reader.bytes(3)) == (-1e300, 2**53 - 1, b"xyz")
    reader.done()
    with pytest.raises(TruncatedError, match="a test"):
        reader.u8()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_floats_are_finite(value):
    with pytest.raises(FormatError):
        Reader(struct.pack("<f", value)).f32()
    with pytest.raises(FormatError):
        Reader(struct.pack("<d", value)).f64()
    with pytest.raises(ValueError):
        Writer().f32(value)
