"""Surfaces laid out flat, their pictures, and what GLB keeps of them."""

import numpy as np
import pytest
from field_cases import make_field
from surfaces import box, joined, sphere

from nfcodec import io
from nfcodec.errors import UsageError
from nfcodec.export import export
from nfcodec.geometry import sample_surface
from nfcodec.paint import barycentric, colours_at
from nfcodec.spec import Mesh
from nfcodec.texture import texels, textured, unwrapped

SIZE = 128


def shown(points):
    """A colour that follows the position within 1 of the middle, smoothly."""
    return 0.5 + 0.4 * np.sin(2 * np.asarray(points) + [0, 1, 2])


def test_texels_of_a_triangle():
    uv = np.array([[[0.1, 0.2], [0.9, 0.3], [0.4, 0.95]], [[2.0, 2.0], [2.0, 2.1], [2.1, 2.0]], [[0.3, 0.3]] * 3], np.float32)
    size = 40
    places, ids, weights = (np.concatenate(parts) for parts in zip(*texels(uv, size)))
    row, column = places // size, places % size
    middles = np.stack([(column + 0.5) / size, 1 - (row + 0.5) / size], 1)
    np.testing.assert_allclose(np.einsum("nk,nkc->nc", weights, uv[ids]), middles, atol=1e-6)
    assert not ids.any() and weights.min() > -1e-5, "the others lie outside or have no area"
    assert len(places) == pytest.approx(0.29 * size**2, rel=0.03) and len(np.unique(places)) == len(places)


def test_charts_do_not_overlap_and_are_as_large_as_their_faces():
    pytest.importorskip("xatlas", reason="unwrapping needs xatlas")
    mesh = joined(sphere(3), box())
    uv = unwrapped(mesh, SIZE)
    assert uv.shape == (len(mesh.faces), 3, 2) and uv.min() >= 0 and uv.max() <= 1
    places, ids, weights = (np.concatenate(parts) for parts in zip(*texels(uv, SIZE)))
    within = weights.min(axis=1) > 1e-3
    assert len(np.unique(places[within])) == within.sum(), "a texel of two faces"

    def areas(a, b):
        return np.abs(a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0])

    flat = areas(uv[:, 1] - uv[:, 0], uv[:, 2] - uv[:, 0])
    a, b, c = mesh.vertices[mesh.faces].transpose(1, 0, 2)
    scale = flat / np.linalg.norm(np.cross(b - a, c - a), axis=1)
    assert scale.max() < 4 * scale.min() and 0.3 < flat.sum() / 2 < 1


def test_a_texture_holds_what_the_surface_shows():
    pytest.importorskip("xatlas", reason="unwrapping needs xatlas")
    mesh = textured(sphere(3), shown, SIZE)
    assert mesh.paint.textures[0].shape == (SIZE, SIZE, 3)
    points, ids = sample_surface(mesh, 20_000, np.random.default_rng(0))
    found = colours_at(mesh.paint, ids, barycentric(mesh, ids, points))
    error = np.abs(found - shown(points))
    assert error.max() < 0.05 and error.mean() < 0.004, "also on the seams of charts"


def test_glb_keeps_a_texture(tmp_path):
    pytest.importorskip("xatlas", reason="unwrapping needs xatlas")
    trimesh = pytest.importorskip("trimesh", reason="meshes need trimesh")
    ball = sphere(2)
    mesh = textured(ball, shown, SIZE)
    io.write_mesh(tmp_path / "a.glb", mesh, normals=ball.vertices)
    found = io.read(tmp_path / "a.glb").mesh
    assert len(found.faces) == len(ball.faces)
    np.testing.assert_array_equal(found.paint.textures[0], mesh.paint.textures[0])
    points, ids = sample_surface(found, 5000, np.random.default_rng(0))
    np.testing.assert_allclose(colours_at(found.paint, ids, barycentric(found, ids, points)), shown(points), atol=0.05)
    (part,) = trimesh.load_scene(tmp_path / "a.glb", process=False).geometry.values()
    np.testing.assert_allclose(part.vertex_normals, part.vertices, atol=1e-6)
    io.write_mesh(tmp_path / "a.ply", mesh)  # which has no textures: the colours go to the vertices
    plain = io.read(tmp_path / "a.ply").mesh
    np.testing.assert_allclose(plain.paint.corners.reshape(-1, 3), shown(plain.vertices[plain.faces.reshape(-1)]), atol=0.05)


def test_fields_are_written_with_a_texture(tmp_path):
    pytest.importorskip("xatlas", reason="unwrapping needs xatlas")
    roles = ("distance", "red", "green", "blue")
    settings = {"kind": "sdf", "extent": (12, 12, 12), "resolutions": ((4, 4, 4), (12, 12, 12)), "offset": 0.2}
    field = make_field(channels=4, roles=roles, **settings)
    with np.errstate(all="ignore"):
        made = export(field, tmp_path / "a.glb", texture=64, resolution=24)
    found = io.read(tmp_path / "a.glb").mesh
    assert len(found.faces) == made["n_faces"] and found.paint.textures[0].shape == (64, 64, 3)
    points, ids = sample_surface(Mesh(found.vertices, found.faces), 3000, np.random.default_rng(0))
    wanted = field.sample(field.from_world(points))[:, 1:]
    close = np.abs(colours_at(found.paint, ids, barycentric(found, ids, points)) - wanted).max(axis=1) < 0.15
    assert close.mean() > 0.8, "of random colours, at texels as large as their detail"
    for name, field, match in (
        ("b.ply", field, "into GLB only"),
        ("b.npy", field, "meshes only"),
        ("b.glb", make_field(**settings), "without colours"),
    ):
        with pytest.raises(UsageError, match=match):
            export(field, tmp_path / name, texture=64)
    with pytest.raises(UsageError, match="16 to 8192"):
        textured(sphere(1), shown, 9000)
