"""`Field`: points, lattices, gradients, regions, levels, surfaces, and one clear line for wrong arguments."""

import itertools
import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from entropy_cases import zero_net
from field_cases import COMBINATIONS, make_field, make_spec
from hypothesis import given, settings
from hypothesis import strategies as st

import nfcodec
from nfcodec import evaluate
from nfcodec.casting import cast
from nfcodec.errors import UsageError
from nfcodec.export import mean_normals
from nfcodec.fixed import blocks_of
from nfcodec.pack import Frozen, pack


def product(axes):
    return np.stack([g.ravel() for g in np.meshgrid(*axes, indexing="ij")], 1)


def centres(n, a=0.0, b=1.0):
    return a + (np.arange(n) + 0.5) / n * (b - a)


# ---------------------------------------------------------------- the same values by every way


@pytest.mark.parametrize("encoding, interpolation", COMBINATIONS)
@pytest.mark.parametrize("knee", [0.0, 0.3])
def test_points_lattices_and_decode_agree(encoding, interpolation, knee):
    field = make_field(encoding=encoding, interpolation=interpolation, knee=knee)
    axes = [centres(n) for n in field.spec.extent]
    points = field.sample(product(axes)).reshape(9, 8, 2)
    assert points.std() > 0.05
    np.testing.assert_allclose(field.sample_lattice(axes), points, atol=1e-4)
    np.testing.assert_allclose(field.decode(), points, atol=1e-4)
    np.testing.assert_allclose(field.decode((9, 8), level=0), field.sample(product(axes), level=0).reshape(9, 8, 2), atol=1e-4)


@pytest.mark.parametrize("d", [1, 2, 3, 4])
def test_blocks_join_without_seams(d, monkeypatch):
    extent = (13, 7, 4, 3)[:d]
    field = make_field(extent=extent, resolutions=((2,) * d, extent))
    whole, half = field.decode(), field.decode(scale=0.5)
    monkeypatch.setattr(evaluate, "POINTS_PER_BLOCK", 7)
    np.testing.assert_allclose(field.decode(), whole, atol=1e-5)
    np.testing.assert_allclose(field.decode(scale=0.5), half, atol=1e-5)
    coords = np.random.default_rng(0).random((30, d))
    in_blocks = field.sample(coords), field.gradient(coords)
    monkeypatch.undo()
    np.testing.assert_allclose(in_blocks[0], field.sample(coords), atol=1e-5)
    np.testing.assert_allclose(in_blocks[1], field.gradient(coords), atol=1e-3)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=4), st.integers(1, 3000))
@settings(max_examples=100, deadline=None)
def test_blocks_cover_a_lattice_once(shape, n_points):
    if math.prod(shape) > 20_000:
        shape = shape[:2]
    seen = np.zeros(shape, int)
    for block in blocks_of(tuple(shape), n_points):
        seen[block] += 1
        assert seen[block].size <= n_points
    assert (seen == 1).all()


def test_float32_and_lists_are_taken():
    field = make_field()
    coords = [[0.25, 0.5], [1.0, 0.0]]
    wanted = field.sample(np.array(coords))
    assert wanted.dtype == np.float32 and wanted.shape == (2, 2)
    np.testing.assert_array_equal(field.sample(coords), wanted)
    np.testing.assert_array_equal(field.sample(np.array(coords, np.float32)), wanted)
    assert field.sample(np.zeros((0, 2))).shape == (0, 2)
    assert field.gradient(np.zeros((0, 2))).shape == (0, 2, 2)
    assert field.sample_lattice([np.zeros(0), np.zeros(3)]).shape == (0, 3, 2)


def test_outside_the_box_the_edge_goes_on():
    field = make_field(interpolation="cubic")
    far, edge = np.array([[-3.0, 0.4], [0.3, 7.0]]), np.array([[0.0, 0.4], [0.3, 1.0]])
    np.testing.assert_array_equal(field.sample(far), field.sample(edge))
    slopes = field.gradient(far)
    assert not slopes[0, :, 0].any() and not slopes[1, :, 1].any() and slopes[0, :, 1].any()


