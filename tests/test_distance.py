"""Distances and signs against closed forms and brute force; repair and diagnosis of bad meshes; lattices."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from surfaces import box, inverted, joined, sheet, sphere, volume, without

from nfcodec.errors import SignalError, UsageError
from nfcodec.fit.distance import MeshDistance, lattice_distance, sample_surface
from nfcodec.geometry import count_edges, face_normals, morton_order, weld
from nfcodec.spec import Mesh

pytest.importorskip("igl")


def box_distance(points, low, high):
    """Signed distance to a box (Quilez's closed form)."""
    q = np.abs(points - (np.array(low) + high) / 2) - (np.array(high) - low) / 2
    return np.linalg.norm(np.maximum(q, 0), axis=1) + np.minimum(q.max(axis=1), 0)


def exact_winding(mesh, points):
    """Sum of the solid angles over 4 pi (Van Oosterom and Strackee, 1983)."""
    a, b, c = (mesh.vertices[mesh.faces[:, k]][None] - points[:, None] for k in range(3))
    la, lb, lc = (np.linalg.norm(v, axis=2) for v in (a, b, c))
    dot = lambda u, v: np.sum(u * v, axis=2)  # noqa: E731
    triple = dot(a, np.cross(b, c))
    return np.arctan2(triple, la * lb * lc + dot(a, b) * lc + dot(b, c) * la + dot(c, a) * lb).sum(axis=1) / (2 * np.pi)


def lattice_points(low, cell, shape):
    k = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), axis=-1)
    return (np.array(low) + cell * (k[..., ::-1] + 0.5)).reshape(-1, 3)


@settings(max_examples=30, deadline=None)
@given(
    low=st.tuples(*[st.floats(-5, 5)] * 3),
    size=st.tuples(*[st.floats(0.1, 4)] * 3),
    n=st.integers(1, 400),
    seed=st.integers(0, 99),
)
def test_a_box_has_its_closed_form_distance(low, size, n, seed):
    high = np.add(low, size)
    points = np.random.default_rng(seed).uniform(np.subtract(low, 2), high + 2, (n, 3))
    distance = MeshDistance(box(low, high))
    expected = box_distance(points, low, high)
    np.testing.assert_allclose(distance.unsigned(points), np.abs(expected), atol=1e-12)
    np.testing.assert_allclose(distance.signed(points), expected, atol=1e-12)
    np.testing.assert_array_equal(distance.inside(points), expected < 0)


def test_closest_points_lie_on_their_faces_at_the_distance():
    mesh = sphere(3)
    distance = MeshDistance(mesh)
    points = np.random.default_rng(0).normal(size=(500, 3))
    nearest, ids = distance.closest(points)
    np.testing.assert_allclose(np.linalg.norm(points - nearest, axis=1), distance.unsigned(points), atol=1e-12)
    height = np.sum((nearest - mesh.vertices[mesh.faces[ids, 0]]) * face_normals(mesh)[ids], axis=1)
    np.testing.assert_allclose(height, 0, atol=1e-12)


def test_useless_faces_are_dropped_and_ids_are_those_of_the_given_mesh():
    good = box()
    bad = np.array([[0, 0, 1], [0, 1, 1]] + [list(np.roll(good.faces[0], 1))])  # twice no area, then a duplicate
    mesh = Mesh(good.vertices, np.concatenate([bad[:2], good.faces, bad[2:]]))
    distance = MeshDistance(mesh)
    assert len(distance.mesh.faces) == 12 and distance.diagnosis.watertight
    _, ids = distance.closest(np.random.default_rng(0).uniform(-1, 2, (200, 3)))
    assert set(ids) == set(range(2, 14))
    assert (distance.face_normals[:2] == 0).all() and (distance.face_normals[14] == 0).all()
    np.testing.assert_allclose(distance.face_normals[2:14], face_normals(good))


def test_a_hole_is_closed_with_exact_distances_and_the_exact_winding_number():
    whole = sphere(3)
    mesh = without(whole, whole.vertices[whole.faces].mean(axis=1)[:, 2] > 0.9)
    distance = MeshDistance(mesh)
    assert not distance.diagnosis.watertight and distance.sign_is_reliable
    assert "source to decoded" in distance.diagnosis.advice
    points = np.random.default_rng(1).uniform(-1.2, 1.2, (2000, 3))
    exact = exact_winding(mesh, points)
    clear = np.abs(exact - 0.5) > 0.02
    np.testing.assert_array_equal(distance.inside(points)[clear], exact[clear] > 0.5)
    np.testing.assert_allclose(np.abs(distance.signed(points)), distance.unsigned(points))


