"""Meshes in and out: formats, flattening, cleaning, counts, and what is refused."""

import json
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from surfaces import sphere

from nfcodec import io
from nfcodec.errors import SignalError, UsageError
from nfcodec.io.mesh import clean, topology
from nfcodec.paint import of_vertices, vertex_colours
from nfcodec.spec import Mesh

trimesh = pytest.importorskip("trimesh", reason="meshes need trimesh")

TETRA = Mesh(
    np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1.25]], float),
    np.array([[0, 2, 1], [0, 1, 3], [1, 2, 3], [2, 0, 3]]),
)
FORMATS = [".obj", ".stl", ".ply", ".off", ".glb"]


def ball():
    mesh = trimesh.creation.icosphere(subdivisions=2)
    return Mesh(np.asarray(mesh.vertices) * 3 + [0.1, -7, 2], np.asarray(mesh.faces))


def corners(mesh, scale=1.0):
    """The triangles (T, 9) as corner positions, the same for the same surface in any order of vertices and faces.

    Sorted by positions rounded to 1e-4 * scale, so that what a format rounds off does not change the order.
    """
    triangles = mesh.vertices[mesh.faces]
    keys = np.round(triangles / scale, 4) + 0.0
    start = np.lexsort(keys.transpose(2, 0, 1), axis=-1)[:, 0]
    turn = (np.arange(len(triangles))[:, None], (start[:, None] + np.arange(3)) % 3)
    return triangles[turn].reshape(-1, 9)[np.lexsort(keys[turn].reshape(-1, 9).T)]


@pytest.mark.parametrize("with_normals", [False, True])
@pytest.mark.parametrize("suffix", FORMATS)
def test_round_trip(tmp_path, suffix, with_normals):
    mesh = ball()
    normals = (mesh.vertices - [0.1, -7, 2]) / 3 if with_normals else None
    path = tmp_path / f"a{suffix}"
    io.write_mesh(path, mesh, {"units": "mm"}, normals=normals)
    signal = io.read(path)
    assert signal.kind == "sdf" and signal.values is None
    assert signal.mesh.vertices.dtype == np.float64 and signal.mesh.faces.dtype == np.int64
    exact = suffix in (".obj", ".off")
    assert np.allclose(corners(signal.mesh), corners(mesh), rtol=0, atol=1e-8 if exact else 1e-6)
    meta = signal.meta
    assert (meta["n_vertices"], meta["n_faces"], meta["n_parts"], meta["n_instances"]) == (162, 320, 1, 1)
    assert meta["watertight"] and meta["consistent_winding"] and meta["n_boundary_edges"] == 0
    assert meta["format"] == suffix[1:] and meta["source"] == path.name
    json.dumps(meta, allow_nan=False)
    volume = np.einsum("ij,ij->", *(lambda t: (t[:, 0], np.cross(t[:, 1], t[:, 2])))(signal.mesh.vertices[signal.mesh.faces])) / 6
    assert volume == pytest.approx(4 / 3 * np.pi * 27, rel=0.05), "faces still point outwards"
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".obj", ".ply", ".glb"])
def test_normals_are_written(tmp_path, suffix):
    normals = np.tile([[0.6, 0.0, 0.8]], (4, 1))
    io.write_mesh(tmp_path / f"a{suffix}", TETRA, normals=normals)
    scene = trimesh.load_scene(tmp_path / f"a{suffix}", process=False)
    (back,) = scene.geometry.values()
    assert np.allclose(back.vertex_normals, normals, atol=1e-6)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e7])
@pytest.mark.parametrize("suffix", [".obj", ".off"])
def test_text_formats_keep_enough_digits_at_any_scale(tmp_path, suffix, scale):
    mesh = Mesh(ball().vertices * scale, ball().faces)
    io.write_mesh(tmp_path / f"a{suffix}", mesh)
    assert np.allclose(corners(io.read(tmp_path / f"a{suffix}").mesh, scale), corners(mesh, scale), rtol=0, atol=1e-8 * scale)


