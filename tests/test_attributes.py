"""Surfaces with further channels: where they end, and their colours, from the file of a mesh and back."""

import dataclasses
import json

import numpy as np
import pytest
from field_cases import make_field
from surfaces import box, joined, sheet, sphere, without

import nfcodec
from nfcodec import io
from nfcodec.attributes import dressed, trimmed, without_specks
from nfcodec.errors import NfldError, SignalError, UsageError
from nfcodec.geometry import area_vectors, count_edges
from nfcodec.io.mesh import clean
from nfcodec.paint import barycentric, colours_at, of_vertices, some_faces, vertex_colours
from nfcodec.spec import Mesh, Paint, Signal


def area(mesh):
    return float(np.linalg.norm(area_vectors(mesh), axis=1).sum())


def hemisphere(n_halvings=4):
    ball = sphere(n_halvings)
    return without(ball, ball.vertices[ball.faces].mean(1)[:, 2] > 0)


def painted(mesh):
    """A colour that follows the position."""
    low, high = mesh.vertices.min(0), mesh.vertices.max(0)
    return dataclasses.replace(mesh, paint=of_vertices((mesh.vertices - low) / (high - low), mesh.faces))


# ---------------------------------------------------------------- trimming triangles


@pytest.mark.parametrize("where", [0.3, 0.5, 0.98])
def test_trimming_cuts_along_the_line(where):
    mesh = sphere(3)
    kept = trimmed(mesh, mesh.vertices[:, 2] - (2 * where - 1))
    assert kept.vertices[:, 2].max() == pytest.approx(2 * where - 1, abs=1e-2)
    assert area(kept) == pytest.approx(4 * np.pi * where, rel=0.03), "of a cap, by Archimedes"
    normals = area_vectors(kept)
    assert (np.sum(normals * kept.vertices[kept.faces].mean(1), 1) > 0).all(), "faces keep their sense and have area"
    edges = count_edges(kept)
    assert edges.crowded == edges.contrary == 0 and edges.boundary > 0
    # one rim: as many vertices as edges, all in the plane
    assert np.isclose(kept.vertices[:, 2], 2 * where - 1, atol=1e-3).sum() >= edges.boundary, "but for the margin of a cut"


def test_trimming_everything_and_nothing():
    mesh = sphere(2)
    whole = trimmed(mesh, np.full(len(mesh.vertices), -1.0))
    assert np.array_equal(whole.faces, mesh.faces) and np.array_equal(whole.vertices, mesh.vertices)
    with pytest.raises(NfldError, match="trimmed off"):
        trimmed(mesh, np.ones(len(mesh.vertices)))
    odd = trimmed(sheet(), np.array([0.0, np.inf, 1.0, -1.0]))  # of a hostile file
    assert np.isfinite(odd.vertices).all() and area(odd) > 0


def test_meshes_of_fields_with_channels():
    field = make_field(kind="sdf", extent=(12, 12, 12), resolutions=((4, 4, 4), (12, 12, 12)), channels=5, offset=0.85, roles=("distance", "green", "trim", "blue", "red"))  # fmt: skip
    mesh = sphere(2, 0.4)
    corner, size = np.array(field.spec.origin)[::-1], field.box_size[::-1]
    mesh = Mesh(corner + size / 2 + mesh.vertices, mesh.faces)
    values = field.sample(field.from_world(mesh.vertices))
    assert values[:, [1, 3, 4]].min() >= 0 and values[:, [1, 3, 4]].max() <= 1, "colours are clipped"
    assert 0 < (values[:, 2] <= 0).mean() < 1, "the case is to be cut"
    found = dressed(mesh, field.spec, lambda points: field.sample(field.from_world(points)))
    wanted = trimmed(mesh, values[:, 2])
    assert np.array_equal(found.faces, wanted.faces)
    colours = field.sample(field.from_world(found.vertices))[:, [4, 1, 3]]
    np.testing.assert_allclose(vertex_colours(found), colours, atol=1e-6)
    plain = dressed(mesh, dataclasses.replace(field.spec, roles=("distance",) + ("other",) * 4), field.sample)
    assert plain is mesh


