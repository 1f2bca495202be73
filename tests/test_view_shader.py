"""Shaders that the viewer makes of files, drawn by a browser, against the decoder in Python."""

import base64
import json
from pathlib import Path

import numpy as np
import pytest
from browser import browse, needs_browser

import nfcodec
from nfcodec.page.bundle import bundle

ROOT = Path(__file__).parents[1]
GOLDEN = ROOT / "spec" / "golden"
WITHOUT = ("points", "mesh", "spherical-harmonics", "super-gaussian")  # encodings that have no shader
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
        data = base64.b64encode((GOLDEN / f"{name}.nfld").read_bytes()).decode()
        jobs[name] = {"data": data, "coords": coords.ravel().astype(float).tolist(), "level": level}
        right[name] = field.spec, field.sample(coords, level=level)
    page = tmp_path / "page.html"
    page.write_text(PAGE % bundle(ROOT / "nfcodec" / "view", ("nfcodec.js", "viewer/shader/sample.js", "viewer/shader/field.js")))
    (found,) = browse(page, [{"run": f"answer({json.dumps(jobs)})"}])
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