def test_scene_is_flattened_with_its_transforms(tmp_path):
    box = trimesh.creation.box()
    scene = trimesh.Scene()
    scene.add_geometry(box, transform=trimesh.transformations.translation_matrix([5, 0, 0]))
    scene.add_geometry(box, transform=np.diag([-1.0, 2, 3, 1]))  # a mirror
    scene.export(tmp_path / "a.glb")
    signal = io.read(tmp_path / "a.glb")
    assert signal.meta["n_instances"] == signal.meta["n_parts"] == 2
    assert signal.meta["watertight"] and signal.meta["consistent_winding"]
    assert np.allclose(signal.mesh.vertices.min(0), [-0.5, -1, -1.5]) and np.allclose(signal.mesh.vertices.max(0), [5.5, 1, 1.5])
    triangles = signal.mesh.vertices[signal.mesh.faces]
    parts = np.einsum("ij,ij->i", triangles[:, 0], np.cross(triangles[:, 1], triangles[:, 2])) / 6
    assert parts.sum() == pytest.approx(1 + 6), "the mirrored part is not inside out"
    assert signal.meta["units"] == "m"


def test_gltf_with_its_buffer_is_read(tmp_path):
    for name, data in trimesh.Scene(trimesh.creation.box()).export(file_type="gltf").items():
        (tmp_path / name).write_bytes(data)
    assert io.read(tmp_path / "model.gltf").meta["n_faces"] == 12
    with pytest.raises(UsageError, match=r"\.gltf is not written.*\.glb"):
        io.write_mesh(tmp_path / "b.gltf", TETRA)


def test_polygons_relative_indices_and_seams_in_obj(tmp_path):
    (tmp_path / "quad.obj").write_text("v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nf -4 -3 -2 -1\n")
    assert io.read(tmp_path / "quad.obj").meta["n_faces"] == 2
    lines = ["# caf\u00e9", "mtllib none.mtl", *(f"v {x} {y} {z}" for x, y, z in TETRA.vertices)]
    lines += [f"vt {i / 12} 0.5" for i in range(12)]
    lines += [f"f {a + 1}/{3 * i + 1} {b + 1}/{3 * i + 2} {c + 1}/{3 * i + 3}" for i, (a, b, c) in enumerate(TETRA.faces)]
    (tmp_path / "uv.obj").write_bytes("\n".join(lines).encode("latin-1"))
    meta = io.read(tmp_path / "uv.obj").meta
    assert meta["n_vertices"] == 4 and meta["watertight"] and meta["dropped"] == ["uv"]


def test_ascii_stl_and_coloured_ply(tmp_path):
    facets = "".join(
        "facet normal 0 0 0\nouter loop\n" + "".join("vertex {} {} {}\n".format(*TETRA.vertices[v]) for v in face) + "endloop\nendfacet\n"
        for face in TETRA.faces
    )
    (tmp_path / "a.stl").write_text(f"solid a\n{facets}endsolid a\n")
    meta = io.read(tmp_path / "a.stl").meta
    assert meta["n_vertices"] == 4 and meta["watertight"] and meta["n_welded"] == 8
    mesh = trimesh.Trimesh(TETRA.vertices, TETRA.faces, vertex_colors=[[255, 0, 0, 255]] * 4, process=False)
    mesh.export(tmp_path / "c.ply")
    coloured = io.read(tmp_path / "c.ply")
    assert "dropped" not in coloured.meta and coloured.mesh.paint.corners.shape == (len(coloured.mesh.faces), 3, 3)


# ---- cleaning and counting


def test_clean_removes_what_has_no_area_and_repeats():
    vertices = np.vstack([TETRA.vertices, [[9, 9, 9], [0.5, 0, 0], [np.nan, 0, 0]]])  # 4 and 6 are unused
    more = [[0, 0, 1], [0, 5, 1], [2, 1, 0], [0, 1, 2]]  # collapsed, flat, a repeat of face 0, its reverse
    mesh, counts = clean("a", vertices, np.vstack([TETRA.faces, more]))
    assert counts["n_removed_degenerate"] == 2 and counts["n_removed_duplicate"] == 1
    assert mesh.faces.tolist() == [*TETRA.faces.tolist(), [0, 1, 2]], "order and the reverse face are kept"
    assert len(mesh.vertices) == counts["n_vertices"] == 4


def test_clean_leaves_touching_closed_parts_apart():
    both = np.vstack([TETRA.vertices, -TETRA.vertices])  # they share the position of vertex 0
    other = TETRA.faces[:, ::-1] + 4  # a reflection in the origin turns faces
    mesh, counts = clean("a", both, np.vstack([TETRA.faces, other]))
    assert counts["n_vertices"] == 8 and counts["n_parts"] == 2 and counts["watertight"] and "n_welded" not in counts


