"""Makes the conformance suite in spec/conformance: small files, sound and broken ones, and what a decoder must answer.

    python tools/make_conformance.py [--out spec/conformance]

The files of `valid/` are what the goldens leave out. Expected samples come from `Field`, expected error codes from the case
that breaks the rule, and both are compared with what the decoder here answers before anything is written.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parent)]

import conformance_broken  # noqa: E402
import conformance_cases as cases  # noqa: E402
import make_goldens as goldens  # noqa: E402
import make_scenes as scenes  # noqa: E402
import scene_cases  # noqa: E402
from conformance_parts import chunk_ends  # noqa: E402

import nfcodec  # noqa: E402
from nfcodec.conformance.answer import answer  # noqa: E402

SUITE = Path(__file__).parents[1] / "spec" / "conformance"
MAX_BYTES = 8192


def tolerance(data: bytes, values: list) -> dict[str, float]:
    """Largest and root mean square difference that samples may have."""
    found = nfcodec.open(data, allow_truncated=True)
    if isinstance(found, nfcodec.Scene):
        return scenes.tolerance(data, values)
    size = max(np.abs(values).max(), *map(abs, found.spec.value_scale))
    return {"peak": float(2.0**-14 * size), "rms": float(2.0**-16 * size)}


def requests_of(name: str, data: bytes) -> list[dict[str, Any]]:
    """Points, among them corners and the centre, with all levels and with the coarsest; a coarser and a finer lattice."""
    spec = nfcodec.open(data).spec
    rng = np.random.default_rng(zlib.crc32(name.encode()) + 2)
    inner = np.round(rng.random((5, spec.n_dims)), 3)
    coords = np.concatenate([np.zeros((1, spec.n_dims)), np.full((1, spec.n_dims), 0.5), np.ones((1, spec.n_dims)), inner])
    coarse, fine = [max(1, n // 2) for n in spec.extent], [n + 1 for n in spec.extent]
    out: list[dict[str, Any]] = [{"coords": coords.tolist()}, {"coords": coords.tolist(), "level": 0}, {"shape": coarse}]
    return [*out, {"shape": fine}] if np.prod(fine) * spec.channels < 400 else out


def rounded(found: dict[str, Any]) -> dict[str, Any]:
    """An answer with floats as short as float32 allows, and without its message."""
    out = {key: value for key, value in found.items() if key != "message"}
    for key in ("values", "lattice", "distances"):
        if key in out:
            out[key] = [[float(str(np.float32(v))) for v in row] for row in out[key]]
    return out


def tests_of(folder: Path, name: str, data: bytes, requests: list[dict[str, Any]], code: str | None) -> list[dict[str, Any]]:
    """Writes a file and asks it; code: the error that must come, None for none."""
    if len(data) > MAX_BYTES:
        sys.exit(f"{folder.name}/{name}: got {len(data)} bytes, expected at most {MAX_BYTES}; make the case smaller")
    path = folder / f"{name}.nfld"
    path.write_bytes(data)
    tests = []
    for request in requests:
        found = rounded(answer({**request, "file": str(path)}))
        wanted = request.get("truncated") and code == "truncated"
        if found.get("error") != (None if wanted and ("levels" in found or "nodes" in found) else code):
            sys.exit(f"{folder.name}/{name}: got {found}, expected the error {code}")
        test = {"file": path.name, "request": request, "answer": found}
        values = found.get("values", found.get("lattice", found.get("distances")))
        tests.append({**test, "tolerance": tolerance(data, values)} if values else test)
    return tests


def valid(folder: Path) -> list[dict[str, Any]]:
    tests = []
    for case in cases.VALID:
        data = goldens.build(case)
        tests += tests_of(folder, case.name, data, requests_of(case.name, data), None)
    for name, data in cases.more_valid().items():
        tests += tests_of(folder, name, data, requests_of(name, data), None)
    for name, data in scene_cases.valid().items():
        tests += tests_of(folder, name, data, scenes.requests_of(data), None)
    return tests


def invalid(folder: Path) -> list[dict[str, Any]]:
    broken = conformance_broken.invalid() | scene_cases.invalid()
    return [test for name, (code, data) in broken.items() for test in tests_of(folder, name, data, [{}], code)]


def truncated(folder: Path) -> list[dict[str, Any]]:
    """Each file whole, and cut at each end of a chunk and beside it: an error, and where it is allowed the levels that are left."""
    tests = []
    for name, data in (cases.truncated() | scene_cases.truncated()).items():
        found = nfcodec.open(data)
        is_scene = isinstance(found, nfcodec.Scene)
        ask = {"points": [[0.5, 1.0, 2.0]]} if is_scene else {"coords": [[x] * found.spec.n_dims for x in (0.3, 0.9)]}
        for length in sorted({n for end in chunk_ends(data) for n in (end - 1, end, end + 1)} | {3, 20}):
            if length < len(data):
                part = data[:length]
                cut = f"{name}-{length}"
                tests += tests_of(folder, cut, part, [{}, {"truncated": True, **ask}], "truncated")
    return tests


def forward(folder: Path) -> list[dict[str, Any]]:
    tests = []
    for name, data in cases.accepted().items():
        tests += tests_of(folder, name, data, [{"coords": [[0.25, 0.75]]}], None)
    for name, (code, data) in cases.refused().items():
        tests += tests_of(folder, name, data, [{}], code)
    return tests


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=SUITE)
    options = parser.parse_args()
    for make in (valid, invalid, truncated, forward):
        folder = options.out / make.__name__
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        tests = make(folder)
        text = "[\n" + ",\n".join(json.dumps(test, allow_nan=False) for test in tests) + "\n]\n"
        (folder / "test.json").write_text(text, "utf-8")
        print(f"{folder.name}: {len(list(folder.glob('*.nfld')))} files, {len(tests)} tests")


if __name__ == "__main__":
    main()
