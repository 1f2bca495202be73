"""Interpolation and encodings against plain formulas, and lattices against points."""

import itertools
import math

import numpy as np
import pytest
from field_cases import COMBINATIONS, LATTICES, make_frozen, make_spec, suits
from hypothesis import given, settings
from hypothesis import strategies as st

from nfcodec.encodings import interpolate, load
from nfcodec.encodings.hash import n_rows, rows
from nfcodec.errors import FormatError
from nfcodec.spec import CATMULL_ROM, GRID_ENCODINGS, LINEAR, NEAREST, SMOOTHSTEP, GridSpec

KERNELS = {name: name for name in (NEAREST, LINEAR, SMOOTHSTEP)}
KERNELS |= {"cubic": CATMULL_ROM, "smoothing": (1.0, 0.0), "odd": (-0.5, 0.75), "free": (0.5, 1.25)}
THROUGH_VERTICES = ["nearest", "linear", "smoothstep", "cubic"]


def make_grid(encoding, interpolation, resolutions=((3, 4), (9, 7)), n_features=(2, 1), seed=0, **settings):
    spec = make_spec(
        extent=resolutions[-1], resolutions=resolutions, encoding=encoding, interpolation=interpolation,
        n_features=n_features, **settings,
    )  # fmt: skip
    frozen = make_frozen(spec, np.random.default_rng(seed))
    return load(encoding)(spec.grid, frozen.levels, spec.steps)


# ---------------------------------------------------------------- interpolation


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
@given(x=st.lists(st.floats(-2, 3), min_size=1, max_size=20), n=st.integers(1, 50))
@settings(max_examples=100, deadline=None)
def test_weights_sum_to_one(kernel, x, n):
    index, w, d = interpolate.taps(np.array(x), n, kernel)
    assert index.min() >= 0 and index.max() < n
    np.testing.assert_allclose(w.sum(1), 1, atol=1e-6)
    np.testing.assert_allclose(d.sum(1), 0, atol=1e-5 * n)


@pytest.mark.parametrize("kernel", [KERNELS[name] for name in THROUGH_VERTICES], ids=THROUGH_VERTICES)
@pytest.mark.parametrize("n", [1, 2, 3, 10])
def test_vertices_keep_their_values(kernel, n):
    values = np.arange(n) ** 2.0 - 3
    index, w, _ = interpolate.taps((np.arange(n) + 0.5) / n, n, kernel)
    np.testing.assert_allclose((w * values[index]).sum(1), values, atol=1e-5)


@pytest.mark.parametrize("kernel", [LINEAR, *(k for k in KERNELS.values() if not isinstance(k, str) and k[0] + 2 * k[1] == 1)])
def test_linear_functions_are_reproduced_in_the_interior(kernel):
    n = 12
    x = np.linspace(1.5 / n, 1 - 1.5 / n, 100)
    index, w, d = interpolate.taps(x, n, kernel)
    values = 3 * (np.arange(n) + 0.5) / n - 1
    np.testing.assert_allclose((w * values[index]).sum(1), 3 * x - 1, atol=1e-5)
    np.testing.assert_allclose((d * values[index]).sum(1), 3, atol=1e-4)


@pytest.mark.parametrize("kernel", [(0.0, 0.5), (1 / 3, 1 / 3), (1.0, 0.0), (-0.75, 1.5)])
def test_cubics_are_those_of_mitchell_and_netravali(kernel):
    b, c = kernel
    index, w, _ = interpolate.taps(np.linspace(0.3, 0.6, 50), 10, kernel)
    distance = np.abs(np.linspace(0.3, 0.6, 50)[:, None] * 10 - 0.5 - index)
    near = (12 - 9 * b - 6 * c) * distance**3 + (-18 + 12 * b + 6 * c) * distance**2 + 6 - 2 * b  # their equation 8
    far = (-b - 6 * c) * distance**3 + (6 * b + 30 * c) * distance**2 + (-12 * b - 48 * c) * distance + 8 * b + 24 * c
    np.testing.assert_allclose(w, np.where(distance < 1, near, far) / 6, atol=1e-5)


