"""`nfcodec view` of scenes: what a browser shows of several fields that nodes place, against the decoder in Python."""

import numpy as np
import pytest
from browser import browse, needs_browser
from distance_fields import CENTRE, block, data_of, ring
from pages import (
    CAMERA,
    HIDE,
    assert_same_surface,
    canvas_of,
    degrees_between,
    field_and_source,
    found_in,
    page_with,
    rays_of,
)

import nfcodec
from nfcodec import container
from nfcodec.cli import main
from nfcodec.container import PART, RAW, SCNE, Chunk
from nfcodec.errors import UsageError
from nfcodec.pack import meta_chunk
from nfcodec.page import page
from nfcodec.scene import Node, Similarity, pack_nodes
from nfcodec.spec import Signal

pytest.importorskip("PIL.Image", reason="pictures need pillow")

SIZE = (760, 420)
MISSED, DEGREES = {"?gl": 0.002, "": 0.01, "?cpu": 0.01}, {"?gl": 2.0, "": 8.0, "?cpu": 8.0}
ON_BLOCK = (297, 211)  # of the page
RED = (0.8, 0.2, 0.0666667)  # of "#cc3311"
SHARP = {"run": "new Promise((done) => { const ask = () => (viewer.view.drawn.every((d) => d.exact || !d.shader) ? done(0) : setTimeout(ask, 20)); ask(); })"}


def around(middle, q=(0.0, 0.0, 0.0, 1.0), scale=1.0):
    """Turned and scaled so that the middle of a field's box comes to lie at a place."""
    there = Similarity((0.0, 0.0, 0.0), tuple(float(v) for v in np.array(q) / np.linalg.norm(q)), scale)
    moved = np.array(middle) - there.to_world(CENTRE[None])[0]
    return Similarity(tuple(moved.tolist()), there.rotation, scale)


NODES = [
    Node("group", None, None, Similarity((30.0, -10.0, 20.0), around((0, 0, 0), (0.1, 0.3, -0.2, 0.9)).rotation, 2.0)),
    Node("ring", 0, 0, around((0, 0, 0))),
    Node("<b>block</b>", 0, 1, around((1.5, 1.0, 2.5), (0.5, 0.1, 0.2, 0.8), 0.6)),
    Node("", 2, 2, around((8.0, 8.0, 3.0), (-0.3, 0.6, 0.1, 0.7), -1.2)),
    Node("small", None, 1, around((28.0, -13.0, 24.0), (0.0, 0.0, 0.0, 1.0), 0.5)),
    Node("empty"),
]


def scene_of(nodes=NODES):
    """A scene of a ring, a red block and a block that is open and not its own mirror image."""
    red = [*container.read(data_of(block)).chunks, meta_chunk({"colour": "#cc3311"})]
    half = data_of(block, trim=lambda points: points[:, 1] + 0.8 * points[:, 0] - 0.7)
    parts = [Chunk(PART, k, RAW, data) for k, data in enumerate((data_of(ring), container.write(red), half))]
    return container.write([Chunk(SCNE, 0, RAW, pack_nodes(nodes, len(parts))), *parts])


def without(*hidden):
    """The scene with nodes that place nothing."""
    return nfcodec.open(scene_of([Node(node.name, node.parent, None if k in hidden else node.field, node.placement) for k, node in enumerate(NODES)]))