def test_topology_of_an_open_box_a_flipped_face_and_a_fin():
    closed = topology(TETRA.faces)
    assert closed == {
        "n_parts": 1, "watertight": True, "n_boundary_edges": 0, "n_nonmanifold_edges": 0, "consistent_winding": True,
    }  # fmt: skip
    opened = topology(TETRA.faces[:3])
    assert opened["n_boundary_edges"] == 3 and not opened["watertight"] and opened["consistent_winding"]
    flipped = TETRA.faces.copy()
    flipped[0] = flipped[0, ::-1]
    assert topology(flipped)["watertight"] and not topology(flipped)["consistent_winding"]
    fin = topology(np.vstack([TETRA.faces, [[0, 1, 4]]]))
    assert fin["n_nonmanifold_edges"] == 1 and fin["n_boundary_edges"] == 2
    assert topology(np.vstack([TETRA.faces, TETRA.faces + 4]))["n_parts"] == 2


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1 << 30))
def test_clean_never_changes_a_winding_sum(seed):
    """The signed volume of a soup with repeats of vertices and flat faces is that of what is left, each face counted once."""
    rng = np.random.default_rng(seed)
    vertices = rng.integers(-2, 3, (12, 3)).astype(float)
    faces = rng.integers(0, 12, (20, 3))
    triangles = vertices[faces]
    distinct = np.unique(corners(Mesh(vertices, faces)), axis=0).reshape(-1, 3, 3)

    def volume(t):
        return np.einsum("ij,ij->", t[:, 0], np.cross(t[:, 1], t[:, 2])) / 6

    area = np.linalg.norm(np.cross(triangles[:, 1] - triangles[:, 0], triangles[:, 2] - triangles[:, 0]), axis=1)
    if not area.any():
        return
    mesh, counts = clean("a", vertices, faces)
    assert len(np.unique(mesh.faces)) == len(mesh.vertices) == counts["n_vertices"]
    assert len(mesh.faces) + counts.get("n_removed_degenerate", 0) + counts.get("n_removed_duplicate", 0) == 20
    assert volume(mesh.vertices[mesh.faces]) == pytest.approx(volume(distinct), abs=1e-9)


# ---- refusals

STRIP_PLY = b"""ply
format ascii 1.0
element vertex 3
property float x
property float y
property float z
element tristrips 1
property list int int vertex_indices
end_header
0 0 0
1 0 0
0 1 0
3 0 1 2
"""


