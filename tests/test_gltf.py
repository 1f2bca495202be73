"""glTF read as its specification has it: nodes, instances, skins, and accessors of every form; parts of OBJ files."""

import json
import struct

import numpy as np
import pytest
from surfaces import box, joined, sphere

from nfcodec import io
from nfcodec.errors import SignalError
from nfcodec.paint import colours_at
from nfcodec.scene import Node, Similarity, worlds

trimesh = pytest.importorskip("trimesh", reason="meshes need trimesh")
TYPES = {np.dtype("u1"): 5121, np.dtype("i2"): 5122, np.dtype("u2"): 5123, np.dtype("u4"): 5125, np.dtype("f4"): 5126}
WIDTHS = {1: "SCALAR", 2: "VEC2", 3: "VEC3", 4: "VEC4", 16: "MAT4"}


class Glb:
    """A GLB file written by hand."""

    def __init__(self):
        self.tree = {"asset": {"version": "2.0"}, "accessors": [], "bufferViews": [], "meshes": [], "nodes": []}
        self.data = b""

    def put(self, array, **more):
        """The number of an accessor of an array (N, width)."""
        array = np.ascontiguousarray(array)
        array = array.reshape(len(array), -1)
        self.data += b"\0" * (-len(self.data) % 4)
        self.tree["bufferViews"].append({"buffer": 0, "byteOffset": len(self.data), "byteLength": array.nbytes})
        self.data += array.tobytes()
        accessor = {"bufferView": len(self.tree["bufferViews"]) - 1, "componentType": TYPES[array.dtype], "count": len(array)}
        self.tree["accessors"].append({**accessor, "type": WIDTHS[array.shape[1]], **more})
        return len(self.tree["accessors"]) - 1

    def primitive(self, mesh, **attributes):
        named = {key: value if isinstance(value, int) else self.put(value) for key, value in attributes.items()}
        named.setdefault("POSITION", self.put(mesh.vertices.astype("f4")))
        return {"attributes": named, "indices": self.put(mesh.faces.reshape(-1).astype("u4"))}

    def mesh(self, *primitives, **more):
        self.tree["meshes"].append({"primitives": list(primitives), **more})
        return len(self.tree["meshes"]) - 1

    def write(self, path, nodes, **more):
        below = {k for node in nodes for k in node.get("children", [])}
        scenes = [{"nodes": [k for k in range(len(nodes)) if k not in below]}]
        tree = self.tree | {"nodes": nodes, "scenes": scenes, "buffers": [{"byteLength": len(self.data)}]} | more
        text = json.dumps(tree).encode()
        text, data = text + b" " * (-len(text) % 4), self.data + b"\0" * (-len(self.data) % 4)
        chunks = struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(data), b"BIN\0") + data
        path.write_bytes(struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks)
        return path


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.glb"


def square(z=0.0):
    """Vertices and the fan of a square."""
    return np.array([[0, 0, z], [1, 0, z], [1, 1, z], [0, 1, z]], "f4")


# ---------------------------------------------------------------- nodes

NAMES = ["", "a", "a", "日本 é", "../x", "world", "node 0", "n\nl\x1b[31m", ""]


def test_names_and_order_are_those_of_the_file_and_come_back(path, tmp_path):
    glb = Glb()
    ids = [glb.mesh(glb.primitive(box())), glb.mesh(glb.primitive(sphere(1)))]
    nodes = [{"name": name, "mesh": ids[k % 2], "translation": [3 * k, 0, 0]} for k, name in enumerate(NAMES)]
    nodes[1]["children"], nodes[4]["rotation"], nodes[4]["scale"] = [2, 3], [0, 0, 0.6, 0.8], [-2, -2, -2]
    found = io.read_scene(glb.write(path, nodes))
    assert [node.name for node in found.nodes] == NAMES
    assert [node.parent for node in found.nodes] == [None, None, 1, 1, None, None, None, None, None]
    assert [node.field for node in found.nodes] == [k % 2 for k in range(9)] and found.nodes[4].placement.scale == pytest.approx(-2)
    assert [worlds(found.nodes)[k].translation[0] for k in (0, 2, 3)] == [0, 9, 12]
    io.write_scene(tmp_path / "b.glb", found.nodes, [s.mesh for s in found.signals], [None, None], found.meta)
    again = io.read_scene(tmp_path / "b.glb")
    assert [(node.name, node.parent, node.field) for node in again.nodes] == [(n.name, n.parent, n.field) for n in found.nodes]
    for a, b in zip(worlds(found.nodes), worlds(again.nodes)):
        np.testing.assert_allclose(a.matrix, b.matrix, atol=1e-12)
    whole = io.read(tmp_path / "b.glb").mesh.vertices
    np.testing.assert_allclose([whole.min(0), whole.max(0)], [io.read(path).mesh.vertices.min(0), io.read(path).mesh.vertices.max(0)], atol=1e-6)