PICKS = "[...Array(400)].map((_, i) => viewer.view.pick([(i % 20 + 0.5) * viewer.canvas.clientWidth / 20, (Math.floor(i / 20) + 0.5) * viewer.canvas.clientHeight / 20]))"
ROWS = "[...document.querySelectorAll('#parts button')].map((button) => [button.textContent, button.getAttribute('aria-pressed')])"
TICKS = "[...document.querySelectorAll('#parts input')].map((box) => [box.checked, box.indeterminate])"
TOLD = "document.getElementById('reading').textContent"
LOSE = "viewer.gl.getExtension('WEBGL_lose_context').loseContext(), document.body.dataset.state = 'lost', 0"
DOES = {
    "colours": [{"run": "viewer.view.orbit.zoom(1.8), viewer.view.changed(), 0"}],
    "normals": [{"key": "n"}, {"key": "n"}, {"run": PICKS}],
    "sliced": [{"key": "n"}, {"key": "z"}, {"run": "viewer.view.cut = 0.55, viewer.view.changed(), 0"}],
    "chosen": [{"key": "z"}, {"mouse": [["click", *ON_BLOCK]]}, {"run": ROWS}, {"run": TOLD}],
    "hidden": [{"key": "h"}, {"key": "Escape"}, {"run": ROWS}, {"run": TICKS}],
    "without a group": [{"run": "document.querySelector('#parts li input').click()"}, {"run": TICKS}],
    "lost": [{"key": "a"}],
}


class Visit:
    """What a browser showed after each of DOES: values of its runs and the canvas; and what rays of the decoder in Python meet there."""

    def __init__(self, folder, query):
        self.query = query
        path, self.scene = page_with(folder, scene_of())
        does = DOES | {"lost": [{"run": LOSE}, {"wait": True}, {"run": HIDE}, {"run": "viewer.view.orbit.zoom(1.8), viewer.view.changed(), 0"}]} if query == "?gl" else DOES
        steps = [{"wait": True}, SHARP, {"run": HIDE}, {"run": "viewer.canvas.style.outline = 'none'"}]
        for name, acts in does.items():
            steps += [*acts, {"wait": True}, {"run": f"'after {name}'"}, {"shot": str(folder / f"{name}.png")}]
        *values, self.camera = browse(path, [*steps, {"run": CAMERA}], query, size=SIZE)
        ends = [values.index(f"after {name}") for name in does]
        self.values = {name: values[start + 1 : end] for name, start, end in zip(does, [2, *ends], ends)}
        self.pixels = {name: canvas_of(folder / f"{name}.png", self.camera) for name in does}
        self.low, high = (np.array(self.scene.info()["box"][end]) for end in ("low", "high"))
        self.unit = (high - self.low).max()
        self.eye, self.directions = rays_of(self.camera)

    def cast(self, scene):
        """Of all pixels (H x W) flat."""
        return scene.raycast((self.low + self.unit * self.eye)[None], self.directions.reshape(-1, 3))

    def missed(self, name, scene):
        """The part of the pixels that show something where rays meet nothing, or nothing where they do."""
        return (found_in(self.pixels[name]).reshape(-1) != self.cast(scene).hit).mean()


@pytest.fixture(scope="module", params=["?gl", "", "?cpu"])
def visit(request, tmp_path_factory):
    return Visit(tmp_path_factory.mktemp("scene"), request.param)


@needs_browser
def test_parts_where_nodes_place_them(visit):
    """Which pixels meet a part and the normals there, and which part is picked."""
    hits = visit.cast(visit.scene)
    pixels = visit.pixels["normals"]
    assert 0.05 < hits.hit.mean() < 0.8 and visit.missed("normals", visit.scene) <= MISSED[visit.query]
    for node in (1, 2, 3, 4):
        both = found_in(pixels).reshape(-1) & (hits.nodes == node)
        assert both.sum() > 50
        assert np.median(degrees_between(pixels.reshape(-1, 3)[both], hits.normals[both])) <= DEGREES[visit.query]
    height, width = visit.camera["shape"]
    rows, columns = ((np.arange(20) + 0.5) * n / 20 for n in (height, width))
    right = hits.nodes.reshape(height, width)[np.ix_(rows.astype(int), columns.astype(int))].ravel()
    (picked,) = visit.values["normals"]
    assert len(set(right)) >= 4
    assert np.mean(np.array([-1 if node is None else node for node in picked]) != right) <= 0.01


