"""TTHRESH: a Tucker decomposition whose core is coded by bit planes (Ballester-Ripoll et al. 2019). A program, LGPL.

It is only called, as the user's own `tthresh` on PATH. The one package on PyPI that has it, numcodecs-wasm-tthresh 0.3.2,
writes another layout and cannot decode what it makes of volumes of 128^3 and up at 26 dB and more.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import NfldError
from ...spec import Signal
from .base import Setting
from .volume import VolumePeer

__all__ = ["Tthresh"]

_PROGRAM = "tthresh"
_TARGETS_DB = range(20, 63, 6)
_ITS_PEAK_DB = 20 * np.log10(2)  # its PSNR has half of the value range as its peak
_TYPES = {"float32": "float", "float64": "double"}


class Tthresh(VolumePeer):
    """psnr: its target in dB with peak = value range. 3 or 4 axes, each as it is."""

    name = "TTHRESH"
    how = f"the program `{_PROGRAM}` on PATH, target PSNR with peak = value range"

    def missing(self) -> list[str]:
        return [] if shutil.which(_PROGRAM) else [_PROGRAM]

    def refuses(self, signal: Signal) -> str | None:
        if self.missing():  # said here, since no line for pip would cure it
            return f"needs the program `{_PROGRAM}` on PATH; no pip package has it: build github.com/rballester/tthresh"
        n_axes = len(signal.extent)
        return f"TTHRESH takes 3 or more axes, the source has {n_axes}" if n_axes < 3 else None

    def settings(self, signal: Signal) -> list[Setting]:
        return [{"psnr": float(target)} for target in _TARGETS_DB]

    def encode_channel(self, values: np.ndarray, span: float, **setting: Any) -> bytes:
        with tempfile.TemporaryDirectory(prefix="nfcodec-") as folder:
            source, coded = Path(folder, "source.raw"), Path(folder, "coded")
            values.tofile(source)
            sizes = [str(n) for n in reversed(values.shape)]  # the fastest axis first
            target = str(setting["psnr"] - _ITS_PEAK_DB)
            _call("-i", source, "-t", _TYPES[values.dtype.name], "-s", *sizes, "-p", target, "-c", coded)
            return coded.read_bytes()

    def decode_channel(self, data: bytes, extent: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        with tempfile.TemporaryDirectory(prefix="nfcodec-") as folder:
            coded, decoded = Path(folder, "coded"), Path(folder, "decoded.raw")
            coded.write_bytes(data)
            _call("-c", coded, "-o", decoded)
            return np.fromfile(decoded, dtype).reshape(extent)

    def version(self) -> str:
        """It tells none: the program's checksum stands for it."""
        program = shutil.which(_PROGRAM)
        return f"{_PROGRAM}, SHA-256 {hashlib.sha256(Path(program).read_bytes()).hexdigest()[:8]}" if program else _PROGRAM


def _call(*arguments: str | Path) -> None:
    done = subprocess.run([_PROGRAM, *map(str, arguments)], capture_output=True, text=True, errors="replace")
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines() or ["silent"]
        raise NfldError(f"{_PROGRAM}: got exit status {done.returncode} ({said[-1][:160]}), expected 0: is it sound?")