def test_specks_go():
    """A piece smaller than two samples along every axis, beside one that is longer along one of them."""
    large, small = sheet(), box(high=(0.001, 0.001, 0.001))
    small = Mesh(small.vertices + 3.0, small.faces)
    both = joined(large, small)
    found = without_specks(both, 0.01)
    assert np.array_equal(found.vertices, large.vertices) and np.array_equal(found.faces, large.faces)
    assert without_specks(both, 1e-4) is both
    assert without_specks(small, 0.01) is small  # nothing else is there
    shuffled = Mesh(both.vertices[::-1], len(both.vertices) - 1 - both.faces)
    assert len(without_specks(shuffled, 0.01).faces) == len(large.faces)


igl = pytest.importorskip("igl", reason="distances need libigl")


# ---------------------------------------------------------------- rims

from nfcodec.fit.distance import MeshDistance  # noqa: E402
from nfcodec.fit.rims import Rim, is_sheet, open_lattice, phantoms  # noqa: E402


def test_a_square_and_the_plane_around_it():
    rim = Rim(MeshDistance(sheet()))
    assert len(rim) == 4
    points = np.array([[0.5, 0.25, 0.3], [0.5, 0.25, -0.3], [1.2, 0.5, 0.1], [1.3, 1.4, -0.2], [-0.1, 0.9, 0.0]])
    apart, signed, trim, on_rim = rim.at(points)
    np.testing.assert_allclose(apart, [0.3, 0.3, np.hypot(0.2, 0.1), np.sqrt(0.29), 0.1], atol=1e-12)
    np.testing.assert_allclose(signed, [0.3, -0.3, 0.1, -0.2, 0.0], atol=1e-12)
    np.testing.assert_allclose(trim, [-0.25, -0.25, 0.2, 0.5, 0.1], atol=1e-12)
    assert on_rim.tolist() == [False, False, True, True, True]


def test_signs_and_heights_have_no_jump_at_the_rim():
    rim = Rim(MeshDistance(hemisphere()))
    rng = np.random.default_rng(0)
    edge = rim.mesh.vertices[rim.edges].mean(1)
    start = edge + rng.normal(0, 0.05, edge.shape)
    _, signed, trim, _ = rim.at(start)
    step = rng.normal(size=edge.shape)
    step *= 1e-4 / np.linalg.norm(step, axis=1, keepdims=True)
    _, moved, moved_trim, _ = rim.at(start + step)
    assert np.abs(moved - signed).max() < 1.1e-4 and np.abs(moved_trim - trim).max() < 2e-3
    assert (trim[edge[:, 2] - start[:, 2] > 0.03] < 0).all() and (trim[start[:, 2] - edge[:, 2] > 0.03] > 0).all()


def test_pseudonormals_give_the_sign_of_a_closed_box():
    """At edges and corners a face's own normal is wrong for points beyond an acute edge."""
    mesh = without(box(), np.arange(12) == 0)
    rim = Rim(MeshDistance(mesh))
    points = np.random.default_rng(1).uniform(-0.5, 1.5, (4000, 3))
    apart, signed, _, on_rim = rim.at(points)
    inside = (np.abs(points - 0.5) < 0.5).all(1)
    np.testing.assert_array_equal((signed < 0)[~on_rim], inside[~on_rim])
    np.testing.assert_allclose(np.abs(signed)[~on_rim], apart[~on_rim])


