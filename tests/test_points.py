"""Clouds of points with features: the formula, the lists of neighbours, hostile files, and a fit."""

import itertools

import numpy as np
import pytest
from field_cases import make_frozen, make_spec

import nfcodec
from nfcodec import header
from nfcodec.binary import Writer
from nfcodec.encodings import load
from nfcodec.encodings.points import Cloud
from nfcodec.entropy import streams
from nfcodec.errors import FormatError, LimitError, UsageError
from nfcodec.limits import MAX_NEIGHBOURS

RESOLUTIONS = {1: ((9,), (30,)), 2: ((5, 4), (11, 13)), 3: ((3, 4, 3), (7, 6, 8))}


def make_grid(d, seed=0):
    resolutions = RESOLUTIONS[d]
    spec = make_spec(extent=resolutions[-1], resolutions=resolutions, encoding="points", n_features=(2, 1))
    return load("points")(spec.grid, make_frozen(spec, np.random.default_rng(seed)).levels, spec.steps)


@pytest.mark.parametrize("d", RESOLUTIONS)
def test_features_are_sums_of_local_kernels(d):
    """LDIF, equation 1, with a kernel that ends: over all points, most of which are too far away."""
    grid, coords = make_grid(d), np.random.default_rng(1).uniform(-0.1, 1.1, (60, d))
    coords[:3] = [[0.0] * d, [1.0] * d, [0.5] * d]
    found, parts = grid.features(coords, 2), []
    for level, data in enumerate(grid.levels):
        away = np.clip(coords, 0, 1)[:, None] * grid.spec.resolutions[level] - 0.5 - data["positions"]
        square = data["reach"][0] ** 2 * (16 - data["sizes"]) / 16
        kernel = np.maximum(1 - np.square(away).sum(-1) / square, 0) ** 3
        parts.append(kernel @ (data["features"] * grid.steps[level]))
    assert found.dtype == np.float32 and (np.abs(found) > 0.01).mean() > 0.2
    np.testing.assert_allclose(found, np.concatenate(parts, 1), atol=1e-4)
    assert not grid.features(coords, 1)[:, 2:].any()


@pytest.mark.parametrize("d", RESOLUTIONS)
def test_slopes_and_bends(d):
    grid, coords, h = make_grid(d), np.random.default_rng(1).random((80, d)), 1e-4
    values, slopes, bends = grid.hessian(coords, 2)
    assert np.array_equal(values, grid.features(coords, 2)) and np.array_equal(slopes, grid.jacobian(coords, 2)[1])
    for k in range(d):
        step = h * (np.arange(d) == k)
        for lower, higher in ((grid.features, slopes), (lambda x, n: grid.jacobian(x, n)[1], bends)):
            quotient = (lower(coords + step, 2).astype(float) - lower(coords - step, 2)) / (2 * h)
            assert np.quantile(np.abs(quotient - higher[:, k]), 0.95) < 0.02 * np.abs(higher).max()
    assert np.array_equal(bends, np.moveaxis(bends, 1, 2))