def test_threads_share_a_field():
    field = make_field(interpolation="cubic")
    rng = np.random.default_rng(4)
    jobs = [rng.random((3000, 2)) for _ in range(16)]
    wanted = [field.sample(c) for c in jobs]
    with ThreadPoolExecutor(2) as pool:
        for found, w in zip(pool.map(field.sample, jobs), wanted, strict=True):
            np.testing.assert_allclose(found, w, atol=1e-6)


# ---------------------------------------------------------------- gradients


@pytest.mark.parametrize("encoding, interpolation", COMBINATIONS)
@pytest.mark.parametrize("knee", [0.0, 0.3])
@pytest.mark.parametrize("n_hidden_layers", [0, 2])
def test_gradient_is_the_difference_quotient(encoding, interpolation, knee, n_hidden_layers):
    field = make_field(
        encoding=encoding, interpolation=interpolation, knee=knee, n_hidden_layers=n_hidden_layers,
        extent=(6, 5, 4), resolutions=((2, 2, 3), (6, 5, 4)),
    )  # fmt: skip
    coords = np.random.default_rng(1).random((300, 3)) * 0.98 + 0.01
    h = 1e-4
    slopes = field.gradient(coords)
    assert slopes.shape == (300, 2, 3) and slopes.dtype == np.float32
    for axis in range(3):
        step = np.zeros(3)
        step[axis] = h
        quotient = (field.sample(coords + step).astype(float) - field.sample(coords - step)) / (2 * h)
        error = np.abs(quotient - slopes[:, :, axis])
        # a few points lie within h of a kink of the interpolation or the network
        assert np.quantile(error, 0.97) < 0.01 * np.abs(slopes).max() + 0.02


def test_gradient_of_a_level():
    field = make_field()
    coords = np.random.default_rng(1).random((50, 2)) * 0.9 + 0.05
    assert not np.allclose(field.gradient(coords, level=0), field.gradient(coords))
    step = np.array([1e-4, 0])
    quotient = (field.sample(coords + step, level=0).astype(float) - field.sample(coords - step, level=0)) / 2e-4
    assert np.median(np.abs(quotient - field.gradient(coords, level=0)[:, :, 0])) < 0.01


# ---------------------------------------------------------------- shapes, regions, averages


@pytest.mark.parametrize(
    "arguments, shape",
    [
        ({}, (30, 20)),
        ({"shape": (7, 9)}, (7, 9)),
        ({"scale": 2.5}, (75, 50)),
        ({"scale": 1e-9}, (1, 1)),
        ({"resolution": 60}, (60, 40)),
        ({"resolution": 15}, (15, 10)),
        ({"region": [(0, 0.5), (0.25, 0.75)]}, (15, 10)),
        ({"region": [(0, 0.5), (0, 1)], "scale": 2}, (30, 40)),
        ({"region": [(0, 0.5), (0, 1)], "resolution": 60}, (30, 40)),
        ({"region": [(0, 0.5), (0, 1)], "shape": (4, 4)}, (4, 4)),
        ({"region": [(0.5, 0.5001), (0, 1)]}, (1, 20)),
    ],
)
def test_shapes(arguments, shape):
    field = make_field(extent=(30, 20), resolutions=((5, 5), (30, 20)), dtype="u1", scale=255)
    found = field.decode(**arguments)
    assert found.shape == (*shape, 2) and found.dtype == np.uint8


def test_a_region_is_a_part_of_the_whole():
    field = make_field(extent=(16, 12), resolutions=((4, 3), (16, 12)))
    whole = field.decode()
    part = field.decode(region=[(0.25, 0.75), (0.5, 1)])
    np.testing.assert_allclose(part, whole[4:12, 6:], atol=1e-5)


@pytest.mark.parametrize("scale", [1, 3])
def test_a_region_takes_the_same_of_two_vertices_as_near(scale):
    """Sample 5 of 11 lies between vertices 2 and 3 of 6."""
    field = make_field(extent=(11, 7), resolutions=((6, 4), (11, 7)), interpolation="nearest")
    assert field.grid.features(np.array([[5.5 / 11 - 1e-9, 0.5]]), 1) != pytest.approx(
        field.grid.features(np.array([[5.5 / 11 + 1e-9, 0.5]]), 1)
    )
    whole = field.decode(scale=scale)
    for first, last in itertools.combinations(range(12), 2):
        part = field.decode(region=[(first / 11, last / 11), (0, 1)], scale=scale)
        assert np.array_equal(part, whole[first * scale : last * scale])


