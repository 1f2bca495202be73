"""`nfcodec doctor`: what this installation can do, tried out rather than guessed."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import tempfile
import time
from pathlib import Path
from typing import Any

import click

from .. import __version__
from . import console

# the name that pip knows; what each extra brings is in pyproject.toml, a test compares them
BASE = ("numpy", "zstandard", "click")
EXTRAS = {
    "encode": (
        "torch",
        "pillow",
        "trimesh",
        "h5py",
        "libigl",
        "scipy",
        "scikit-image",
        "tifffile",
        "imagecodecs",
        "pynrrd",
        "nibabel",
    ),
    "texture": ("xatlas",),
    "video": ("av",),
    "fast": ("numba",),
    "gpu": ("triton",),
    "export": ("onnx",),
    "compare": ("DracoPy", "fast-simplification", "meshopt", "matplotlib", "platformdirs"),
}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout.")
def doctor(as_json: bool) -> int:
    """Report versions, extras, devices and kernels, and try a tiny round trip."""
    facts = {
        "nfcodec": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "location": str(Path(__file__).resolve().parents[1]),
        "n_cpus": _n_cpus(),
        "packages": {name: _version(name) for name in (*BASE, *(p for extra in EXTRAS.values() for p in extra))},
        "extras": {extra: [p for p in packages if _version(p) is None] for extra, packages in EXTRAS.items()},
        "torch": _torch(),
        "kernels": _kernels(),
        "round_trip": _round_trip(),
    }
    if as_json:
        console.print_json(facts)
        return 0
    for line in describe(facts):
        click.echo(line)
    return 0


def describe(facts: dict[str, Any]) -> list[str]:
    """The facts as lines of text."""
    lines = [
        f"nfcodec    {facts['nfcodec']} in {facts['location']}",
        f"python     {facts['python']}, {facts['platform']}, {facts['n_cpus']} CPUs",
    ]
    for name, version in facts["packages"].items():
        lines.append(f"{'package':<10} {name} {version or 'is not installed'}")
    for extra, missing in facts["extras"].items():
        cure = f'without {", ".join(missing)}: pip install "nfcodec[{extra}]"'
        lines.append(f"{'extra':<10} {extra}: {'complete' if not missing else cure}")
    return lines + [f"{name:<10} {facts[name]}" for name in ("torch", "kernels", "round_trip")]


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _n_cpus() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _torch() -> str:
    if _version("torch") is None:
        return "not installed: decoding works, encoding does not"
    try:
        import torch

        n_devices = torch.cuda.device_count() if torch.cuda.is_available() else 0
        devices = [torch.cuda.get_device_name(i) for i in range(n_devices)]
        return f"{torch.get_num_threads()} threads, {'CUDA: ' + ', '.join(devices) if devices else 'no CUDA'}"
    except Exception as error:
        return _failed(error)


def _kernels() -> str:
    """Which kernels are in use, how long the first and a later call take, and where compiled ones are kept."""
    try:
        from ..kernels import SMALL_WORK, use_native, use_numba

        opened = f"; files are opened by {'compiled code' if use_native() else 'the same'}"
        if not use_numba(SMALL_WORK):
            return f"numpy, {_time_coder(SMALL_WORK):.2f} s for {SMALL_WORK} symbols{opened}"
        first, again = _time_coder(SMALL_WORK), _time_coder(SMALL_WORK)
        from ..kernels import entropy

        cache = next(f.stats.cache_path for f in vars(entropy).values() if hasattr(f, "stats"))
        return f"numba, first call {first:.2f} s, then {again:.3f} s for {SMALL_WORK} symbols, cache in {cache}{opened}"
    except Exception as error:
        return _failed(error)


def _time_coder(n_symbols: int) -> float:
    """Seconds to encode and decode small integers."""
    import numpy as np

    from ..entropy import LaplaceDecoder, encode_laplace

    values = np.arange(n_symbols) % 7 - 3
    start = time.perf_counter()
    decoder = LaplaceDecoder(encode_laplace(values, 0, 8))
    decoder.take(np.zeros(n_symbols, np.int64), np.full(n_symbols, 8))
    decoder.finish()
    return time.perf_counter() - start


def _round_trip() -> str:
    """Encodes and decodes a picture of 24 x 32 pixels."""
    try:
        import numpy as np

        import nfcodec

        y, x = np.mgrid[0:24, 0:32]
        picture = np.stack([8 * x, 10 * y, 4 * (x + y)], -1).astype(np.uint8)
        start = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "picture.nfld")
            encoded = nfcodec.encode(picture, path, kind="image", effort=1)
            shape = nfcodec.open(path).decode(scale=2).shape
        seconds = time.perf_counter() - start
        quality = f"{len(encoded.data)} B at {encoded.report.psnr_db:.1f} dB"
        return f"ok: {quality}, decoded to {shape[1]}x{shape[0]}, {seconds:.1f} s"
    except Exception as error:
        return _failed(error)


def _failed(error: Exception) -> str:
    return f"failed: {console.explain(error)[0]}"
