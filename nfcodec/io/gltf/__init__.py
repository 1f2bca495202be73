"""glTF and GLB: nodes as the file has them, and primitives in the plain form that trimesh reads right (glTF 2.0).

trimesh decodes images, materials and triangles. Of nodes it makes names of its own, in another order, and loses those with
a camera; it takes sparse accessors for zeros, integers for floats, colours for bytes, and fans, instances, skins and
transforms of texture coordinates for nothing. So nodes are read here, and what it would misread is written anew before it
sees the file. Meshes and skins are as they are at rest.
"""

from __future__ import annotations

import io
import json
import warnings
from pathlib import Path
from typing import Any

from nfcodec.errors import SignalError

from ..source import Source, SourceNode
from .buffers import Data, parts
from .nodes import INSTANCES, joints_of, rows_of
from .primitives import COLOUR, DRACO, TRANSFORM, Bodies

__all__ = ["COLOUR", "load"]

# what a file may require: some of it is read, the rest changes no geometry
_KNOWN = {DRACO, INSTANCES, TRANSFORM, "KHR_mesh_quantization", "EXT_texture_webp", "KHR_texture_basisu"}
_HARMLESS = ("KHR_materials_", "KHR_lights_", "KHR_animation_", "KHR_xmp")


def load(trimesh: Any, path: Path) -> Source:
    """The nodes of the file's scene with their triangles. SignalError for what it requires and is not read; what is not
    kept, such as animations, is a warning."""
    tree, binary = parts(path.read_bytes())
    name = path.name
    required = [x for x in tree.get("extensionsRequired", []) if x not in _KNOWN and not str(x).startswith(_HARMLESS)]
    if required:
        raise SignalError(
            f"reading {name!r}: it requires {', '.join(map(str, required))}, which is not read; export it without"
        )
    resolver = trimesh.resolvers.FilePathResolver(str(path))
    data = Data(tree, binary, resolver)
    nodes, bodies = rows_of(tree, data, name), Bodies(tree, data, name)
    keys = [bodies.of(node, joints) for (_, _, _, node), joints in zip(nodes, joints_of(nodes, tree, data))]
    lost = ["animations"] * bool(tree.get("animations")) + sorted(bodies.lost)
    if lost:
        warnings.warn(f"reading {name!r}: its {' and '.join(lost)} are not kept", stacklevel=2)
    scene = trimesh.load_scene(
        io.BytesIO(json.dumps(bodies.plain()).encode()), file_type="gltf", process=False, resolver=data.resolver()
    )
    found = [[scene.geometry[key] for key in some if key in scene.geometry] for some in keys]
    return Source([SourceNode(*row[:3], some) for row, some in zip(nodes, found)], scene.units)
