"""Meshes of fields that leave their box, against closed forms."""

import numpy as np
import pytest
from distance_fields import CELL, CENTRE, SIZE, N, ball, field_of

from nfcodec.geometry import area_vectors, count_edges


def volume(mesh):
    corners = mesh.vertices[mesh.faces] - CENTRE
    return float(np.einsum("ij,ij->i", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6)


def inside_box(distance):
    """The volume of what is inside and in the box, by counting."""
    n = 160
    z, y, x = np.meshgrid(*[((np.arange(n) + 0.5) / n - 0.5) * SIZE] * 3, indexing="ij")
    return float((distance(np.stack([x, y, z], -1).reshape(-1, 3)) < 0).mean()) * SIZE**3


def large(points):
    """A ball that pokes through all six sides."""
    return ball(points, 4.6)


def shifted(points):
    return ball(points - [3.0, 0, 0], 2.0)


@pytest.mark.parametrize("method", ["dual-contouring", "marching-cubes"])
@pytest.mark.parametrize("kind", ["sdf", "tsdf", "occupancy"])
@pytest.mark.parametrize("distance", [large, shifted])
def test_what_leaves_the_box_is_closed_there(distance, kind, method):
    mesh = field_of(distance, kind).to_mesh(2 * N, method=method)
    assert count_edges(mesh).watertight and count_edges(mesh).contrary == 0
    assert np.abs(mesh.vertices - CENTRE).max() < SIZE / 2 + 0.3 * CELL
    assert volume(mesh) == pytest.approx(inside_box(distance), rel=0.02)
    low, high = mesh.vertices[:, 0].min() - CENTRE[0], mesh.vertices[:, 0].max() - CENTRE[0]
    assert high == pytest.approx(SIZE / 2, abs=0.3 * CELL)
    assert low == pytest.approx(-SIZE / 2 if distance is large else 1.0, abs=0.3 * CELL)


def test_flat_sides_are_flat():
    mesh = field_of(large).to_mesh(2 * N)
    on_top = mesh.vertices[mesh.faces][..., 2].min(axis=1) > CENTRE[2] + SIZE / 2 - 1e-3 * CELL
    assert np.linalg.norm(area_vectors(mesh)[on_top], axis=1).sum() == pytest.approx(np.pi * (4.6**2 - 3.93**2), rel=0.1)  # half a sample from the side the field is constant


def test_a_surface_with_a_rim_stays_open_at_the_box():
    field = field_of(lambda p: p[:, 2], trim=lambda p: p[:, 0] - 10.0)  # a plane that goes on beyond the box
    mesh = field.to_mesh(N)
    assert count_edges(mesh).boundary > 0
    np.testing.assert_allclose(mesh.vertices[:, 2], CENTRE[2], atol=1e-3)
