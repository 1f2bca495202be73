"""Surfaces of known shape and topology; closed, outward, without degenerate faces; few evaluations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from surfaces import volume

from nfcodec.errors import NfldError, UsageError
from nfcodec.geometry import area_vectors, count_edges
from nfcodec.isosurface import METHODS, isosurface
from nfcodec.isosurface.cells import AMBIGUOUS, SIDES, loops_of
from nfcodec.spec import Mesh


def product(axes):
    return np.meshgrid(*axes, indexing="ij")


def ball(axes, radius=0.3, centre=(0.5, 0.48, 0.51)):
    z, y, x = (a - c for a, c in zip(product(axes), centre))
    return np.sqrt(z * z + y * y + x * x) - radius


def torus(axes):
    z, y, x = (a - 0.5 for a in product(axes))
    return np.hypot(np.hypot(x, y) - 0.28, z) - 0.11


def cube(axes):
    return np.maximum.reduce([np.abs(a - 0.5) for a in product(axes)]) - 0.25


def from_array(values):
    def evaluate(axes):
        return values[np.ix_(*(np.rint(a * n - 0.5).astype(int) for a, n in zip(axes, values.shape)))]

    return evaluate


def in_unit_box(vertices, faces, shape):
    return Mesh(((vertices + 0.5) / shape)[:, ::-1], faces)


def euler_characteristic(mesh):
    edges = np.unique(np.sort(mesh.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1), axis=0)
    return len(mesh.vertices) - len(edges) + len(mesh.faces)


def tilted(axes):
    """A cube whose sides are at no right angle to the lattice."""
    z, y, x = (a - 0.5 for a in product(axes))
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    return np.abs(np.stack([z, y, x], -1) @ turn).max(-1) - 0.25


def at_points(field):
    """The same field at coordinates (N, 3)."""
    return lambda coords: np.array([field([c[k : k + 1] for k in range(3)])[0, 0, 0] for c in coords], np.float32)


def by_differences(points, step=1e-4):
    def gradient(coords):
        ends = [points(coords + s * step * (np.arange(3) == k)) for k in range(3) for s in (1, -1)]
        return np.stack([(ends[2 * k] - ends[2 * k + 1]) / (2 * step) for k in range(3)], 1)

    return gradient


def contoured(field, shape, level=0.0, points=None, **settings):
    """By dual contouring, with what a field gives at points made from what it gives on lattices."""
    points = points or at_points(field)
    return isosurface(
        field, shape, level, method="dual-contouring", points=points, is_quick=False, gradient=by_differences(points), **settings
    )


def between(values):
    """The field at coordinates between the samples of an array, linear along every axis."""

    def points(coords):
        u = np.clip(coords * values.shape - 0.5, 0, np.array(values.shape) - 1)
        low = np.minimum(u.astype(int), np.array(values.shape) - 2)
        f, out = u - low, 0
        for corner in np.ndindex(2, 2, 2):
            out = out + np.prod(np.where(corner, f, 1 - f), axis=1) * values[tuple((low + corner).T)]
        return out.astype(np.float32)

    return points


def n_fans(mesh):
    """Faces around vertices, those counted once that follow each other over edges: as many as vertices for a manifold."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    corners = np.arange(mesh.faces.size).reshape(-1, 3)
    ends = {}
    for k in range(3):
        for at, to in ((k, (k + 1) % 3), (k, (k + 2) % 3)):
            for v, w, corner in zip(mesh.faces[:, at], mesh.faces[:, to], corners[:, at]):
                ends.setdefault((v, w), []).append(corner)
    pairs = np.array([pair for pair in ends.values() if len(pair) == 2])
    n = mesh.faces.size
    return connected_components(coo_matrix((np.ones(len(pairs)), pairs.T), (n, n)), directed=False)[0]


def assert_sound(mesh, least_area=0.0):
    assert count_edges(mesh).watertight
    assert len(np.unique(mesh.faces)) == len(mesh.vertices)
    assert np.linalg.norm(area_vectors(mesh), axis=1).min() > least_area


