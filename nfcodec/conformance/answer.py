"""This decoder under test: requests on standard input, answers on standard output, as spec/conformance/README.md says.

    python -m nfcodec.conformance.answer < requests
"""

from __future__ import annotations

import hashlib
import json
import sys
from typing import Any, TextIO

import numpy as np

from .. import decode
from ..errors import FormatError, UnsupportedError
from ..field import Field
from ..scene import Scene

__all__ = ["answer", "main"]


def digest(array: np.ndarray, dtype: str = "i4") -> str:
    """SHA-256 of numbers in a dtype, little endian, C order."""
    return hashlib.sha256(np.ascontiguousarray(array, np.dtype(dtype).newbyteorder("<")).tobytes()).hexdigest()


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """What a request asks of its file, or the code of the rule that the file breaks."""
    try:
        found = decode.open(request["file"], allow_truncated=request.get("truncated", False))
        return (_found_scene if isinstance(found, Scene) else _found)(found, request)
    except (FormatError, UnsupportedError) as error:
        return {"error": error.code, "message": str(error)}


def _found(field: Field, request: dict[str, Any]) -> dict[str, Any]:
    spec, level = field.spec, request.get("level")
    out: dict[str, Any] = {
        "levels": _levels(field),
        "complete": field.info()["complete"],
    }
    if field.residual is not None:
        out["residual"] = [digest(planes) for planes in field.residual.planes()]
    if field.residual is not None or request.get("decode"):
        out["decoded"] = digest(field.decode(), spec.dtype)
    if "coords" in request:
        coords = np.array(request["coords"], np.float64).reshape(-1, spec.n_dims)
        out["values"] = field.sample(coords, level=level).tolist()
    if "shape" in request:
        out["lattice"] = field.decode(request["shape"], level=level, dtype="f4").reshape(-1, spec.channels).tolist()
    if field.meta:
        out["meta"] = field.meta
    return out


def _found_scene(scene: Scene, request: dict[str, Any]) -> dict[str, Any]:
    out: dict[str, Any] = {
        "nodes": [{"name": node.name, "parent": node.parent, "field": node.field} for node in scene.nodes],
        "worlds": [[*world.translation, *world.rotation, world.scale] for world in scene.worlds],
        "fields": [field and {"levels": _levels(field)} for field in scene.fields],
        "complete": scene.info()["complete"],
    }
    if "points" in request:
        points = np.array(request["points"], np.float64).reshape(-1, 3)
        out["distances"] = scene.distance(points, request.get("level")).reshape(-1, 1).tolist()
    if scene.meta:
        out["meta"] = scene.meta
    return out


def _levels(field: Field) -> list[dict[str, str]]:
    return [{name: digest(array) for name, array in levels.items()} for levels in field.grid.levels]


def main(requests: TextIO = sys.stdin, answers: TextIO = sys.stdout) -> None:
    """One JSON object a line in, one a line out."""
    for line in requests:
        if line.strip():
            print(json.dumps(answer(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
