"""Scenes: placements, nodes, the tree of boxes, queries against every part asked alone, and files that are broken."""

import json
import math
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from distance_fields import CENTRE, SIZE, ball, field_of
from mutations import mutate_bytes, mutate_chunks

import nfcodec
from nfcodec import container, decode
from nfcodec.boxes import BoxTree
from nfcodec.container import PART, RAW, SCNE, Chunk
from nfcodec.errors import LimitError, NfldError, TruncatedError, UsageError
from nfcodec.scene import Node, Scene, Similarity, nearest_similarity, pack_nodes, rounded_nodes, unpack_nodes, worlds
from nfcodec.scene.queries import Parts

GOLDEN = Path(__file__).parents[1] / "spec" / "golden" / "scenes"
FILES = {path.stem: path.read_bytes() for path in sorted(GOLDEN.glob("*.nfld"))}


def similarity(rng, mirror=False):
    q = rng.normal(size=4)
    scale = float(rng.uniform(0.3, 3.0)) * (-1 if mirror else 1)
    return Similarity(tuple(rng.normal(size=3).tolist()), tuple((q / np.linalg.norm(q)).tolist()), scale)


# ---------------------------------------------------------------- placements and nodes


@pytest.mark.parametrize("mirror", [False, True])
def test_similarities_are_their_matrices(mirror):
    rng = np.random.default_rng(3)
    for _ in range(20):
        a, b = similarity(rng, mirror), similarity(rng)
        np.testing.assert_allclose(a.after(b).matrix, a.matrix @ b.matrix, atol=1e-12)
        np.testing.assert_allclose(Similarity.of(a.matrix).matrix, a.matrix, atol=1e-12)
        points = rng.normal(size=(5, 3))
        np.testing.assert_allclose(a.to_world(points), points @ a.matrix[:3, :3].T + a.matrix[:3, 3], atol=1e-12)
        np.testing.assert_allclose(a.to_local(a.to_world(points)), points, atol=1e-12)
        np.testing.assert_allclose(a.to_world(points + a.to_local_directions(points)) - a.to_world(points), points, atol=1e-12)
        # a plane's normal stays its normal, on the same side
        normal, along = np.array([[0.0, 0.6, 0.8]]), np.array([[1.0, 0.8, -0.6]])
        assert abs(a.turned(normal) @ (a.scale * a.turn @ along[0])) < 1e-12
        assert (a.turned(normal)[0] * (a.scale * a.turn @ normal[0])).sum() > 0


def test_a_matrix_is_a_similarity_after_a_stretch():
    rng = np.random.default_rng(4)
    for determinant in (1, -1):
        for _ in range(20):
            matrix = np.eye(4)
            matrix[:3] = rng.normal(size=(3, 4))
            matrix[:3, :3] *= determinant * np.sign(np.linalg.det(matrix[:3, :3]))
            found, rest = nearest_similarity(matrix)
            np.testing.assert_allclose(found.matrix[:3, :3] @ rest, matrix[:3, :3], atol=1e-12)
            np.testing.assert_allclose(found.translation, matrix[:3, 3])
            assert np.linalg.eigvalsh(rest).min() > 0 and math.isclose(np.linalg.det(rest), 1)
            assert np.sign(found.scale) == determinant
        whole = similarity(rng, determinant < 0)
        found, rest = nearest_similarity(whole.matrix)
        assert rest is None
        np.testing.assert_allclose(found.matrix, whole.matrix, atol=1e-12)
    flat = np.diag([2.0, 3.0, 0.0, 1.0])
    found, rest = nearest_similarity(flat)
    assert found == Similarity() and np.array_equal(rest, flat[:3, :3])


def test_a_plain_matrix_takes_no_bytes():
    assert Similarity.of(np.eye(4)) == Similarity()
    quarter = np.eye(4)[[1, 0, 2, 3]] * [1, -1, 1, 1]
    assert Similarity.of(quarter).rotation[:2] == (0, 0) and Similarity.of(quarter).scale == 1
    assert len(pack_nodes([Node("a", None, 0)], 1)) == 7