@pytest.mark.parametrize(
    "name, content, words",
    [
        ("empty.obj", b"", "0 bytes"),
        ("comment.obj", b"# nothing\n", "no triangles"),
        ("points.obj", b"v 0 0 0\nv 1 0 0\n", "no triangles"),
        ("range.obj", b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n", "range.obj"),
        ("nan.obj", b"v 0 0 nan\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "1 of 3 vertices are NaN"),
        ("huge.obj", b"v 0 0 1e30\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", "beyond 1e\\+18"),
        ("flat.obj", b"v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n", "none of its 1 faces has an area"),
        ("binary.obj", b"\x89PNG\r\n\x1a\n\0\0\0\1" * 30, "not text"),
        ("photo.stl", b"\x89PNG\r\n\x1a\n\0\0\0\1" * 30, "not text"),
        ("photo.ply", b"\x89PNG\r\n\x1a\n\0\0\0\1" * 30, "looks like png"),
        ("photo.glb", b"\x89PNG\r\n\x1a\n\0\0\0\1" * 30, "looks like png"),
        ("text.off", b"hello world\n", "text.off"),
        ("strip.ply", STRIP_PLY, "triangle strips"),
        ("cloud.ply", STRIP_PLY.replace(b"element tristrips 1\nproperty list int int vertex_indices\n", b""), "point cloud"),
        ("bomb.ply", STRIP_PLY.replace(b"vertex 3", b"vertex 4000000000").replace(b"ascii", b"binary_little_endian"), "bomb.ply"),
        ("bomb.stl", b"\0" * 80 + struct.pack("<I", 1 << 31) + b"\0" * 100, "bomb.stl"),
    ],
)
def test_bad_meshes_get_one_line(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SignalError, match=words) as caught:
        io.read(tmp_path / name)
    assert "\n" not in str(caught.value) and name in str(caught.value)


@pytest.mark.parametrize("suffix", FORMATS)
def test_cut_and_flipped_files_raise_nothing_else(tmp_path, suffix):
    io.write_mesh(tmp_path / f"a{suffix}", TETRA)
    data = (tmp_path / f"a{suffix}").read_bytes()
    rng = np.random.default_rng(3)
    for trial in range(60):
        broken = bytearray(data)
        if trial % 2:
            broken = broken[: rng.integers(1, len(data))]
        else:
            for at in rng.integers(0, len(data), 4):
                broken[at] ^= 1 << rng.integers(8)
        (tmp_path / f"b{suffix}").write_bytes(broken)
        try:
            mesh = io.read(tmp_path / f"b{suffix}").mesh
            assert np.isfinite(mesh.vertices).all() and mesh.faces.max() < len(mesh.vertices)
        except SignalError as err:
            assert "\n" not in str(err)


def test_writing_is_refused_before_anything_appears(tmp_path):
    io.write_mesh(tmp_path / "a.ply", TETRA)
    with pytest.raises(UsageError, match="--overwrite"):
        io.write_mesh(tmp_path / "a.ply", TETRA)
    io.write_mesh(tmp_path / "a.ply", TETRA, overwrite=True)
    with pytest.raises(UsageError, match="no faces"):
        io.write_mesh(tmp_path / "b.ply", Mesh(np.zeros((0, 3)), np.zeros((0, 3), int)))
    with pytest.raises(UsageError, match=r"normals of shape \(2, 3\)"):
        io.write_mesh(tmp_path / "b.ply", TETRA, normals=np.zeros((2, 3)))
    with pytest.raises(UsageError, match="choose one of .glb .obj"):
        io.write_mesh(tmp_path / "b.png", TETRA)
    assert [p.name for p in tmp_path.iterdir()] == ["a.ply"]


def test_kinds_of_surfaces(tmp_path):
    io.write_mesh(tmp_path / "a.obj", TETRA)
    assert io.read(tmp_path / "a.obj", "udf").kind == "udf"
    with pytest.raises(UsageError, match="obj holds sdf or tsdf or occupancy or udf, got the kind 'volume'"):
        io.read(tmp_path / "a.obj", "volume")


@pytest.mark.parametrize("suffix, tolerance", [(".ply", 0.0), (".glb", 2e-7), (".obj", 1e-8)])
@pytest.mark.parametrize("is_painted", [False, True])
def test_positions_far_from_the_origin_come_back(tmp_path, suffix, tolerance, is_painted):
    """In the coordinates of a map float32 has steps of half a metre."""
    at = np.array([500000.123456, -4200000.5, 120.125])
    ball = sphere(2, 3.0)
    paint = of_vertices(ball.vertices / 6 + 0.5, ball.faces) if is_painted else None
    mesh = Mesh(ball.vertices + at, ball.faces, paint)
    io.write_mesh(tmp_path / f"a{suffix}", mesh, normals=ball.vertices / 3)
    found = io.read(tmp_path / f"a{suffix}").mesh
    np.testing.assert_allclose(found.vertices, mesh.vertices, atol=tolerance, rtol=0)
    np.testing.assert_array_equal(found.faces, mesh.faces)
    if is_painted:
        np.testing.assert_allclose(vertex_colours(found), ball.vertices / 6 + 0.5, atol=0.03)
    (part,) = trimesh.load_scene(tmp_path / f"a{suffix}", process=False).geometry.values()
    np.testing.assert_allclose(part.vertex_normals, ball.vertices / 3, atol=1e-6)


def test_stl_says_what_it_cannot_hold(tmp_path):
    mesh = Mesh(sphere(1).vertices + 1e6, sphere(1).faces)
    with pytest.warns(UserWarning, match="STL has 32 bits.*off by up to 0.06"):
        io.write_mesh(tmp_path / "a.stl", mesh)


def test_units_of_glb_come_back(tmp_path):
    for units in ("mm", "m", "inches"):
        io.write_mesh(tmp_path / "a.glb", sphere(1), {"units": units}, overwrite=True)
        assert io.read(tmp_path / "a.glb").meta["units"] == units