def test_faces_that_meet_without_sharing_corners_have_no_rim():
    """T-junctions: a corner of one face lies on the edge of another, at a fold and within a plane."""
    closed = box()
    first = closed.vertices[closed.faces[0]]
    for k in range(3):  # two sides of the first face are edges of the box, one is a diagonal
        vertices = np.concatenate([closed.vertices, [(first[k] + first[(k + 1) % 3]) / 2]])
        a, b, c = np.roll(closed.faces[0], -k)
        split = Mesh(vertices, np.concatenate([closed.faces[1:], [[a, 8, c], [8, b, c]]]))
        distance = MeshDistance(split)
        assert distance.diagnosis.n_boundary_edges == 3 and len(Rim(distance)) == 0
        holed = MeshDistance(Mesh(vertices, split.faces[:-1]))
        assert len(Rim(holed)) == 3


def test_which_surfaces_a_trim_holds():
    assert is_sheet(MeshDistance(hemisphere()).mesh) and not is_sheet(sphere(2))
    three = Mesh(np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1], [0, -1, -1.0]]), np.array([[0, 1, 2], [0, 1, 3], [0, 1, 4]]))  # fmt: skip
    assert not is_sheet(three)
    for mesh, low, high in ((hemisphere(), 0, 1e-9), (joined(sheet(), sheet(0.5)), 0.2, 0.6)):
        rim = Rim(MeshDistance(mesh))
        corner, cell = mesh.vertices.min(0) - 0.3, float(np.ptp(mesh.vertices, 0).max()) * 1.6 / 48
        shape = (48, 48, 48)
        signed, apart = open_lattice(rim, corner, cell, shape, 4 * cell)
        trim = rim.at(corner + cell * (np.indices(shape).reshape(3, -1).T[:, ::-1] + 0.5))[2].reshape(shape)
        found, share = phantoms(signed, apart, trim, cell)
        assert low <= share <= high and found.any() == (share > 0)


def test_open_lattices_are_exact_within_the_band():
    rim, cell = Rim(MeshDistance(hemisphere(3))), 0.06
    low = np.array([-1.2, -1.2, -1.3])
    signed, apart = open_lattice(rim, low, cell, (40, 42, 44), 3 * cell)
    points = low + cell * (np.indices(signed.shape).reshape(3, -1).T[:, ::-1] + 0.5)
    wanted_apart, wanted, _, _ = (x.reshape(signed.shape) for x in rim.at(points))
    near = wanted_apart <= 3 * cell
    np.testing.assert_allclose(signed[near], wanted[near], atol=1e-6)
    np.testing.assert_allclose(apart, wanted_apart, atol=7 * cell)
    np.testing.assert_allclose(apart[near], wanted_apart[near], atol=1e-6)


# ---------------------------------------------------------------- paint


def test_textures_are_read_where_they_lie():
    texture = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)
    uv = np.array([[[0.1, 0.875], [0.9, 0.875], [0.1, 0.125]]], np.float32)  # centres of corner texels
    paint = Paint(np.full((1, 3, 3), 0.5, np.float32), uv, np.zeros(1, np.int32), (texture,))
    found = colours_at(paint, np.zeros(3, np.int64), np.eye(3))
    np.testing.assert_allclose(found, texture[[0, 0, 3], [0, 4, 0]] / 510, atol=1e-6)
    middle = colours_at(paint, np.zeros(1, np.int64), np.array([[0.5, 0.5, 0]]))
    np.testing.assert_allclose(middle[0], texture[0, 2] / 510, atol=1e-6)
    around = dataclasses.replace(paint, uv=uv + 3)
    np.testing.assert_allclose(colours_at(around, np.zeros(3, np.int64), np.eye(3)), found, atol=1e-5)
    plain = dataclasses.replace(paint, which=np.full(1, -1, np.int32))
    np.testing.assert_allclose(colours_at(plain, np.zeros(3, np.int64), np.eye(3)), 0.5)


def test_barycentric_weights():
    mesh = sphere(1)
    rng = np.random.default_rng(0)
    ids, weights = rng.integers(0, len(mesh.faces), 50), rng.dirichlet((1, 1, 1), 50)
    points = np.einsum("nk,nkc->nc", weights, mesh.vertices[mesh.faces[ids]])
    np.testing.assert_allclose(barycentric(mesh, ids, points), weights, atol=1e-9)
    assert barycentric(mesh, ids, points * 2).min() >= 0