def test_a_node_that_is_the_only_one_is_kept(path):
    glb = Glb()
    nodes = [{"name": "root", "children": [1], "translation": [5, 0, 0]}, {"name": "one", "mesh": glb.mesh(glb.primitive(box())), "scale": [1, 1, 3]}]
    found = io.read_scene(glb.write(path, nodes))
    assert [(node.name, node.parent, node.field) for node in found.nodes] == [("root", None, None), ("one", 0, 0)]
    two = Glb()
    nodes[1]["mesh"] = two.mesh(two.primitive(joined(box(), box((3, 0, 0), (4, 1, 1)))))
    found = io.read_scene(two.write(path, nodes))
    assert [(node.name, node.parent, node.field) for node in found.nodes] == [("root", None, None), ("one", 0, None), ("0", 1, 0), ("1", 1, 0)]
    placed = [world.to_world(found.signals[0].mesh.vertices) for world in worlds(found.nodes)[2:]]
    np.testing.assert_allclose(np.concatenate(placed).max(0), io.read(path).mesh.vertices.max(0))


def test_what_hangs_below_a_camera_stays_there(path):
    glb = Glb()
    ball = glb.mesh(glb.primitive(box()))
    nodes = [{"name": "eye", "camera": 0, "translation": [9, 0, 0], "children": [1]}, {"name": "hat", "mesh": ball}, {"name": "b", "mesh": ball}]
    glb.write(path, nodes, cameras=[{"type": "perspective", "perspective": {"yfov": 1, "znear": 0.1}}])
    assert io.read(path).mesh.vertices.max() == 10
    assert [(node.name, node.parent) for node in io.read_scene(path).nodes] == [("eye", None), ("hat", 0), ("b", None)]


def test_instances_of_an_extension_are_nodes(path):
    glb = Glb()
    attributes = {"TRANSLATION": glb.put(np.diag([3, 6, 9]).astype("f4")), "SCALE": glb.put(np.full((3, 3), 0.5, "f4"))}
    nodes = [{"name": "trees", "mesh": glb.mesh(glb.primitive(sphere(1))), "extensions": {"EXT_mesh_gpu_instancing": {"attributes": attributes}}}]
    glb.write(path, nodes, extensionsRequired=["EXT_mesh_gpu_instancing"])
    found = io.read_scene(path)
    assert [node.name for node in found.nodes] == ["trees", "trees 0", "trees 1", "trees 2"] and len(found.signals) == 1
    np.testing.assert_allclose(found.nodes[2].placement.matrix, Similarity((0, 6, 0), scale=0.5).matrix, atol=1e-12)


def test_long_names_and_scales_that_no_file_holds(path):
    glb = Glb()
    ball = glb.mesh(glb.primitive(sphere(1)))
    nodes = [{"name": "é" * 300, "mesh": ball}, {"mesh": ball, "scale": [1e-10] * 3}]
    with pytest.warns(UserWarning, match="600 bytes, expected up to 255; it was cut short"):
        found = io.read_scene(glb.write(path, nodes))
    assert found.nodes[0].name == "é" * 127 and found.nodes[1].placement == Similarity() and len(found.signals) == 2
    assert np.ptp(found.signals[1].mesh.vertices[:, 0]) == pytest.approx(1e-10 * np.ptp(sphere(1).vertices[:, 0]), rel=1e-5)