def test_cubic_reproduces_parabolas_where_linear_does_not():
    n = 12
    x = np.linspace(1.5 / n, 1 - 1.5 / n, 101)
    values = ((np.arange(n) + 0.5) / n) ** 2
    errors = {}
    for name in ("linear", "cubic"):
        index, w, _ = interpolate.taps(x, n, KERNELS[name])
        errors[name] = np.abs((w * values[index]).sum(1) - x**2).max()
    assert errors["cubic"] < 1e-6 < 1e-4 < errors["linear"]


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
def test_edges_are_repeated(kernel):
    values = np.array([5.0, 1.0, 2.0, 7.0])
    index, w, d = interpolate.taps(np.array([-1.0, 0.0, 1.0, 9.0]), 4, kernel)
    ends = (w * values[index]).sum(1)
    assert ends[0] == ends[1] and ends[2] == ends[3]
    assert not d[[0, 3]].any()  # constant beyond the box
    if isinstance(kernel, str):
        assert ends.tolist() == [5, 5, 7, 7]


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
@given(x=st.lists(st.floats(0, 1), min_size=1, max_size=30), n=st.integers(1, 40))
@settings(max_examples=60, deadline=None)
def test_axis_matrix_is_the_taps(kernel, x, n):
    x = np.array(x)
    values = np.random.default_rng(n).normal(size=n)
    index, w, _ = interpolate.taps(x, n, kernel)
    first, matrix = interpolate.axis_matrix(x, n, kernel)
    assert matrix.shape[0] == len(x) and 0 <= first and first + matrix.shape[1] <= n
    assert (first, matrix.shape[1]) == interpolate.axis_span(x, n, kernel)
    np.testing.assert_allclose(matrix @ values[first : first + matrix.shape[1]], (w * values[index]).sum(1), atol=1e-5)


@pytest.mark.parametrize("kernel", KERNELS.values(), ids=KERNELS)
@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_corner_weights_are_products(kernel, d):
    resolution = (5, 3, 1, 4)[:d]
    coords = np.random.default_rng(d).random((20, d))
    axes = interpolate.Axes(resolution, kernel)
    found = list(axes.corners(coords))
    assert len(found) == interpolate.n_taps(kernel) ** d
    np.testing.assert_allclose(sum(w for _, w, _ in found), 1, atol=1e-5)
    np.testing.assert_allclose(sum(g for _, _, g in found), 0, atol=1e-3)
    # a lattice that is linear along each axis: the weighted sum of indices is their interpolation
    for axis, n in enumerate(resolution):
        along, w, _ = interpolate.taps(coords[:, axis], n, kernel)
        total = sum(index[:, axis] * weight for index, weight, _ in found)
        np.testing.assert_allclose(total, (along * w).sum(1), atol=1e-4)
    # all at once, to the last bit
    index, weight = axes.all_corners(coords)
    assert np.array_equal(np.stack(index, -1), np.stack([i for i, _, _ in found], 1)) and weight.dtype == np.float32
    assert np.array_equal(weight, np.stack([w for _, w, _ in found], 1))


# ---------------------------------------------------------------- hash rows


def plain_row(resolution, log2_size, index):
    """spec/format.md, section 4.2, in Python's integers."""
    if math.prod(resolution) <= 2**log2_size:
        row = 0
        for i, n in zip(index, resolution, strict=True):
            row = row * n + i
        return row
    row = 0
    for i, prime in zip(index[::-1], (1, 2654435761, 805459861, 3674653429), strict=False):
        row ^= i * prime % 2**32
    return row % 2**log2_size


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_hash_rows(data):
    d = data.draw(st.integers(1, 4))
    resolution = tuple(data.draw(st.integers(1, (1 << 20) if d < 3 else 3000)) for _ in range(d))
    log2_size = data.draw(st.integers(0, 24))
    spec = GridSpec("hash", (resolution,), (1,), "linear", log2_size)
    index = [np.array([data.draw(st.integers(0, n - 1)) for _ in range(5)], np.int64) for n in resolution]
    found = rows(spec, 0, index)
    assert found.tolist() == [plain_row(resolution, log2_size, i) for i in zip(*map(np.ndarray.tolist, index), strict=True)]
    assert found.max() < n_rows(spec, 0) == min(math.prod(resolution), 2**log2_size)


def test_small_hash_levels_have_a_row_for_each_vertex():
    spec = GridSpec("hash", ((3, 4, 5),), (1,), "linear", 6)
    index = np.indices((3, 4, 5)).reshape(3, -1)
    assert rows(spec, 0, list(index)).tolist() == list(range(60))
    larger = GridSpec("hash", ((3, 4, 6),), (1,), "linear", 6)
    assert len(set(rows(larger, 0, list(np.indices((3, 4, 6)).reshape(3, -1))).tolist())) > 32


def test_hash_rows_of_broadcast_indices():
    spec = GridSpec("hash", ((40, 50),), (1,), "linear", 5)
    y, x = np.arange(40), np.arange(50)
    grid = rows(spec, 0, list(np.ix_(y, x)))
    assert grid.shape == (40, 50)
    assert grid[7, 9] == rows(spec, 0, [y[7:8], x[9:10]])[0] == plain_row((40, 50), 5, (7, 9))


# ---------------------------------------------------------------- encodings


