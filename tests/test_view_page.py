"""`nfcodec view`: the page that it writes, and what a browser shows of it."""

import base64
import importlib
import math
import re
import threading
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from browser import browse, needs_browser
from distance_fields import block, data_of, ring
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
    shown,
)  # fmt: skip

import nfcodec
from nfcodec.cli import main
from nfcodec.page import page
from nfcodec.page.bundle import bundle
from nfcodec.spec import Signal

Image = pytest.importorskip("PIL.Image", reason="pictures need pillow")

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "spec" / "golden"


def page_of(tmp_path, name, *options):
    path = tmp_path / "page.html"
    assert main(["view", str(GOLDEN / f"{name}.nfld"), "--html", str(path), "--overwrite", "--quiet", *options]) == 0
    return path


# ---------------------------------------------------------------- the file


def test_a_page_needs_nothing_else(tmp_path):
    text = page_of(tmp_path, "image-rgb8").read_text()
    assert "default-src 'none'" in text
    assert set(re.findall(r"https?://[^\s\"'<)`]+", text)) <= {"https://gist.github.com/101arrowz/a979452d4355992cbf8f257cbffc9edd"}
    assert not re.search(r"<(?:script|img|link)[^>]+(?:src|href)=", text) and "{{" not in text


def test_names_are_text_in_the_page():
    data = (GOLDEN / "image-rgb8.nfld").read_bytes()
    assert "</script><b>" not in page(data, "</script><b>.nfld")


def test_commands_that_do_not_work_out(tmp_path, capsys):
    golden = str(GOLDEN / "image-rgb8.nfld")
    (tmp_path / "bad.nfld").write_bytes(b"nothing")
    out = str(tmp_path / "out.html")
    for arguments, code, word in (
        ([str(tmp_path / "none.nfld"), "--html", out], 2, "no such file"),
        ([str(tmp_path / "bad.nfld"), "--html", out], 3, "signature"),
        ([str(GOLDEN / "volume-1d.nfld"), "--html", out], 2, "one axis"),
        ([golden, "--html", out, "--source", str(tmp_path / "none.png")], 2, "no such file"),
    ):
        assert main(["view", *arguments]) == code
        error = capsys.readouterr().err
        assert word in error and error.count("\n") == 1, error
        assert not Path(out).exists()
    assert main(["view", golden, "--html", out]) == 0
    assert main(["view", golden, "--html", out]) == 2 and "--overwrite" in capsys.readouterr().err


def test_a_browser_is_opened_on_a_file(monkeypatch, capsys):
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or True)
    assert main(["view", str(GOLDEN / "image-rgb8.nfld")]) == 0
    (address,) = opened
    assert address.startswith("file:") and address.endswith("image-rgb8.html")
    assert urllib.request.urlopen(address).read().startswith(b"<!doctype html>")
    Path(urllib.request.url2pathname(address.removeprefix("file://"))).unlink()


def test_a_server_on_this_machine(monkeypatch):
    """The page at the address that is opened, and nothing else."""
    found = {}
    ready = threading.Event()

    def ask(address):
        def run():
            found["page"] = urllib.request.urlopen(address).read()
            with pytest.raises(urllib.error.HTTPError):
                urllib.request.urlopen(address + "etc/passwd")
            ready.set()
            found["server"].shutdown()

        threading.Thread(target=run).start()
        return True

    view = importlib.import_module("nfcodec.cli.view")

    class Server(view.HTTPServer):
        def serve_forever(self, *arguments):
            found["server"] = self
            super().serve_forever(0.05)

    monkeypatch.setattr(view, "HTTPServer", Server)
    monkeypatch.setattr("webbrowser.open", ask)
    assert main(["view", str(GOLDEN / "image-rgb8.nfld"), "--serve"]) == 0
    assert ready.wait(10) and found["page"].startswith(b"<!doctype html>")


def test_the_bundler_refuses_what_it_does_not_know(tmp_path):
    (tmp_path / "a.js").write_text('import { b } from "./b.js";\nexport const a = b + 1;\n')
    (tmp_path / "b.js").write_text("export const b = 1;\n")
    assert "nfld.modules" in bundle(tmp_path, ("a.js",))
    for text in ("export default 3;", 'import b from "./b.js";', 'const b = import("./b.js");', 'import "./b.js";', "'</script>'"):
        (tmp_path / "a.js").write_text(text)
        with pytest.raises(ValueError, match="bundling"):
            bundle(tmp_path, ("a.js",))


# ---------------------------------------------------------------- images


