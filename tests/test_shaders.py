"""Exported shaders against the decoder: GLSL and WGSL, compiled and run where there is a driver, in software too."""

import os
import shutil
import subprocess

import numpy as np
import pytest
from shader_runs import fragment_shader, run_glsl, run_wgsl
from test_codegen import NAMES, assert_close, golden, some_coords, sparse_field

from nfcodec.codegen.emit import emit
from nfcodec.codegen.glsl import GLSL, texture_size
from nfcodec.codegen.program import program_of

VALIDATOR = shutil.which("glslangValidator")

# the encodings, kernels, boundaries and transforms whose formulas differ most; C and ONNX are held against all
RUN = [
    "act-tanh", "image-all-empty", "image-codebook", "image-hash", "image-knee", "image-points", "image-random-fourier", "image-surrounded", "sdf-parts",
    "volume-4d", "volume-cp-4d", "volume-points", "volume-reflect", "volume-spherical-harmonics",
]  # fmt: skip


def of_all_widths():
    """Fields with integers of all widths."""
    return [sparse_field(), golden("image-large"), golden("volume-lossless-wide")]


@pytest.fixture(scope="module")
def context():
    moderngl = pytest.importorskip("moderngl", reason="needs moderngl")
    try:
        return moderngl.create_standalone_context(backend="egl")
    except Exception as error:
        pytest.skip(f"no OpenGL here: {error}")


@pytest.fixture(scope="module")
def device():
    os.environ.setdefault("XDG_RUNTIME_DIR", "/tmp")  # which some drivers ask for
    wgpu = pytest.importorskip("wgpu", reason="needs wgpu")
    try:
        return wgpu.gpu.request_adapter_sync().request_device_sync()
    except Exception as error:
        pytest.skip(f"no WebGPU here: {error}")


def agree(run, where, field):
    coords = some_coords(field)
    found, expected = run(where, field, coords), field.sample(coords)
    channels = min(4, field.spec.channels)
    assert_close(found[:, :channels], field, expected[:, :channels])
    assert not found[:, channels:].any()


@pytest.mark.parametrize("label", RUN)
def test_glsl_agrees_with_the_decoder(label, context):
    agree(run_glsl, context, golden(label))


@pytest.mark.parametrize("label", RUN)
def test_wgsl_agrees_with_the_decoder(label, device):
    agree(run_wgsl, device, golden(label))


def test_data_of_all_widths_beside_glsl(context, monkeypatch):
    monkeypatch.setattr("nfcodec.codegen.glsl._WRITTEN", 0)  # nothing in the text
    bits = set()
    for field in of_all_widths():
        shader = GLSL("nfld")
        emit(program_of(field, field.n_levels), shader)
        bits |= set(shader.bits)
        agree(run_glsl, context, field)
    assert bits == {8, 16, 32}


@pytest.mark.parametrize("label", ["image-rgb8", "volume-identity", "image-no-hidden"])
def test_networks_that_are_too_large_to_write_out(label, context, device, monkeypatch):
    monkeypatch.setattr("nfcodec.codegen.shader.Shader.most_unrolled", 0)
    agree(run_glsl, context, golden(label))
    agree(run_wgsl, device, golden(label))


def test_data_of_all_widths_beside_wgsl(device):
    bits = set()
    for field in of_all_widths():
        bits |= {8 * table.integers.itemsize for table in program_of(field, field.n_levels).lattices}
        agree(run_wgsl, device, field)
    assert bits == {8, 16, 32}


@pytest.mark.skipif(VALIDATOR is None, reason="needs glslangValidator")
def test_glsl_is_valid(tmp_path):
    paths = []
    for label in NAMES:
        paths.append(tmp_path / f"{label}.frag")
        paths[-1].write_text(fragment_shader(golden(label)))
    done = subprocess.run([VALIDATOR, *map(str, paths)], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-2000:]


@pytest.mark.parametrize("n, size", [(1, (2048, 1)), (2049, (2048, 2)), (1 << 22, (2048, 2048)), ((1 << 22) + 1, (4096, 1025))])
def test_the_size_of_a_texture(n, size):
    assert texture_size(n) == size
    assert np.prod(size) >= n