@pytest.mark.parametrize("reach", [1, 2, 3, 7])
def test_a_cell_lists_all_that_reach_into_it(reach):
    rng, resolution = np.random.default_rng(reach), (9, 10)
    positions = np.stack(np.unravel_index(np.sort(rng.choice(90, 12, replace=False)), resolution), 1).astype(np.int32)
    cloud = Cloud.of({"positions": positions, "sizes": np.zeros(12, int), "reach": np.array([reach])}, resolution)
    for cell in itertools.product(*(range(-(-n // reach)) for n in resolution)):
        low, high = np.array(cell) * reach, (np.array(cell) + 1) * reach
        wanted = ((positions + 0.5 + reach > low) & (positions + 0.5 - reach < high)).all(1)
        place = np.searchsorted(cloud.keys, cell[0] * cloud.n_cells[1] + cell[1])
        listed = cloud.points[cloud.starts[place] : cloud.starts[place + 1]] if wanted.any() else []
        assert sorted(listed) == np.flatnonzero(wanted).tolist()


@pytest.mark.parametrize("d", RESOLUTIONS)
def test_integers_survive_and_damage_is_found(d):
    grid = make_grid(d)
    data = grid.encode_level(grid.spec, grid.levels, 1, None)
    found = grid.decode_level(grid.spec, [], 1, data, None)
    assert all(np.array_equal(found[key], grid.levels[1][key]) for key in grid.levels[1])
    for broken in (data + b"\x00", data[:-1], b""):
        with pytest.raises(FormatError):
            grid.decode_level(grid.spec, [], 1, broken, None)


def code_of(grid, n, reach, table):
    data = Writer().varint(n).varint(reach).bytes(streams.encode_columns(np.array(table, np.int32))).getvalue()
    with pytest.raises(FormatError) as caught:
        load("points")(grid.spec, [grid.decode_level(grid.spec, [], 0, data, None)], grid.steps)
    return caught.value.code


def test_hostile_clouds():
    grid = make_grid(2)  # level 0: 5 x 4 vertices, 2 features; rows: 2 for the place, size, features
    row = [0, 0, 0, 1, 1]
    assert code_of(grid, 65, 1, [row]) == "limit-points"  # before the table is read
    assert code_of(grid, 1, 0, [row]) == code_of(grid, 1, (1 << 20) + 1, [row]) == "limit-points"
    for broken in ([5, 0, 0], [-1, 0, 0], [0, 2, 0], [0, -3, 0], [0, 0, 16], [0, 0, -1]):
        assert code_of(grid, 1, 1, [broken + [1, 1]]) == "points-place"
    assert code_of(grid, 2, 1, [row])  # fewer than it says


def test_crowds_and_numbers_of_cells_are_limited():
    crowd = {"positions": np.zeros((MAX_NEIGHBOURS + 1, 2), np.int32), "sizes": np.zeros(MAX_NEIGHBOURS + 1, np.int32)}
    with pytest.raises(LimitError) as caught:
        Cloud.of({**crowd, "reach": np.array([2])}, (4, 4))
    assert caught.value.code == "limit-neighbours"
    few = {key: value[:1] for key, value in crowd.items()}
    far = {**few, "positions": np.zeros((1, 3), np.int32)}
    with pytest.raises(LimitError):
        Cloud.of({**far, "reach": np.array([1])}, (1 << 20, 1 << 21, 1 << 21))
    spec = make_spec(extent=(4, 4), resolutions=((4, 4),), encoding="points", n_features=(1,), interpolation="cubic")
    with pytest.raises(FormatError) as caught:
        header.unpack_spec(header.pack_spec(spec))
    assert caught.value.code == "fhdr-interpolation"


def test_points_go_where_something_is():
    pytest.importorskip("torch", reason="fitting needs torch")
    y, x, places = *np.mgrid[:64, :64], np.array([[20, 40], [50, 12], [41, 55]])
    apart = np.min([np.hypot(y - a, x - b) for a, b in places], axis=0)
    image = np.where(apart < 2.5, 255, 90).astype(np.uint8)
    encoded = nfcodec.encode(image, kind="image", encoding="points", effort=1, quality=70)
    field = nfcodec.open(encoded.data)
    assert field.spec.grid.encoding == "points" and encoded.report.psnr_db > 30
    finest = field.grid.levels[-1]["positions"] * (64 / field.spec.grid.resolutions[-1][0])
    away = np.linalg.norm(finest[:, None] - places, axis=-1)
    assert 20 < len(finest) < 400 and away.min(1).max() < 14 and (away.min(0) < 3).all()
    with pytest.raises(UsageError, match="guarantee"):
        nfcodec.encode(np.zeros((8, 8), np.uint8), kind="image", encoding="points", lossless=True)