@pytest.mark.parametrize("encoding", LATTICES)
def test_vertices_are_the_integers_times_the_step(encoding):
    grid = make_grid(encoding, "linear")
    step = np.float32(grid.steps[1])
    found = grid.vertices(1, [np.array([8]), np.array([2])])[0]
    data = grid.levels[1]
    if encoding == "dense":
        wanted = data["latents"][:, 8, 2]
    elif encoding == "hash":
        wanted = data["table"][plain_row((9, 7), 5, (8, 2))]
    else:
        wanted = data["codebook"][data["indices"][8, 2]]
    assert np.array_equal(found, wanted.astype(np.float32) * step)


@pytest.mark.parametrize("encoding, interpolation", COMBINATIONS)
@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_features_against_plain_sums(encoding, interpolation, d):
    resolutions = ((2, 3, 2, 1)[:d], (5, 4, 3, 2)[:d])
    grid = make_grid(encoding, interpolation, resolutions)
    coords = np.random.default_rng(1).random((6, d))
    found = grid.features(coords, 2)
    assert found.shape == (6, 3) and found.dtype == np.float32
    for coord, row in zip(coords, found, strict=True):
        wanted = []
        for level, resolution in enumerate(resolutions):
            along = []
            for x, n in zip(coord, resolution, strict=True):
                index, w, _ = interpolate.taps(np.array([x]), n, grid.spec.kernel(level))
                along.append(list(zip(index[0].tolist(), w[0].tolist(), strict=True)))
            total = 0
            for corner in itertools.product(*along):
                vertex = grid.vertices(level, [np.array([i]) for i, _ in corner])[0]
                total = total + vertex.astype(np.float64) * math.prod(w for _, w in corner)
            wanted.extend(total)
        np.testing.assert_allclose(row, wanted, atol=1e-5)


@pytest.mark.parametrize("encoding, interpolation", COMBINATIONS)
@pytest.mark.parametrize("n_levels", [1, 2])
def test_lattices_equal_points(encoding, interpolation, n_levels):
    grid = make_grid(encoding, interpolation)
    axes = [np.linspace(0, 1, 13), np.array([0.9, 0.1, 0.5])]
    coords = np.stack([g.ravel() for g in np.meshgrid(*axes, indexing="ij")], 1)
    points = grid.features(coords, n_levels)
    np.testing.assert_allclose(grid.lattice(axes, n_levels).reshape(-1, 3), points, atol=1e-5)
    assert points[:, 2].any() == (n_levels == 2)
    np.testing.assert_array_equal(grid.jacobian(coords, n_levels)[0], points)


def test_few_samples_of_a_fine_lattice_gather_few_vertices():
    """2**60 vertices behind 64 rows: whatever gathers the run between the samples would need exabytes."""
    grid = make_grid("hash", "cubic", ((1 << 20,) * 3,), (1,), log2_size=6)
    axes = [np.array([0.0, 0.3, 0.99999])] * 3
    coords = np.stack([g.ravel() for g in np.meshgrid(*axes, indexing="ij")], 1)
    np.testing.assert_allclose(grid.lattice(axes, 1).ravel(), grid.features(coords, 1).ravel(), atol=1e-5)


def test_a_long_axis_needs_no_square_matrix():
    grid = make_grid("dense", "cubic", ((60_000,),), (1,))
    axis = (np.arange(60_000) + 0.5) / 60_000  # a matrix would take 14 GB
    wanted = grid.levels[0]["latents"][0] * np.float32(grid.steps[0])
    np.testing.assert_allclose(grid.lattice([axis], 1)[:, 0], wanted, atol=1e-4)


@pytest.mark.parametrize("encoding", [name for name in GRID_ENCODINGS if suits(name, 2)])
def test_missing_levels_count_as_zero(encoding):
    whole = make_grid(encoding, "linear")
    part = load(encoding)(whole.spec, whole.levels[:1], whole.steps)
    coords = np.random.default_rng(2).random((5, 2))
    assert np.array_equal(part.features(coords, 2), whole.features(coords, 1))


@pytest.mark.parametrize("encoding", ["hash", "codebook", "cp", "vm"])
def test_levels_refuse_bytes_too_many_and_too_few(encoding):
    grid = make_grid(encoding, "linear")
    data = grid.encode_level(grid.spec, grid.levels, 1, None)
    found = grid.decode_level(grid.spec, [], 1, data, None)
    assert all(np.array_equal(found[name], grid.levels[1][name]) for name in found)
    for broken in (data + b"\x00", data[:-1], data[:-2], b""):
        with pytest.raises(FormatError):
            grid.decode_level(grid.spec, [], 1, broken, None)


def test_an_unknown_encoding_is_no_import():
    with pytest.raises(KeyError):
        load("os")