def test_several_primitives_are_one_part_with_their_colours(path):
    glb = Glb()
    halves = [glb.primitive(type(box())(box().vertices, box().faces[half])) | {"material": k} for k, half in enumerate((slice(6), slice(6, None)))]
    halves.append({"attributes": {"POSITION": halves[0]["attributes"]["POSITION"]}, "mode": 1})
    nodes = [{"name": "a", "mesh": glb.mesh(*halves)}, {"name": "b", "mesh": 0, "translation": [3, 0, 0]}]
    colours = [[1, 0, 0, 1], [0, 0, 1, 1]]
    glb.write(path, nodes, materials=[{"pbrMetallicRoughness": {"baseColorFactor": c}} for c in colours])
    with pytest.warns(UserWarning, match="its lines are not kept"):
        found = io.read_scene(path)
    (signal,) = found.signals
    assert [node.name for node in found.nodes] == ["a", "b"] and signal.meta["watertight"]
    assert {tuple(c) for c in signal.mesh.paint.corners[:, 0].tolist()} == {(1, 0, 0), (0, 0, 1)}


# ---------------------------------------------------------------- accessors


def test_fans_strips_and_sparse_accessors(path):
    glb = Glb()
    sparse = {"count": 1, "indices": {"componentType": 5123, "bufferView": 0}, "values": {"bufferView": 1}}
    glb.put(np.array([[2]], "u2")), glb.put(np.array([[1, 1, 5]], "f4"))
    fan = {"attributes": {"POSITION": glb.put(square(), sparse=sparse)}, "mode": 6}
    strip = {"attributes": {"POSITION": glb.put(square(9)[[0, 1, 3, 2]])}, "mode": 5}
    mesh = io.read(glb.write(path, [{"mesh": glb.mesh(fan)}, {"mesh": glb.mesh(strip)}])).mesh
    assert sorted(mesh.vertices[:, 2].tolist()) == [0, 0, 0, 5, 9, 9, 9, 9] and len(mesh.faces) == 4
    flat = mesh.vertices[mesh.faces[(mesh.vertices[mesh.faces][:, :, 2] == 9).all(1)]]
    assert (np.cross(flat[:, 1] - flat[:, 0], flat[:, 2] - flat[:, 0])[:, 2] > 0).all(), "both triangles of a strip face one way"


