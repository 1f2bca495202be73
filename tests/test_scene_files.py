"""Scenes from meshes' files and back: nodes, names, shared geometries, colours; the command line on such files."""

import json

import numpy as np
import pytest
from surfaces import box, joined, sphere
from test_cli import assert_refused, here, lines  # noqa: F401

import nfcodec
from nfcodec import io
from nfcodec.cli import main
from nfcodec.container import PART, SCNE, read
from nfcodec.errors import SignalError, UsageError
from nfcodec.scene import worlds

trimesh = pytest.importorskip("trimesh", reason="meshes need trimesh")
QUICK = ["--effort", "1", "--quality", "0"]


def moved(offset, angle=0.0, scale=1.0):
    matrix = trimesh.transformations.rotation_matrix(angle, [0, 0, 1])
    matrix[:3, :3] *= scale
    matrix[:3, 3] = offset
    return matrix


def red():
    return trimesh.visual.TextureVisuals(material=trimesh.visual.material.PBRMaterial(baseColorFactor=[255, 0, 0, 255]))


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """A cart: a red body, two wheels of one geometry below it, a stretched one, and a ball that is the wheel once more."""
    scene = trimesh.Scene()
    for name, mesh in (("body", box()), ("wheel", sphere(1)), ("ball", sphere(1))):
        scene.geometry[name] = trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)
    scene.geometry["body"].visual = red()
    scene.graph.update("cart", "world", matrix=moved([10, 0, 0], 0.5))
    scene.graph.update("body", "cart", matrix=np.eye(4), geometry="body")
    scene.graph.update("left", "body", matrix=moved([0, 2, 0], 0, 0.5), geometry="wheel")
    scene.graph.update("right", "body", matrix=moved([0, -2, 0], 0, -0.5), geometry="wheel")
    scene.graph.update("flat", "cart", matrix=moved([3, 0, 0]) @ np.diag([1, 1, 0.25, 1]), geometry="wheel")
    scene.graph.update("ball", "world", matrix=moved([0, 0, 5]), geometry="ball")
    scene.graph.update("lamp", "cart", matrix=moved([0, 0, 9]))
    path = tmp_path_factory.mktemp("source") / "cart.glb"
    scene.export(path)
    return path


def test_nodes_and_geometries_of_a_file(source):
    found = io.read_scene(source)
    by_name = {node.name: node for node in found.nodes}
    assert set(by_name) == {"cart", "body", "left", "right", "flat", "ball"}, "lamps are nothing to see"
    above = {name: None if node.parent is None else found.nodes[node.parent].name for name, node in by_name.items()}
    assert above == {"cart": None, "body": "cart", "left": "body", "right": "body", "flat": "cart", "ball": None}
    fields = {name: node.field for name, node in by_name.items()}
    assert fields["cart"] is None and fields["left"] == fields["right"] == fields["ball"] and len(found.signals) == 3
    assert by_name["right"].placement.scale == pytest.approx(-0.5)
    assert found.signals[fields["body"]].meta["colour"] == "#ff0000" and found.meta["format"] == "glb"
    # all of it is where it was
    whole = io.read(source).mesh
    placed = [world.to_world(found.signals[node.field].mesh.vertices) for node, world in zip(found.nodes, worlds(found.nodes)) if node.field is not None]
    key = lambda points: np.round(points, 5)[np.lexsort(np.round(points, 5).T)]  # noqa: E731
    np.testing.assert_allclose(key(np.concatenate(placed)), key(whole.vertices), atol=2e-5)


def test_a_chain_of_nodes_that_is_too_deep_is_cut_short(tmp_path):
    scene = trimesh.Scene()
    scene.geometry["a"] = trimesh.Trimesh(box().vertices, box().faces, process=False)
    for k in range(40):
        scene.graph.update(f"n{k}", f"n{k - 1}" if k else "world", matrix=moved([1, 0, 0]), geometry="a" if k in (3, 39) else None)
    scene.export(tmp_path / "deep.glb")
    found = io.read_scene(tmp_path / "deep.glb")
    last = next(k for k, node in enumerate(found.nodes) if node.name == "n39")
    assert found.nodes[last].parent is None and worlds(found.nodes)[last].translation[0] == pytest.approx(40)


def test_pieces_of_one_mesh(tmp_path):
    io.write_mesh(tmp_path / "three.obj", joined(box(), box((3, 0, 0), (4, 1, 1)), sphere(1)))
    found = io.read_scene(tmp_path / "three.obj")
    assert [node.name for node in found.nodes] == ["0", "1", "2"] and [node.field for node in found.nodes] == [0, 0, 1]
    assert found.nodes[1].placement.translation == pytest.approx((3, 0, 0))
    np.save(tmp_path / "a.npy", np.zeros((2, 2, 2)))
    with pytest.raises(UsageError, match="expected a mesh, which has parts"):
        io.read_scene(tmp_path / "a.npy")


def test_more_parts_than_may_be(tmp_path, monkeypatch):
    from nfcodec.io import scene

    monkeypatch.setattr(scene, "MAX_SCENE_FIELDS", 1)
    io.write_mesh(tmp_path / "two.obj", joined(box(), sphere(1)))
    with pytest.raises(SignalError, match="got 2 different parts .* without --parts"):
        io.read_scene(tmp_path / "two.obj")


# ---------------------------------------------------------------- whole encodes

torch = pytest.importorskip("torch", reason="encoding needs torch")


@pytest.fixture(scope="module")
def encoded(source):
    path = source.with_suffix(".nfld")
    assert main(["encode", str(source), "--parts", "--quiet", *QUICK]) == 0
    return path


