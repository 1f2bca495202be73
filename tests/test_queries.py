"""Closest points and rays against closed forms: fields whose vertices hold a known distance, without a fit."""

import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from distance_fields import CELL, CENTRE, SIZE, N, ball, block, field_of, ring
from entropy_cases import zero_net
from field_cases import make_field, make_spec

import nfcodec
from nfcodec.errors import NfldError, UsageError
from nfcodec.pack import Frozen, pack
from nfcodec.queries import surface


@pytest.fixture(params=["numpy", "numba"])
def kernels(request, monkeypatch):
    if request.param == "numba":
        pytest.importorskip("numba", reason="the kernels need numba")
    monkeypatch.setenv("NFCODEC_KERNELS", request.param)


def drawn(n, spread, seed=0):
    """World points (n, 3) in a box around the middle, `spread` times as large as the field's."""
    return CENTRE + np.random.default_rng(seed).uniform(-0.5, 0.5, (n, 3)) * SIZE * spread


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


# ---------------------------------------------------------------- closest points


@pytest.mark.parametrize("kind", ["sdf", "tsdf", "occupancy"])
@pytest.mark.parametrize("spread", [0.7, 3.0])
def test_closest_points_of_a_ball(kind, spread, kernels):
    points = drawn(300, spread)
    found = field_of(ball, kind).closest_point(points)
    near, out = unit(points - CENTRE) * 2.0 + CENTRE, unit(points - CENTRE)
    true = ball(points - CENTRE)
    near_middle = true < -1.7  # there all points of the surface are about as close
    tolerance = 0.02 * CELL if kind != "occupancy" else 0.1 * CELL
    np.testing.assert_allclose(found.distances, true, atol=tolerance)
    np.testing.assert_allclose(np.linalg.norm(found.points - CENTRE, axis=1), 2.0, atol=tolerance)
    np.testing.assert_allclose(found.points[~near_middle], near[~near_middle], atol=0.05 * np.abs(true).max())
    np.testing.assert_allclose(found.normals[~near_middle], out[~near_middle], atol=0.1)
    np.testing.assert_allclose(np.linalg.norm(found.normals, axis=1), 1)


@pytest.mark.parametrize("distance", [ring, block])
def test_closest_points_of_other_shapes(distance):
    points = drawn(3000, 1.3)
    found = field_of(distance).closest_point(points)
    true = distance(points - CENTRE)
    off = np.abs(found.distances - true) / CELL
    assert off.max() < 0.6  # interpolation rounds edges by some tenths of a cell
    away = np.abs(points - CENTRE) - (1.5, 2.0, 1.0)
    smooth = ((away > 0).sum(axis=1) == 1) & (np.sort(away, axis=1)[:, 1] < -3 * CELL) if distance is block else true > -2 * CELL
    assert smooth.sum() > 100 and off[smooth].max() < 0.05
    assert np.abs(distance(found.points - CENTRE)).max() < 0.6 * CELL
    assert (np.sign(found.distances) == np.sign(true))[np.abs(true) > 0.3 * CELL].all()


def test_the_global_one_of_several_surfaces_is_found_where_values_do_not_lead_to_it():
    """Two balls and a distance that is cut off between them."""

    def balls(points):
        return np.minimum(ball(points - [-2.2, 0, 0], 1.0), ball(points - [2.2, 0.6, 0], 1.2))

    points = drawn(2000, 0.95)
    found = field_of(balls, "tsdf").closest_point(points)
    np.testing.assert_allclose(found.distances, balls(points - CENTRE), atol=0.1 * CELL)


def test_of_an_unsigned_distance_the_surface_is_closest_or_a_shell_around_it():
    field, points = field_of(ball, "udf"), drawn(300, 0.9)
    points = points[np.abs(ball(points - CENTRE)) > 2 * CELL]
    found = field.closest_point(points)
    away = np.abs(ball(points - CENTRE))
    np.testing.assert_allclose(found.distances, away, atol=0.1 * CELL)
    np.testing.assert_allclose(np.linalg.norm(found.points - CENTRE, axis=1), 2.0, atol=0.1 * CELL)
    half = field.closest_point(points, iso=2 * CELL)
    np.testing.assert_allclose(half.distances, away - 2 * CELL, atol=0.1 * CELL)


