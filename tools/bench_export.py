"""Fields as programs: bytes of each language and how far its values are from the decoder's; rows are appended to a TSV.

    python tools/bench_export.py FIELD.nfld ... [--n 200000] [-o results/export.tsv]

C is compiled with `cc -O2` and evaluated at the source's own samples, evenly spread ones where there are more than n; the
others at random coordinates: ONNX by onnxruntime, GLSL and WGSL by whatever drivers are here, in software too.

bytes: of the text or model; data_bytes: of what lies beside it; zstd_bytes: of both, compressed. off: the largest difference
from `Field.sample`, relative to the largest value; differ: of a lattice of integers the share of samples that round otherwise.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import zstandard
from bench import ROOT, Table

import nfcodec
from nfcodec import codegen
from nfcodec.casting import converted
from nfcodec.field import Field

COLUMNS = "field file_bytes language bytes data_bytes zstd_bytes n off differ write_s compile_s per_second"
MAIN = """
#include <stdio.h>
#include "nfld.h"
int main(void) {
    double p[NFLD_DIMS]; float v[NFLD_CHANNELS];
    while (fread(p, sizeof p, 1, stdin) == 1) { nfld_sample(p, v); fwrite(v, sizeof v, 1, stdout); }
    return 0;
}
"""


def own_samples(field: Field, n: int) -> np.ndarray:
    """Coordinates of the source's samples, at most about n of them."""
    step = max(1, math.prod(field.spec.extent) // n)
    chosen = np.unravel_index(np.arange(0, math.prod(field.spec.extent), step), field.spec.extent)
    return np.stack([(i + 0.5) / size for i, size in zip(chosen, field.spec.extent)], 1)


def by_c(text: bytes, coords: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Values, seconds to compile, seconds to run."""
    with tempfile.TemporaryDirectory() as folder:
        here = Path(folder)
        (here / "nfld.h").write_bytes(text)
        (here / "main.c").write_text(MAIN)
        start = time.perf_counter()
        subprocess.run(["cc", "-std=c99", "-O2", "-o", "main", "main.c", "-lm"], cwd=here, check=True)
        middle = time.perf_counter()
        done = subprocess.run([here / "main"], input=coords.tobytes(), capture_output=True, check=True)
        return np.frombuffer(done.stdout, np.float32), middle - start, time.perf_counter() - middle


def by_onnx(text: bytes, coords: np.ndarray) -> np.ndarray:
    import onnxruntime

    session = onnxruntime.InferenceSession(text, providers=["CPUExecutionProvider"])
    parts = [session.run(None, {"coords": coords[k : k + 4096]})[0] for k in range(0, len(coords), 4096)]
    return np.concatenate(parts)


def by_shader(language: str, field: Field, coords: np.ndarray) -> np.ndarray:
    """The first four channels at some of the coordinates."""
    sys.path.insert(0, str(ROOT / "tests"))
    from shader_runs import run_glsl, run_wgsl

    if language == "glsl":
        import moderngl

        found = run_glsl(moderngl.create_standalone_context(backend="egl"), field, coords)
    else:
        import wgpu

        found = run_wgsl(wgpu.gpu.request_adapter_sync().request_device_sync(), field, coords)
    return found[:, : field.spec.channels]


def measure(table: Table, path: Path, language: str, n: int) -> None:
    """A row."""
    field = nfcodec.open(path)
    start = time.perf_counter()
    code = codegen.generate(field, language)
    seconds, compile_s, per_second, differ = time.perf_counter() - start, None, None, None
    if language == "c":
        coords = own_samples(field, n)
        found, compile_s, run_s = by_c(code.text, coords)
        per_second = len(coords) / run_s
    else:
        some = min(n, 10000 if language == "onnx" else 4096)
        coords = np.random.default_rng(0).random((some, field.spec.n_dims)).astype(np.float32)
        found = by_onnx(code.text, coords) if language == "onnx" else by_shader(language, field, coords)
    expected = field.sample(coords)
    found = found.reshape(len(coords), -1)
    channels = found.shape[1]
    off = float(np.abs(found - expected[:, :channels]).max() / np.abs(expected).max())
    dtype = np.dtype(field.spec.dtype)
    if language == "c" and dtype.kind in "iu":
        differ = float((converted(found, dtype) != converted(expected, dtype)).mean())
    packed = len(zstandard.compress(code.text + code.data, 19))
    table.add(
        path.name, path.stat().st_size, language, len(code.text), len(code.data), packed, len(coords), off, differ, seconds,
        compile_s, per_second,
    )  # fmt: skip


def main() -> None:
    """Parses the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("fields", nargs="+", type=Path)
    parser.add_argument("--n", type=int, default=200000)
    parser.add_argument("--languages", default=",".join(codegen.LANGUAGES))
    parser.add_argument("-o", "--output", type=Path, default=ROOT / "results" / "export.tsv")
    args = parser.parse_args()
    table = Table(args.output, COLUMNS.split())
    for path in args.fields:
        for language in args.languages.split(","):
            measure(table, path, language, args.n)


if __name__ == "__main__":
    main()
