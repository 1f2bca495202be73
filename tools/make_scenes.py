"""Makes the golden scenes in spec/golden/scenes: golden fields placed by nodes, and what a decoder must read from them.

    python tools/make_scenes.py [--force] [--out spec/golden/scenes]

Existing files are kept, as by make_goldens.py. `scenes.json` is a list of tests like those of spec/conformance/README.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

import nfcodec  # noqa: E402
from nfcodec import container  # noqa: E402
from nfcodec.conformance.answer import answer  # noqa: E402
from nfcodec.container import PART, RAW, SCNE, Chunk, packed_chunk  # noqa: E402
from nfcodec.pack import meta_chunk  # noqa: E402
from nfcodec.scene import Node, Similarity, pack_nodes  # noqa: E402

GOLDEN = Path(__file__).parents[1] / "spec" / "golden"
MAX_BYTES = 8192
TURN = (0.5, -0.5, 0.1, 0.7)  # made of length 1 below


def unit(q: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(float(x) for x in np.array(q) / np.linalg.norm(q))


NODES = {
    "scene-tree": (
        ("sdf-dense", "tsdf"),
        [
            Node("root", None, None, Similarity((1.0, -2.0, 0.5), unit(TURN))),
            Node("body", 0, 0),
            Node("wheel, left", 1, 1, Similarity((0.5, 0.25, -1.0), (0.0, 0.0, 0.0, 1.0), 0.25)),
            Node("wheel, right", 1, 1, Similarity((-0.5, 0.25, -1.0), unit((0.3, 0.2, -0.9, 0.1)), -0.25)),
        ],
        {"source": "tree.glb", "units": "mm"},
    ),
    "scene-shared": (
        ("sdf-trim",),
        [Node(name, None, 0, Similarity((4.0 * k, 0.0, 0.0), unit((0.0, k, 0.0, 1.0)))) for k, name in enumerate(["é", "", "é"])],
        {},
    ),
    "scene-colours": (("sdf-colours", "udf"), [Node("painted", None, 0), Node("shell", None, 1, Similarity(scale=1e3))], {}),
}  # fmt: skip


def scene(fields: tuple[str, ...], nodes: list[Node], meta: dict[str, Any]) -> bytes:
    """The file of golden fields and nodes."""
    chunks = [packed_chunk(SCNE, pack_nodes(nodes, len(fields)))]
    chunks += [Chunk(PART, k, RAW, (GOLDEN / f"{name}.nfld").read_bytes()) for k, name in enumerate(fields)]
    return container.write([*chunks, meta_chunk(meta)] if meta else chunks)


def requests_of(data: bytes) -> list[dict[str, Any]]:
    """Points in and around the parts, with all levels and with the coarsest."""
    found = nfcodec.open(data)
    rng = np.random.default_rng(len(data))
    low, high = (np.array(found.info()["box"][key]) for key in ("low", "high"))
    points = np.round(low + (high - low) * rng.uniform(-0.3, 1.3, (8, 3)), 3).tolist()
    return [{"points": points}, {"points": points, "level": 0}]


def tolerance(data: bytes, values: list) -> dict[str, float]:
    """Largest and root mean square difference that distances may have."""
    found = nfcodec.open(data, allow_truncated=True)
    scales = [abs(part.world.scale) * max(map(abs, part.field.spec.value_scale)) for part in found.parts]
    size = max(np.abs(values).max(), *scales)
    return {"peak": float(2.0**-14 * size), "rms": float(2.0**-16 * size)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=GOLDEN / "scenes")
    parser.add_argument("--force", action="store_true", help="replace files that exist")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    tests = []
    for name, case in NODES.items():
        path = options.out / f"{name}.nfld"
        if path.exists() and not options.force:
            print(f"{path.name}: kept")
            data = path.read_bytes()
        else:
            data = scene(*case)
            path.write_bytes(data)
            print(f"{path.name}: {len(data)} bytes")
        if len(data) > MAX_BYTES:
            sys.exit(f"{path.name}: got {len(data)} bytes, expected at most {MAX_BYTES}; make the case smaller")
        for request in requests_of(data):
            found = answer({**request, "file": str(path)})
            tests.append({"file": path.name, "request": request, "answer": found, "tolerance": tolerance(data, found["distances"])})
    text = "[\n" + ",\n".join(json.dumps(test, allow_nan=False, ensure_ascii=False) for test in tests) + "\n]\n"
    (options.out / "scenes.json").write_text(text, "utf-8")


if __name__ == "__main__":
    main()
