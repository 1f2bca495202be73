"""Fields as programs: C and ONNX against the decoder, tables, what is refused, the command."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from field_cases import make_frozen, make_spec

import nfcodec
from nfcodec import codegen
from nfcodec.cli import main
from nfcodec.cli.export import LANGUAGES
from nfcodec.codegen.expressions import INT, Expr, name
from nfcodec.codegen.program import program_of
from nfcodec.codegen.tables import Table, lattice, narrow
from nfcodec.errors import MissingExtraError, UsageError
from nfcodec.pack import pack

GOLDEN = Path(__file__).parents[1] / "spec" / "golden"
NAMES = [path.stem for path in sorted(GOLDEN.glob("*.nfld")) if "mesh" not in path.stem.split("-")]
TOLERANCE = 2.0**-16  # of the largest value; that of spec/format.md is four times as much
CC = shutil.which("cc")

needs_cc = pytest.mark.skipif(CC is None, reason="needs cc, a C compiler")


def golden(label):
    return nfcodec.open(GOLDEN / f"{label}.nfld", allow_truncated=True)


def some_coords(field, n=200):
    return np.random.default_rng(0).uniform(-0.1, 1.1, (n, field.spec.n_dims)).astype(np.float32)


def assert_close(found, field, expected, factor=1.0):
    scale = max(np.abs(expected).max(), *map(abs, field.spec.value_scale))
    np.testing.assert_allclose(found, expected, rtol=0, atol=factor * scale * TOLERANCE)


def sparse_field():
    """A level of 16 bits, and one of 8 that is mostly empty."""
    spec = make_spec(extent=(64, 48), resolutions=((8, 6), (64, 48)), n_features=(2, 1), channels=1)
    frozen = make_frozen(spec, np.random.default_rng(0))
    frozen.levels[0]["latents"][0, 0, 0] = 1000
    frozen.levels[1]["latents"][:, 8:] = 0
    return nfcodec.open(pack(spec, frozen, {}))


# ---------------------------------------------------------------- C

MAIN = """
#include <stdio.h>
#include <stdlib.h>
%s
typedef void (*function)(const double *, float *);
static const struct { function sample, gradient; int dims, channels; } fields[] = { %s };
int main(int n, char **arguments) {
    const int k = atoi(arguments[1]);
    const function run = n > 2 ? fields[k].gradient : fields[k].sample;
    const int width = fields[k].channels * (n > 2 ? fields[k].dims : 1);
    double p[4]; float v[64];
    while (fread(p, sizeof(double), (size_t)fields[k].dims, stdin) == (size_t)fields[k].dims) {
        run(p, v);
        fwrite(v, sizeof(float), (size_t)width, stdout);
    }
    return 0;
}
"""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """The headers of all goldens, and of their coarsest levels, in one program."""
    folder, labels = tmp_path_factory.mktemp("c"), [(label, level) for label in NAMES for level in (None, 0)]
    for k, (label, level) in enumerate(labels):
        codegen.write(golden(label), folder / f"f{k}.h", level=level, name=f"f{k}")
    n = range(len(labels))
    rows = ", ".join(f"{{f{k}_sample, f{k}_gradient, F{k}_DIMS, F{k}_CHANNELS}}" for k in n)
    (folder / "main.c").write_text(MAIN % ("\n".join(f'#include "f{k}.h"' for k in n), rows))
    flags = ["-std=c99", "-pedantic", "-Wall", "-Wextra", "-Werror"]
    done = subprocess.run([CC, *flags, "-o", "main", "main.c", "-lm"], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:2000]

    def run(label, coords, level=None, *arguments):
        k = labels.index((label, level))
        command = [folder / "main", str(k), *arguments]
        done = subprocess.run(command, input=np.float64(coords).tobytes(), capture_output=True)
        return np.frombuffer(done.stdout, np.float32).reshape(len(coords), -1)

    return run


@needs_cc
@pytest.mark.parametrize("label", NAMES)
def test_c_agrees_with_the_decoder(label, compiled):
    field = golden(label)
    coords = some_coords(field)
    for level in (None, 0):
        assert_close(compiled(label, coords, level), field, field.sample(coords, level))


@needs_cc
@pytest.mark.parametrize("label", ["image-mitchell", "volume-1d", "sdf-dense"])
def test_slopes_in_c_are_differences(label, compiled):
    field = golden(label)
    coords, steps = some_coords(field).astype(np.float64), 0.25 / np.array(field.spec.extent)
    expected = [(field.sample(coords + h) - field.sample(coords - h)) / (2 * h.max()) for h in np.diag(steps)]
    found = compiled(label, coords, None, "slopes").reshape(len(coords), field.spec.channels, -1)
    assert_close(found, field, np.stack(expected, -1), factor=1 / (2 * steps.min()))


@needs_cc
def test_a_sparse_field_in_c(tmp_path):
    field = sparse_field()
    codegen.write(field, tmp_path / "f0.h", name="f0")
    (tmp_path / "main.c").write_text(MAIN % ('#include "f0.h"', "{f0_sample, f0_gradient, 2, 1}"))
    subprocess.run([CC, "-std=c99", "-o", "main", "main.c", "-lm"], cwd=tmp_path, check=True)
    coords = some_coords(field).astype(np.float64)
    done = subprocess.run([tmp_path / "main", "0"], input=coords.tobytes(), capture_output=True)
    assert_close(np.frombuffer(done.stdout, np.float32)[:, None], field, field.sample(coords))


# ---------------------------------------------------------------- ONNX


def run_onnx(runtime, model, coords):
    options = runtime.SessionOptions()
    options.intra_op_num_threads = 1
    session = runtime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return session.run(["values"], {"coords": coords})[0]


@pytest.mark.parametrize("label", [label for label in NAMES if "points" not in label])
def test_onnx_agrees_with_the_decoder(label):
    runtime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    field = golden(label)
    coords = some_coords(field)
    for level in (None, 0):
        model = codegen.generate(field, "onnx", level).text
        assert_close(run_onnx(runtime, model, coords), field, field.sample(coords, level))


def test_a_sparse_field_in_onnx():
    runtime = pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    field = sparse_field()
    for n in (1, 300):
        coords = some_coords(field, n)
        found = run_onnx(runtime, codegen.generate(field, "onnx").text, coords)
        assert_close(found, field, field.sample(coords))


def test_without_onnx_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    monkeypatch.delitem(__import__("sys").modules, "nfcodec.codegen.graph", raising=False)
    with pytest.raises(MissingExtraError, match=r"pip install \"nfcodec\[export\]\""):
        codegen.generate(golden("tiny"), "onnx")


# ---------------------------------------------------------------- tables


def evaluated(expr, vertex):
    """An expression of indices j0 .. by Python's own integers."""
    if not isinstance(expr, Expr):
        return expr
    if expr.op == "name":
        return vertex[int(expr.args[0][1:])]
    a, b = (arg if isinstance(arg, Table) else evaluated(arg, vertex) for arg in expr.args)
    if expr.op == "fetch":
        return int(a.integers[b])
    return {"add": a + b, "multiply": a * b, "floor_divide": a // b if b else 0, "remainder": a % b if b else 0}[expr.op]


@pytest.mark.parametrize("shape", [(17,), (13, 22), (9, 10, 11), (5, 6, 7, 4)])
@pytest.mark.parametrize("filled", [0.02, 1.0])
def test_tables_hold_every_vertex(shape, filled):
    rng = np.random.default_rng(1)
    integers = rng.integers(-300, 300, (*shape, 2)) * (rng.random((*shape, 1)) < filled)
    table, row = lattice("t", integers)
    found = row([name(f"j{k}", INT) for k in range(len(shape))])
    rows = table.integers.reshape(-1, 2)
    for vertex in np.ndindex(shape):
        np.testing.assert_array_equal(rows[evaluated(found, vertex)], integers[vertex])
    if filled == 1.0:
        assert table.integers.size == integers.size and not found.tables()


def test_what_repeats_is_held_once():
    level = program_of(sparse_field(), 2).levels[1]
    assert len(level.tables) == 2
    assert sum(table.integers.nbytes for table in level.tables) < 64 * 48 / 4


@pytest.mark.parametrize("low, high, dtype", [(-128, 127, "int8"), (-129, 0, "int16"), (0, 128, "int16"), (0, 1 << 15, "int32")])
def test_integers_are_as_wide_as_they_need(low, high, dtype):
    assert narrow(np.array([low, high])).dtype == dtype
    assert narrow(np.zeros(0, int)).dtype == "int8"


# ---------------------------------------------------------------- what is refused, files, the command


def test_what_cannot_be_exported():
    with pytest.raises(UsageError, match="got the encoding mesh, which cannot be exported"):
        codegen.generate(golden("sdf-mesh"), "c")
    spec = make_spec("image", (3000, 2000), ((3000, 2000),), "points", n_features=(1,))
    frozen = make_frozen(spec, np.random.default_rng(0))
    frozen.levels[0]["reach"][:] = 1
    with pytest.raises(UsageError, match="got a cloud of points over 6000000 cells"):
        codegen.generate(nfcodec.open(pack(spec, frozen)), "c")
    pytest.importorskip("onnx")
    with pytest.raises(UsageError, match="got a cloud of points"):
        codegen.generate(golden("image-points"), "onnx")
    with pytest.raises(UsageError, match="got a scene of several fields, expected one"):
        codegen.generate(nfcodec.open(GOLDEN / "scenes" / "scene-tree.nfld"), "c")
    for bad in ("", "1a", "a b", "a__b", "gl_x", "a" * 41, "a;b", "é"):
        with pytest.raises(UsageError, match="got the name"):
            codegen.generate(golden("tiny"), "c", name=bad)
    with pytest.raises(UsageError, match="got the language 'rust'"):
        codegen.generate(golden("tiny"), "rust")
    with pytest.raises(UsageError, match="choosing a level: got 2"):
        codegen.generate(golden("tiny"), "c", level=2)
    with pytest.raises(UsageError, match=r"got the suffix '.txt', expected one of .h .glsl .wgsl .onnx"):
        codegen.write(golden("tiny"), "tiny.txt")


def test_too_many_integers(monkeypatch):
    monkeypatch.setattr(codegen, "MAX_INTEGERS", 10)
    with pytest.raises(UsageError, match="integers, expected at most 10; choose a coarser level, or ONNX"):
        codegen.generate(golden("tiny"), "c")


def test_an_activation_that_is_no_formula_is_refused():
    with pytest.raises(TypeError):
        np.arctan2(name("v"), 1.0)
    with pytest.raises(UsageError, match="got ndarray in a formula"):
        np.multiply(name("v"), np.zeros(3))


def test_files_appear_together(tmp_path):
    field = sparse_field()
    assert codegen.write(field, tmp_path / "a.wgsl") == [tmp_path / "a.wgsl", tmp_path / "a.wgsl.bin"]
    assert len(codegen.generate(field, "wgsl").data) % 4 == 0
    (tmp_path / "b.wgsl.bin").write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        codegen.write(field, tmp_path / "b.wgsl")
    assert not (tmp_path / "b.wgsl").exists() and (tmp_path / "b.wgsl.bin").read_text() == "mine"
    codegen.write(field, tmp_path / "b.wgsl", overwrite=True)
    assert (tmp_path / "b.wgsl.bin").read_bytes() == (tmp_path / "a.wgsl.bin").read_bytes()


def test_the_command(tmp_path, capsys):
    assert LANGUAGES.keys() == codegen.LANGUAGES.keys()  # the command spells them out
    source, header, shader = GOLDEN / "image-rgb8.nfld", tmp_path / "a.h", tmp_path / "a.glsl"
    arguments = ["export", str(source), "--c", str(header), "--glsl", str(shader), "--level", "0", "--name", "cat"]
    assert main([*arguments, "--json"]) == 0
    out, err = capsys.readouterr()
    facts = json.loads(out)
    assert [(row["output"], row["output_bytes"]) for row in facts["outputs"]] == [
        (str(path), path.stat().st_size) for path in (header, shader)
    ]
    assert re.fullmatch(r"image-rgb8.nfld [\d.]+ KB -> a.h [\d.]+ KB, a.glsl [\d.]+ KB\n", err)
    assert "void cat_sample(vec2 p, out float values[3])" in shader.read_text()
    assert "level1" not in header.read_text()
    assert main(arguments) == 2
    assert main(["export", str(source)]) == 2
    assert "expected --c, --glsl, --wgsl, --onnx" in capsys.readouterr().err
