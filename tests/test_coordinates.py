"""Encodings without a grid and encodings side by side: derivatives, twins, files, and what people may write."""

import itertools

import numpy as np
import pytest
from field_cases import make_frozen, make_spec
from test_golden import data_of

import nfcodec
from nfcodec import header
from nfcodec.choice import parse_activation, parse_encoding, parse_network
from nfcodec.encodings import load
from nfcodec.encodings.random_fourier import matrix
from nfcodec.encodings.spherical_harmonics import harmonics
from nfcodec.errors import FormatError, LimitError, UsageError
from nfcodec.pack import pack
from nfcodec.spec import COORDINATE_ENCODINGS, CompositeSpec, Signal

CASES = [(name, d) for name in COORDINATE_ENCODINGS for d in load(name).dims]


def encoding(name, d, rng, **numbers):
    spec = load(name).describe(d, **numbers)
    shapes = load(name).level_shapes(spec, 0)
    return load(name)(spec, [{key: rng.integers(-12, 13, shape).astype(np.int32) for key, shape in shapes.items()}], (1.0,))


@pytest.mark.parametrize("name, d", CASES)
def test_derivatives_are_differences(name, d):
    rng = np.random.default_rng(d)
    found, x, step = encoding(name, d, rng), rng.random((9, d)) * 0.9 + 0.05, 1e-5
    tolerance = 0.02 if name == "random-fourier" else 1e-4  # the former is float32
    value, first, second = found.terms(x, 2)
    assert value.shape == (9, found.spec.n_inputs)
    for k in range(d):
        beside = [found.terms(x + sign * step * np.eye(d)[k], 2) for sign in (1, -1)]
        for order, wanted in ((0, first[:, k]), (1, second[:, :, k])):
            rise = (beside[0][order].astype(np.float64) - beside[1][order]) / (2 * step)
            np.testing.assert_allclose(rise, wanted, atol=tolerance * max(1.0, np.abs(wanted).max()))


@pytest.mark.parametrize("name, d", CASES)
def test_the_twin_is_the_encoding(name, d):
    torch = pytest.importorskip("torch", reason="fitting needs torch")
    from nfcodec.fit.encodings import load as load_twin

    rng = np.random.default_rng(d)
    found, x = encoding(name, d, rng), rng.random((50, d))
    twin = load_twin(name)(found.spec)
    for key, array in found.levels[0].items():
        getattr(twin, key).data = torch.from_numpy(array).float()
    expected = found.features(x, 1)
    np.testing.assert_allclose(twin.terms(torch.from_numpy(x.T.copy())).detach().numpy().T, expected, atol=1e-5)
    for found_level, level in zip(twin.freeze(), found.levels, strict=True):
        assert found_level.keys() == level.keys() and all(np.array_equal(found_level[k], level[k]) for k in level)


def test_the_random_matrix_is_normal():
    b = matrix(2, 1024, 10.0, 3)
    assert b.shape == (1024, 2) and abs(b.mean()) < 1 and abs(b.std() - 10) < 0.5
    assert abs((np.abs(b) < 10).mean() - 0.683) < 0.03 and np.abs(b).max() > 25
    assert not np.array_equal(b, matrix(2, 1024, 10.0, 4))
    assert np.array_equal(matrix(2, 5, 10.0, 3), b[:5])  # more of them are more, not others


def test_spherical_harmonics_are_orthonormal():
    z, w = np.polynomial.legendre.leggauss(16)
    phi = (np.arange(32) + 0.5) / 32 * 2 * np.pi
    r = np.sqrt(1 - z * z)[:, None]
    u = np.stack([r * np.cos(phi), r * np.sin(phi), z[:, None] + 0 * phi], -1).reshape(-1, 3)
    y = harmonics(u, 8)[0]
    weights = np.repeat(w, 32) * 2 * np.pi / 32
    np.testing.assert_allclose(y.T @ (weights[:, None] * y), np.eye(64), atol=1e-10)
    np.testing.assert_allclose(y[:, 3], np.sqrt(3 / (4 * np.pi)) * u[:, 0], atol=1e-12)  # l = 1, m = 1