def test_nodes_there_and_back():
    rng = np.random.default_rng(5)
    nodes = [
        Node(f"name {k} é", None if k % 3 == 0 else int(rng.integers(0, k)), int(rng.integers(0, 4)) if k % 2 else None,
             [similarity(rng), Similarity(), Similarity((1.0, 0.0, 0.0)), Similarity(scale=-2.0)][k % 4])
        for k in range(40)
    ]  # fmt: skip
    assert unpack_nodes(pack_nodes(nodes, 4)) == (nodes, 4)
    for node, world in zip(nodes, worlds(nodes)):
        matrix, above = node.placement.matrix, node.parent
        while above is not None:
            matrix, above = nodes[above].placement.matrix @ matrix, nodes[above].parent
        np.testing.assert_allclose(world.matrix, matrix, rtol=1e-9, atol=1e-9)


def test_rounded_placements_move_nothing_that_can_be_seen():
    rng = np.random.default_rng(8)
    corners = [np.array([[-1.0, 0.0, 2.0], [1.0, 3.0, 2.5]]), np.array([[0.0, 0.0, 0.0], [0.01, 0.02, 0.0]])]
    nodes = [
        Node(f"{k}", None if k % 5 == 0 else k - 1, [None, 0, 1][k % 3], replace(similarity(rng, k == 7), scale=float(rng.uniform(0.5, 2))))
        for k in range(60)
    ]  # fmt: skip
    found = rounded_nodes(nodes, corners)
    for node, here, there in zip(found, worlds(found), worlds(nodes)):
        if node.field is not None:
            diagonal = np.linalg.norm(np.diff(corners[node.field], axis=0)) * abs(there.scale)
            assert np.abs(here.to_world(corners[node.field]) - there.to_world(corners[node.field])).max() <= 1e-6 * diagonal
    assert [(n.name, n.parent, n.field) for n in found] == [(n.name, n.parent, n.field) for n in nodes]
    before, after = (container.packed_chunk(SCNE, pack_nodes(some, 2)) for some in (nodes, found))
    assert len(after.data) < 0.7 * len(before.data)
    assert rounded_nodes(found, corners) == found


@pytest.mark.parametrize("place, is_kept", [
    (Similarity((0.5, -2.0, 1e6), (0.0, 0.0, 0.0, 1.0), -0.75), True),  # few digits as it is
    (Similarity((1e17 / 3, 0.0, 0.0)), True),  # so far away that every digit is needed
    (Similarity((1e-12, 0.0, 0.0), (1e-13, 0.0, 0.0, 1.0)), False),
])  # fmt: skip
def test_placements_keep_the_digits_that_they_need(place, is_kept):
    (found,) = rounded_nodes([Node("a", None, 0, place)], [np.array([[0.0, 0.0, 0.0], [1.0, 1.0, 1.0]])])
    assert found.placement == (place if is_kept else Similarity())
    assert rounded_nodes([Node("empty", placement=place)], [np.zeros((2, 3))])[0].placement == place


@pytest.mark.parametrize("node, words", [
    (Node("n" * 256), "name of 256 bytes"), (Node(parent=0), "earlier node"), (Node(field=1), "field 1"),
    (Node(placement=Similarity(scale=0.0)), "scale of 0"), (Node(placement=Similarity(rotation=(1.0, 1.0, 0.0, 0.0))), "length 1.4"),
])  # fmt: skip
def test_what_nodes_must_not_be(node, words):
    with pytest.raises(UsageError, match=words):
        pack_nodes([node], 1)


# ---------------------------------------------------------------- the tree of boxes


@pytest.mark.parametrize("n", [1, 2, 3, 50])
def test_the_tree_names_all_boxes_that_could_be_meant(n):
    rng = np.random.default_rng(n)
    low = rng.uniform(-3, 3, (n, 3))
    high = low + rng.uniform(0, 1, (n, 3))
    tree = BoxTree(low, high)
    points, most = rng.uniform(-4, 4, (300, 3)), rng.uniform(0, 2, 300)
    beyond = np.maximum(np.maximum(low[None] - points[:, None], points[:, None] - high[None]), 0)
    gaps = np.sqrt((beyond**2).sum(-1))
    which, items, found = tree.near(points, most)
    assert set(zip(which.tolist(), items.tolist())) == set(zip(*(a.tolist() for a in np.nonzero((gaps < most[:, None]) | (gaps == 0)))))
    np.testing.assert_allclose(found, gaps[which, items])
    assert (np.lexsort((items, found, which)) == np.arange(len(which))).all()
    assert (tree.guess(points) < n).all()

    origins, along = rng.uniform(-4, 4, (300, 3)), rng.normal(size=(300, 3))
    along[::7, 0] = 0.0  # along a slab
    least, far = np.full(300, 0.5), np.full(300, 4.0)
    steps = np.linspace(0.5, 4.0, 700)
    at = origins[:, None] + steps[:, None] * along[:, None]
    hit = np.array([((at >= a) & (at <= b)).all(-1).any(1) for a, b in zip(low, high)]).T
    which, items, entry = tree.hit(origins, along, least, far)
    found = np.zeros((300, n), bool)
    found[which, items] = True
    assert (found >= hit).all() and (found & ~hit).mean() < 0.01, "steps may jump over a corner"
    entered = origins[which] + entry[:, None] * along[which]
    assert ((entered >= low[items] - 1e-9) & (entered <= high[items] + 1e-9)).all()