@needs_browser
@pytest.mark.parametrize("query", ["?gl", "?cpu"])
@pytest.mark.parametrize("name", ["image-rgb8", "image-surrounded"])
def test_an_image_at_eight_times_its_size(tmp_path, name, query):
    """The field in the middle of the page, at pixels of the screen, is what decode(scale=8) gives."""
    shot = tmp_path / "shot.png"
    steps = [
        {"wait": True},
        {"run": "viewer.view.zoom = 8, viewer.view.fits = false, viewer.view.changed(), document.getElementById('corner').style.visibility = 'hidden'"},
        {"wait": True},
        {"run": "[viewer.canvas.getBoundingClientRect().y, viewer.canvas.width, viewer.canvas.height]"},
        {"shot": str(shot)},
    ]
    _, (top, *size) = browse(page_of(tmp_path, name), steps, query)
    right = nfcodec.open(GOLDEN / f"{name}.nfld").decode(scale=8).astype(float)
    height, width = right.shape[:2]
    x, y = (math.floor(n / 2 - m / 2 + 0.5) for n, m in zip(size, (width, height)))
    assert top == int(top)
    found = shown(shot)[int(top) + y : int(top) + y + height, x : x + width]
    error = np.abs(found - right)
    assert error.max() <= 1.0 and error.mean() < 0.1


@needs_browser
def test_far_beyond_the_pixels(tmp_path):
    """2000 pixels of the screen for a sample: coordinates have digits enough in float32."""
    shot = tmp_path / "shot.png"
    look = "viewer.view.zoom = 2000, viewer.view.middle = [30.37, 20.21], viewer.view.fits = false, viewer.view.changed(), document.getElementById('corner').style.visibility = 'hidden'"
    place = "[viewer.canvas.getBoundingClientRect().y, viewer.view.place([0, 0, viewer.canvas.width, viewer.canvas.height]), viewer.canvas.height]"
    _, (top, (x, y), height) = browse(page_of(tmp_path, "image-rgb8"), [{"wait": True}, {"run": look}, {"wait": True}, {"run": place}, {"shot": str(shot)}], "?gl")
    field = nfcodec.open(GOLDEN / "image-rgb8.nfld")
    rows, columns = np.arange(0, height, 7), np.arange(0, 640, 7)
    at = np.stack(np.meshgrid((rows + 0.5 - y) / 2000 + 20.21, (columns + 0.5 - x) / 2000 + 30.37, indexing="ij"), -1)
    right = field.sample((at / field.spec.extent).reshape(-1, 2)).reshape(len(rows), len(columns), 3)
    found = shown(shot)[int(top) + rows][:, columns]
    assert np.abs(found - np.clip(right, 0, 255)).max() <= 0.55
    assert np.ptp(right) > 5


@needs_browser
def test_mouse_and_fingers(tmp_path):
    """The point under the pointer, or between two fingers, stays where it is; a drag carries the picture along."""
    view = "(() => { const v = viewer.view, [x, y] = v.place([0, 0, viewer.canvas.width, viewer.canvas.height]); return [v.zoom, v.middle[0] + (200 - x) / v.zoom, v.middle[1] + (100 - y) / v.zoom]; })()"
    top = {"run": "viewer.canvas.getBoundingClientRect().y"}
    path = page_of(tmp_path, "image-rgb8")
    y = browse(path, [{"wait": True}, top], "?gl")[0] + 100
    steps = [{"wait": True}, {"run": view}, {"mouse": [["move", 200, y], ["wheel", 0, -600]]}, {"run": "new Promise((r) => setTimeout(r, 200))"}, {"run": view}]
    steps += [{"mouse": [["down"], ["move", 230, y + 40], ["up"]]}, {"run": view}]
    steps += [{"touch": [["touchStart", [150, y], [250, y]], ["touchMove", [100, y], [300, y]], ["touchEnd"]]}, {"run": view}]
    before, _, wheeled, dragged, pinched = browse(path, steps, "?gl")
    assert wheeled[0] == pytest.approx(before[0] * math.exp(0.9)) and wheeled[1:] == pytest.approx(before[1:], abs=1 / before[0])
    assert dragged == pytest.approx([wheeled[0], wheeled[1] - 30 / wheeled[0], wheeled[2] - 40 / wheeled[0]], abs=1 / wheeled[0])
    assert pinched[0] == pytest.approx(2 * dragged[0], rel=0.01) and pinched[1:] == pytest.approx(dragged[1:], abs=2 / dragged[0])


# ---------------------------------------------------------------- three axes