def test_integers_are_what_they_stand_for(path):
    from PIL import Image

    glb = Glb()
    picture = path.with_name("p.png")
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3) * 5).save(picture)
    mesh = type(box())(square().astype(float), np.array([[0, 1, 2], [0, 2, 3]]))
    uv = (square()[:, :2] * 65535).astype("u2")
    plain = glb.primitive(mesh, POSITION=glb.put((square() * 32767).astype("i2"), normalized=True), TEXCOORD_0=square()[:, :2]) | {"material": 0}
    packed = glb.primitive(mesh, TEXCOORD_1=glb.put(uv, normalized=True)) | {"material": 1}
    moved = glb.primitive(mesh, TEXCOORD_0=(square()[:, :2] - 0.5) * 2) | {"material": 2}
    transform = {"KHR_texture_transform": {"offset": [0.5, 0.5], "scale": [0.5, 0.5]}}
    textures = [{"index": 0}, {"index": 0, "texCoord": 1}, {"index": 0, "extensions": transform}]
    materials = [{"pbrMetallicRoughness": {"baseColorTexture": texture}} for texture in textures]
    nodes = [{"mesh": glb.mesh(p), "translation": [0, 0, k]} for k, p in enumerate((plain, packed, moved))]
    glb.write(path, nodes, materials=materials, textures=[{"source": 0}], images=[{"uri": "p.png"}], extensionsRequired=["KHR_mesh_quantization"])
    found = io.read(path).mesh
    np.testing.assert_allclose(found.vertices.max(0), [1, 1, 2])
    weights = np.random.default_rng(0).dirichlet([1, 1, 1], 20)
    seen = [colours_at(found.paint, np.full(20, k), weights) for k in range(6) if k % 2 == 0 for k in [2 * (k // 2)]]
    np.testing.assert_allclose(seen[1], seen[0], atol=2e-3)
    np.testing.assert_allclose(seen[2], seen[0], atol=2e-3)
    assert np.ptp(seen[0], axis=0).min() > 0.3


@pytest.mark.parametrize("dtype, tolerance", [("u1", 0.04), ("u2", 1e-3), ("f4", 1e-6)])
def test_colours_of_vertices_are_linear_whatever_their_type(path, dtype, tolerance):
    glb = Glb()
    grey = np.linspace(0, 0.2, 4)[:, None] * [1, 1, 1]
    most = 1 if dtype == "f4" else np.iinfo(dtype).max
    mesh = type(box())(square().astype(float), np.array([[0, 1, 2], [0, 2, 3]]))
    colours = glb.put((np.pad(grey, [(0, 0), (0, 1)]) * most).round(9).astype(dtype), normalized=dtype != "f4")
    signal = io.read(glb.write(path, [{"mesh": glb.mesh(glb.primitive(mesh, COLOR_0=colours))}]))
    expected = np.where(grey <= 0.0031308, grey * 12.92, 1.055 * grey ** (1 / 2.4) - 0.055)
    np.testing.assert_allclose(signal.mesh.paint.corners[0], expected[:3], atol=tolerance)


def test_skins_and_morph_targets_at_rest(path):
    glb = Glb()
    n = len(sphere(1).vertices)
    joints, weights = np.zeros((n, 4), "u2"), np.tile(np.array([0.5, 0.5, 0, 0], "f4"), (n, 1))
    joints[:, 1] = 1
    inverse = np.stack([np.eye(4), np.eye(4)]).astype("f4")
    inverse[1, 3, 0] = 2  # column by column: a shift along x
    skinned = glb.primitive(sphere(1), JOINTS_0=joints, WEIGHTS_0=weights)
    morphed = glb.primitive(sphere(1)) | {"targets": [{"POSITION": glb.put(sphere(1).vertices.astype("f4"))}]}
    nodes = [{"name": "body", "mesh": glb.mesh(skinned), "skin": 0, "translation": [0, 50, 0]}, {"name": "bone", "translation": [0, 0, 5]}]
    nodes += [{"name": "tip", "translation": [0, 0, 7]}, {"name": "fat", "mesh": glb.mesh(morphed, weights=[1.0])}]
    skins = [{"joints": [1, 2], "inverseBindMatrices": glb.put(inverse.reshape(2, 16))}]
    with pytest.warns(UserWarning, match="its animations and morph targets .* and skins .* are not kept"):
        found = io.read_scene(glb.write(path, nodes, skins=skins, animations=[{"channels": [], "samplers": []}]))
    at = {node.name: world.to_world(found.signals[node.field].mesh.vertices) for node, world in zip(found.nodes, worlds(found.nodes))}
    np.testing.assert_allclose(at["body"].mean(0), sphere(1).vertices.mean(0) + [1, 0, 6], atol=1e-5)
    np.testing.assert_allclose(np.ptp(at["fat"], axis=0), 2 * np.ptp(sphere(1).vertices, axis=0), rtol=1e-5)


def test_what_draco_has_compressed(path):
    dracopy = pytest.importorskip("DracoPy", reason="Draco needs DracoPy")
    glb = Glb()
    primitive = glb.primitive(sphere(2))
    data = dracopy.encode(sphere(2).vertices.astype("f4"), sphere(2).faces.astype("u4"), quantization_bits=16)
    view = {"buffer": 0, "byteOffset": len(glb.data), "byteLength": len(data)}
    glb.data += data
    glb.tree["bufferViews"].append(view)
    for k in (*primitive["attributes"].values(), primitive["indices"]):
        del glb.tree["accessors"][k]["bufferView"]
    packed = {"bufferView": len(glb.tree["bufferViews"]) - 1, "attributes": {"POSITION": 0}}
    primitive["extensions"] = {"KHR_draco_mesh_compression": packed}
    glb.write(path, [{"mesh": glb.mesh(primitive)}], extensionsRequired=["KHR_draco_mesh_compression"])
    found = io.read(path)
    assert found.meta["watertight"] and len(found.mesh.faces) == len(sphere(2).faces)
    np.testing.assert_allclose(found.mesh.vertices.max(0), sphere(2).vertices.max(0), atol=1e-3)


BROKEN = {
    "required": (lambda t: t.update(extensionsRequired=["EXT_meshopt_compression"]), "requires EXT_meshopt_compression, which is not read"),
    "cycle": (lambda t: t["nodes"][0].update(children=[1], mesh=0) or t["nodes"][1].update(children=[0]), "below two others or itself"),
    "place": (lambda t: t["nodes"][1].update(name="b", translation=[0, float("inf"), 0]), "infinite numbers where node 'b' lies"),
    "child": (lambda t: t["nodes"][0].update(children=[7]), "got the number 7 of 2"),
    "last": (lambda t: t["nodes"][0].update(mesh=-1), "got the number -1 of 1"),
    "short": (lambda t: t["accessors"][0].update(count=99), "beyond its buffer|damaged"),
    "huge": (lambda t: t["accessors"][0].update(count=1 << 40, bufferView=None) or t["accessors"][0].pop("bufferView"), "elements"),
    "start": (lambda t: t["bufferViews"][0].update(byteOffset=-4), "cut short"),
    "version": (lambda t: t["asset"].update(version="1.0"), "expected glTF 2.0"),
    "face": (lambda t: t["accessors"][1].update(componentType=5126), "refers to vertex|damaged|faces"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_one_line(path, name):
    glb = Glb()
    glb.mesh(glb.primitive(box()))
    nodes = [{"mesh": 0}, {"mesh": 0}]
    change, words = BROKEN[name]
    change(tree := glb.tree | {"nodes": nodes})
    roots = {"scenes": [{"nodes": [0]}]} if name == "cycle" else {}
    with pytest.raises(SignalError, match=words) as caught:
        io.read(glb.write(path, nodes, **({key: tree[key] for key in ("extensionsRequired",) if key in tree} | roots)))
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------- OBJ


def obj_of(path, word, parts, first="", shared=False):
    """An OBJ file of named meshes; shared: all faces use the vertices of the first."""
    lines, n = [first], 0
    for name, mesh in parts:
        lines.append(f"{word} {name}")
        if not shared or not n:
            lines += [f"v {x} {y} {z}" for x, y, z in mesh.vertices.tolist()]
        lines += [f"f {a} {b} {c}" for a, b, c in (mesh.faces + 1 + (0 if shared else n)).tolist()]
        n += len(mesh.vertices)
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.mark.parametrize("word", ["o", "g"])
def test_objects_and_groups_of_obj_are_parts(tmp_path, word):
    parts = [("chair", box()), ("pair of balls", joined(sphere(1), sphere(1, centre=(9, 0, 0)))), ("chair 2", box((5, 0, 0), (6, 1, 1)))]
    path = obj_of(tmp_path / "a.obj", word, parts)
    found = io.read_scene(path)
    assert [node.name for node in found.nodes] == [name for name, _ in parts] and [node.field for node in found.nodes] == [0, 1, 0]
    assert found.nodes[2].placement.translation == pytest.approx((5, 0, 0)) and io.parts(path) == [name for name, _ in parts]
    assert len(io.read(path, part=1).mesh.faces) == 2 * len(sphere(1).faces) and len(io.read(path).mesh.faces) == 24 + 2 * len(sphere(1).faces)


def test_groups_that_share_vertices_are_one_surface(tmp_path):
    halves = [(name, type(box())(box().vertices, box().faces[some])) for name, some in (("top", slice(6)), ("bottom", slice(6, None)))]
    found = io.read_scene(obj_of(tmp_path / "a.obj", "g", halves, shared=True))
    assert [node.name for node in found.nodes] == ["0"] and found.signals[0].meta["watertight"]
    found = io.read_scene(obj_of(tmp_path / "b.obj", "usemtl", halves, shared=True))
    assert [node.name for node in found.nodes] == ["0"] and found.signals[0].meta["watertight"], "materials are no parts"


def test_nodes_of_a_file_are_checked_before_the_long_work(tmp_path, monkeypatch):
    pytest.importorskip("torch", reason="encoding needs torch")
    from nfcodec import scene_encoder
    from nfcodec.errors import UsageError
    from nfcodec.io.scene import SceneSource

    io.write_mesh(tmp_path / "a.obj", box())
    odd = SceneSource([Node("n" * 300, None, 0)], io.read_scene(tmp_path / "a.obj").signals, {})
    monkeypatch.setattr(scene_encoder.io, "read_scene", lambda *args, **options: odd)
    monkeypatch.setattr(scene_encoder, "encode", lambda *args, **options: pytest.fail("the fit began"))
    with pytest.raises(UsageError, match="got a name of 300 bytes"):
        scene_encoder.encode_scene(tmp_path / "a.obj")