# ---------------------------------------------------------------- queries


def aside(points):
    return ball(points - [0.8, -0.5, 0.3], 1.4)


@pytest.fixture(scope="module")
def scene():
    """A ball, twice, once mirrored and small; another one aside of its box's middle; and one of them below a turned node."""
    rng = np.random.default_rng(8)
    middle = Similarity(tuple((-CENTRE).tolist()))
    nodes = [
        Node("turned", None, None, similarity(rng)),
        Node("ball", 0, 0, middle),
        Node("small", None, 0, Similarity((9.0, 2.0, 1.0), scale=-0.25).after(middle)),
        Node("aside", None, 1, Similarity((-6.0, 0.0, 0.0), (0.0, 0.6, 0.0, 0.8), 1.5).after(middle)),
    ]  # fmt: skip
    return Scene(nodes, [field_of(ball), field_of(aside)], {}, {"warnings": []})


def around(scene, n, seed=0, margin=3.0):
    box = scene.info()["box"]
    return np.random.default_rng(seed).uniform(np.array(box["low"]) - margin, np.array(box["high"]) + margin, (n, 3))


def exact(scene, points):
    """Signed distances from the shapes themselves, a column a part."""
    shapes = {"ball": ball, "small": ball, "aside": aside}
    return np.stack([
        abs(part.world.scale) * shapes[scene.nodes[part.node].name](part.world.to_local(points) - CENTRE) for part in scene.parts
    ], 1)  # fmt: skip


def test_distances_are_those_of_the_union_near_it_and_a_bound_elsewhere(scene):
    points = around(scene, 4000)
    found, alone = scene.distance(points), np.stack([Parts([part]).distance(points, None) for part in scene.parts], 1)
    np.testing.assert_allclose(found, alone.min(1), rtol=0, atol=1e-5)
    right = exact(scene, points).min(1)
    inside = np.stack([
        (np.abs(part.field.from_world(part.world.to_local(points)) - 0.5) <= 0.5).all(1) for part in scene.parts
    ], 1)  # fmt: skip
    gaps = np.stack([
        abs(part.world.scale) * np.linalg.norm(np.maximum(np.abs(part.world.to_local(points) - CENTRE) - SIZE / 2, 0), axis=1)
        for part in scene.parts
    ], 1)  # fmt: skip
    assert inside.any() and (~inside.any(1)).any()
    well = np.stack([
        (np.abs(part.field.from_world(part.world.to_local(points)) - 0.5) <= 0.5 - 1 / 32).all(1) for part in scene.parts
    ], 1)  # fmt: skip
    # off by the field's interpolation, and at the sides of the box by half a cell, beyond which vertices repeat
    np.testing.assert_allclose(alone[well], exact(scene, points)[well], rtol=0, atol=0.05)
    assert (found <= right + 0.2).all() and (found <= right + 0.02).mean() > 0.9, "a ray may go so far"
    assert (found[~inside.any(1)] >= gaps[~inside.any(1)].min(1) - 1e-9).all(), "at least to the nearest box"


def test_closest_points_of_any_part(scene):
    points = around(scene, 300, 1, 1.0)
    found, right = scene.closest_point(points), exact(scene, points)
    nearest = np.abs(right).min(1)
    assert (np.abs(np.abs(found.distances) - nearest) < 0.02 + 0.01 * nearest).mean() > 0.99
    clear = np.abs(right).min(1) > 0.05
    assert ((found.distances < 0) == (right < 0).any(1))[clear].all() and (found.distances < 0).any()
    np.testing.assert_allclose(np.linalg.norm(points - found.points, axis=1), np.abs(found.distances), atol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(found.normals, axis=1), 1, atol=1e-9)
    assert set(np.unique(found.nodes)) == {1, 2, 3}
    outside = (found.distances > 0.1)
    along = (points - found.points)[outside] / found.distances[outside, None]
    assert ((along * found.normals[outside]).sum(1) > 0.9).mean() > 0.99, "normals point outwards, of mirrored parts too"


