"""Which edges of a mesh are sharp, and what errors there weigh."""

import numpy as np
import pytest
from surfaces import box, joined, sphere

pytest.importorskip("torch", reason="fitting needs torch")
pytest.importorskip("igl", reason="distances need libigl")

from nfcodec import encode  # noqa: E402
from nfcodec import open as open_field
from nfcodec.fit.edges import edge_weights, is_edged, sharp_edges  # noqa: E402
from nfcodec.geometry import weld  # noqa: E402
from nfcodec.metrics import surface_error  # noqa: E402
from nfcodec.spec import Mesh, Signal  # noqa: E402


def cylinder(n=48, height=1.0):
    """Along z, of n flat sides, closed by fans."""
    angle = 2 * np.pi * np.arange(n) / n
    ring = np.stack([np.cos(angle), np.sin(angle), np.zeros(n)], 1)
    vertices = np.concatenate([ring, ring + [0, 0, height], [[0, 0, 0], [0, 0, height]]])
    i, j = np.arange(n), (np.arange(n) + 1) % n
    faces = [(i, j, n + j), (i, n + j, n + i), (j, i, np.full(n, 2 * n)), (n + i, n + j, np.full(n, 2 * n + 1))]
    return Mesh(vertices, np.concatenate([np.stack(f, 1) for f in faces]))


def test_edges_of_a_part_are_sharp_and_its_round_sides_are_not():
    part = cylinder()
    ends = {tuple(np.sort(e)) for k in (0, 48) for e in zip(k + np.arange(48), k + (np.arange(48) + 1) % 48)}
    assert {tuple(e) for e in sharp_edges(part)} == ends
    corners = sharp_edges(weld(box()))
    assert len(corners) == 12 and np.isclose(np.ptp(weld(box()).vertices[corners], axis=1).sum(1), 1).all()  # no diagonal


def test_coarse_balls_and_rough_scans_have_none():
    rough = sphere(4)
    rng = np.random.default_rng(0)
    rough = Mesh(rough.vertices + rng.normal(0, 0.02, rough.vertices.shape), rough.faces)
    for mesh in (sphere(0), sphere(1), sphere(3)):
        assert len(sharp_edges(mesh)) == 0
    assert len(sharp_edges(rough)) < 0.01 * 1.5 * len(rough.faces)


def test_errors_at_sharp_edges_weigh_four_times():
    mesh, cell = joined(box(), sphere(3, 0.4, (2.0, 0.5, 0.5))), 0.05
    points = cell * (np.indices((20, 24, 60)).reshape(3, -1).T[:, ::-1] + 0.5) + [-0.1, -0.1, 0.0]
    outside = np.maximum(np.maximum(-points, points - 1), 0)
    to_box = np.linalg.norm(outside, axis=1)
    within = np.minimum(points, 1 - points).min(1)
    to_box = np.where(within > 0, within, to_box)
    apart = np.minimum(to_box, np.abs(np.linalg.norm(points - [2.0, 0.5, 0.5], axis=1) - 0.4))
    weights = edge_weights(mesh, apart.reshape(20, 24, 60), np.array([-0.1, -0.1, 0.0]), cell).reshape(-1)
    # beside the upright edge x = y = 0, away from its ends
    upright = np.abs(points[:, 2] - 0.5) < 0.2
    beside = np.hypot(points[:, 0], points[:, 1])
    near = upright & (beside < 0.12)
    np.testing.assert_allclose(weights[near], 1 + 3 / (1 + (beside[near] / (2 * cell)) ** 2) ** 2, rtol=1e-5)
    assert weights.max() > 3.3 and weights[points[:, 0] > 1.5].max() < 1.01 and (weights[apart > 0.25] == 1).all()


def test_meshes_of_parts_with_edges_get_them_back():
    assert is_edged(weld(box())) and is_edged(cylinder()) and not is_edged(sphere(3))
    part = cylinder()
    field = open_field(encode(Signal("sdf", mesh=part), quality=40, effort=1).data)
    assert field.meta["sharp"] is True
    soft, sharp = (surface_error(part, field.to_mesh(160, sharp=s), 20_000) for s in (False, None))
    assert sharp.normal_deg < soft.normal_deg and sharp.rms < soft.rms
    assert "sharp" not in open_field(encode(Signal("sdf", mesh=sphere(3)), quality=20, effort=1).data).meta
