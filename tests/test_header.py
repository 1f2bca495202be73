"""FHDR and DNET: everything comes back, small fields are small, and each rule has its own code."""

import dataclasses
import struct

import numpy as np
import pytest
from field_cases import make_frozen, make_spec, specs
from hypothesis import given, settings
from hypothesis import strategies as st

import nfcodec
from nfcodec import decode, header
from nfcodec.errors import FormatError, LimitError
from nfcodec.pack import pack
from nfcodec.spec import MlpSpec


@given(specs())
@settings(max_examples=200, deadline=None)
def test_fhdr_round_trip(spec):
    assert header.unpack_spec(header.pack_spec(spec)) == spec


@given(specs(), st.integers(0, 2**32 - 1), st.sampled_from([0.4, 3.0, 1e4]))
@settings(max_examples=40, deadline=None)
def test_whole_files_round_trip(spec, seed, spread):
    frozen = make_frozen(spec, np.random.default_rng(seed), spread)
    meta = {"source": "ünï", "numbers": [1, 2.5, None]}
    data = pack(spec, frozen, meta)
    field = nfcodec.open(data)
    assert field.spec == spec and field.meta == meta
    assert field.n_levels == spec.grid.n_levels
    for found, wanted in zip(field.grid.levels, frozen.levels, strict=True):
        assert found.keys() == wanted.keys()
        for name in wanted:
            assert np.array_equal(found[name], wanted[name]) and found[name].dtype == np.int32
    expected = header.assemble_mlp(spec.mlp, frozen.tensors, frozen.shifts)
    for a, b in zip([*field.mlp.weights, *field.mlp.biases, field.mlp.skip], [*expected.weights, *expected.biases, expected.skip]):
        assert np.array_equal(a, b)
    assert field.sample(np.full((3, spec.n_dims), 0.3)).shape == (3, spec.channels)
    assert field.decode().shape == (*spec.extent, spec.channels)