def test_cleaning_keeps_the_paint_of_the_faces_that_stay():
    ball = painted(sphere(1))
    flat, again = np.array([[0, 0, 1]]), ball.faces[3:4]
    faces = np.concatenate([flat, ball.faces, again])
    paint = Paint(np.concatenate([np.zeros((1, 3, 3)), ball.paint.corners, np.ones((1, 3, 3))]).astype(np.float32))
    mesh, counts = clean("x", ball.vertices, faces, paint)
    assert counts["n_removed_degenerate"] == counts["n_removed_duplicate"] == 1
    np.testing.assert_array_equal(mesh.paint.corners, ball.paint.corners)
    np.testing.assert_array_equal(some_faces(ball.paint, np.array([2, 0])).corners, ball.paint.corners[[2, 0]])


# ---------------------------------------------------------------- files

trimesh = pytest.importorskip("trimesh", reason="meshes need trimesh")


@pytest.mark.parametrize("suffix, tolerance", [(".ply", 1 / 255), (".obj", 1 / 255), (".glb", 0.03)])
def test_colours_of_vertices_come_back(tmp_path, suffix, tolerance):
    """Linear colours of 8 bits, which trimesh makes of what it reads from a GLB, are coarse where they are dark."""
    mesh = painted(sphere(2))
    io.write_mesh(tmp_path / f"a{suffix}", mesh)
    found = io.read(tmp_path / f"a{suffix}").mesh
    np.testing.assert_allclose(vertex_colours(found), (found.vertices + 1) / 2, atol=tolerance)


def test_glb_colours_are_linear_floats(tmp_path):
    mesh = dataclasses.replace(sheet(), paint=of_vertices(np.full((4, 3), 0.5), sheet().faces))
    io.write_mesh(tmp_path / "a.glb", mesh)
    data = (tmp_path / "a.glb").read_bytes()
    n = int.from_bytes(data[12:16], "little")
    tree = json.loads(data[20 : 20 + n])
    (attributes,) = [p["attributes"] for m in tree["meshes"] for p in m["primitives"]]
    accessor = tree["accessors"][attributes["COLOR_0"]]
    assert accessor["componentType"] == 5126 and accessor["type"] == "VEC3"
    assert accessor["max"] == pytest.approx([0.2140411] * 3), "IEC 61966-2-1 of one half"


OBJ = """mtllib m.mtl
v 0 0 0
v 1 0 0
v 0 1 0
v 0 0 1
vt 0.25 0.75
vt 0.75 0.75
vt 0.25 0.25
usemtl a
f 1/1 2/2 3/3
usemtl b
f 1 2 4
"""


@pytest.fixture
def textured(tmp_path):
    from PIL import Image

    pixels = np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [9, 9, 9]]], np.uint8)
    Image.fromarray(pixels).save(tmp_path / "t.png")
    (tmp_path / "m.obj").write_text(OBJ)
    (tmp_path / "m.mtl").write_text("newmtl a\nKd 0.5 0.5 0.5\nmap_Kd t.png\nnewmtl b\nKd 0 1 1\n")
    return tmp_path


def test_materials_and_textures_of_obj(textured):
    mesh = io.read(textured / "m.obj").mesh
    corners = mesh.vertices[mesh.faces]
    for ids, weights in ((k, np.eye(3)) for k in range(2)):
        found = colours_at(mesh.paint, np.full(3, ids), weights)
        if (corners[ids] == [0, 0, 1]).all(1).any():
            np.testing.assert_allclose(found, [[0, 1, 1]] * 3, atol=1e-6)
        else:
            wanted = {(0, 0, 0): (1, 0, 0), (1, 0, 0): (0, 1, 0), (0, 1, 0): (0, 0, 1)}
            np.testing.assert_allclose(found, [wanted[tuple(c)] for c in corners[ids].astype(int)], atol=1e-6)
    # glTF has linear factors and its own material classes
    trimesh.load_scene(textured / "m.obj", process=False).export(textured / "m.glb")
    glb = io.read(textured / "m.glb").mesh
    assert len(glb.paint.textures) == 1 and glb.paint.which.tolist().count(0) == 1