def test_rays_hit_the_first_part(scene):
    origins = around(scene, 2000, 2)
    along = around(scene, 2000, 3, 0.0) - origins
    hits = scene.raycast(origins, along)
    alone = [
        part.field.raycast(part.world.to_local(origins), part.world.to_local_directions(along)) for part in scene.parts
    ]
    np.testing.assert_allclose(hits.t, np.min([one.t for one in alone], axis=0), rtol=1e-9)
    assert 0.1 < hits.hit.mean() < 0.9 and np.array_equal(hits.hit, np.isfinite(hits.t)) and np.array_equal(hits.nodes >= 0, hits.hit)
    at = hits.points[hits.hit]
    np.testing.assert_allclose(at, (origins + hits.t[:, None] * along)[hits.hit], atol=1e-6)
    assert np.abs(exact(scene, at)).min(1).max() < 0.05
    from_outside = hits.hit & (exact(scene, origins).min(1) > 0.1)
    assert ((hits.normals * along)[from_outside].sum(1) < 0).mean() > 0.99
    # between distances in the world
    lengths = np.linalg.norm(along, axis=1)
    cut = scene.raycast(origins, along, 2.0, 5.0)
    first = hits.hit & (hits.t * lengths > 2.0 + 1e-6)
    assert (cut.t[first & (hits.t * lengths < 5)] == pytest.approx(hits.t[first & (hits.t * lengths < 5)]))
    assert not cut.hit[first & (hits.t * lengths > 5.0 + 1e-6)].any()
    assert not scene.raycast(origins[:0], along[:0]).hit.size and scene.raycast(origins[:1], along).hit.shape == (2000,)


def test_meshes_lie_where_nodes_place_them(scene):
    whole = scene.to_mesh(64)
    assert np.abs(exact(scene, whole.vertices)).min(1).max() < 0.05
    small = scene.to_mesh(64, node="small")
    assert len(small.vertices) < len(whole.vertices) and np.abs(exact(scene, small.vertices)[:, 1]).max() < 0.05
    a, b, c = (small.vertices[small.faces[:, k]] for k in range(3))
    outwards = (np.cross(b - a, c - a) * (a - [9.0, 2.0, 1.0])).sum(1)
    assert (outwards > 0).mean() > 0.99, "a mirror turns faces"
    with pytest.raises(UsageError, match="places no field"):
        scene.to_mesh(32, node=0)


def test_what_is_placed_often_is_measured_once():
    from nfcodec.measure import measure_scene
    from nfcodec.scene import joined, placed
    from nfcodec.spec import Mesh, Signal

    pytest.importorskip("igl", reason="measuring needs libigl")
    field = field_of(ball)
    found = Scene([Node(str(k), None, 0, Similarity((60.0 * k, 0, 0), scale=1.0 + k % 3)) for k in range(6)], [field], {}, {})
    assert [part.node for part in found.largest_parts()] == [2]
    own = field.to_mesh(max(field.spec.extent))
    off = Mesh(CENTRE + 1.01 * (own.vertices - CENTRE), own.faces)
    whole = Signal("sdf", mesh=joined([placed(off, part) for part in found.parts]))
    once = measure_scene(found, whole, [Signal("sdf", mesh=off)])
    every = measure_scene(found, whole)
    assert once.rms == pytest.approx(every.rms * 3 / np.sqrt((1 + 16 + 81) / (1 + 4 + 9)), rel=0.05), "areas weigh errors"
    assert once.psnr_db == pytest.approx(-20 * np.log10(once.rms), abs=0.01) and once.max_error <= 1.05 * every.max_error


def test_what_a_scene_says():
    found = nfcodec.open(FILES["scene-tree"])
    assert repr(found) == "<nfcodec.Scene 4 nodes, 3 parts, 2 fields>" and found.meta["units"] == "mm"
    info = json.loads(json.dumps(found.info()))
    assert info["kind"] == "scene" and [node["parent"] for node in info["nodes"]] == [None, 0, 1, 1]
    assert info["fields"][1]["kind"] == "tsdf" and info["file_bytes"] == len(FILES["scene-tree"])
    assert info["header_bytes"] + sum(info["part_bytes"]) + info["meta_bytes"] == info["file_bytes"]
    assert found.node("body") == 1 and found.node(2) == 2
    for name in ("é", "none", 7, -1):
        with pytest.raises(UsageError, match="finding a node"):
            nfcodec.open(FILES["scene-shared"]).node(name)