# ---------------------------------------------------------------- rays


def true_hits(origins, directions, radius=2.0):
    """First positive t at which rays with unit directions meet a ball around CENTRE; inf for none."""
    o = origins - CENTRE
    b, c = np.einsum("ij,ij->i", o, directions), (o * o).sum(axis=1) - radius**2
    with np.errstate(invalid="ignore"):
        root = np.sqrt(b * b - c)
        near, far = -b - root, -b + root
    return np.where(np.isnan(root) | (far < 0), np.inf, np.where(near >= 0, near, far))


@pytest.mark.parametrize("kind", ["sdf", "tsdf", "occupancy"])
@pytest.mark.parametrize("spread", [0.4, 1.0, 4.0])
def test_rays_against_a_ball(kind, spread, kernels):
    origins = drawn(400, spread)
    directions = unit(drawn(400, 0.7, seed=1) - origins)
    field, true = field_of(ball, kind), true_hits(origins, directions)
    hits = field.raycast(origins, directions)
    closest = np.linalg.norm(np.cross(origins - CENTRE, directions), axis=1)
    clear = np.abs(closest - 2.0) > 0.1 * CELL  # others graze the ball
    assert np.array_equal(hits.hit[clear], np.isfinite(true)[clear]) and hits.hit.any()
    sure = hits.hit & clear & (closest < 1.95)
    np.testing.assert_allclose(hits.t[sure], true[sure], atol=0.1 * CELL)
    here = hits.hit
    np.testing.assert_allclose(hits.points[here], (origins + hits.t[:, None] * directions)[here], atol=1e-9)
    np.testing.assert_allclose(hits.normals[sure], unit(hits.points - CENTRE)[sure], atol=0.1)
    if kind != "occupancy":
        values = field.sample(field.from_world(hits.points[here]))
        assert np.abs(values).max() < 2e-4 * CELL
    assert np.isinf(hits.t[~here]).all() and np.isnan(hits.points[~here]).all() and np.isnan(hits.normals[~here]).all()


def test_t_counts_in_lengths_of_the_direction_and_distances_do_not():
    field = field_of(ball)
    origins, directions = CENTRE + [[-5.0, 0, 0]], np.array([[1.0, 0, 0], [4.0, 0, 0], [-1.0, 0, 0]])
    hits = field.raycast(origins, directions)
    assert hits.hit.tolist() == [True, True, False]
    np.testing.assert_allclose(hits.t[:2], [3.0, 0.75], atol=0.01 * CELL)
    assert not field.raycast(origins, directions[:1], max_distance=2.9).hit.any()
    behind = field.raycast(origins, directions[1:2], min_distance=3.5)
    np.testing.assert_allclose(behind.t, [7.0 / 4], atol=0.01 * CELL)
    np.testing.assert_allclose(behind.normals, [[1, 0, 0]], atol=0.01)


def test_a_ray_that_starts_on_the_surface_leaves_it():
    field = field_of(ball)
    out = unit(np.random.default_rng(0).normal(size=(200, 3)))
    starts = field.closest_point(CENTRE + 3 * out).points
    assert not field.raycast(starts, out, min_distance=0.1 * CELL).hit.any()
    across = field.raycast(starts, -out, min_distance=0.1 * CELL)
    np.testing.assert_allclose(across.t, 4.0, atol=0.05 * CELL)


def test_rays_along_the_sides_of_the_box_and_past_it():
    field = field_of(ball)
    corner = CENTRE - SIZE / 2
    origins = np.array([corner, corner - [1, 0, 0], corner - [0, 0, 1e-9], CENTRE + [0, 9, 0], CENTRE - [9, 0, 0]])
    directions = np.array([[1.0, 0, 0], [1, 0, 0], [1, 0, 0], [0, 0, 1], [1e-9, 1, 0]])
    hits = field.raycast(origins, directions)
    assert not hits.hit.any()