@pytest.mark.parametrize(
    ("field", "expected_volume", "expected_euler"),
    [(ball, 4 / 3 * np.pi * 0.3**3, 2), (torus, 2 * np.pi**2 * 0.28 * 0.11**2, 0), (cube, 0.5**3, 2)],
)
@pytest.mark.parametrize("shape", [(64, 64, 64), (37, 66, 51)])
@pytest.mark.parametrize("as_distance", [True, False])
def test_closed_shapes(field, expected_volume, expected_euler, shape, as_distance):
    step = tuple(1 / n for n in shape) if as_distance else None
    mesh = in_unit_box(*isosurface(field, shape, step=step), shape)
    assert_sound(mesh)
    assert euler_characteristic(mesh) == expected_euler
    assert volume(mesh) == pytest.approx(expected_volume, rel=0.02)  # positive: faces point outwards
    # vertices are on the surface, to the second order of the step
    on_surface = [float(field([np.array([c]) for c in vertex[::-1]])[0, 0, 0]) for vertex in mesh.vertices[::50]]
    assert np.abs(on_surface).max() < (1e-3 if field is not cube else 1e-2)


@settings(max_examples=40, deadline=None)
@given(st.tuples(*[st.integers(2, 13)] * 3), st.integers(0, 10_000), st.sampled_from([1.0, 0.5, 1e-6]))
def test_noise_gives_closed_surfaces_too(shape, seed, scale):
    # every configuration of signs, ambiguous ones included; rounding brings values that are the level itself
    values = np.round(np.random.default_rng(seed).normal(size=shape), 1) * scale
    values[values == 0] = 0.0
    padded = np.pad(values, 1, constant_values=scale).astype(np.float32)
    if (padded >= 0).all():
        return
    vertices, faces = isosurface(from_array(padded), padded.shape, step=(scale,) * 3)
    assert_sound(Mesh(vertices[:, ::-1], faces))
    assert vertices.min() > 0 and (vertices < np.array(padded.shape) - 1).all()


@settings(max_examples=30, deadline=None)
@given(st.tuples(*[st.integers(2, 9)] * 3), st.integers(0, 10_000), st.sampled_from([1.0, 0.5]))
def test_noise_gives_manifolds_by_dual_contouring(shape, seed, scale):
    values = np.round(np.random.default_rng(seed).normal(size=shape), 1) * scale
    padded = np.pad(values, 2, constant_values=scale).astype(np.float32)
    if (padded >= 0).all():
        return
    vertices, faces = contoured(from_array(padded), padded.shape, points=between(padded), step=(scale,) * 3)
    mesh = Mesh(vertices[:, ::-1], faces)
    assert_sound(mesh, least_area=-1)  # two vertices of neighbouring cells may lie in one line with a third
    assert n_fans(mesh) == len(mesh.vertices)


def test_sides_that_a_loop_crosses_twice_in_both_cells_are_flipped(monkeypatch):
    """Of all 4096 ways to fill 2 x 2 x 3 samples one of 18 in which four faces would meet at an edge."""
    inside = np.array([[[1, 0, 1], [1, 1, 1]], [[1, 1, 1], [0, 0, 0]]])
    values = np.pad(np.where(inside, -1.0, 1.0), 2, constant_values=1).astype(np.float32)

    def extracted():
        vertices, faces = contoured(from_array(values), values.shape, points=between(values), step=(10,) * 3)
        return Mesh(vertices[:, ::-1], faces)

    mesh = extracted()
    assert_sound(mesh)
    assert n_fans(mesh) == len(mesh.vertices)
    monkeypatch.setattr("nfcodec.isosurface.dual._doubled", lambda *_: [])
    assert count_edges(extracted()).crowded == 1


def test_flips_split_a_loop_that_crosses_a_side_twice():
    n_split = 0
    for case in range(256):
        for side in np.flatnonzero(AMBIGUOUS[case]):
            loops, flipped = loops_of(case), loops_of(case, 1 << int(side))
            assert sorted(sum(loops, [])) == sorted(sum(flipped, []))
            of = {edge: i for i, loop in enumerate(flipped) for edge in loop}
            if len({i for i, loop in enumerate(loops) for edge in loop if edge in SIDES[side]}) == 1:
                n_split += 1
                assert len(flipped) == len(loops) + 1
                assert len({of[edge] for edge in SIDES[side]}) == 2
            else:
                assert len(flipped) == len(loops) - 1
            assert min(map(len, flipped)) >= 3
    assert n_split > 10