def test_enlarging_samples_between():
    field = make_field(extent=(6, 5), resolutions=((3, 3), (6, 5)))
    np.testing.assert_allclose(
        field.decode(scale=3), field.sample(product([centres(18), centres(15)])).reshape(18, 15, 2), atol=1e-5
    )


@pytest.mark.parametrize("shape, factors", [((4, 5), (4, 2)), ((5, 10), (4, 1)), ((1, 1), (16, 10)), ((32, 3), (1, 4))])
def test_reducing_averages_a_finer_lattice(shape, factors):
    field = make_field(extent=(16, 10), resolutions=((4, 3), (16, 10)))
    fine = field.sample(product([centres(m * k) for m, k in zip(shape, factors, strict=True)]))
    fine = fine.reshape(shape[0], factors[0], shape[1], factors[1], 2)
    np.testing.assert_allclose(field.decode(shape), fine.mean((1, 3)), atol=1e-5)


def test_averages_are_of_clipped_values():
    field = make_field(extent=(8, 8), resolutions=((8, 8),), clip=True, scale=1.0, offset=0.0, step=3.0)
    fine = field.sample_lattice([centres(8)] * 2)
    assert (fine == 0).any() and (fine == 1).any()
    np.testing.assert_allclose(field.decode((1, 1))[0, 0], fine.mean((0, 1)), atol=1e-5)


def test_averages_are_bounded_however_large_the_source_says_it_is():
    field = make_field(extent=(1 << 24, 1 << 24), resolutions=((4, 3),))
    found = field.decode((1, 1))
    axes = [centres(256)] * 2
    np.testing.assert_allclose(found[0, 0], field.sample_lattice(axes).mean((0, 1), dtype=float), atol=1e-5)
    with pytest.raises(UsageError, match="values"):
        field.decode()


def test_surfaces_are_not_averaged():
    field = make_field(kind="sdf", extent=(8, 8, 8), resolutions=((4, 4, 4),), channels=1)
    wanted = field.sample(product([centres(2)] * 3)).reshape(2, 2, 2, 1)
    np.testing.assert_allclose(field.decode((2, 2, 2)), wanted, atol=1e-5)


@pytest.mark.parametrize("dtype", ["u1", "u2", "u4", "i1", "i2", "i4", "f2", "f4", "f8", "b1"])
def test_the_source_dtype_comes_back(dtype):
    field = make_field(dtype=dtype, scale=300)
    assert field.decode().dtype == np.dtype(dtype)
    values = field.decode(dtype="f4")
    if dtype[0] in "iu":
        limits = np.iinfo(dtype)
        assert np.array_equal(field.decode(), np.clip(np.rint(values), limits.min, limits.max).astype(dtype))


def test_cast():
    values = np.array([-1e30, -0.6, 0.5, 1.5, 254.6, np.inf, np.nan], np.float32)
    assert cast(values, "u1").tolist() == [0, 0, 0, 2, 255, 255, 0]
    assert cast(values, "i4").tolist() == [-(2**31), -1, 0, 2, 255, 2**31 - 1, 0]
    assert cast(values, "b1").tolist() == [False, False, False, True, True, True, False]
    assert cast(values[:6], "i8").tolist()[0] == -(2**63)


# ---------------------------------------------------------------- levels


def test_levels_add_detail():
    field = make_field(extent=(16, 16), resolutions=((4, 4), (8, 8), (16, 16)))
    assert field.n_levels == 3
    lattices = [field.decode(level=k) for k in range(3)]
    assert np.array_equal(lattices[2], field.decode())
    assert not np.allclose(lattices[0], lattices[1]) and not np.allclose(lattices[1], lattices[2])


# ---------------------------------------------------------------- surfaces


