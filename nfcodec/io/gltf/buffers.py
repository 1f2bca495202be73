"""Buffers of a glTF file, its accessors as arrays, and new ones beside them (glTF 2.0, sections 3.6 and 4.4)."""

from __future__ import annotations

import base64
import json
import re
from typing import Any

import numpy as np

__all__ = ["Data", "index", "parts"]

_FLOAT, _UINT = 5126, 5125
_DTYPES = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", _UINT: "<u4", _FLOAT: "<f4"}
_WIDTHS = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT4": 16}
_MAX_COUNT = 1 << 27  # of an accessor without bytes of its own


def parts(data: bytes) -> tuple[dict[str, Any], bytes | None]:
    """The JSON of a file and, of GLB, its binary chunk (glTF 2.0, section 4.4)."""
    binary = None
    if data[:4] == b"glTF":
        length = int.from_bytes(data[12:16], "little")
        data, rest = data[20 : 20 + length], data[20 + length :]
        if len(data) != length:
            raise ValueError("its JSON is cut short")
        if rest[4:8] == b"BIN\0":
            binary = rest[8 : 8 + int.from_bytes(rest[:4], "little")]
    tree = json.loads(data.decode("utf-8"))
    if not isinstance(tree, dict) or not str(tree.get("asset", {}).get("version", "2.0")).startswith("2"):
        raise ValueError("expected glTF 2.0")
    return tree, binary


def index(number: Any, rows: list[Any]) -> int:
    """A checked index: Python would take -1 for the last one."""
    if not isinstance(number, int) or not 0 <= number < len(rows):
        raise ValueError(f"got the number {number} of {len(rows)}")
    return number


class Data:
    """Buffers of a file, its accessors as arrays, and new ones beside them."""

    def __init__(self, tree: dict[str, Any], binary: bytes | None, files: Any):
        self.files = files
        self.buffers = []
        for number, buffer in enumerate(tree.get("buffers", [])):
            uri = buffer.get("uri")
            if uri is None and number == 0 and binary is not None:
                self.buffers.append(binary)
            elif uri is None:
                raise ValueError(f"buffer {number} has no bytes")
            else:
                self.buffers.append(base64.b64decode(uri.split("base64,", 1)[1]) if "base64," in uri else files.get(uri))
        self.views, self.accessors = list(tree.get("bufferViews", [])), list(tree.get("accessors", []))
        self._new: list[bytes] = []
        self._n_new = 0

    def view(self, number: int) -> bytes:
        view = self.views[index(number, self.views)]
        start = view.get("byteOffset", 0)
        found = self.buffers[index(view["buffer"], self.buffers)][start : start + view["byteLength"]]
        if start < 0 or len(found) != view["byteLength"]:
            raise ValueError("a buffer is cut short")
        return found

    def array(self, number: int) -> np.ndarray:
        """(count, width), of floats where integers are normalised (sections 3.6.2.2 to 3.6.2.4)."""
        accessor = self.accessors[index(number, self.accessors)]
        dtype, width, count = np.dtype(_DTYPES[accessor["componentType"]]), _WIDTHS[accessor["type"]], accessor["count"]
        sparse = accessor.get("sparse")
        if "bufferView" in accessor:
            out = self._rows(accessor, dtype, width, count)
        elif 0 <= count <= _MAX_COUNT:
            out = np.zeros((count, width), dtype)
        else:
            raise ValueError(f"an accessor has {count} elements")
        if sparse is not None:
            kind = np.dtype(_DTYPES[sparse["indices"]["componentType"]])
            rows = self._rows(sparse["indices"], kind, 1, sparse["count"])[:, 0].astype(np.int64)
            out = out.copy()
            out[rows] = self._rows(sparse["values"], dtype, width, sparse["count"])
        if accessor.get("normalized") and dtype.kind in "iu":
            out = np.maximum(out / np.float32(np.iinfo(dtype).max), -1).astype(np.float32)
        return out

    def _rows(self, where: dict[str, Any], dtype: np.dtype, width: int, count: int) -> np.ndarray:
        data, start = self.view(where["bufferView"]), where.get("byteOffset", 0)
        step = self.views[where["bufferView"]].get("byteStride", width * dtype.itemsize)
        end = start + (count - 1) * step + width * dtype.itemsize
        if start < 0 or count < 0 or step <= 0 or end > len(data):
            raise ValueError("an accessor reaches beyond its buffer")
        return np.ndarray((count, width), dtype, data, start, (step, dtype.itemsize))

    def is_plain(self, number: int) -> bool:
        """Whether trimesh reads an accessor of floats right."""
        accessor = self.accessors[index(number, self.accessors)]
        return accessor["componentType"] == _FLOAT and "sparse" not in accessor and "bufferView" in accessor

    def put(self, array: np.ndarray) -> int:
        """The number of a new accessor."""
        is_index = array.dtype.kind in "iu"
        data = np.ascontiguousarray(array, "<u4" if is_index else "<f4")
        self.views.append({"buffer": len(self.buffers), "byteOffset": self._n_new, "byteLength": data.nbytes})
        self._new.append(data.tobytes())
        self._n_new += data.nbytes
        kind = "SCALAR" if is_index else f"VEC{array.shape[1]}"
        kinds = {"componentType": _UINT if is_index else _FLOAT, "type": kind}
        self.accessors.append({"bufferView": len(self.views) - 1, "count": len(data), **kinds})
        return len(self.accessors) - 1

    def resolver(self) -> Any:
        return Resolver([*self.buffers, b"".join(self._new)], self.files)


class Resolver:
    """For trimesh: buffers by number, other files by name."""

    def __init__(self, buffers: list[bytes], files: Any):
        self.buffers, self.files = buffers, files

    def get(self, name: str) -> bytes:
        found = re.fullmatch(r"nfcodec:(\d+)", name)
        return self.buffers[int(found[1])] if found else self.files.get(name)

    __getitem__ = get
