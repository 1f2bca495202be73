"""The decoder in JavaScript agrees with the one in Python: on the suite, on files cut off, and on thousands that are broken."""

import contextlib
import hashlib
import io
import json
import math
import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from mutations import CHUNKS, FILES, head_of, mutate_bytes, mutate_chunks, repaired

import nfcodec
from nfcodec import container, decode
from nfcodec.binary import Reader, Writer
from nfcodec.conformance import suite
from nfcodec.conformance.answer import answer
from nfcodec.container import GRID, RANS, RAW, SCNE, Chunk
from nfcodec.errors import NfldError, UsageError

ROOT = Path(__file__).parents[1]
VIEW = ROOT / "nfcodec" / "view"
NODE = shutil.which("node")
COMMAND = [str(NODE), str(VIEW / "nfld-decode.mjs")]

EACH = int(os.environ.get("NFCODEC_MUTANTS", 24))  # broken files of each golden; more of them find rarer rules

pytestmark = pytest.mark.skipif(NODE is None, reason="needs node, to run the decoder in JavaScript")


def node(*arguments, **options):
    done = subprocess.run([NODE, *map(str, arguments)], capture_output=True, text=True, encoding="utf-8", **options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_conformance_suite():
    tests = list(suite.tests_in(ROOT / "spec" / "conformance"))
    results = list(suite.run(COMMAND, tests))
    assert len(results) == len(tests) > 600
    assert [f"{test.name}: {problem}" for test, problem in results if problem] == []


def test_what_others_wrote_is_as_they_wrote_it():
    text = (VIEW / "vendor" / "README.md").read_text("utf-8")
    assert re.search(r"SHA-256: `(\w+)`", text)[1] == hashlib.sha256((VIEW / "vendor" / "fzstd.js").read_bytes()).hexdigest()
    assert "MIT" in (VIEW / "vendor" / "LICENSE").read_text("utf-8")


def mutants(rng, each):
    """(bytes, whether they may be cut off): mostly chunks with right checksums, then tables, then bytes anywhere."""
    for name in FILES:
        for _ in range(each):
            kind = rng.integers(0, 10)
            with contextlib.suppress(UsageError):  # what the writer refuses
                if kind < 7:
                    chunks = CHUNKS[name]
                    for _ in range(1 + int(kind < 2)):
                        chunks = mutate_chunks(chunks, rng)
                    data = container.write(chunks)
                elif kind < 9:
                    head, payload = head_of(name)
                    data = repaired(mutate_bytes(head, rng), payload)
                else:
                    data = mutate_bytes(FILES[name], rng)
                yield data, bool(rng.integers(0, 2))


def is_small(data, is_cut, monkeypatch):
    """Whether nothing in a broken file is so large that decoding it takes long; its axes if it opens, else 0."""
    with monkeypatch.context() as patch:
        patch.setattr(decode, "MAX_GRID_INTEGERS", 1 << 12)
        try:
            field = nfcodec.open(data, allow_truncated=is_cut)
        except NfldError as error:
            return getattr(error, "code", "") != "limit-grid-integers", 0
    return field.residual is None or math.prod(field.spec.extent) < 1 << 12, field.spec.n_dims


@pytest.mark.slow
def test_broken_files_get_the_same_answer(tmp_path, monkeypatch):
    rng = np.random.default_rng(20)
    requests = []
    for n, (data, is_cut) in enumerate(mutants(rng, EACH)):
        small, n_dims = is_small(data, is_cut, monkeypatch)
        if small:
            path = tmp_path / f"{n}.nfld"
            path.write_bytes(data)
            coords = np.round(rng.random((3 * bool(n_dims), max(n_dims, 1))), 3).tolist()
            requests.append({"file": str(path), "truncated": is_cut, **({"coords": coords} if coords else {})})
    found = subprocess.run(
        COMMAND, input="".join(json.dumps(r) + "\n" for r in requests), capture_output=True, text=True, encoding="utf-8"
    ).stdout.splitlines()
    assert len(found) == len(requests) > 2000
    different, codes = [], set()
    for request, line in zip(requests, map(json.loads, found)):
        with np.errstate(all="ignore"):
            right = answer(request)
        assert "failure" not in line, line
        codes.add(right.get("error"))
        if line.get("error") != right.get("error"):
            different.append((right.get("error"), line.get("error"), request["file"]))
        elif "levels" in right:
            same = ("levels", "complete", "residual", "decoded")
            different += [(key, request["file"]) for key in same if line.get(key) != right.get(key)]
    assert different == [] and len(codes) > 40


def test_broken_scenes_get_the_same_answer(tmp_path, monkeypatch):
    """Their chunks, nodes and parts changed, cut off or not."""
    rng = np.random.default_rng(21)
    requests = []
    for path in sorted((ROOT / "spec" / "golden" / "scenes").glob("*.nfld")):
        chunks = list(container.read(path.read_bytes()).chunks)
        for n in range(4 * EACH):
            changed = [chunks[0], *mutate_chunks(chunks[1:], rng)] if n % 2 else mutate_chunks(chunks, rng)
            if n % 4 == 0:
                changed[0] = Chunk(SCNE, 0, RAW, mutate_bytes(chunks[0].data, rng))
            with contextlib.suppress(UsageError):
                data = container.write(changed)
                data, is_cut = (data[: rng.integers(1, len(data))], True) if n % 5 == 0 else (data, bool(n % 3))
                with monkeypatch.context() as patch:
                    patch.setattr(decode, "MAX_GRID_INTEGERS", 1 << 13)
                    code = answer({"file": io.BytesIO(data), "truncated": is_cut}).get("error")
                if code != "limit-grid-integers":
                    (tmp_path / f"{len(requests)}.nfld").write_bytes(data)
                    requests.append({"file": str(tmp_path / f"{len(requests)}.nfld"), "truncated": is_cut})
    lines = "".join(json.dumps(r) + "\n" for r in requests)
    found = subprocess.run(COMMAND, input=lines, capture_output=True, text=True, encoding="utf-8").stdout.splitlines()
    different, codes = [], set()
    for request, line in zip(requests, map(json.loads, found), strict=True):
        right = answer(request)
        codes.add(right.get("error"))
        keys = ("error", "nodes", "fields", "levels", "complete")
        different += [(request["file"], key, right.get(key), line.get(key)) for key in keys if line.get(key) != right.get(key)]
    assert different == [] and len(codes) > 12


def test_levels_by_ranges(tmp_path):
    """One GRID chunk a level, so that there is something to see before the end."""
    chunks = []
    for chunk in CHUNKS["image-lossless"]:
        reader = Reader(chunk.data)
        for level in range(chunk.key + 1) if chunk.type == GRID else ():
            chunks.append(Chunk(GRID, level, RANS, Writer().varint(n := reader.varint()).bytes(reader.bytes(n)).getvalue()))
        chunks += [chunk] if chunk.type != GRID else []
    path = tmp_path / "split.nfld"
    path.write_bytes(container.write(chunks))
    found = json.loads(node(ROOT / "tests" / "view_remote.mjs", path))
    assert found["levels"] == [1, 2, 3, 3] and found["missing"] == [3, 2, 1, 0]
    assert all(found["same"]) and found["plain"] and found["ascending"]
    assert found["seen"] == [1, 2, 3] and found["cut"] == "truncated"
    assert found["held"] == [1, 2, 3] and found["alike"]


def test_the_example_of_the_readme(tmp_path):
    code = re.search(r"```js\n(.*?)```", (VIEW / "README.md").read_text("utf-8"), re.S)[1]
    golden = ROOT / "spec" / "golden" / "image-rgb8.nfld"
    script = tmp_path / "readme.mjs"
    script.write_text(
        f'import {{ readFileSync }} from "node:fs";\nconst file = {{ arrayBuffer: async () => readFileSync({json.dumps(str(golden))}) }};\n'
        + code.replace('"nfcodec"', json.dumps((VIEW / "nfcodec.js").as_uri()))
        + "console.log(JSON.stringify([field.spec.kind, field.decode().shape, field.decode({ scale: 0.25 }).shape]));\n"
    )
    assert json.loads(node(script)) == ["image", [24, 32], [6, 8]]


def test_a_lattice_that_is_not_the_whole(tmp_path):
    """Regions, with and without a residual, as the decoder in Python gives them."""
    for name in ("image-lossless", "volume-lossless-mitchell", "image-rgba", "sdf-colours", "volume-reflect"):
        path = ROOT / "spec" / "golden" / f"{name}.nfld"
        field = nfcodec.open(path)
        extent = field.spec.extent
        regions = [[[2 / n, (n - 1) / n] for n in extent], [[0.1, 0.61] for _ in extent]]
        code = f"""import {{ readFileSync }} from "node:fs"; import {{ openField }} from {json.dumps((VIEW / "nfcodec.js").as_uri())};
        const field = openField(readFileSync({json.dumps(str(path))}));
        console.log(JSON.stringify({json.dumps(regions)}.map((region) => {{ const r = field.decode({{ region }});
          return {{ shape: r.shape, data: Array.from(r.data), exact: r.exact }}; }})));"""
        script = tmp_path / "region.mjs"
        script.write_text(code)
        aligned, free = json.loads(node(script))
        assert aligned["exact"] == (field.residual is not None) and not free["exact"]
        for region, found in zip(regions, (aligned, free)):
            right = field.decode(region=[tuple(part) for part in region])
            assert found["shape"] == list(right.shape[: len(extent)])
            atol = 0 if found["exact"] else 1 if right.dtype.kind in "ui" else 1e-4
            np.testing.assert_allclose(np.reshape(found["data"], right.shape).astype(float), right.astype(float), rtol=0, atol=atol)


@pytest.mark.skipif(shutil.which("npm") is None, reason="needs npm, to pack the decoder")
def test_the_package_holds_every_module():
    packed = subprocess.run(["npm", "pack", "--dry-run", "--json", "--offline"], cwd=VIEW, capture_output=True, text=True, check=True)
    names = {entry["path"] for entry in json.loads(packed.stdout)[0]["files"]}
    modules = {str(p.relative_to(VIEW)) for p in VIEW.rglob("*.js") if "node_modules" not in p.parts}
    assert names >= modules | {"nfld-decode.mjs", "nfcodec.d.ts", "README.md", "package.json", "vendor/LICENSE", "viewer/page.html"}
    assert json.loads((VIEW / "package.json").read_text())["version"] == nfcodec.__version__