def sphere(kind="sdf", radius=0.9, n=20, encoding="dense"):
    """A field whose only level holds a sphere's distances: one step is 1/1000, the network passes it through."""
    spec = make_spec(
        kind, (n, n, n), ((n, n, n),), encoding, "cubic", 1, n_features=(1,), n_hidden_layers=0, scale=1.0, offset=0.0,
        step=2.0**-9,
    )  # fmt: skip
    size = n * spec.cell
    z, y, x = np.meshgrid(*[(np.arange(n) + 0.5) / n * size - size / 2] * 3, indexing="ij")
    distance = np.sqrt(z * z + y * y + x * x) - radius
    values = {"sdf": distance, "tsdf": np.clip(distance, -0.5, 0.5), "udf": np.abs(distance)}
    values["occupancy"] = np.clip(0.5 - distance / spec.cell, 0, 1)
    latents = np.rint(values[kind] / spec.steps[0]).astype(np.int32)[None]
    tensors = [np.zeros(1, np.int32), np.ones((1, 1), np.int32)]
    field = nfcodec.open(pack(spec, Frozen([{"latents": latents}], tensors, [0, 0], zero_net(3, False, 300))))
    centre = np.array([0.5, 2.0, -1.0]) + size / 2  # origin of make_spec, as (x, y, z)
    return field, centre


