"""What `encode` refuses before any work, and how it says what became of a target."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

import nfcodec
from nfcodec import io
from nfcodec.errors import UsageError
from nfcodec.fit.goals import pick_goal
from nfcodec.measure import Report

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize(
    "output, words", [("missing/a.nfld", "does not exist"), ("folder", "folder"), ("there.nfld", "--overwrite")]
)
def test_outputs_are_refused_before_the_source_is_read(tmp_path, monkeypatch, output, words):
    (tmp_path / "folder").mkdir()
    (tmp_path / "there.nfld").write_bytes(b"mine")
    monkeypatch.setattr(io, "read", lambda *_, **__: pytest.fail("the source was read"))
    with pytest.raises(UsageError, match=words):
        nfcodec.encode(tmp_path / "source.png", tmp_path / output)
    assert (tmp_path / "there.nfld").read_bytes() == b"mine"
    assert sorted(os.listdir(tmp_path)) == ["folder", "there.nfld"]


BLOCKED = """
import sys
import numpy as np
import nfcodec
for name in sys.argv[1:]:
    sys.modules[name] = None  # its import fails as if it were not installed
try:
    nfcodec.encode(np.zeros((4, 4), np.uint8), kind="image")
except Exception as error:
    print(type(error).__name__, error)
"""


def test_a_missing_torch_is_named_with_its_cure():
    assert blocked("torch") == (
        "MissingExtraError encoding needs the package 'torch', which is not installed: "
        'run pip install "nfcodec[encode]"'
    )


def test_another_missing_module_is_not_taken_for_torch():
    pytest.importorskip("torch", reason="encoding needs torch")
    assert blocked("nfcodec.fit.train").startswith("ModuleNotFoundError")


def blocked(*names):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run([sys.executable, "-c", BLOCKED, *names], capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@dataclass
class Trial:
    data: bytes
    report: Report


@pytest.mark.parametrize(
    "target, text, reached",
    [
        ({"psnr": 40}, "psnr 40 dB", "39.998 dB"),
        ({"size": 1234567}, "size 1234567 bytes", "1300000 bytes"),
        ({"bpp": 0.5}, "bpp 0.5 bits a sample", "1.04 bits a sample"),
        ({"max_error": 1e-4}, "max error 0.0001", "0.00025"),
    ],
)
def test_goals_in_words(target, text, reached):
    goal = pick_goal(**{**dict.fromkeys(("quality", "psnr", "max_error", "size", "bpp")), **target})
    trial = Trial(bytes(1_300_000), Report(39.998, 2.5e-4, 1e-5))
    assert goal.text == text and goal.reached(trial, 10_000_000) == reached
    assert not goal.met(trial, 10_000_000)


@pytest.mark.parametrize("target", [{"psnr": 200.0}, {"max_error": 1e-9}, {"bpp": 1e-3}])
def test_a_missed_target_says_what_was_reached(target):
    pytest.importorskip("torch", reason="encoding needs torch")
    noise = np.random.default_rng(0).integers(0, 256, (8, 8), dtype=np.uint8)
    encoded = nfcodec.encode(noise, kind="image", effort=1, time_limit=1e-3, **target)
    (name, value), = target.items()
    found = {"psnr": encoded.report.psnr_db, "max_error": encoded.report.max_error, "bpp": encoded.bpp}[name]
    assert not encoded.met and encoded.target.startswith(name.replace("_", " "))
    assert float(encoded.reached.split()[0]) == pytest.approx(found, rel=1e-5)
