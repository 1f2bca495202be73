"""Surfaces of known shape and topology; closed, outward, without degenerate faces; few evaluations."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from surfaces import volume

from nfcodec.errors import NfldError, UsageError
from nfcodec.geometry import area_vectors, count_edges
from nfcodec.isosurface import isosurface
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


def assert_sound(mesh):
    assert count_edges(mesh).watertight
    assert len(np.unique(mesh.faces)) == len(mesh.vertices)
    assert np.linalg.norm(area_vectors(mesh), axis=1).min() > 0


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