def test_a_texture_given_by_hand(textured):
    (textured / "m.mtl").unlink()
    assert io.read(textured / "m.obj").mesh.paint is None
    paint = io.read(textured / "m.obj", texture=textured / "t.png").mesh.paint
    assert len(paint.textures) == 1 and paint.textures[0].shape == (2, 2, 3)
    first = int(np.flatnonzero((paint.uv == [[0.25, 0.75], [0.75, 0.75], [0.25, 0.25]]).all((1, 2)))[0])
    found = colours_at(paint, np.full(3, first), np.eye(3))
    np.testing.assert_allclose(found, np.eye(3), atol=1e-6, err_msg="the picture's own colours")
    with pytest.raises(UsageError, match="no such file"):
        io.read(textured / "m.obj", texture=textured / "none.png")
    with pytest.raises(SignalError, match="no image"):
        io.read(textured / "m.obj", texture=textured / "m.obj")
    io.write_mesh(textured / "bare.ply", sphere(1))
    with pytest.raises(SignalError, match="without texture coordinates"):
        io.read(textured / "bare.ply", texture=textured / "t.png")
    with pytest.raises(UsageError, match="texture does not apply"):
        io.read(textured / "t.png", texture=textured / "t.png")


def test_parts_of_scenes_and_of_meshes(tmp_path):
    scene = trimesh.Scene()
    placed = {"left": 0, "a/b": 3, "right": 6}
    for name, at in placed.items():
        transform = np.eye(4)
        transform[0, 3] = at
        scene.add_geometry(trimesh.Trimesh(box().vertices, box().faces, process=False), node_name=name, transform=transform)
    scene.export(tmp_path / "scene.glb")
    names = io.parts(tmp_path / "scene.glb")
    assert sorted(names) == sorted(placed)
    for k, name in enumerate(names):
        part = io.read(tmp_path / "scene.glb", part=k)
        assert part.meta["part"] == k and part.meta["n_instances"] == 1 and part.meta["part_name"] == name
        io.write_mesh(tmp_path / "part.glb", part.mesh, part.meta, overwrite=True)
        assert trimesh.load_scene(tmp_path / "part.glb").graph.nodes_geometry == [name]
        assert part.mesh.vertices[:, 0].min() == pytest.approx(placed[name]) and len(part.mesh.faces) == 12
    two = painted(joined(box(), sphere(2)))
    io.write_mesh(tmp_path / "two.ply", two)
    assert io.parts(tmp_path / "two.ply") == ["0", "1"]
    ball = io.read(tmp_path / "two.ply", part=1)
    assert ball.meta["n_faces"] == len(sphere(2).faces) == len(ball.mesh.paint.corners) and ball.meta["watertight"]
    with pytest.raises(UsageError, match="expected 0 to 1"):
        io.read(tmp_path / "two.ply", part=2)
    np.save(tmp_path / "a.npy", np.zeros((2, 2, 2)))
    with pytest.raises(UsageError, match="expected a mesh"):
        io.parts(tmp_path / "a.npy")


# ---------------------------------------------------------------- whole encodes

torch = pytest.importorskip("torch", reason="encoding needs torch")


def encode(mesh, **settings):
    return nfcodec.encode(mesh, effort=1, quality=10, **settings)


def test_an_open_surface_comes_back_open():
    mesh = hemisphere()
    encoded = encode(mesh)
    assert encoded.kind == "sdf" and encoded.report.rms < 2e-3
    assert encoded.report.rms_back < 2e-3 and encoded.report.max_back < 0.05, "nothing closes it"
    decoded = nfcodec.open(encoded.data).to_mesh(64)
    assert area(decoded) == pytest.approx(2 * np.pi, rel=0.05) and count_edges(decoded).boundary > 50