@pytest.mark.parametrize(
    ("field", "expected_volume", "expected_euler"), [(ball, 4 / 3 * np.pi * 0.3**3, 2), (torus, 2 * np.pi**2 * 0.28 * 0.11**2, 0)]
)
@pytest.mark.parametrize("shape", [(24, 24, 24), (19, 26, 31)])
def test_closed_shapes_by_dual_contouring(field, expected_volume, expected_euler, shape):
    mesh = in_unit_box(*contoured(field, shape, step=tuple(1 / n for n in shape)), shape)
    assert_sound(mesh)
    assert euler_characteristic(mesh) == expected_euler
    assert volume(mesh) == pytest.approx(expected_volume, rel=0.005)  # marching cubes lose 3 %


def test_sharp_edges_and_corners_are_found_between_the_samples():
    shape = (20, 20, 20)
    sharp = in_unit_box(*contoured(tilted, shape), shape)
    blunt = in_unit_box(*isosurface(tilted, shape, points=at_points(tilted), is_quick=False), shape)
    corners = np.array(list(np.ndindex(2, 2, 2))) * 0.5 - 0.25
    corners = corners @ np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0].T + 0.5
    for mesh, most in ((sharp, 0.15), (blunt, 1.0)):
        away = np.linalg.norm(mesh.vertices[:, None, ::-1] - corners, axis=2).min(axis=0) * 20
        assert away.max() < most
    assert away.min() > 0.15
    assert volume(sharp) == pytest.approx(0.125, rel=0.003)
    assert volume(blunt) < 0.124


@pytest.mark.parametrize("method", METHODS)
def test_a_plane_is_exact_by_both_methods(method):
    def plane(axes):
        z, y, x = product(axes)
        return 0.8 * z + 0.36 * y + 0.48 * x - 0.83

    points = at_points(plane)
    vertices, faces = isosurface(
        plane, (11, 12, 13), method=method, points=points, is_quick=False, gradient=by_differences(points, 0.1)
    )
    coords = (vertices + 0.5) / (11, 12, 13)
    assert np.abs(coords @ [0.8, 0.36, 0.48] - 0.83).max() < 1e-6
    normals = area_vectors(Mesh(coords[:, ::-1], faces))
    np.testing.assert_allclose(normals / np.linalg.norm(normals, axis=1, keepdims=True), [[0.48, 0.36, 0.8]] * len(faces), atol=1e-3)


def test_crossings_are_zeros_of_the_field_not_of_a_line_between_samples():
    def steep(axes):
        return np.expm1(30 * ball(axes))

    on_line = isosurface(steep, (16, 16, 16))[0]
    on_field = isosurface(steep, (16, 16, 16), points=at_points(steep), is_quick=False)[0]
    off_line, off_field = (np.abs(at_points(ball)((v + 0.5) / 16)) * 16 for v in (on_line, on_field))
    assert off_line.max() > 0.1 and off_field.max() < 2e-3


def test_every_cell_of_the_dense_lattice_is_found():
    # the sign of every sample must be what the mesh's winding says: along x, crossings alternate where signs change
    values = np.pad(np.random.default_rng(3).normal(size=(9, 9, 9)), 1, constant_values=5).astype(np.float32)
    vertices, _ = isosurface(from_array(values), values.shape, step=(10.0,) * 3)
    n_crossings = sum(int(np.diff(values < 0, axis=axis).sum()) for axis in range(3))
    assert len(vertices) == n_crossings


def test_linear_fields_are_exact_and_leave_the_box_open():
    shape = (20, 30, 25)
    vertices, faces = isosurface(lambda axes: product(axes)[0] - 0.37, shape)
    np.testing.assert_allclose((vertices[:, 0] + 0.5) / 20, 0.37, atol=1e-6)
    assert count_edges(Mesh(vertices, faces)).boundary == 2 * (29 + 24)
    normal = area_vectors(Mesh(vertices[:, ::-1], faces)).sum(axis=0)
    np.testing.assert_allclose(normal, [0, 0, 29 * 24], atol=1e-6)  # towards greater values: +z


