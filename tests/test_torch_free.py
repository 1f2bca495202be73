"""Decoding needs numpy and zstandard: no torch, in this environment and in one that has nothing else."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[1]
GOLDEN = ROOT / "spec" / "golden"

DECODE_ALL = """
import json, sys
import nfcodec
found = [nfcodec.open(path) for path in sys.argv[1:]]
for scene in found:
    if isinstance(scene, nfcodec.Scene):
        scene.raycast([[9.0, 9.0, 9.0]], [[-1.0, -1.0, -1.0]])
        scene.distance([[0.0, 0.0, 0.0]])
for field in [field for one in found for field in getattr(one, "fields", [one])]:
    values = field.decode(resolution=24)
    field.info()
    if field.residual is not None:
        field.decode()
    if field.is_surface:
        # fields of random numbers, whose surfaces may lie at the sides of the box alone
        values = values[..., 0]
        field.to_mesh(24, iso=float(values.min() + values.max()) / 2, method="marching-cubes")
    field.gradient([[0.5] * field.spec.n_dims])
heavy = ["torch", "numba", "trimesh", "PIL", "igl", "scipy", "h5py", "skimage"]
print(json.dumps([name for name in heavy if name in sys.modules]))
"""


def python(*args, executable=sys.executable, **environment):
    result = subprocess.run(
        [executable, *map(str, args)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def encoded(tmp_path_factory):
    """A small picture's file and its decoded pixels."""
    pytest.importorskip("torch", reason="encoding needs torch")
    import nfcodec

    path = tmp_path_factory.mktemp("encoded") / "picture.nfld"
    y, x = np.mgrid[0:20, 0:30]
    picture = np.stack([8 * x, 12 * y, 4 * (x + y)], -1).astype(np.uint8)
    nfcodec.encode(picture, path, kind="image", effort=1)
    return path


def test_golden_files_decode_without_torch():
    files = sorted(GOLDEN.rglob("*.nfld"))
    if not files:
        pytest.skip("there are no golden files in spec/golden")
    loaded = json.loads(python("-c", DECODE_ALL, *files, NFCODEC_KERNELS="numpy"))
    assert loaded == []


def test_a_fresh_file_decodes_without_torch(encoded):
    assert json.loads(python("-c", DECODE_ALL, encoded, NFCODEC_KERNELS="numpy")) == []


def test_the_commands_that_decode_do_not_import_torch(encoded, tmp_path):
    script = """
import sys
from nfcodec.cli import main
file, out = sys.argv[1:]
codes = [main(args) for args in (["info", file], ["verify", file], ["decode", file, "-o", out, "--quiet"])]
print(codes, "torch" in sys.modules)
"""
    assert python("-c", script, encoded, tmp_path / "out.npy").splitlines()[-1] == "[0, 0, 0] False"


@pytest.mark.slow
def test_the_base_install_is_enough(encoded, tmp_path):
    """A virtual environment with numpy, zstandard and click only."""
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    executable = venv / ("Scripts" if os.name == "nt" else "bin") / "python"
    tree = tmp_path / "tree"
    tree.mkdir()
    for name in ("nfcodec", "pyproject.toml", "README.md", "LICENSE"):  # a copy: pip builds inside the tree
        subprocess.run(["cp", "-r", ROOT / name, tree], check=True)
    installed = subprocess.run(
        [executable, "-m", "pip", "install", "--quiet", "--retries", "1", tree], capture_output=True, text=True
    )
    if installed.returncode != 0:
        pytest.skip(f"pip cannot install here: {installed.stderr.strip().splitlines()[-1]}")

    def run(*args, code=0):
        result = subprocess.run(
            [executable, *map(str, args)], capture_output=True, text=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": ""}
        )
        assert result.returncode == code, result.stderr
        return result.stdout + result.stderr

    packages = json.loads(run("-m", "pip", "list", "--format", "json"))
    assert {p["name"] for p in packages} <= {"nfcodec", "numpy", "zstandard", "click", "pip", "setuptools"}
    run("-c", DECODE_ALL, encoded, *sorted(GOLDEN.rglob("*.nfld")))
    assert "sound" in run("-m", "nfcodec", "verify", encoded)
    run("-m", "nfcodec", "decode", encoded, "-o", "out.npy", "--scale", "2")
    assert np.load(tmp_path / "out.npy").shape == (40, 60, 3)
    run("-m", "nfcodec", "doctor")
    # what is missing is named, with the line that brings it
    assert 'pip install "nfcodec[encode]"' in run("-m", "nfcodec", "encode", "out.npy", code=4)
    assert 'pip install "nfcodec[encode]"' in run("-m", "nfcodec", "decode", encoded, "-o", "out.png", code=4)
