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

__all__ = ["answer", "main"]


def digest(array: np.ndarray, dtype: str = "i4") -> str:
    """SHA-256 of numbers in a dtype, little endian, C order."""
    return hashlib.sha256(np.ascontiguousarray(array, np.dtype(dtype).newbyteorder("<")).tobytes()).hexdigest()


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """What a request asks of its file, or the code of the rule that the file breaks."""
    try:
        return _found(decode.open(request["file"], allow_truncated=request.get("truncated", False)), request)
    except (FormatError, UnsupportedError) as error:
        return {"error": error.code, "message": str(error)}


def _found(field: Field, request: dict[str, Any]) -> dict[str, Any]:
    spec, level = field.spec, request.get("level")
    out: dict[str, Any] = {
        "levels": [{name: digest(array) for name, array in levels.items()} for levels in field.grid.levels],
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


def main(requests: TextIO = sys.stdin, answers: TextIO = sys.stdout) -> None:
    """One JSON object a line in, one a line out."""
    for line in requests:
        if line.strip():
            print(json.dumps(answer(json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