def test_rays_find_what_is_a_quarter_of_a_cell_thick():
    def plate(points):
        return np.abs(points[:, 0]) - 0.55 * CELL

    field = field_of(plate)
    origins = drawn(500, 0.9) * [0, 1, 1] + (CENTRE - SIZE / 2) * [1, 0, 0]
    directions = unit(np.random.default_rng(1).uniform([1, -0.2, -0.2], [1, 0.2, 0.2], (500, 3)))
    hits = field.raycast(origins, directions)
    inside = (np.abs((origins + directions * (SIZE / 2 / directions[:, :1]) - CENTRE)[:, 1:]) < SIZE / 2).all(axis=1)
    assert hits.hit[inside].all()
    assert np.abs(hits.points[inside][:, 0] - CENTRE[0] + 0.55 * CELL).max() < 0.3 * CELL


# ---------------------------------------------------------------- surfaces that end


def open_ball(kind="sdf"):
    """A ball of radius 2 without what is above z = 1."""
    return field_of(ball, kind, trim=lambda points: points[:, 2] - 1.0)


def to_open_ball(points):
    """Distances (N,) of points (N, 3) around the middle."""
    x, y, z = points.T
    above = 2.0 * z > np.linalg.norm(points, axis=1)  # of those the rim is closest
    return np.where(above, np.hypot(np.hypot(x, y) - 3**0.5, z - 1.0), np.abs(ball(points)))


@pytest.mark.parametrize("kind", ["sdf", "tsdf", "occupancy"])
def test_no_closest_point_is_one_that_is_cut_off(kind, kernels):
    field, points = open_ball(kind), drawn(1000, 1.3)
    found, true = field.closest_point(points), to_open_ball(points - CENTRE)
    tolerance = (0.05 if kind != "occupancy" else 0.15) * CELL
    np.testing.assert_allclose(np.abs(found.distances), true, atol=tolerance)
    np.testing.assert_allclose(np.linalg.norm(found.points - points, axis=1), np.abs(found.distances))
    x, y, z = (found.points - CENTRE).T
    assert z.max() < 1.0 + tolerance and (z > 1.0 - tolerance).sum() > 100  # many of them on the rim
    np.testing.assert_allclose(np.linalg.norm(found.points - CENTRE, axis=1), 2.0, atol=tolerance)
    np.testing.assert_allclose(found.normals, (found.points - CENTRE) / 2, atol=0.15)


def test_closest_points_of_a_disc():
    """A sheet, of which the field knows no inside."""
    field = field_of(lambda p: p[:, 2], trim=lambda p: np.hypot(p[:, 0], p[:, 1]) - 2.0)
    points = drawn(1000, 1.5)
    found = field.closest_point(points)
    x, y, z = (points - CENTRE).T
    beyond = np.maximum(np.hypot(x, y) - 2.0, 0)
    np.testing.assert_allclose(found.distances, np.where(z < 0, -1, 1) * np.hypot(beyond, z), atol=0.05 * CELL)
    assert (beyond > CELL).sum() > 300


def test_rays_go_on_through_what_is_cut_off(kernels):
    field, rng = open_ball(), np.random.default_rng(0)
    origins = CENTRE + rng.uniform([-5.0, -5.0, 1.0], [5.0, 5.0, 4.0], (300, 3))
    directions = unit(CENTRE + rng.uniform(-1.1, 1.1, (300, 3)) - origins)
    entry = true_hits(origins, directions)
    leave = entry + true_hits(origins + (entry + 1e-6)[:, None] * directions, directions)
    height, last = ((origins + t[:, None] * directions - CENTRE)[:, 2] - 1.0 for t in (entry, leave))
    true = np.where(height < 0, entry, np.where(last < 0, leave, np.inf))
    clear = np.isfinite(leave) & (np.minimum(np.abs(height), np.abs(last)) > 0.1 * CELL)
    hits = field.raycast(origins, directions)
    assert np.array_equal(hits.hit[clear], np.isfinite(true)[clear])
    sure, through = clear & hits.hit, clear & hits.hit & (height > 0)
    assert through.sum() > 50 and (sure & ~through).sum() > 50 and (clear & ~hits.hit).any()
    np.testing.assert_allclose(hits.t[sure], true[sure], atol=0.1 * CELL)
    np.testing.assert_allclose(hits.normals[through], ((hits.points - CENTRE) / 2)[through], atol=0.1)


