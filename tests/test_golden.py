"""The golden files decode to the same integers, exactly, and to the same values, within the stated tolerance."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from entropy_cases import KERNELS, kernels

import nfcodec
from nfcodec import container
from nfcodec.encodings import load
from nfcodec.errors import TruncatedError
from nfcodec.spec import ACTIVATIONS, BOUNDARIES, DTYPES, ENCODINGS, INTERPOLATIONS, KINDS

GOLDEN = Path(__file__).parents[1] / "spec" / "golden"
EXPECTED = json.loads((GOLDEN / "golden.json").read_text("utf-8"))
NAMES = sorted(EXPECTED)


def data_of(name):
    return (GOLDEN / f"{name}.nfld").read_bytes()


def digest(array):
    return hashlib.sha256(np.ascontiguousarray(array, "<i4").tobytes()).hexdigest()


def test_every_file_is_in_the_index_and_small():
    assert sorted(path.stem for path in GOLDEN.glob("*.nfld")) == NAMES
    for name in NAMES:
        assert hashlib.sha256(data_of(name)).hexdigest() == EXPECTED[name]["sha256"], f"{name}.nfld was changed"
        assert len(data_of(name)) <= 8192


def test_the_goldens_cover_the_registry():
    infos = [EXPECTED[name]["info"] for name in NAMES]
    specs = [nfcodec.open(data_of(name)).spec for name in NAMES]
    assert {i["kind"] for i in infos} == set(KINDS)
    parts = {(e, len(i["extent"])) for i in infos for e in i["encoding"].split("+")}
    assert parts >= {(e, d) for e in ENCODINGS for d in load(e).dims if d in (2, 3)}
    assert {len(i["extent"]) for i in infos} == {1, 2, 3, 4}
    assert {i["interpolation"] for i in infos} >= set(INTERPOLATIONS)
    assert {name for i in infos for name in i["boundary"]} == set(BOUNDARIES)
    assert {i["dtype"] for i in infos} >= set(DTYPES) - {"u4"}
    assert {s.mlp.activation for s in specs} == set(ACTIVATIONS)
    assert {s.mlp.n_hidden_layers for s in specs} >= {0, 1, 2}
    assert any(s.knee for s in specs) and any(s.clip for s in specs) and not all(s.clip for s in specs)
    assert any(not a.any() for a in nfcodec.open(data_of("image-empty-level")).grid.levels[1].values())
    assert max(np.abs(a).max() for a in nfcodec.open(data_of("image-large")).grid.levels[1].values()) > 1e5


@pytest.mark.parametrize("choice", KERNELS)
@pytest.mark.parametrize("name", NAMES)
def test_integers_are_exact(name, choice):
    with kernels(choice):
        field = nfcodec.open(data_of(name))
    found = [{key: digest(array) for key, array in level.items()} for level in field.grid.levels]
    assert found == EXPECTED[name]["levels"]
    assert all(array.dtype == np.int32 for level in field.grid.levels for array in level.values())


@pytest.mark.parametrize("name", NAMES)
def test_values(name):
    field, expected = nfcodec.open(data_of(name)), EXPECTED[name]
    coords, tolerance = np.array(expected["coords"]), expected["tolerance"]

    def close(found, wanted, atol=tolerance):
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, wanted, rtol=0, atol=atol)

    close(field.sample(coords), expected["values"])
    close(field.sample(coords.astype(np.float32)), expected["values"], 2 * tolerance)
    close(field.sample(coords, level=0), expected["values_level_0"])
    slopes = np.array(expected["gradient"])
    # where a field is constant its slopes are rounding errors, of the size of those of its values
    close(field.gradient(coords[3:5]), slopes, max(np.abs(slopes).max() * 2.0**-10, tolerance))
    half = field.decode(expected["half_shape"], dtype="f4")
    assert half.shape == (*expected["half_shape"], field.spec.channels)
    close(half.reshape(-1, half.shape[-1])[:6], expected["half_first"])


@pytest.mark.parametrize("name", NAMES)
def test_info(name):
    info = json.loads(json.dumps(nfcodec.open(data_of(name)).info()))
    wanted = EXPECTED[name]["info"]
    assert {key: info.get(key) for key in wanted} == wanted
    assert info["file_bytes"] == len(data_of(name)) and info["complete"] and not info["warnings"]
    parts = info["network_bytes"] + info["context_bytes"] + sum(info["level_bytes"]) + info["meta_bytes"]
    parts += info["residual_bytes"]
    assert 0 <= info["file_bytes"] - parts - info["header_bytes"] <= 3 * len(info["level_bytes"])


@pytest.mark.parametrize("name", NAMES)
def test_decoding_gives_the_source_dtype_and_shape(name):
    field = nfcodec.open(data_of(name))
    decoded = field.decode()
    assert decoded.shape == (*field.spec.extent, field.spec.channels)
    assert decoded.dtype == np.dtype(field.spec.dtype)


@pytest.mark.parametrize("name", ["image-mask", "image-large", "volume-f4", "volume-hash", "image-codebook"])
def test_prefixes_decode_to_their_levels(name):
    """Levels of these small files share one GRID chunk, so they are put into a chunk each first."""
    data = split_levels(data_of(name))
    whole = nfcodec.open(data)
    starts = np.cumsum([0, *(len(c.data) for c in container.read(data).chunks)])
    first = len(data) - starts[-1]
    ends = [first + starts[k + 1] for k, c in enumerate(container.read(data).chunks) if c.type == container.GRID]
    coords = np.array(EXPECTED[name]["coords"])
    for n_levels, end in enumerate(ends[:-1], 1):
        with pytest.raises(TruncatedError):
            nfcodec.open(data[:end])
        for length in (end, end + 1):
            part = nfcodec.open(data[:length], allow_truncated=True)
            assert part.n_levels == n_levels < part.spec.grid.n_levels
            assert not part.info()["complete"] and part.info()["n_levels_present"] == n_levels
            assert np.array_equal(part.sample(coords), whole.sample(coords, level=n_levels - 1))
            assert np.array_equal(part.decode(dtype="f4"), whole.decode(level=n_levels - 1, dtype="f4"))
    with pytest.raises(TruncatedError):
        nfcodec.open(data[: ends[0] - 1], allow_truncated=True)


def split_levels(data):
    """The same field with one GRID chunk a level."""
    from nfcodec.binary import Reader, Writer

    chunks = []
    for chunk in container.read(data).chunks:
        if chunk.type != container.GRID:
            chunks.append(chunk)
            continue
        reader = Reader(chunk.data)
        for level in range(chunk.key + 1):
            payload = reader.bytes(reader.varint())
            part = Writer().varint(len(payload)).bytes(payload).getvalue()
            chunks.append(container.Chunk(container.GRID, level, container.RANS, part))
    return container.write(chunks)


def test_paths_streams_and_bytes_open_alike(tmp_path):
    path = GOLDEN / "tiny.nfld"
    with open(path, "rb") as stream:
        fields = [nfcodec.open(source) for source in (path, str(path), path.read_bytes(), stream)]
    assert len({f.decode().tobytes() for f in fields}) == 1
    assert "image 4x5x1 dense levels 2/2" in repr(fields[0])
