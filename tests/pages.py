"""Pages of `nfcodec view` that tests look at, and what a pixel of theirs sees."""

import numpy as np
from browser import browse

import nfcodec
from nfcodec.page import page

CAMERA = "(() => { const c = viewer.canvas; return { ...viewer.view.camera([0, 0, c.width, c.height]), shape: [c.height, c.width], top: c.getBoundingClientRect().y }; })()"
HIDE = "document.getElementById('corner').style.visibility = 'hidden'"


def page_with(tmp_path, data):
    """The page of a file, and what the file holds."""
    path = tmp_path / "page.html"
    path.write_text(page(data, "test.nfld"))
    return path, nfcodec.open(data)


def shown(path):
    """The pixels of a screenshot (H, W, 3) float."""
    from PIL import Image

    return np.asarray(Image.open(path).convert("RGB")).astype(float)


def rays_of(camera):
    """Origin (3,) and directions (H, W, 3) of the pixels of the canvas, x, y, z in units of the box's longest edge."""
    height, width = camera["shape"]
    y, x = np.mgrid[0:height, 0:width] + 0.5
    px, py = (x - camera["middle"][0]) / camera["focal"], (height - y - camera["middle"][1]) / camera["focal"]
    right, up, forward = (np.array(camera[key]) for key in ("cameraRight", "cameraUp", "cameraForward"))
    directions = forward + px[..., None] * right + py[..., None] * up
    return np.array(camera["eye"]), directions / np.linalg.norm(directions, axis=-1, keepdims=True)


def canvas_of(shot, camera):
    """The canvas (H, W, 3) in a screenshot."""
    height, width = camera["shape"]
    assert camera["top"] == int(camera["top"])
    return shown(shot)[int(camera["top"]) :][:height, :width]


def field_and_source(path, size, first="0", shading=0):
    """The canvas of a page with its field alone and with its source alone, and what the page says about both. first: is run
    before the source is loaded."""
    shots = [path.with_name("field.png"), path.with_name("source.png")]
    hide = "['corner', 'labels', 'divider'].forEach((id) => (document.getElementById(id).style.visibility = 'hidden'))"
    look = f"viewer.view.shading = {shading}, viewer.view.compare = 'wipe', viewer.view.wipe = %d, viewer.view.changed(), 0"
    steps = [{"wait": True}, {"run": hide}, {"run": f"{first}, viewer.view.loadSource(viewer.source).then(() => 0)"}]
    for part, shot in zip((1, 0), shots):
        steps += [{"run": look % part}, {"wait": True}, {"run": CAMERA}, {"shot": str(shot)}]
    *_, camera, about = browse(path, [*steps, {"run": "document.getElementById('about').textContent"}], size=size)
    return *(canvas_of(shot, camera) for shot in shots), about


def found_in(pixels):
    """Where (H, W) a canvas shows something."""
    return np.abs(pixels - pixels[0, 0]).max(-1) > 3


def assert_same_surface(a, b):
    """Of two canvases that show normals."""
    on_a, on_b = found_in(a), found_in(b)
    assert 0.05 < on_a.mean() < 0.8 and (on_a != on_b).mean() < 0.02
    assert np.median(np.abs(a - b)[on_a & on_b]) < 8


def degrees_between(pixels, normals):
    """Angles (N,) between normals that pixels (N, 3) show and others (N, 3)."""
    ours = pixels / 127.5 - 1
    ours /= np.linalg.norm(ours, axis=-1, keepdims=True)
    return np.degrees(np.arccos(np.clip((ours * normals).sum(-1), -1, 1)))