@pytest.mark.parametrize("kind", ["sdf", "tsdf", "occupancy"])
@pytest.mark.parametrize("resolution", [20, 33])
def test_a_sphere_becomes_a_mesh(kind, resolution):
    field, centre = sphere(kind)
    mesh = field.to_mesh(resolution)
    radii = np.linalg.norm(mesh.vertices - centre, axis=1)
    assert len(mesh.faces) > 300
    np.testing.assert_allclose(radii, 0.9, atol=0.03)
    corners = mesh.vertices[mesh.faces] - centre
    volumes = np.einsum("ij,ij->i", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6
    assert (volumes > 0).all()  # every face looks outwards
    np.testing.assert_allclose(volumes.sum(), 4 / 3 * np.pi * 0.9**3, rtol=0.08)


def test_the_shell_of_an_unsigned_distance_is_drawn_onto_its_surface():
    field, centre = sphere("udf")
    shell = field.to_mesh(40, iso=0.3)
    radii = np.linalg.norm(shell.vertices - centre, axis=1)
    assert 0.5 < radii.min() < 0.7 and 1.1 < radii.max() < 1.3  # cells are 0.25
    mesh = field.to_mesh(40)
    np.testing.assert_allclose(np.linalg.norm(mesh.vertices - centre, axis=1), 0.9, atol=0.04)
    assert np.array_equal(mesh.faces, shell.faces), "closed as the shell is"
    outwards = np.einsum("ij,ij->i", mean_normals(mesh), mesh.vertices - centre) / 0.9
    outside = radii > 0.9
    assert outwards[outside].min() > 0.9 and outwards[~outside].max() < -0.9, "a side for each side"


def test_another_level_of_the_distance():
    field, centre = sphere()
    radii = np.linalg.norm(field.to_mesh(30, iso=0.5).vertices - centre, axis=1)
    np.testing.assert_allclose(radii, 1.4, atol=0.03)


def test_world_coordinates():
    field, centre = sphere()
    assert field.box_size.tolist() == [5.0, 5.0, 5.0]
    np.testing.assert_allclose(field.from_world(centre[None]), [[0.5, 0.5, 0.5]])
    np.testing.assert_allclose(field.from_world([[0.5, 2.0, 4.0]]), [[1, 0, 0]])
    points = centre + np.array([[1.4, 0, 0], [0, 0.2, 1.1]])
    wanted = np.linalg.norm(points - centre, axis=1) - 0.9
    np.testing.assert_allclose(field.sample(field.from_world(points))[:, 0], wanted, atol=0.02)
    slopes = field.gradient(field.from_world(points))[:, 0] / field.box_size
    np.testing.assert_allclose(np.linalg.norm(slopes, axis=1), 1, atol=0.05)


# ---------------------------------------------------------------- wrong arguments

WRONG = {
    "wrong axes": lambda f: f.sample(np.zeros((4, 3))),
    "one point": lambda f: f.sample([0.5, 0.5]),
    "nan": lambda f: f.sample([[0.5, float("nan")]]),
    "infinite": lambda f: f.gradient([[0.5, float("inf")]]),
    "words": lambda f: f.sample([["a", "b"]]),
    "complex": lambda f: f.sample(np.zeros((2, 2), complex)),
    "uneven": lambda f: f.sample([[0.5, 0.5], [0.5]]),
    "nothing": lambda f: f.sample(None),
    "lattice axes": lambda f: f.sample_lattice([np.zeros(3)]),
    "lattice shape": lambda f: f.sample_lattice([np.zeros((3, 2)), np.zeros(2)]),
    "lattice nan": lambda f: f.sample_lattice([np.array([np.nan]), np.zeros(2)]),
    "level high": lambda f: f.sample([[0.5, 0.5]], level=2),
    "level low": lambda f: f.decode(level=-1),
    "level word": lambda f: f.decode(level="fine"),
    "level half": lambda f: f.decode(level=0.5),
    "two sizes": lambda f: f.decode((4, 4), scale=2),
    "shape axes": lambda f: f.decode((4, 4, 4)),
    "shape zero": lambda f: f.decode((4, 0)),
    "shape fraction": lambda f: f.decode((4.5, 4)),
    "shape number": lambda f: f.decode(4),
    "shape words": lambda f: f.decode("ab"),
    "scale zero": lambda f: f.decode(scale=0),
    "scale negative": lambda f: f.decode(scale=-1.0),
    "scale nan": lambda f: f.decode(scale=float("nan")),
    "scale word": lambda f: f.decode(scale="big"),
    "scale huge": lambda f: f.decode(scale=1e200),
    "resolution": lambda f: f.decode(resolution=0),
    "resolution word": lambda f: f.decode(resolution="x"),
    "region axes": lambda f: f.decode(region=[(0, 1)]),
    "region order": lambda f: f.decode(region=[(0.5, 0.5), (0, 1)]),
    "region outside": lambda f: f.decode(region=[(0, 1.1), (0, 1)]),
    "region nan": lambda f: f.decode(region=[(float("nan"), 1), (0, 1)]),
    "region triple": lambda f: f.decode(region=[(0, 0.5, 1), (0, 1)]),
    "region number": lambda f: f.decode(region=[0.5, 0.5]),
    "dtype": lambda f: f.decode(dtype="nonsense"),
    "dtype word": lambda f: f.decode(dtype="S4"),
    "too many": lambda f: f.decode((1000, 1000), max_values=1000),
    "no surface": lambda f: f.to_mesh(),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_arguments_give_one_line(name):
    field = make_field()
    with pytest.raises(UsageError) as caught:
        WRONG[name](field)
    message = str(caught.value)
    assert "\n" not in message and len(message) < 300 and "expected" in message


def test_opening_what_is_not_there(tmp_path):
    for path in (tmp_path / "none.nfld", tmp_path, "a\0b"):
        with pytest.raises(UsageError, match="opening"):
            nfcodec.open(path)


def test_limits_of_the_caller_can_be_raised():
    field = make_field()
    with pytest.raises(UsageError):
        field.decode((40, 40), max_values=3199)
    assert field.decode((40, 40), max_values=3200).size == 3200


@pytest.mark.parametrize("encoding, interpolation", COMBINATIONS)
def test_info_and_repr(encoding, interpolation):
    field = make_field(encoding=encoding, interpolation=interpolation, meta={"source": "x"})
    info = field.info()
    assert (info["encoding"], info["interpolation"], info["meta"]) == (encoding, interpolation, {"source": "x"})
    assert info["network"] == [4, 7, 7, 2] and info["n_levels_present"] == 2 and info["box"] is None
    assert f"volume 9x8x2 {encoding} levels 2/2" in repr(field)


def test_every_way_around_the_axes():
    """A field that grows along one axis only, for each axis: nothing is transposed on the way."""
    for d, axis in itertools.chain.from_iterable(((d, k) for k in range(d)) for d in (1, 2, 3, 4)):
        extent = (5, 4, 3, 2)[:d]
        spec = make_spec(
            "volume", extent, (extent,), channels=1, n_features=(1,), n_hidden_layers=0, scale=1.0, offset=0.0, step=1.0
        )
        latents = np.indices(extent)[axis][None].astype(np.int32)
        tensors = [np.zeros(1, np.int32), np.ones((1, 1), np.int32)]
        field = nfcodec.open(pack(spec, Frozen([{"latents": latents}], tensors, [0, 0], zero_net(d, False, 0))))
        np.testing.assert_allclose(field.decode()[..., 0], latents[0], atol=1e-5)
        slope = field.gradient(np.full((1, d), 0.5))[0, 0]
        assert np.flatnonzero(np.abs(slope) > 1e-3).tolist() == [axis]