@needs_browser
@pytest.mark.parametrize("query, most_missed, most_degrees", [("?gl", 0.002, 2.0), ("", 0.01, 8.0), ("?cpu", 0.01, 8.0)])
@pytest.mark.parametrize("trimmed", [False, True])
def test_normals_of_a_surface(tmp_path, trimmed, query, most_missed, most_degrees):
    """Which pixels meet the surface, and its normals there, against rays that the decoder in Python casts."""
    shot = tmp_path / "shot.png"
    steps = [{"wait": True}, {"run": HIDE}, {"key": "n"}, {"run": "viewer.view.shading = 2, viewer.view.changed(), 0"}, {"wait": True}, {"run": CAMERA}, {"shot": str(shot)}]
    path, field = page_with(tmp_path, data_of(block, trim=lambda points: points[:, 1] - 0.7) if trimmed else data_of(ring))
    camera = browse(path, steps, query, size=(360, 420))[-1]
    edge = field.spec.cell * max(field.spec.extent)
    eye, directions = rays_of(camera)
    flat = directions.reshape(-1, 3)
    rays = field.raycast(np.broadcast_to(np.array(field.spec.origin[::-1]) + edge * eye, flat.shape), flat)
    pixels = canvas_of(shot, camera)
    found = found_in(pixels).reshape(-1)
    assert 0.02 < rays.hit.mean() < 0.8
    assert (found != rays.hit).mean() <= most_missed
    both = found & rays.hit
    assert np.median(degrees_between(pixels.reshape(-1, 3)[both], rays.normals[both])) <= most_degrees


@needs_browser
@pytest.mark.parametrize("query, most", [("?gl", 1.0), ("", 3.0), ("?cpu", 3.0)])
def test_a_slice_of_a_volume(tmp_path, query, most):
    """Values where rays meet the slice, as grey: those of the field, or of a lattice where there is no GPU."""
    shot = tmp_path / "shot.png"
    steps = [{"wait": True}, {"run": HIDE}, {"run": "viewer.view.map = 'grey', 0"}, {"key": "z"}, {"wait": True}, {"run": CAMERA}, {"shot": str(shot)}]
    path, field = page_with(tmp_path, data_of(ring, "volume"))
    camera = browse(path, steps, query, size=(360, 420))[-1]
    eye, directions = rays_of(camera)
    t = (camera["slice"][3] - eye[2]) / directions[..., 2]
    points = (eye + t[..., None] * directions) / camera["size"]
    inside = ((points > 0.02) & (points < 0.98)).all(-1) & (directions[..., 2] < 0)
    values = field.sample(points[inside][:, ::-1])[:, 0]
    low, size = field.spec.value_offset[0], field.spec.value_scale[0]
    right = 255 * np.clip((values - low) / size, 0, 1)
    assert inside.mean() > 0.02
    found = canvas_of(shot, camera)[inside]
    assert np.abs(found - right[:, None]).mean() <= 0.3 * most and np.percentile(np.abs(found - right[:, None]), 99) <= most


@needs_browser
@pytest.mark.parametrize("query", ["?gl", "", "?cpu"])
def test_the_largest_values_along_rays(tmp_path, query):
    shot = tmp_path / "shot.png"
    steps = [{"wait": True}, {"run": HIDE}, {"run": "viewer.view.map = 'grey', viewer.view.mode = 'largest', viewer.view.changed(), 0"}, {"wait": True}, {"run": CAMERA}, {"shot": str(shot)}]
    path, field = page_with(tmp_path, data_of(ring, "volume"))
    camera = browse(path, steps, query, size=(360, 420))[-1]
    eye, directions = rays_of(camera)
    some = np.zeros(directions.shape[:2], bool)
    some[::8, ::8] = True
    distances = np.linspace(0, np.linalg.norm(eye) + 2, 400)
    points = (eye + distances[:, None, None] * directions[some]) / camera["size"]
    inside = ((points >= 0) & (points <= 1)).all(-1)
    values = np.full(inside.shape, -np.inf)
    values[inside] = field.sample(points[inside][:, ::-1])[:, 0]
    low, size = field.spec.value_offset[0], field.spec.value_scale[0]
    meets = inside.sum(0) > 10
    shown_ = np.clip((values.max(0)[meets] - low) / size, 0, 1)
    stage = canvas_of(shot, camera)[0, 0]
    right = 255 * shown_[:, None] ** 2 + (1 - shown_[:, None]) * stage  # grey, and as opaque as it is light
    found = canvas_of(shot, camera)[some][meets]
    assert meets.sum() > 50 and np.abs(found - right).mean() < 6


# ---------------------------------------------------------------- all kinds


@needs_browser
def test_a_gpu_that_gives_up_is_done_without(tmp_path):
    lose = "viewer.gl.getExtension('WEBGL_lose_context').loseContext(), document.body.dataset.state = 'lost', 0"
    steps = [{"wait": True}, {"run": lose}, {"wait": True}, {"run": "[viewer.gl, document.getElementById('note').textContent, document.querySelectorAll('#controls input').length > 3]"}]
    for name in ("image-rgb8", "sdf-dense"):
        gl, note, controls = browse(page_of(tmp_path, name), steps, "?gl", size=(240, 300))[-1]
        assert gl is None and "gave up" in note and controls