def test_arguments(scene):
    for call, words in (
        (lambda: scene.distance(np.zeros((2, 2))), "expected \\(N, 3\\)"),
        (lambda: scene.distance([[np.nan, 0, 0]]), "not finite"),
        (lambda: scene.distance(np.zeros((1, 3)), level=9), "expected 0 \\(coarsest\\) to 0"),
        (lambda: scene.raycast(np.zeros((2, 3)), np.zeros((2, 3))), "length 0"),
        (lambda: scene.raycast(np.zeros((2, 3)), np.ones((3, 3))), "expected as many"),
        (lambda: scene.raycast(np.zeros((2, 3)), np.ones((2, 3)), 2, 1), "min_distance"),
    ):
        with pytest.raises(UsageError, match=words):
            call()
    odd = Scene([Node("a", None, 0)], [field_of(ball, "occupancy")], {}, {"warnings": []})
    with pytest.raises(UsageError, match="occupancy"):
        odd.distance(np.zeros((1, 3)))
    assert odd.raycast(CENTRE[None] + [0, 0, 9], [[0, 0, -1.0]]).t[0] == pytest.approx(7, abs=0.05)
    with pytest.raises(NfldError, match="none whose nodes place"):
        Scene([Node("a")], [field_of(ball)], {}, {"warnings": []}).distance(np.zeros((1, 3)))


# ---------------------------------------------------------------- broken files


def use(data, **options):
    """Opens a file and asks it; the code of its error, or None. Warnings count as faults."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            found = nfcodec.open(data, **options)
        except NfldError as error:
            assert "\n" not in str(error) and len(str(error)) < 600
            return getattr(error, "code", type(error).__name__)
        if isinstance(found, Scene):
            json.dumps(found.info(), allow_nan=False).encode("utf-8", "surrogatepass")
            if found.parts and all(part.field.kind != "occupancy" for part in found.parts):
                assert found.distance(np.zeros((2, 3))).shape == (2,)
    return None


def test_only_errors_of_this_package_escape(monkeypatch):
    monkeypatch.setattr(decode, "MAX_GRID_INTEGERS", 1 << 13)
    rng, codes = np.random.default_rng(11), set()
    for data in FILES.values():
        chunks = list(container.read(data).chunks)
        for _ in range(150):
            changed = mutate_chunks(chunks, rng)
            if rng.integers(0, 2):
                nodes = mutate_bytes(chunks[0].data, rng)
                changed = [Chunk(SCNE, 0, RAW, nodes), *chunks[1:]]
            try:
                broken = container.write(changed)
            except UsageError:
                continue
            codes.add(use(broken))
            codes.add(use(broken[: int(rng.integers(1, len(broken)))], allow_truncated=True))
    assert len(codes) > 15 and None in codes


def test_a_scene_that_is_cut_off():
    data = FILES["scene-tree"]
    ends = [len(data) - sum(len(c.data) for c in container.read(data).chunks[k:]) for k in range(5)]
    with pytest.raises(TruncatedError):
        nfcodec.open(data[: ends[2]])
    for end, n_parts in ((ends[2], 1), (ends[2] + 5, 1), (ends[3], 3)):
        part = nfcodec.open(data[:end], allow_truncated=True)
        assert len(part.parts) == n_parts and not part.info()["complete"] and len(part.fields) == 2
        assert np.isfinite(part.distance(np.zeros((1, 3)))).all()
    with pytest.raises(TruncatedError, match="at least one"):
        nfcodec.open(data[: ends[1]], allow_truncated=True)
    with pytest.raises(TruncatedError, match="SCNE"):
        nfcodec.open(data[: ends[0]], allow_truncated=True)


def test_integers_are_limited_over_all_parts(monkeypatch):
    chunks = container.read(FILES["scene-tree"]).chunks
    sizes = [sum(a.size for level in f.grid.levels for a in level.values()) for f in nfcodec.open(FILES["scene-tree"]).fields]
    assert [chunk.type for chunk in chunks[1:3]] == [PART, PART]
    monkeypatch.setattr(decode, "MAX_GRID_INTEGERS", sum(sizes))
    nfcodec.open(FILES["scene-tree"])
    monkeypatch.setattr(decode, "MAX_GRID_INTEGERS", sum(sizes) - 1)
    with pytest.raises(LimitError, match="integers"):
        nfcodec.open(FILES["scene-tree"])
