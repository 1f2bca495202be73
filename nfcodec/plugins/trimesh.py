"""trimesh reads surfaces in .nfld files as meshes, once this module is imported."""

from __future__ import annotations

from typing import Any, BinaryIO

import numpy as np

from .. import decode
from ..errors import MissingExtraError, NfldError
from ..paint import vertex_colours

try:
    from trimesh.exchange.load import mesh_loaders
except ImportError as error:
    raise MissingExtraError.of("trimesh", "encode", "opening .nfld by trimesh") from error

__all__ = ["load_nfld"]

_OPTIONS = ("resolution", "level", "iso", "method")


def load_nfld(file_obj: BinaryIO, **options: Any) -> dict[str, Any]:
    """What trimesh makes a mesh of: vertices (V, 3) and faces (T, 3) in world coordinates, colours of vertices, metadata.

    options: of `Field.to_mesh`, as in trimesh.load_mesh("x.nfld", resolution=128); others are trimesh's own. ValueError for
    bytes that are no sound file, and for fields that are no surfaces. A scene becomes one mesh.
    """
    try:
        field = decode.open(file_obj)
        mesh = field.to_mesh(**{key: options[key] for key in _OPTIONS if key in options})
    except NfldError as error:
        raise ValueError(str(error)) from error
    found = {"vertices": mesh.vertices, "faces": mesh.faces, "metadata": {**field.meta, **(options.get("metadata") or {})}}
    if mesh.paint is not None:
        found["vertex_colors"] = np.rint(np.clip(vertex_colours(mesh), 0, 1) * 255).astype(np.uint8)
    return found


mesh_loaders["nfld"] = load_nfld