@needs_browser
def test_a_click_chooses_and_keys_hide(visit):
    """Names are text; a node is hidden with all below it; what is chosen is bluer."""
    rows, told = visit.values["chosen"]
    assert rows == [["group", "false"], ["ring", "false"], ["<b>block</b>", "true"], ["node 4", "false"], ["small", "false"]]
    assert told.startswith("<b>block</b> · sdf, 32 × 32 × 32 · ")
    on_block = (visit.cast(visit.scene).nodes == 2) & found_in(visit.pixels["chosen"]).reshape(-1)
    bluer = (visit.pixels["chosen"] - visit.pixels["colours"]).reshape(-1, 3)[on_block][:, 2]
    assert np.median(bluer) > 50
    rows, ticks = visit.values["hidden"]
    assert all(pressed == "false" for _, pressed in rows)
    assert ticks == [[True, True], [True, True], [True, False], [False, False], [False, False], [True, False]]
    assert visit.missed("hidden", without(2, 3)) <= MISSED[visit.query] < visit.missed("hidden", visit.scene)
    _, ticks = visit.values["without a group"]
    assert ticks == [[True, True], *[[False, False]] * 4, [True, False]]
    assert visit.missed("without a group", without(1, 2, 3)) <= MISSED[visit.query]


@needs_browser
def test_a_part_of_one_colour(visit):
    """Its hue is that of its metadata, whatever the light; parts without are grey."""
    nodes = visit.cast(visit.scene).nodes
    pixels = visit.pixels["colours"].reshape(-1, 3)
    seen = found_in(visit.pixels["colours"]).reshape(-1) & (pixels.max(-1) < 250)
    r, g, b = pixels[seen & np.isin(nodes, (2, 4))].T
    assert len(r) > 500 and np.median(np.abs((g - b) - (r - b) * (RED[1] - RED[2]) / (RED[0] - RED[2]))) < 2
    assert np.median(r - g) > 50
    r, _, b = pixels[seen & (nodes == 1)].T
    assert np.median(r - b) < 25


@needs_browser
def test_a_slice_through_a_scene(visit):
    """What a plane of the world cuts is orange where the union of the parts is inside."""
    _, _, z = visit.directions.reshape(-1, 3).T
    t = (0.55 * visit.camera["size"][2] - visit.eye[2]) / z
    points = visit.low + visit.unit * (visit.eye + t[:, None] * visit.directions.reshape(-1, 3))
    assert (z < 0).all() and (t > 0).all()  # all rays come through it to what is left
    inside = without(3).distance(points) < 0  # the part with a trim has no inside
    r, g, b = visit.pixels["sliced"].reshape(-1, 3).T
    orange = (r - b > 60) & (np.abs(g - b - (r - b) * 0.3 / 0.61) < 4)
    others = visit.cast(visit.scene).nodes == 3
    assert inside.mean() > 0.01 and (orange != inside)[~others].mean() < 0.01


@needs_browser
def test_a_scene_when_the_gpu_gives_up(visit):
    """All is there again, by numbers; nothing happens where there was no GPU."""
    scene = visit.scene if visit.query == "?gl" else without(1, 2, 3)
    assert visit.missed("lost", scene) <= 0.01


@needs_browser
def test_a_scene_beside_its_source(tmp_path):
    """Triangles of the scene's own mesh, seen as normals, where rays meet its fields."""
    data = scene_of()
    signal = Signal("sdf", mesh=nfcodec.open(data).to_mesh(64))
    path = tmp_path / "page.html"
    path.write_text(page(data, "scene.nfld", signal, 1000))
    a, b, about = field_and_source(path, SIZE, first="viewer.view.orbit.zoom(1.8)", shading=2)
    assert about.startswith("scene, 4 parts of 3 fields") and "RMS · source 1.0 KB" in about
    assert_same_surface(a, b)


def test_a_scene_that_places_nothing(tmp_path, capsys):
    data = scene_of([Node("empty")])
    with pytest.raises(UsageError, match="place no field"):
        page(data, "scene.nfld")
    (tmp_path / "scene.nfld").write_bytes(data)
    assert main(["view", str(tmp_path / "scene.nfld"), "--html", str(tmp_path / "out.html")]) == 2
    assert capsys.readouterr().err.count("\n") == 1 and not (tmp_path / "out.html").exists()