def test_parts_are_side_by_side():
    rng = np.random.default_rng(0)
    parts = [encoding("frequency", 2, rng, n_frequencies=3), encoding("one-blob", 2, rng, n_bins=4)]
    both = load("frequency+one-blob")(CompositeSpec(tuple(p.spec for p in parts)), [{}, {}], (1.0, 1.0))
    x = rng.random((20, 2))
    for method in ("features", "jacobian", "hessian"):
        found, single = getattr(both, method)(x, 2), [getattr(p, method)(x, 1) for p in parts]
        if method == "features":
            found, single = (found,), [(s,) for s in single]
        for array, *own in zip(found, *single, strict=True):
            assert np.array_equal(array, np.concatenate(own, -1))
    assert not both.features(x, 1)[:, 12:].any() and np.array_equal(both.features(x, 1)[:, :12], parts[0].features(x, 1))


def test_one_part_takes_no_byte_more():
    alone = make_spec(resolutions=((3, 4), (9, 8)))
    identity = load("identity").describe(2)
    both = make_spec(sees=CompositeSpec((identity, alone.grid)))
    assert len(header.pack_spec(both)) == len(header.pack_spec(alone)) + 1
    assert len(header.pack_spec(make_spec(sees=identity))) < 30


def test_prefixes_have_the_first_parts():
    spec = make_spec(extent=(40, 50), sees=CompositeSpec((load("frequency").describe(2), make_spec().grid)), dtype="u1")
    field = nfcodec.open(pack(spec, make_frozen(spec, np.random.default_rng(0))))
    assert field.n_levels == 3 and field.info()["encoding"] == "frequency+dense"
    coords = np.random.default_rng(1).random((5, 2))
    x = field.grid.features(coords, 1)
    assert np.array_equal(field.sample(coords, level=0), field._evaluation.values(field.mlp(x)))


def broken(change):
    """The code of the error that a header with other bytes gives."""
    data = header.pack_spec(make_spec(sees=CompositeSpec((load("frequency").describe(2), load("identity").describe(2)))))
    with pytest.raises((FormatError, LimitError)) as caught:
        header.unpack_spec(change(bytearray(data)))
    return caught.value.code


def test_headers_of_parts_are_checked():
    at = header.pack_spec(make_spec(sees=load("frequency").describe(2))).index(bytes([17, 8]))

    def put(values):
        return lambda data: bytes(data[:at]) + bytes(values) + bytes(data[at + len(values) :])

    assert broken(put([17 | 128, 0])) == "fhdr-parameter"
    assert broken(put([17 | 128, 25])) == "fhdr-parameter"
    assert broken(put([17 | 128, 8, 17, 8])) == "fhdr-encoding"  # twice
    assert broken(put([22 | 128])) == "fhdr-encoding"
    assert broken(put([16 | 128, 19 | 128, 8, 17 | 128, 8, 20 | 128, 4, 0, 0, 128, 63, 21, 2])) == "limit-parts"
    one = header.pack_spec(make_spec(extent=(9,), sees=load("identity").describe(1)))
    at = one.rindex(bytes([16, 1]))  # relu follows
    with pytest.raises(FormatError, match="2 or 3"):
        header.unpack_spec(one[:at] + bytes([21, 2]) + one[at + 1 :])


@pytest.mark.parametrize(
    "text, message",
    [
        ("denser", "dense"), ("dense+dense", "each once"), ("frequency:n=3", "expected such as|n_frequencies"), ("", "expected auto"),
        ("frequency:n_frequencies=0", "1 to 24"), ("frequency:n_frequencies=2.5", "integer"), ("frequency:n_frequencies", "such as"),
        ("spherical-harmonics", "2 or 3"), ("identity:x=1", "no numbers"), ("dense+auto", "got 'auto', expected dense"), ("auto:x=1", "expected dense"),
    ],
)  # fmt: skip
def test_what_cannot_be_chosen(text, message):
    with pytest.raises(UsageError, match=message):
        for part in parse_encoding(text):
            load(part.name).describe(1, **part.numbers)


def test_what_can_be_chosen():
    parts = parse_encoding("dense+random-fourier:sigma=4,seed=3")
    assert [p.name for p in parts] == ["dense", "random-fourier"] and parts[1].numbers == {"sigma": 4.0, "seed": 3.0}
    assert parse_activation("sine:omega=60") == ("sine", {"omega": 60.0})
    assert parse_network("256x4") == (256, 4)
    for text in ("256", "0x3", "2000x2", "16x16", "ax2"):
        with pytest.raises(UsageError, match="such as 256x4"):
            parse_network(text)


def test_info_says_what_the_network_sees():
    pytest.importorskip("click", reason="the command line needs click")
    from nfcodec.cli.inspect import describe

    lines = "\n".join(describe(nfcodec.open(data_of("image-parts")).info()))
    assert "frequency+one-blob+dense" in lines and "of the coordinate, 8 features" in lines and ", silu" in lines
    assert "interpolation" not in "\n".join(describe(nfcodec.open(data_of("image-frequency")).info()))