def test_only_the_neighbourhood_is_evaluated_each_sample_once():
    asked = np.zeros((128, 128, 128), np.int32)

    def evaluate(axes):
        asked[np.ix_(*(np.rint(a * 128 - 0.5).astype(int) for a in axes))] += 1
        return ball(axes)

    isosurface(evaluate, asked.shape, step=(1 / 128,) * 3)
    asked[np.ix_(*[np.append(np.arange(0, 128, 4), 127)] * 3)] -= 1  # the search for the surface
    assert asked.sum() < 0.35 * asked.size
    assert asked[:, 60:68, 60:68].max() == 1


def rod(axes):
    """A cube with a square rod, two samples thick at 64^3, that runs along x between the samples of the search."""
    z, y, x = product(axes)
    block = np.maximum.reduce([np.abs(a - c) for a, c in zip((z, y, x), (0.53, 0.53, 0.2))]) - 0.1
    return np.minimum(
        block, np.maximum.reduce([np.abs(z - 34.5 / 64), np.abs(y - 34.5 / 64), np.abs(x - 0.5) - 0.4]) - 1 / 64
    )


def test_a_surface_missed_by_the_search_is_followed_without_cracks():
    vertices, faces = isosurface(rod, (64, 64, 64))
    assert_sound(Mesh(vertices[:, ::-1], faces))
    assert vertices[:, 2].max() > 56


def test_thin_parts_of_a_distance_are_found_where_signs_on_the_coarse_lattice_miss_them():
    def bead(axes):
        return np.minimum(ball(axes, 0.2, (0.5, 0.5, 0.3)), ball(axes, 0.02, (0.516, 0.516, 0.75)))

    whole = isosurface(bead, (64, 64, 64), step=(1 / 64,) * 3)
    mesh = in_unit_box(*whole, (64, 64, 64))
    assert euler_characteristic(mesh) == 4
    truncated = isosurface(
        lambda axes: np.clip(bead(axes), -0.05, 0.05), (64, 64, 64), step=(1 / 64,) * 3, truncation=0.05
    )
    np.testing.assert_allclose(truncated[0], whole[0], atol=1e-6)


def test_levels_and_occupancy():
    offset = in_unit_box(*isosurface(ball, (48, 48, 48), 0.1, step=(1 / 48,) * 3), 48)
    assert volume(offset) == pytest.approx(4 / 3 * np.pi * 0.4**3, rel=0.02)
    shell = in_unit_box(*isosurface(lambda axes: np.abs(ball(axes)), (48, 48, 48), 0.04, step=(1 / 48,) * 3), 48)
    assert euler_characteristic(shell) == 4  # two spheres
    assert volume(shell) == pytest.approx(4 / 3 * np.pi * (0.34**3 - 0.26**3), rel=0.03)
    occupancy = isosurface(lambda axes: -1 / (1 + np.exp(40 * ball(axes))), (48, 48, 48), -0.5)
    assert volume(in_unit_box(*occupancy, 48)) == pytest.approx(4 / 3 * np.pi * 0.3**3, rel=0.02)


def test_values_that_flicker_between_calls_do_not_crack_the_surface():
    # the last bit of a sample may depend on the call that evaluates it; here whole sides lie on the level
    rng = np.random.default_rng(0)
    vertices, faces = isosurface(
        lambda axes: rod(axes) + rng.normal(scale=1e-7, size=tuple(map(len, axes))), (64, 64, 64)
    )
    assert_sound(Mesh(vertices[:, ::-1], faces))


def test_refusals_say_what_to_do():
    with pytest.raises(NfldError, match="choose a level in between or a finer resolution"):
        isosurface(lambda axes: ball(axes) + 1, (16, 16, 16))
    with pytest.raises(NfldError, match="finite"):
        isosurface(lambda axes: ball(axes) * np.nan, (16, 16, 16))
    with pytest.raises(UsageError, match="at least 2"):
        isosurface(ball, (16, 1, 16))
    with pytest.raises(UsageError, match="marching-cubes or dual-contouring"):
        isosurface(ball, (16, 16, 16), method="cubes")
    with pytest.raises(UsageError, match="no gradient"):
        isosurface(ball, (16, 16, 16), method="dual-contouring")
    with pytest.raises(NfldError, match="finer resolution or marching cubes"):
        contoured(lambda axes: product(axes)[0] - 0.5, (2, 2, 2))