def test_one_file_holds_the_scene(encoded):
    found = nfcodec.open(encoded)
    assert len(found.fields) == 3 and len(found.parts) == 5
    assert read(encoded.read_bytes()).chunks[0].type == SCNE
    assert found.meta == {"source": "cart.glb", "format": "glb", "units": "m"}
    assert sorted(str(field.meta) for field in found.fields) == ["{'colour': '#ff0000'}", "{}", "{}"]


def test_decode_gives_nodes_names_and_shared_meshes_back(source, encoded, tmp_path, capsys):
    out = tmp_path / "back.glb"
    assert main(["decode", str(encoded), "-o", str(out), "--resolution", "40", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["kind"] == "scene" and facts["n_parts"] == 5
    before, after = trimesh.load_scene(source), trimesh.load_scene(out)
    assert set(after.graph.nodes_geometry) == set(before.graph.nodes_geometry) and len(after.geometry) == 3
    for name in set(before.graph.nodes_geometry) - {"flat"}:
        np.testing.assert_allclose(after.graph[name][0], before.graph[name][0], atol=1e-6)
        assert after.graph.transforms.parents[name] == before.graph.transforms.parents[name]
    whole, decoded = io.read(source).mesh, io.read(out).mesh
    np.testing.assert_allclose(decoded.vertices.min(0), whole.vertices.min(0), atol=0.15)
    np.testing.assert_allclose(decoded.vertices.max(0), whole.vertices.max(0), atol=0.15)
    from nfcodec.paint import vertex_colours

    colours = vertex_colours(decoded)
    assert set(map(tuple, np.round(colours, 2).tolist())) == {(1.0, 0.0, 0.0), (1.0, 1.0, 1.0)}


@pytest.mark.parametrize("suffix", [".ply", ".obj", ".stl"])
def test_other_formats_have_one_mesh(encoded, source, tmp_path, suffix):
    out = tmp_path / f"back{suffix}"
    assert main(["decode", str(encoded), "-o", str(out), "--resolution", "24", "--quiet"]) == 0
    found = io.read(out)
    assert found.meta["n_parts"] >= 5 and (found.mesh.paint is not None) == (suffix != ".stl")
    assert found.mesh.vertices.max() == pytest.approx(io.read(source).mesh.vertices.max(), abs=0.15)


def test_info_and_verify(encoded, source, capsys):
    assert main(["info", str(encoded)]) == 0
    text = capsys.readouterr().out
    assert "scene: 6 nodes, 5 parts of 3 fields" in text and "node         body: field" in text and "#ff0000" in text
    assert main(["info", str(encoded), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["nodes"]) == 6
    assert main(["verify", str(encoded), str(source)]) == 0
    assert "5 parts of 3 fields" in (text := capsys.readouterr().out) and "RMS of the diagonal" in text
    assert main(["verify", str(encoded), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n_parts"] == 5


def test_a_scene_that_is_cut_off_decodes_as_far_as_it_goes(encoded, tmp_path, capsys):
    data = encoded.read_bytes()
    (tmp_path / "cut.nfld").write_bytes(data[:-200])
    assert main(["decode", str(tmp_path / "cut.nfld"), "-o", str(tmp_path / "cut.glb"), "--resolution", "16"]) == 3
    capsys.readouterr()
    assert main(["decode", str(tmp_path / "cut.nfld"), "-o", str(tmp_path / "cut.glb"), "--resolution", "16", "--allow-truncated"]) == 0
    assert "1 of 3 fields are missing" in capsys.readouterr().err
    assert main(["info", str(tmp_path / "cut.nfld"), "--allow-truncated"]) == 0
    assert "missing: the file is cut short" in capsys.readouterr().out


def test_what_scenes_refuse(encoded, source, here, capsys):  # noqa: F811
    scene = ["decode", encoded, "-o", "a.glb"]
    assert_refused(capsys, [*scene, "--region", "0:1,0:1,0:1"], 2, "--region for a scene")
    assert_refused(capsys, [*scene, "--texture", "64"], 2, "--texture for a scene")
    assert_refused(capsys, [*scene, "--level", "99"], 2, "choosing a level")
    assert_refused(capsys, ["decode", encoded, "-o", "a.npy"], 2, "a format of meshes")
    assert_refused(capsys, ["compare", source, encoded, "--no-cache", "--quiet"], 2, "a scene of several fields")
    assert_refused(capsys, ["encode", source, "-o", "a.nfld", "--parts", "--size", "9KB"], 2, "the goal size")
    assert_refused(capsys, ["encode", source, "-o", "a.nfld", "--separate"], 2, "--separate without --parts")
    from nfcodec.torch_field import to_torch

    with pytest.raises(UsageError, match="one of a scene's fields"):
        to_torch(nfcodec.open(encoded))


def test_a_target_that_a_part_misses(encoded, tmp_path, capsys, monkeypatch):
    from nfcodec import scene_encoder
    from nfcodec.encoder import Encoded

    parts = [chunk.data for chunk in read(encoded.read_bytes()).all(PART)]
    seen = []

    def fitted(signal, **options):
        seen.append(options["time_limit"])
        met = len(seen) == 1
        return Encoded(parts[len(seen) - 1], None, "sdf", "dense", 9, 9, 1.0, met, "psnr 99 dB", "20 dB", 1.0, signal)

    monkeypatch.setattr(scene_encoder, "encode", fitted)
    io.write_mesh(tmp_path / "two.obj", joined(box(), sphere(1)))
    code = main(["encode", str(tmp_path / "two.obj"), "--parts", "--psnr", "99", "--time-limit", "8"])
    assert code == 1 and (tmp_path / "two.nfld").exists() and "target of psnr 99 dB was missed" in capsys.readouterr().err
    assert seen == pytest.approx([4, 8], abs=2), "what is left is shared out"
