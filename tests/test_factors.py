"""Triplane, K-planes, CP and VM against the formulas of their papers, and what they are for."""

import itertools
import math

import numpy as np
import pytest
from field_cases import FACTORED, make_field, make_frozen, make_spec, suits

import nfcodec
from nfcodec import decode, fixed, header
from nfcodec.encodings import interpolate, load
from nfcodec.errors import FormatError, LimitError, UsageError

CASES = [(name, d) for name in FACTORED for d in (2, 3, 4) if suits(name, d)]
EXTENT = (7, 5, 6, 4)


def make_grid(name, d, interpolation="cubic", **settings):
    extent = EXTENT[:d]
    resolutions = (tuple(-(-n // 2) for n in extent), extent)
    spec = make_spec(
        extent=extent, resolutions=resolutions, encoding=name, interpolation=interpolation, n_features=(2, 3), **settings
    )
    return load(name)(spec.grid, make_frozen(spec, np.random.default_rng(d)).levels, spec.steps)


def plain(grid, level, factor, axes, coord):
    """A factor at one coordinate: the sum over its vertices of weights and values."""
    values = grid.levels[level][f"factor{factor}"] * np.float32(grid.steps[level])
    spec, total = grid.spec, 0
    kernel = spec.kernel(level)
    along = [interpolate.taps(coord[k : k + 1], spec.resolutions[level][k], kernel) for k in axes]
    for corner in itertools.product(range(interpolate.n_taps(kernel)), repeat=len(axes)):
        index = tuple(int(i[0, t]) for (i, _, _), t in zip(along, corner, strict=True))
        total = total + values[(slice(None), *index)] * math.prod(float(w[0, t]) for (_, w, _), t in zip(along, corner, strict=True))
    return total


def formula(grid, level, coord):
    d = grid.spec.n_dims
    pairs = list(itertools.combinations(range(d), 2))
    if grid.name == "triplane":  # EG3D, section 3.1: the sum of F_xy, F_xz and F_yz
        planes = [plain(grid, level, k, axes, coord) for k, axes in enumerate(pairs)]
        return sum(planes) if grid.spec.joining == "sum" else np.concatenate(planes)
    if grid.name == "kplanes":  # equation 2: the Hadamard product over all planes
        return math.prod(plain(grid, level, k, axes, coord) for k, axes in enumerate(pairs))
    lines = [plain(grid, level, k, (k,), coord) for k in range(d)]
    if grid.name == "cp":  # TensoRF, equation 3: v_x(x) v_y(y) v_z(z) of every component
        return math.prod(lines)
    matrices = [plain(grid, level, d + k, [j for j in range(d) if j != k], coord) for k in range(d)]
    return np.concatenate([v * m for v, m in zip(lines, matrices, strict=True)])  # equation 4


@pytest.mark.parametrize("name, d", CASES)
@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_features_by_the_formula_of_the_paper(name, d, interpolation):
    for joining in ("sum", "concatenation") if name == "triplane" else ("",):
        grid = make_grid(name, d, interpolation, joining=joining)
        coords = np.random.default_rng(0).random((5, d))
        found = grid.features(coords, 2)
        wanted = [np.concatenate([formula(grid, level, coord) for level in (0, 1)]) for coord in coords]
        assert found.shape == (5, grid.spec.n_inputs) and found.dtype == np.float32
        np.testing.assert_allclose(found, wanted, atol=1e-4 * max(1, np.abs(wanted).max()))
        coarse = grid.features(coords, 1)
        assert np.array_equal(coarse[:, : grid.spec.width(0)], found[:, : grid.spec.width(0)])
        assert not coarse[:, grid.spec.width(0) :].any()


@pytest.mark.parametrize("name, d", CASES)
def test_lattices_and_slopes(name, d):
    grid = make_grid(name, d, boundary=("wrap", "clamp", "reflect", "clamp")[:d])
    axes = [np.linspace(0.05, 0.97, n) for n in (3, 4, 2, 3)[:d]]
    coords = np.stack([g.ravel() for g in np.meshgrid(*axes, indexing="ij")], 1)
    values, slopes = grid.jacobian(coords, 2)
    scale = np.abs(values).max()
    np.testing.assert_allclose(grid.lattice(axes, 2).reshape(values.shape), values, atol=1e-4 * scale)
    np.testing.assert_allclose(grid.features(coords, 2), values, atol=1e-4 * scale)
    h = 2e-3
    for k in range(d):
        step = h * (np.arange(d) == k)
        quotient = (grid.features(coords + step, 2) - grid.features(coords - step, 2)) / (2 * h)
        assert np.quantile(np.abs(quotient - slopes[:, k]), 0.9) < 0.02 * np.abs(slopes).max()
    found, first, second = grid.hessian(coords, 2)
    assert np.array_equal(found, values) and np.array_equal(first, slopes)
    for k in range(d):
        step = h * (np.arange(d) == k)
        quotient = (grid.jacobian(coords + step, 2)[1] - grid.jacobian(coords - step, 2)[1]) / (2 * h)
        assert np.quantile(np.abs(quotient - second[:, k]), 0.9) < 0.02 * np.abs(second).max()
    np.testing.assert_array_equal(second, np.moveaxis(second, 1, 2))


@pytest.mark.parametrize("name, d", CASES)
def test_integers_survive_and_damage_is_found(name, d):
    grid = make_grid(name, d)
    data = grid.encode_level(grid.spec, grid.levels, 1, None)
    found = grid.decode_level(grid.spec, [], 1, data, None)
    assert list(found) == list(grid.level_shapes(grid.spec, 1))
    assert all(np.array_equal(found[key], grid.levels[1][key]) for key in found)
    for broken in (data + b"\x00", data[:-1], b""):
        with pytest.raises(FormatError):
            grid.decode_level(grid.spec, [], 1, broken, None)


@pytest.mark.parametrize("name, d", CASES)
def test_limits_come_before_arrays(name, d):
    edge = {1: 1 << 20, 2: 1 << 13, 3: 1 << 9}[2 if name in ("triplane", "kplanes") else 1 if name == "cp" else d - 1]
    # lines are never too long one by one: 32 levels of 16 features of them are
    n_levels = 32 if edge == 1 << 20 else 1
    kept = make_spec(extent=(8,) * d, resolutions=((8,) * d,) * n_levels, encoding=name, n_features=(16,) * n_levels)
    decode.Budget().take(kept)
    wide = make_spec(extent=(8,) * d, resolutions=((edge,) * d,) * n_levels, encoding=name, n_features=(16,) * n_levels)
    with pytest.raises(LimitError):
        decode.Budget().take(header.unpack_spec(header.pack_spec(wide)))


@pytest.mark.parametrize("name", FACTORED)
def test_axes_that_an_encoding_has_not(name):
    for d in (1, 2, 3, 4):
        spec = make_spec(extent=(4,) * d, resolutions=((4,) * d,), n_features=(1,), encoding=name)
        if suits(name, d):
            assert header.unpack_spec(header.pack_spec(spec)) == spec
        else:
            with pytest.raises(FormatError) as caught:
                header.unpack_spec(header.pack_spec(spec))
            assert caught.value.code == "fhdr-encoding"
    data = bytearray(header.pack_spec(make_spec(extent=(4,) * 3, resolutions=((4,) * 3,), n_features=(1,), encoding="triplane")))
    data[data.index(b"\x03\x00\x00\x00\x01") + 2] = 2  # encoding, interpolation, joining, log2_size, levels
    with pytest.raises(FormatError) as caught:
        header.unpack_spec(bytes(data))
    assert caught.value.code == "fhdr-joining"


@pytest.mark.parametrize("name", FACTORED)
def test_the_integer_field_is_the_float_field(name):
    field = make_field(
        extent=(9, 8, 7), resolutions=((4, 3, 3), (9, 8, 7)), encoding=name, interpolation="cubic", step=0.1, n_features=(2, 2)
    )
    box = tuple(slice(0, n) for n in field.spec.extent)
    found = fixed.outputs(field.spec, field.grid, field.mlp, box) * 2.0**-fixed.FRACTION
    values = found * np.array(field.spec.value_scale) + np.array(field.spec.value_offset)
    assert np.abs(values - field.decode(dtype="f8")).max() < 1e-3 * np.ptp(values)


# ---------------------------------------------------------------- fitting


@pytest.mark.parametrize("name", FACTORED)
def test_a_volume_of_their_own_kind_is_kept(name):
    """What is a sum of planes, or a product, is kept well in few bytes by the encoding that is made for it."""
    pytest.importorskip("torch", reason="fitting needs torch")
    z, y, x = (np.mgrid[:24, :24, :24] + 0.5) / 24
    products = np.sin(9 * z) * np.cos(7 * y) * np.sin(5 * x + 1) + 0.5 * np.cos(11 * x) * y
    volume = np.sin(9 * z * y) + np.cos(8 * x * z) + y * x if name == "triplane" else products
    encoded = nfcodec.encode(volume.astype(np.float32), kind="volume", encoding=name, effort=2, quality=60)
    field = nfcodec.open(encoded.data)
    assert field.spec.grid.encoding == name and encoded.report.psnr_db > 35
    assert len(encoded.data) < volume.size / 3


def test_a_matrix_of_low_rank_is_a_product():
    pytest.importorskip("torch", reason="fitting needs torch")
    rng = np.random.default_rng(0)
    rows, columns = rng.normal(size=(96, 2)), rng.normal(size=(80, 2))  # neighbours tell nothing
    image = rows @ columns.T
    image = np.rint(255 * (image - image.min()) / np.ptp(image)).astype(np.uint8)
    sizes = {}
    for name in ("cp", "dense"):
        encoded = nfcodec.encode(image, kind="image", encoding=name, effort=2, psnr=38)
        assert encoded.report.psnr_db > 37
        sizes[name] = len(encoded.data)
    assert sizes["cp"] < 0.5 * sizes["dense"]


def test_a_signal_without_those_axes_is_refused():
    with pytest.raises(UsageError, match="3 or 4"):
        nfcodec.encode(np.zeros((8, 8), np.uint8), kind="image", encoding="kplanes")
