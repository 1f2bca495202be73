"""Edges that a field has rounded, put back in its meshes."""

import numpy as np
import pytest
from distance_fields import CELL, CENTRE, SIZE, N, ball, block, field_of

from nfcodec.creases import Creases, find_creases
from nfcodec.errors import UsageError
from nfcodec.export import export
from nfcodec.geometry import count_edges

HALF = np.array([1.5, 2.0, 1.0])
ROUNDING = CELL  # the radius of its edges


def rounded(points):
    return block(points, HALF - ROUNDING) - ROUNDING


def hollow(points):
    """A solid of whose inside the block is missing: its edges are inner ones."""
    return -rounded(points)


def away_from_corners(mesh):
    """Vertices about the middle that are at the block and not where three of its sides meet."""
    points = mesh.vertices - CENTRE
    points = points[(np.abs(points) < HALF + 2 * CELL).all(axis=1)]
    return points[(np.abs(np.abs(points) - HALF) > 4 * CELL).any(axis=1)]


@pytest.mark.parametrize("distance", [rounded, hollow])
@pytest.mark.parametrize(
    ("resolution", "method"), [(N, "dual-contouring"), (3 * N, "dual-contouring"), (3 * N, "marching-cubes")]
)
def test_edges_are_put_back_on_any_lattice(distance, resolution, method):
    field = field_of(distance)
    worst = {}
    for sharp in (False, True):
        mesh = field.to_mesh(resolution, method=method, sharp=sharp)
        assert count_edges(mesh).watertight and count_edges(mesh).contrary == 0
        worst[sharp] = np.abs(block(away_from_corners(mesh), HALF)).max()
    assert worst[False] > 0.15 * ROUNDING
    assert worst[True] < 0.05 * ROUNDING


def test_round_and_flat_surfaces_stay_as_they_are():
    for distance in (ball, lambda p: ball(p, 0.7), lambda p: p @ [0.6, 0.0, 0.8]):
        field = field_of(distance)
        soft, sharp = (field.to_mesh(2 * N, sharp=s) for s in (False, True))
        np.testing.assert_array_equal(soft.vertices, sharp.vertices)
        np.testing.assert_array_equal(soft.faces, sharp.faces)


def test_planes_count_at_an_edge_and_end_beside_it():
    def look(places):
        steps = np.eye(3) * 1e-4
        slopes = [(rounded(places + s) - rounded(places - s)) / 2e-4 for s in steps]
        return rounded(places), np.stack(slopes, 1)

    mesh = field_of(rounded).to_mesh(N)
    middle = np.full(3, SIZE / 2)
    creases = find_creases(mesh.vertices - CENTRE + middle, mesh.faces, lambda p: look(p - middle), CELL, 2 * middle)
    assert (creases.sense == 1).all()
    apart = np.sort(np.abs(np.abs(creases.points - middle) - HALF), axis=1)
    assert apart[apart[:, 2] > 4 * CELL, :2].max() < 0.02 * CELL  # each lies on two sides of the block
    places = middle + [1.5, 2.0, 0.0] + CELL * np.array([[0, 0, 0], [-0.3, 0.2, 0], [0, -0.9, 0], [-1.6, 0, 0], [4, 0, 0]])
    rows, heights, normals, weights = creases.near(places)
    assert rows.tolist() == [0, 1, 2]
    np.testing.assert_allclose(heights, [0, 0.2 * CELL, 0], atol=0.02 * CELL)
    np.testing.assert_allclose(normals[1], [0, 1, 0], atol=0.02)
    assert weights[0] > 0.99 and weights[1] > 0.9 and 0.05 < weights[2] < 0.95


def test_planes_that_averaging_has_shortened_still_count():
    fans = np.radians([[-28, 118], [0, 90], [28, 62]])  # three points of an edge whose planes turn along it
    normals = np.stack([np.cos(fans), np.sin(fans), 0 * fans], 2).transpose(1, 0, 2)
    points = np.array([[0, 0, 0.0], [0, 0, 0.5], [0, 0, 1.0]])
    creases = Creases(points, 0.9 * normals, np.zeros((2, 3)), np.ones(3), 1.0)
    rows, heights, found, weights = creases.near(points)
    assert len(rows) == 3 and np.isfinite(found).all() and np.isfinite(heights).all() and (weights == 1).all()
    assert np.isfinite(creases.smoothed().normals).all()


def test_files_say_whether_edges_are_put_back():
    field = field_of(rounded)
    soft, sharp = (field.to_mesh(N, sharp=s) for s in (False, True))
    assert not np.array_equal(soft.vertices, sharp.vertices)
    for said, expected in ((True, sharp), (False, soft), ("yes", soft), (1, soft)):  # anybody's JSON
        field.meta = {"sharp": said}
        np.testing.assert_array_equal(field.to_mesh(N).vertices, expected.vertices)
    np.testing.assert_array_equal(field.to_mesh(N, sharp=False).vertices, soft.vertices)
    occupancy = field_of(rounded, "occupancy")
    np.testing.assert_array_equal(occupancy.to_mesh(N, sharp=True).vertices, occupancy.to_mesh(N).vertices)


def test_lattices_have_no_edges(tmp_path):
    with pytest.raises(UsageError, match="sharp applies to meshes only"):
        export(field_of(rounded), tmp_path / "x.npy", sharp=True)
    assert export(field_of(rounded), tmp_path / "x.ply", sharp=True, resolution=N)["n_faces"]