# ---------------------------------------------------------------- fits


def picture(n=24):
    y, x = np.mgrid[:n, :n] / n
    return (127 + 100 * np.sin(9 * x + 4 * y * y)).astype(np.uint8)[..., None]


@pytest.mark.parametrize(
    "settings",
    [
        dict(encoding="identity"), dict(encoding="super-gaussian:n_places=6", network="12x1"),
        dict(encoding="hash+one-blob:n_bins=4", activation="silu"), dict(encoding="random-fourier:sigma=2,n_frequencies=8", activation="prelu"),
        dict(encoding="dense+frequency:n_frequencies=2"), dict(encoding="dense+identity", interpolation="mitchell"), dict(encoding="dense", activation="gabor"), dict(encoding="identity", bpp=6),
    ],
    ids=str,
)  # fmt: skip
def test_files_are_what_was_fitted(settings):
    pytest.importorskip("torch", reason="fitting needs torch")
    found = nfcodec.encode(Signal("image", picture()), effort=1, network=settings.pop("network", None), **settings)
    field = nfcodec.open(found.data)
    assert field.info()["encoding"] == "+".join(part.split(":")[0] for part in settings["encoding"].split("+"))
    assert field.spec.mlp.activation == settings.get("activation", "sine" if settings["encoding"] == "identity" else "relu")
    assert found.report.psnr_db > 10
    error = np.square(field.decode().astype(np.float64) - picture()).mean()
    assert abs(10 * np.log10(255**2 / error) - found.report.psnr_db) < 1e-6


@pytest.mark.parametrize(
    "name, between",
    [
        ("dense+super-gaussian:n_places=3", None), ("frequency:n_frequencies=3+hash", None), ("identity", None),
        ("frequency:n_frequencies=2+codebook+dense", "mitchell"),
    ],
)  # fmt: skip
def test_a_tile_of_the_twins_is_the_decoded_field(name, between):
    torch = pytest.importorskip("torch", reason="fitting needs torch")
    from nfcodec.fit import presets
    from nfcodec.fit.build import build
    from nfcodec.fit.encodings import Rounding
    from nfcodec.fit.source import from_lattice

    source = from_lattice(Signal("image", picture(21)))
    preset = presets.choose(source, 1e-3, name, 5, activation="finer:omega=3", network=(9, 2), interpolation=between)
    fit = build(source, preset, 0)
    model = fit.model
    if between:  # kernels of all levels but the frequencies', each of another shape
        assert model.shapes.shape == (model.spec.grid.n_levels - 1, 2)
        model.shapes += 0.3 * torch.randn_like(model.shapes)
        model.set_shapes()
    with torch.no_grad():
        for tensor in model.parameters():
            tensor += 0.1 * torch.randn_like(tensor)
    field = nfcodec.open(pack(model.spec, model.eval().freeze()))
    (tile,) = fit.tiles
    for phase in itertools.product(range(2), repeat=2):
        axes = [(np.arange(21)[p::2] + 0.5) / 21 for p in phase]
        with torch.no_grad():
            _, values = model.grid.values(tile.plan, Rounding(hard=True))
            features = model.features(values, tile.plan, phase, 2)
            out = model.mlp(features)
        expected = field.grid.lattice(axes, field.n_levels)
        np.testing.assert_allclose(features.numpy().T.reshape(expected.shape), expected, atol=1e-4)
        outputs = field.mlp(expected.reshape(-1, expected.shape[-1]))
        np.testing.assert_allclose(out.numpy().T, outputs, atol=1e-3)


def test_sirens_layers_are_distributed_alike():
    """Sitzmann et al. 2020, section 3.2 and theorem 1.8: pre-activations of all hidden layers but the first are normal of
    deviation 1, outputs as an arcsine."""
    torch = pytest.importorskip("torch", reason="fitting needs torch")
    from nfcodec.fit.activations import load

    torch.manual_seed(0)
    twin, omega = load("sine"), torch.tensor(30.0)
    h = torch.rand(2, 4000) * 2 - 1
    for k in range(4):
        weight, bias = torch.zeros(256, len(h)), torch.zeros(256)
        twin.start(weight, bias, k == 0, 30.0)
        v = weight @ h  # the theorem has no biases
        h = twin(v, omega)
        if k:
            assert abs((omega * v).std().item() - 1) < 0.15
        assert abs(h.square().mean().item() - 0.5) < 0.12