@needs_browser
def test_levels_bytes_and_keys(tmp_path):
    """The slider of detail by its keys: what the head of the page says, and that the picture is that of the level."""
    field = nfcodec.open(GOLDEN / "image-rgb8.nfld")
    shot = tmp_path / "shot.png"
    zoom = {"run": "viewer.view.zoom = 4, viewer.view.fits = false, viewer.view.changed(), document.getElementById('corner').style.visibility = 'hidden'"}
    steps = [{"wait": True}, zoom, {"key": "["}, {"wait": True}, {"run": "document.getElementById('about').textContent"}]
    steps += [{"run": "[viewer.canvas.getBoundingClientRect().y, viewer.canvas.width, viewer.canvas.height]"}, {"shot": str(shot)}]
    _, about, (top, *size) = browse(page_of(tmp_path, "image-rgb8"), steps, "?gl")
    assert f"{field.n_levels - 1} of {field.n_levels} levels" in about
    assert f"{field.sizes['file_bytes'] - field.sizes['level_bytes'][-1]} B" in about
    right = field.decode(scale=4, level=field.n_levels - 2).astype(float)
    x, y = (math.floor(n / 2 - m / 2 + 0.5) for n, m in zip(size, right.shape[1::-1]))
    found = shown(shot)[int(top) + y :, x:][: right.shape[0], : right.shape[1]]
    assert np.abs(found - right).max() <= 1.0
    assert np.abs(field.decode(scale=4) - right).max() > 20


@needs_browser
def test_a_broken_file_is_one_line(tmp_path):
    """What only the decoder of the page finds out."""
    path = page_of(tmp_path, "image-rgb8")
    text = path.read_text()
    (payload,) = re.findall(r'id="field">([^<]+)<', text)
    broken = bytearray(base64.b64decode(payload))
    broken[-1] ^= 1
    broken[len(broken) // 2] ^= 1
    path.write_text(text.replace(payload, base64.b64encode(broken).decode()))
    state, error = browse(path, [{"wait": True}, {"run": "[document.body.dataset.state, document.getElementById('error').textContent]"}])[-1]
    assert state == "failed" and "checksum" in error and "\n" not in error


@needs_browser
@pytest.mark.parametrize("query", ["?gl", "?cpu"])
def test_a_picture_beside_its_source(tmp_path, query):
    """On the right of the line the samples of the source, nearest; on the left the field."""
    rng = np.random.default_rng(3)
    source = rng.integers(0, 256, nfcodec.open(GOLDEN / "image-rgb8.nfld").decode().shape, dtype=np.uint8)
    Image.fromarray(source).save(tmp_path / "source.png")
    shot = tmp_path / "shot.png"
    zoom = "viewer.view.zoom = 8, viewer.view.fits = false, viewer.view.changed(), document.getElementById('corner').style.visibility = 'hidden'"
    place = "[viewer.canvas.getBoundingClientRect().y, viewer.canvas.width, viewer.canvas.height]"
    steps = [{"wait": True}, {"key": "c"}, {"run": zoom}, {"run": "new Promise((r) => setTimeout(r, 500))"}, {"wait": True}, {"run": place}, {"shot": str(shot)}]
    values = browse(page_of(tmp_path, "image-rgb8", "--source", str(tmp_path / "source.png")), steps, query)
    top, *size = values[-1]
    right = np.repeat(np.repeat(source, 8, 0), 8, 1).astype(float)
    field = nfcodec.open(GOLDEN / "image-rgb8.nfld").decode(scale=8).astype(float)
    x, y = (math.floor(n / 2 - m / 2 + 0.5) for n, m in zip(size, right.shape[1::-1]))
    found = shown(shot)[int(top) + y :, x:][: right.shape[0], : right.shape[1]]
    middle = size[0] // 2 - x
    assert np.abs(found[:40, middle + 20 :] - right[:40, middle + 20 :]).max() == 0  # the handle of the line is lower
    assert np.abs(found[:40, : middle - 20] - field[:40, : middle - 20]).max() <= 1


@needs_browser
def test_a_surface_beside_its_source(tmp_path):
    """Triangles of the source are drawn where rays meet the field: a mesh of the field itself, seen as normals."""
    path, field = page_with(tmp_path, data_of(ring))
    mesh = field.to_mesh(96)
    path.write_text(page(data_of(ring), "ring.nfld", Signal("sdf", mesh=mesh), 1000))
    field_alone, source_alone, _ = field_and_source(path, (360, 420), shading=2)
    assert_same_surface(field_alone, source_alone)


@needs_browser
def test_a_volume_beside_its_source(tmp_path):
    data = data_of(ring, "volume")
    field = nfcodec.open(data)
    path = tmp_path / "page.html"
    path.write_text(page(data, "ring.nfld", Signal("volume", field.decode()), 1000))
    a, b, _ = field_and_source(path, (360, 420))
    assert a.std() > 10 and np.abs(a - b).mean() < 2