def test_inverted_meshes_are_turned():
    for mesh in (inverted(sphere(3)), inverted(joined(box(), box((3, 0, 0), (4, 1, 1))))):
        distance = MeshDistance(mesh)
        assert distance.flipped and distance.diagnosis.turned_share == 1
        assert volume(distance.mesh) > 0
        np.testing.assert_allclose(distance.face_normals, -face_normals(mesh))
    assert not MeshDistance(sphere(3)).flipped


def test_one_inverted_part_and_a_few_inverted_faces_are_turned():
    parts = MeshDistance(joined(box(), inverted(box((3, 0, 0), (4, 1, 1)))))
    assert parts.flipped and parts.diagnosis.n_components == 2 and parts.diagnosis.turned_share == pytest.approx(0.5)
    assert parts.inside(np.array([[0.5, 0.5, 0.5], [3.5, 0.5, 0.5], [2, 0.5, 0.5]])).tolist() == [True, True, False]
    ball = sphere(3)
    some = np.random.default_rng(0).random(len(ball.faces)) < 0.4
    mixed = MeshDistance(Mesh(ball.vertices, np.where(some[:, None], ball.faces[:, ::-1], ball.faces)))
    assert mixed.flipped and not mixed.diagnosis.consistent_winding and mixed.sign_is_reliable
    assert volume(mixed.mesh) == pytest.approx(volume(ball))


def test_a_cavity_stays_a_cavity_also_when_all_is_inverted():
    hollow = joined(sphere(3), inverted(sphere(3, radius=0.5)))
    probes = np.array([[0, 0, 0.1], [0, 0, 0.75], [0, 0, 1.2]])
    for mesh in (hollow, inverted(hollow)):
        distance = MeshDistance(mesh)
        assert distance.inside(probes).tolist() == [False, True, False]
        assert distance.diagnosis.watertight and distance.sign_is_reliable


def test_overlapping_bodies_are_united_and_the_diagnosis_says_so():
    distance = MeshDistance(joined(sphere(3), sphere(3, centre=(1, 0, 0))))
    assert distance.inside(np.array([[0.5, 0, 0], [-0.5, 0, 0], [1.5, 0, 0]])).all()
    assert distance.sign_is_reliable and "union" in distance.diagnosis.advice
    assert distance.diagnosis.lost_share == pytest.approx(0.25, abs=0.02)  # caps of height 1/2 of two unit spheres


def test_bodies_that_touch_lose_their_wall_and_doubled_faces_do_not():
    two = joined(box(), box((1, 0, 0), (2, 1, 1)))
    distance = MeshDistance(two)
    points = np.random.default_rng(0).uniform(-0.5, 2.5, (2000, 3))
    inside = (np.abs(points - [1, 0.5, 0.5]) < [1, 0.5, 0.5]).all(1)
    np.testing.assert_array_equal(distance.inside(points), inside)
    assert distance.sign_is_reliable and distance.diagnosis.is_union
    assert distance.diagnosis.lost_share == pytest.approx(1 / 11, abs=1e-9)  # one wall beside ten outer squares
    doubled = sphere(2)
    doubled = joined(Mesh(doubled.vertices, np.concatenate([doubled.faces, doubled.faces[:, ::-1]])), box((2, 0, 0), (3, 1, 1)))
    distance = MeshDistance(doubled)
    assert distance.inside(np.array([[0.0, 0, 0], [2.5, 0.5, 0.5], [1.5, 0, 0]])).tolist() == [True, True, False]
    assert not distance.diagnosis.is_union


def test_sheets_open_shells_and_soups_are_ambiguous():
    ball = sphere(4)
    hemisphere = without(ball, ball.vertices[ball.faces].mean(axis=1)[:, 2] < 0)
    rng = np.random.default_rng(0)
    soup = Mesh(ball.vertices[ball.faces].reshape(-1, 3), np.arange(3 * len(ball.faces)).reshape(-1, 3))
    soup = Mesh(soup.vertices + rng.normal(scale=1e-4, size=soup.vertices.shape), soup.faces.copy())
    some = rng.random(len(soup.faces)) < 0.5
    soup.faces[some] = soup.faces[some][:, ::-1]
    for mesh in (sheet(), hemisphere, soup):
        diagnosis = MeshDistance(mesh).diagnosis
        assert diagnosis.ambiguous and "udf" in diagnosis.advice and not diagnosis.watertight
    assert MeshDistance(sheet()).unsigned(np.array([[0.5, 0.5, 0.3], [0.5, 2.0, 0.0]])) == pytest.approx([0.3, 1.0])


def test_corners_of_a_triangle_soup_are_joined():
    ball = sphere(3)
    soup = Mesh(ball.vertices[ball.faces].reshape(-1, 3), np.arange(3 * len(ball.faces)).reshape(-1, 3))
    distance = MeshDistance(soup)
    assert distance.diagnosis.watertight and distance.diagnosis.n_components == 1
    assert len(distance.mesh.vertices) == len(ball.vertices)


