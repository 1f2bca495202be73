"""Shaders that the viewer makes of files, drawn by a browser, against the decoder in Python."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest
from browser import browse, needs_browser
from field_cases import make_frozen, make_spec

import nfcodec
from nfcodec.pack import pack
from nfcodec.page.bundle import bundle

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "spec" / "golden"
WITHOUT = ("mesh", "spherical-harmonics", "super-gaussian")  # encodings that have no shader
EXACT = ("relu", "identity", "prelu", "quadratic")
WAVES = ("frequency", "random-fourier", "one-blob")  # a GPU's own exponentials, sines and cosines have errors of up to 2^-11
FILES = sorted(path.stem for path in GOLDEN.glob("*.nfld"))

PAGE = """<!doctype html><body data-state="busy"><script>%s</script><script>
const bytes = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
globalThis.answer = async (files) => {
  const { openField } = nfld("nfcodec.js"), { sampleOnGpu } = nfld("viewer/shader/sample.js"), { withoutShader } = nfld("viewer/shader/field.js");
  const gl = document.createElement("canvas").getContext("webgl2");
  const out = {};
  for (const [name, { data, coords, level }] of Object.entries(files)) {
    const field = openField(bytes(data));
    const reason = withoutShader(field.spec);
    out[name] = reason ?? Array.from(await sampleOnGpu(gl, field, coords, level));
  }
  return out;
};
</script>"""


def answers(tmp_path, jobs):
    """Values of fields by their shaders: jobs name -> (bytes, coords, level)."""
    asked = {
        name: {"data": base64.b64encode(data).decode(), "coords": coords.ravel().astype(float).tolist(), "level": level}
        for name, (data, coords, level) in jobs.items()
    }
    page = tmp_path / "page.html"
    page.write_text(PAGE % bundle(ROOT / "nfcodec" / "view", ("nfcodec.js", "viewer/shader/sample.js", "viewer/shader/field.js")))
    (found,) = browse(page, [{"run": f"answer({json.dumps(asked)})"}])
    return found


@needs_browser
def test_points_among_more_cells_than_a_texture_has(tmp_path):
    """A cloud whose cells are joined, so that what is listed for one is more than what reaches into a cell of the file."""
    spec = make_spec("image", (2000, 1500), ((2000, 1500),), "points", n_features=(5,), log2_size=10, dtype="f4")
    frozen = make_frozen(spec, np.random.default_rng(2))
    frozen.levels[0]["reach"][:] = 1
    data = pack(spec, frozen)
    field = nfcodec.open(data)
    rng = np.random.default_rng(3)
    centres = frozen.levels[0]["positions"][rng.choice(len(frozen.levels[0]["positions"]), 300)]
    coords = np.float32((centres + 0.5 + rng.uniform(-0.4, 0.4, (300, 2))) / (2000, 1500))
    values, none = field.sample(coords), field.sample(np.float32(rng.random((1, 2))))
    assert np.mean(np.abs(values - none).max(1) > 0.01) > 0.5
    found = np.reshape(answers(tmp_path, {"cloud": (data, coords, 0)})["cloud"], values.shape)
    assert np.abs(found - values).max() < 2**-9 * np.abs(values).max()


@pytest.mark.slow
@needs_browser
def test_values_of_every_golden(tmp_path):
    """At coordinates where all numbers fit float32, of all levels and of fewer."""
    rng = np.random.default_rng(4)
    jobs, right = {}, {}
    for name in FILES:
        field = nfcodec.open(GOLDEN / f"{name}.nfld")
        coords = np.float32(np.concatenate([rng.random((60, field.spec.n_dims)), np.full((1, field.spec.n_dims), 1.0)]))
        level = int(rng.integers(0, field.n_levels)) if len(jobs) % 3 == 0 else field.n_levels - 1
        jobs[name] = (GOLDEN / f"{name}.nfld").read_bytes(), coords, level
        right[name] = field.spec, field.sample(coords, level=level)
    found = answers(tmp_path, jobs)
    wrong = {}
    for name, (spec, values) in right.items():
        if isinstance(found[name], str):
            assert any(word in found[name] for word in WITHOUT), (name, found[name])
            continue
        largest = max(np.abs(spec.value_scale).max(), np.abs(values).max())
        error = np.abs(np.reshape(found[name], values.shape) - values).max() / largest
        if error > (2**-14 if spec.mlp.activation in EXACT and not set(spec.grid.encoding.split("+")) & set(WAVES) else 2**-9):
            wrong[name] = float(error)
    assert wrong == {}
    assert sum(not isinstance(values, str) for values in found.values()) > 50