def test_rays_leave_through_a_hole():
    field, out = open_ball(), unit(np.random.default_rng(0).normal(size=(500, 3)))
    hits = field.raycast(CENTRE[None], out)
    clear = np.abs(2 * out[:, 2] - 1.0) > 0.1 * CELL
    assert np.array_equal(hits.hit[clear], (2 * out[:, 2] < 1.0)[clear]) and not hits.hit.all()


# ---------------------------------------------------------------- distances without sign


def test_rays_hit_the_surface_of_an_unsigned_ball(kernels):
    field, origins = field_of(ball, "udf"), drawn(300, 1.2)
    directions = unit(drawn(300, 0.7, seed=1) - origins)
    true, hits = true_hits(origins, directions), field.raycast(origins, directions)
    closest = np.linalg.norm(np.cross(origins - CENTRE, directions), axis=1)
    clear = (np.abs(closest - 2.0) > 0.9 * CELL) & (np.abs(ball(origins - CENTRE)) > 1.3 * CELL)
    assert np.array_equal(hits.hit[clear], np.isfinite(true)[clear]) and clear.sum() > 100
    sure = hits.hit & clear
    steep = sure & (closest < 1.5)
    np.testing.assert_allclose(hits.t[steep], true[steep], atol=0.25 * CELL)
    np.testing.assert_allclose(ball(hits.points[sure] - CENTRE), 0, atol=0.3 * CELL)
    np.testing.assert_allclose(hits.points[sure], (origins + hits.t[:, None] * directions)[sure], atol=1e-9)
    out = unit(hits.points - CENTRE)
    side = np.sign(ball(origins - CENTRE))
    np.testing.assert_allclose(hits.normals[sure], (side[:, None] * out)[sure], atol=0.25)
    shell = field.raycast(origins, directions, iso=1.2 * CELL)
    from_outside = sure & (side > 0)
    assert (shell.t < hits.t - CELL)[from_outside].all(), "which lies before the surface"


def test_rays_pass_beside_a_disc_without_sides():
    def disc(points):
        return np.hypot(np.maximum(np.hypot(points[:, 0], points[:, 1]) - 2.0, 0), points[:, 2])

    field, rng = field_of(disc, "udf"), np.random.default_rng(0)
    origins = CENTRE + rng.uniform([-3, -3, -3], [3, 3, -1], (500, 3))
    directions = unit(rng.uniform([-0.5, -0.5, 1], [0.5, 0.5, 1], (500, 3)))
    hits = field.raycast(origins, directions)
    t = (CENTRE[2] - origins[:, 2]) / directions[:, 2]
    radius = np.linalg.norm((origins + t[:, None] * directions - CENTRE)[:, :2], axis=1)
    clear = np.abs(radius - 2.0) > CELL
    assert np.array_equal(hits.hit[clear], (radius < 2.0)[clear]) and (hits.hit & clear).sum() > 50 < (clear & ~hits.hit).sum()
    np.testing.assert_allclose(hits.t[hits.hit & clear], t[hits.hit & clear], atol=0.15 * CELL)
    assert (hits.normals[hits.hit & clear][:, 2] < -0.9).all()


# ---------------------------------------------------------------- batches, threads, refusals


@pytest.mark.parametrize("make", [lambda: field_of(ring), open_ball], ids=["closed", "open"])
def test_chunks_and_threads_do_not_change_answers(make, monkeypatch):
    pytest.importorskip("numba", reason="the kernels need numba")
    monkeypatch.setenv("NFCODEC_KERNELS", "numba")
    field, points, directions = make(), drawn(1000, 1.5), unit(np.random.default_rng(0).normal(size=(1000, 3)))

    def answers(_=None):
        close, hits = field.closest_point(points), field.raycast(points, directions)
        return close.points, close.distances, close.normals, hits.hit, hits.t, hits.points, hits.normals

    whole = answers()
    with ThreadPoolExecutor(6) as pool:
        for some in pool.map(answers, range(12)):
            assert all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(some, whole))
    monkeypatch.setattr(surface, "CHUNK", 64)
    for threads in ("1", "3"):
        monkeypatch.setenv("NFCODEC_THREADS", threads)
        for a, b in zip(answers(), whole):
            np.testing.assert_allclose(a, b, atol=1e-9)


