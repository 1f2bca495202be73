"""The kernels for GPUs, in processes of their own, since Triton decides when it is imported whether it interprets or compiles.

`gpu_cases.py` compares them with torch, `gpu_compile.py` compiles them.
"""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch", reason="fitting needs torch")
pytest.importorskip("numba", reason="the cases are those of the numba kernels")

from nfcodec.errors import UsageError  # noqa: E402
from nfcodec.fit import fused, gpu  # noqa: E402
from nfcodec.kernels import use_triton  # noqa: E402

TESTS = Path(__file__).parent
HAS_TRITON = importlib.util.find_spec("triton") is not None
needs_triton = pytest.mark.skipif(not HAS_TRITON, reason='needs triton, on Linux: pip install "nfcodec[gpu]"')
CASES = ("-m", "pytest", "-q", "-p", "no:cacheprovider", str(TESTS / "gpu_cases.py"))


def python(*arguments, **environment):
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NFCODEC_KERNELS": "", **environment}
    done = subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@needs_triton
def test_they_equal_torch_as_triton_interprets_them():
    assert " passed" in python(*CASES, TRITON_INTERPRET="1")


@needs_triton
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_they_equal_torch_on_a_gpu():
    assert " passed" in python(*CASES, TRITON_INTERPRET="0")


@needs_triton
def test_they_compile_for_a_gpu(tmp_path):
    done = python(str(TESTS / "gpu_compile.py"), TRITON_INTERPRET="0", TRITON_CACHE_DIR=str(tmp_path))
    parts = [*["synthesis"] * 2, *["rate"] * 2, *["points"] * 2, *["interpolation"] * 2, *["rounding"] * 4, *["pyramid"] * 4, *["tables"] * 2, "optimizer"]
    assert [line.split()[0].split(".")[-1] for line in done.splitlines()] == parts
    assert done.count("tensor cores") == 7


def test_who_uses_them(monkeypatch):
    assert not gpu.is_available(torch.zeros(4))
    assert use_triton() == HAS_TRITON
    monkeypatch.setenv("NFCODEC_KERNELS", "numpy")
    assert not use_triton()
    monkeypatch.setenv("NFCODEC_KERNELS", "fast")
    with pytest.raises(UsageError, match="NFCODEC_KERNELS=fast"):
        use_triton()
    # the tensors of a GPU that numba does not take
    monkeypatch.setattr(gpu, "is_available", lambda x: True)
    assert fused.is_available(torch.zeros(4, dtype=torch.float64))


@needs_triton
@pytest.mark.skipif(torch.cuda.is_available(), reason="here it works")
def test_a_gpu_on_which_they_fail_is_left_to_torch(monkeypatch):
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (9, 0))
    with pytest.warns(UserWarning, match="Triton's kernels fail .*torch is used instead"):
        assert not gpu._works.__wrapped__(0)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 5))
    assert not gpu._works.__wrapped__(0)
