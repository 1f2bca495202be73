"""The kernels for GPUs: `gpu_cases.py` in a process of its own, since Triton decides when it is imported whether it interprets."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="fitting needs torch")
pytest.importorskip("numba", reason="the cases are those of the numba kernels")

CASES = Path(__file__).with_name("gpu_cases.py")
needs_triton = pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason='needs triton: pip install "nfcodec[gpu]", on Linux')


def run_cases(**environment):
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", str(CASES)]
    done = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1", **environment}, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@needs_triton
def test_they_equal_torch_as_triton_interprets_them():
    run_cases(TRITON_INTERPRET="1")


@needs_triton
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_they_equal_torch_on_a_gpu():
    run_cases(TRITON_INTERPRET="0")