@pytest.mark.parametrize("kind", ["closed", "holed", "open"])
def test_a_lattice_is_exact_in_the_band_and_rightly_signed_everywhere(kind):
    mesh = joined(sphere(3), inverted(sphere(3, radius=0.4)), box((1.3, -0.4, -0.4), (1.5, 0.4, 0.4)))
    centres = mesh.vertices[mesh.faces].mean(axis=1)
    if kind != "closed":
        mesh = without(mesh, (centres[:, 2] > (0.95 if kind == "holed" else 0.3)) & (centres[:, 0] < 1.2))
    distance = MeshDistance(mesh)
    low, cell, shape, band = (-1.3, -1.2, -1.25), 0.05, (50, 47, 59), 0.12
    values = lattice_distance(distance, low, cell, shape, band)
    assert values.shape == shape and values.dtype == np.float32
    points = lattice_points(low, cell, shape)
    exact, got = distance.signed(points), values.reshape(-1)
    np.testing.assert_array_equal(got < 0, exact < 0)
    near = np.abs(exact) <= band
    np.testing.assert_allclose(got[near], exact[near], atol=1e-6)
    ratio = np.abs(got) / np.abs(exact)
    assert ratio.min() > 1 - 1e-5 and ratio.max() < 2 and np.mean(ratio) < 1.05


def test_a_lattice_queries_few_of_its_vertices():
    distance = MeshDistance(sphere(4))
    asked = []
    closest, winding = distance._tree.closest, distance._tree.winding
    distance._tree.closest = lambda p: asked.append(len(p)) or closest(p)
    distance._tree.winding = lambda p: asked.append(len(p)) or winding(p)
    lattice_distance(distance, (-1.2,) * 3, 2.4 / 96, (96, 96, 96), 2 * 2.4 / 96)
    assert sum(asked) < 0.35 * 96**3  # distances and winding numbers together


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 1, 40), (17, 16, 2)])
def test_small_and_flat_lattices(shape):
    distance = MeshDistance(box())
    values = lattice_distance(distance, (-0.5, -0.5, 0.4), 0.1, shape, 10.0)
    exact = distance.signed(lattice_points((-0.5, -0.5, 0.4), 0.1, shape))
    np.testing.assert_allclose(values.reshape(-1), exact, atol=1e-6)


def test_samples_are_spread_by_area():
    mesh = joined(sheet(side=1.0), sheet(height=5.0, side=2.0))
    points, ids = sample_surface(mesh, 10_000, np.random.default_rng(0))
    np.testing.assert_allclose(np.bincount(ids) / 10_000, [0.1, 0.1, 0.4, 0.4], atol=2e-3)
    lower = points[ids < 2]
    assert (lower[:, 2] == 0).all() and lower.min() >= 0 and lower.max() <= 1
    np.testing.assert_allclose(lower[:, :2].mean(axis=0), 0.5, atol=0.03)
    np.testing.assert_allclose(lower[:, :2].var(axis=0), 1 / 12, atol=0.01)


def test_morton_order_is_a_permutation_that_keeps_neighbours_together():
    points = np.random.default_rng(0).random((5000, 3))
    order = morton_order(points)
    assert sorted(order) == list(range(5000))
    jumps = np.linalg.norm(np.diff(points[order], axis=0), axis=1).mean()
    assert jumps < 0.2 * np.linalg.norm(np.diff(points, axis=0), axis=1).mean()
    assert morton_order(np.zeros((3, 3))).tolist() == [0, 1, 2]


def test_edges_are_counted():
    assert count_edges(sphere(1)).watertight
    assert count_edges(sheet()).boundary == 4
    assert (
        count_edges(weld(joined(box(), box((1, 0, 0), (2, 1, 1))))).crowded == 5
    )  # of the shared face, with its diagonal
    twisted = Mesh(sheet().vertices, np.array([[0, 1, 2], [0, 3, 2]]))
    assert count_edges(twisted).contrary == 1


def test_bad_input_is_refused_in_one_line():
    ball = sphere(1)
    broken = Mesh(np.where(ball.vertices == 1, np.nan, ball.vertices), ball.faces)
    flat = Mesh(ball.vertices, np.array([[0, 0, 1]]))
    empty = Mesh(ball.vertices, np.zeros((0, 3), np.int64))
    for mesh in (broken, flat, empty):
        with pytest.raises(SignalError, match="expected") as caught:
            MeshDistance(mesh)
        assert "\n" not in str(caught.value)
    for points in (np.zeros((3, 2)), np.array([[0, np.nan, 0]])):
        with pytest.raises(UsageError, match="expected"):
            MeshDistance(ball).unsigned(points)
    with pytest.raises(UsageError, match="lattice"):
        lattice_distance(MeshDistance(ball), (0, 0, 0), 0.0, (4, 4, 4), 1.0)
    assert MeshDistance(ball).signed(np.zeros((0, 3))).shape == (0,)