def test_holes_may_be_closed():
    ball = sphere(4)
    mesh = without(ball, ball.vertices[ball.faces].mean(1)[:, 2] > 0.85)
    kept, closed = encode(mesh), encode(mesh, close_holes=True)
    assert nfcodec.open(closed.data).spec.roles == ("distance",) and len(closed.data) < len(kept.data)
    assert kept.report.rms_back < 3e-3 < closed.report.rms_back
    tops = []
    for encoded in (kept, closed):
        decoded = nfcodec.open(encoded.data).to_mesh(48)
        tops.append(area(Mesh(decoded.vertices, decoded.faces[decoded.vertices[decoded.faces].mean(1)[:, 2] > 0.6])))
    # the opening's disc is pi (1 - 0.85^2)
    assert tops[1] - tops[0] > 0.5 * np.pi * (1 - 0.85**2)


@pytest.mark.parametrize("kind", ["sdf", "occupancy", "udf"])
def test_colours_come_back(tmp_path, kind):
    mesh = painted(sphere(3))
    encoded, plain = encode(mesh, kind=kind), encode(sphere(3), kind=kind)
    assert encoded.report.color_psnr_db > 25 and plain.report.color_psnr_db is None
    assert encoded.report.rms < 1.5 * plain.report.rms, "colours are not at the expense of the surface"
    field = nfcodec.open(encoded.data)
    assert field.info()["roles"] == ["distance", "red", "green", "blue"]
    decoded = field.to_mesh(48)
    inner = decoded.vertices / np.linalg.norm(decoded.vertices, axis=1, keepdims=True)
    assert np.sqrt(np.square(vertex_colours(decoded) - (inner + 1) / 2).mean()) < 0.08
    (tmp_path / "a.nfld").write_bytes(encoded.data)
    from nfcodec.export import export

    export(field, tmp_path / "a.ply", resolution=32)
    assert io.read(tmp_path / "a.ply").mesh.paint is not None


def test_a_file_for_each_part(tmp_path):
    from nfcodec.cli import main

    io.write_mesh(tmp_path / "two.obj", joined(box(), box((0.5, 0, 0), (2, 1, 1))))
    assert main(["encode", str(tmp_path / "two.obj"), "--parts", "--separate", "--effort", "1", "--quality", "0"]) == 0
    sides = [nfcodec.open(tmp_path / f"two-{k}.nfld").box_size[2] for k in range(2)]
    assert sorted(p.name for p in tmp_path.glob("*.nfld")) == ["two-0.nfld", "two-1.nfld"]
    assert sides == pytest.approx([1.08, 1.62], rel=0.3), "overlapping bodies stay apart"


# ---------------------------------------------------------------- few triangles


def test_small_meshes_are_told_of(monkeypatch):
    import sys

    from nfcodec.compare.advice import smaller_mesh
    from nfcodec.measure import Report

    mesh = sphere(3)
    signal, report = Signal("sdf", mesh=mesh), Report(60.0, 1e-3, 1e-3, 1e-3)
    with monkeypatch.context() as without_draco:
        without_draco.setitem(sys.modules, "DracoPy", None)
        found = smaller_mesh(signal, report, 20_000)
    assert found.codec == "zstd" and 0 < found.rms <= 1e-3
    assert smaller_mesh(signal, report, 100) is None, "no coder gets there"
    assert smaller_mesh(Signal("sdf", mesh=painted(mesh)), report, 20_000) is None, "which has no colours"
    pytest.importorskip("DracoPy", reason="of the extra compare")
    draco = smaller_mesh(signal, report, 20_000)
    assert draco.codec == "Draco" and draco.bytes < found.bytes and draco.rms <= 1e-3
    assert smaller_mesh(signal, report, draco.bytes) is None