def test_a_usual_header_is_small():
    spec = make_spec("image", (512, 768), [(n, n * 3 // 2) for n in (8, 16, 32, 64, 128, 256, 512)], channels=3, dtype="u1")
    assert len(header.pack_spec(spec)) <= 60
    file = pack(make_spec("image", dtype="u1"), make_frozen(make_spec("image", dtype="u1"), np.random.default_rng(0)))
    assert nfcodec.open(file).info()["header_bytes"] <= 100


@pytest.mark.parametrize("dtype, white", [("u1", 255.0), ("u2", 65535.0)])
def test_the_full_range_of_pictures_takes_no_bytes(dtype, white):
    spec = make_spec("image", dtype=dtype, offset=0.0, scale=white)
    other = make_spec("image", dtype=dtype, offset=0.0, scale=white - 1)
    assert header.unpack_spec(header.pack_spec(spec)) == spec and header.unpack_spec(header.pack_spec(other)) == other
    assert len(header.pack_spec(spec)) == len(header.pack_spec(other)) - 8
    mixed = dataclasses.replace(spec, value_scale=(white, white - 1))
    assert header.unpack_spec(header.pack_spec(mixed)) == mixed
    # 255 is no white of another dtype
    assert header.unpack_spec(header.pack_spec(make_spec(dtype="i2", offset=0.0, scale=white))).value_scale[0] == white


@pytest.mark.parametrize("step", [1e-30, 1e-3, 0.1, 1.0, 3.3333, 1e30])
def test_steps_have_eight_bits_of_precision(step):
    stored = header.step_value(header.step_code(step))
    assert abs(stored / step - 1) <= 2.0**-8
    assert header.step_code(stored) == header.step_code(step)


@pytest.mark.parametrize("step", [1e-45, 3.4e38])
def test_extreme_steps_stay_positive_and_finite(step):
    assert 0 < header.step_value(header.step_code(step)) < float("inf")


@pytest.mark.parametrize("n_hidden_layers", [0, 1, 3])
@pytest.mark.parametrize("n_neurons", [1, 127, 128, 256])
def test_dnet_round_trip(n_hidden_layers, n_neurons):
    spec = MlpSpec(5, n_neurons if n_hidden_layers else 0, n_hidden_layers, 3)
    rng = np.random.default_rng(7)
    tensors = [rng.integers(-300, 301, shape).astype(np.int32) for shape in header.mlp_shapes(spec)]
    shifts = list(range(len(tensors)))
    found = header.unpack_mlp(spec, header.pack_mlp(tensors, shifts))
    assert found.skip.shape == (3, 5) and len(found.biases) == n_hidden_layers + 1
    tensor = tensors[-1] * 2.0 ** -shifts[-1]
    assert np.array_equal(found.skip, tensor.astype(np.float32))
    x = rng.normal(size=(4, 5)).astype(np.float32)
    assert found(x).shape == (4, 3)


# ---------------------------------------------------------------- every field with every kind of wrong value

PLAIN = header.pack_spec(make_spec("volume", (9, 8), ((3, 4), (9, 8)), channels=1, n_features=(1, 2)))
# offsets of the fields of PLAIN
AT = {
    "kind": 0, "flags": 1, "d": 2, "channels": 3, "dtype": 4, "extent": 5, "offset": 7, "scale": 11, "encoding": 15,
    "interpolation": 16, "log2_size": 17, "levels": 18, "resolution": 19, "features": 23, "step": 25,
    "activation": 29, "hidden": 30, "neurons": 31,
}  # fmt: skip


def code_of(data):
    with pytest.raises(FormatError) as caught:
        decode.Budget().take(header.unpack_spec(data))
    assert "\n" not in str(caught.value)
    return caught.value.code


def with_bytes(at, value):
    return PLAIN[: AT[at]] + value + PLAIN[AT[at] + len(value) :]


@pytest.mark.parametrize(
    "at, value, code",
    [
        ("kind", b"\x06", "fhdr-kind"),
        ("kind", b"\x02", "fhdr-kind"),  # a surface without a place
        ("flags", b"\x80", "fhdr-flags"),
        ("d", b"\x00", "limit-dimensions"),
        ("d", b"\x05", "limit-dimensions"),
        ("channels", b"\x00", "limit-channels"),
        ("channels", b"\x11", "limit-channels"),
        ("dtype", b"\x0a", "fhdr-dtype"),
        ("extent", b"\x00", "limit-extent"),
        ("offset", struct.pack("<f", float("nan")), "not-finite"),
        ("scale", struct.pack("<f", float("-inf")), "not-finite"),
        ("encoding", b"\x03", "fhdr-encoding"),
        ("interpolation", b"\x05", "fhdr-interpolation"),
        ("interpolation", b"\x80\x00", "fhdr-boundary"),  # boundaries that are clamp along all axes
        ("interpolation", b"\x80\x10", "fhdr-boundary"),  # of a third axis
        ("interpolation", b"\x80\x0d", "fhdr-boundary"),
        ("log2_size", b"\x01", "limit-log2_size"),
        ("levels", b"\x00", "limit-levels"),
        ("levels", b"\x21", "limit-levels"),
        ("resolution", b"\x00", "limit-resolution"),
        ("features", b"\x00", "limit-features"),
        ("features", b"\x11", "limit-features"),
        ("step", b"\x00\x00", "fhdr-step"),
        ("step", b"\x80\x7f", "fhdr-step"),
        ("step", b"\x00\xbf", "fhdr-step"),
        ("activation", b"\x10", "fhdr-activation"),
        ("hidden", b"\x10", "limit-hidden-layers"),
        ("neurons", b"\x00", "limit-neurons"),
    ],
)
def test_each_rule_has_its_code(at, value, code):
    assert header.unpack_spec(PLAIN).grid.n_features == (1, 2)
    assert code_of(with_bytes(at, value)) == code


@pytest.mark.parametrize(
    "changes, code",
    [
        (dict(kind="image", n_dims=3), "fhdr-kind"),
        (dict(kind="sdf", channels=3, roles=("distance", "trim", "trim")), "fhdr-role"),
        (dict(kind="sdf", channels=2, roles=("distance", "distance")), "fhdr-role"),
        (dict(kind="sdf", channels=3, roles=("distance", "red", "green")), "fhdr-role"),
        (dict(kind="sdf", dtype="u1"), "fhdr-kind"),
        (dict(kind="sdf", truncation=1.0), "fhdr-kind"),
        (dict(kind="tsdf", truncation=0.0), "fhdr-kind"),
        (dict(kind="sdf", cell=-1.0), "fhdr-cell"),
        (dict(kind="sdf", cell=1e31), "fhdr-cell"),
        (dict(kind="sdf", origin=(0.0, 0.0, -1e31)), "fhdr-origin"),
        (dict(kind="volume", origin=(0.0, 0.0, 0.0), cell=1.0), "fhdr-kind"),
    ],
)
def test_what_does_not_belong_together(changes, code):
    changes = dict(changes)
    d = changes.pop("n_dims", 3)
    kind = changes.pop("kind")
    spec = make_spec("volume" if kind == "image" else kind, (4,) * d, ((4,) * d,), channels=1)
    spec = dataclasses.replace(spec, kind=kind, **changes)
    assert code_of(header.pack_spec(spec)) == code


@pytest.mark.parametrize(
    "changes, most",
    [
        ({}, 2),
        ({"extent": (9, 7)}, 0),  # not the finest level's resolution
        ({"encoding": "hash", "log2_size": 5}, 0),
        ({"encoding": "codebook", "log2_size": 3}, 0),
    ],
)
def test_which_levels_may_be_surrounded(changes, most):
    settings = {"extent": (9, 8), "interpolation": "mitchell", **changes}
    kept = header.unpack_spec(header.pack_spec(make_spec(**settings, n_surrounded=most)))
    assert kept.grid.n_surrounded == most and kept.mlp.n_inputs == 4 + 8 * most
    assert code_of(header.pack_spec(make_spec(**settings, n_surrounded=most + 1))) == "limit-surrounded-levels"


def test_over_limits_and_over_long():
    grid = make_spec().grid
    wide = dataclasses.replace(make_spec(), extent=(1 << 24, (1 << 24) + 1))
    assert code_of(header.pack_spec(wide)) == "limit-extent"
    fine = dataclasses.replace(make_spec(), grid=dataclasses.replace(grid, resolutions=((3, 4), ((1 << 22) + 1, 1))))
    assert code_of(header.pack_spec(fine)) == "limit-resolution"
    many = dataclasses.replace(make_spec(), grid=dataclasses.replace(grid, resolutions=((3, 4), (1 << 20, 64))))
    assert code_of(header.pack_spec(many)) == "limit-grid-integers"
    assert code_of(PLAIN + b"\x00") == "leftover"
    for n in range(len(PLAIN)):
        assert code_of(PLAIN[:n]) == "truncated"


def test_the_limit_of_integers_counts_what_an_encoding_keeps():
    resolutions = ((1 << 20, 1 << 10),)
    hashed = make_spec(resolutions=resolutions, encoding="hash", n_features=(2,), log2_size=20)
    decode.Budget().take(hashed)  # a table is small however fine its lattice
    for encoding in ("dense", "codebook"):
        with pytest.raises(LimitError):
            decode.Budget().take(make_spec(resolutions=resolutions, encoding=encoding, n_features=(2,)))