def test_nothing_is_asked_of_nothing():
    field = field_of(ball)
    close, hits = field.closest_point(np.empty((0, 3))), field.raycast(np.empty((0, 3)), np.empty((0, 3)))
    assert close.points.shape == hits.points.shape == (0, 3) and hits.hit.shape == close.distances.shape == (0,)


def test_levels_have_their_own_surfaces():
    """The coarse level of a ball that the fine one makes larger."""
    spec = make_spec(
        "sdf", (N, N, N), ((N, N, N), (1, 1, 1)), "dense", "cubic", 1, n_features=(1, 1), n_hidden_layers=0, scale=1.0,
        offset=0.0, step=2.0**-10,
    )  # fmt: skip
    z, y, x = np.meshgrid(*[(np.arange(N) + 0.5) / N * SIZE - SIZE / 2] * 3, indexing="ij")
    coarse = np.rint((np.sqrt(z * z + y * y + x * x) - 1.5) / spec.steps[0]).astype(np.int32)[None]
    fine = np.full((1, 1, 1, 1), round(-1.0 / spec.steps[1]), np.int32)
    tensors = [np.zeros(1, np.int32), np.ones((1, 2), np.int32)]
    levels = [{"latents": coarse}, {"latents": fine}]
    field = nfcodec.open(pack(spec, Frozen(levels, tensors, [0, 0], zero_net(3, False, 300))))
    points, directions = CENTRE + [[3.5, 0, 0]], np.array([[-1.0, 0, 0]])
    for level, radius in ((0, 1.5), (1, 2.5), (None, 2.5)):
        np.testing.assert_allclose(field.closest_point(points, level).distances, 3.5 - radius, atol=0.02 * CELL)
        np.testing.assert_allclose(field.raycast(points, directions, level=level).t, 3.5 - radius, atol=0.02 * CELL)


@pytest.mark.parametrize(
    "call, match",
    [
        (lambda f: f.closest_point(np.zeros((3, 2))), r"\(N, 3\)"),
        (lambda f: f.closest_point([[np.nan, 0, 0]]), "not finite"),
        (lambda f: f.closest_point("here"), "real coordinates"),
        (lambda f: f.raycast(np.zeros((3, 3)), np.ones((2, 3))), "3 origins and 2 directions"),
        (lambda f: f.raycast(np.zeros((1, 3)), np.zeros((1, 3))), "length 0"),
        (lambda f: f.raycast(np.zeros((1, 3)), np.ones((1, 3)), min_distance=2, max_distance=1), "min_distance <= max_distance"),
        (lambda f: f.raycast(np.zeros((1, 3)), np.ones((1, 3)), max_distance=np.nan), "max_distance"),
        (lambda f: f.raycast(np.zeros((1, 3)), np.ones((1, 3)), level=7), "level"),
    ],
)
def test_wrong_arguments_give_one_line(call, match):
    with pytest.raises(UsageError, match=match) as caught:
        call(field_of(ball))
    assert "\n" not in str(caught.value) and "expected" in str(caught.value)


def test_no_surface_no_answer():
    image = make_field()
    for call in (lambda: image.closest_point(np.zeros((1, 3))), lambda: image.raycast(np.zeros((1, 3)), np.ones((1, 3)))):
        with pytest.raises(UsageError, match="expected one of sdf"):
            call()
    with pytest.raises(NfldError, match="level"):
        field_of(ball).closest_point(np.zeros((1, 3)), iso=100.0)


def test_axes_are_not_mixed_up():
    """A block of three different sizes: from each side the nearest face is where it should be."""
    field = field_of(block)
    for axis, sign in itertools.product(range(3), (1, -1)):
        out = np.zeros((1, 3))
        out[0, axis] = sign
        half = (1.5, 2.0, 1.0)[axis]
        found = field.closest_point(CENTRE + 3.5 * out)
        np.testing.assert_allclose(found.points, CENTRE + half * out, atol=0.15 * CELL)
        np.testing.assert_allclose(found.normals, out, atol=0.05)
        hit = field.raycast(CENTRE + 20 * out, -out)
        np.testing.assert_allclose(hit.t, 20 - half, atol=0.15 * CELL)
