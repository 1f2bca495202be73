"""Nodes of a glTF file: their tree, where they lie, instances and joints (glTF 2.0, sections 3.5 and 3.7.3)."""

from __future__ import annotations

from typing import Any

import numpy as np

from nfcodec.errors import SignalError

from .buffers import Data, index

__all__ = ["INSTANCES", "Row", "joints_of", "rows_of"]

INSTANCES = "EXT_mesh_gpu_instancing"
_MAX_NODES = 1 << 20
Row = tuple[str, "int | None", np.ndarray, dict[str, Any]]  # name, parent, place in it, the file's node


def rows_of(tree: dict[str, Any], data: Data, name: str) -> list[Row]:
    """The nodes of the file's scene, parents first and otherwise in the file's order, instances below their node."""
    given, scenes = tree.get("nodes", []), tree.get("scenes")
    below = {k for node in given for k in node.get("children", [])}
    first = [k for k in range(len(given)) if k not in below]
    roots = scenes[index(tree.get("scene", 0), scenes)].get("nodes", []) if scenes else first
    rows: list[Row] = []
    waiting: list[tuple[int, int | None]] = [(k, None) for k in reversed(roots)]
    seen: set[int] = set()
    while waiting:
        number, parent = waiting.pop()
        node = given[index(number, given)]
        if number in seen:
            raise SignalError(
                f"reading {name!r}: node {number} is below two others or itself, expected a tree; repair the file"
            )
        seen.add(number)
        if _is_world(node) and len(roots) == 1 and parent is None:
            waiting += [(k, None) for k in reversed(node.get("children", []))]
            continue
        label, here, places = node.get("name", ""), len(rows), _instances(node, data)
        label = label if isinstance(label, str) else ""
        rows.append((label, parent, _matrix(node), {"number": number} if places else node | {"number": number}))
        rows += [(f"{label} {k}".strip(), here, place, {"mesh": node.get("mesh")}) for k, place in enumerate(places)]
        if len(rows) > _MAX_NODES:
            raise SignalError(f"reading {name!r}: got more than {_MAX_NODES} nodes, expected fewer; leave some out")
        waiting += [(k, here) for k in reversed(node.get("children", []))]
    for label, _, place, _ in rows:
        if not np.isfinite(place).all():
            raise SignalError(
                f"reading {name!r}: got infinite numbers where node {label!r} lies, expected finite ones; repair the file"
            )
    return rows


def _is_world(node: dict[str, Any]) -> bool:
    """Whether a node only stands for the world, as trimesh's older versions write it."""
    return node.get("name") == "world" and not set(node) - {"name", "children"}


def _matrix(node: dict[str, Any]) -> np.ndarray:
    """(4, 4): that of the node, or T R S (section 3.5.3)."""
    if "matrix" in node:
        return np.array(node["matrix"], np.float64).reshape(4, 4).T
    return placed_at(node.get("translation", (0, 0, 0)), node.get("rotation", (0, 0, 0, 1)), node.get("scale", (1, 1, 1)))


def placed_at(translation: Any, rotation: Any, scale: Any) -> np.ndarray:
    """(4, 4) of vectors and a quaternion (x, y, z, w)."""
    x, y, z, w = np.array(rotation, np.float64).reshape(4) / (np.linalg.norm(rotation) or 1.0)
    out = np.eye(4)
    out[:3, :3] = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    out[:3, :3] *= np.array(scale, np.float64).reshape(3)
    out[:3, 3] = np.array(translation, np.float64).reshape(3)
    return out


def _instances(node: dict[str, Any], data: Data) -> list[np.ndarray]:
    """Places (4, 4) below a node at which EXT_mesh_gpu_instancing draws its mesh."""
    named = node.get("extensions", {}).get(INSTANCES, {}).get("attributes", {})
    found = {key: data.array(named[key]) for key in ("TRANSLATION", "ROTATION", "SCALE") if key in named}
    n = len(next(iter(found.values()), ()))
    if any(len(rows) != n for rows in found.values()):
        raise ValueError("attributes of instances differ in length")
    other = {"TRANSLATION": (0, 0, 0), "ROTATION": (0, 0, 0, 1), "SCALE": (1, 1, 1)}
    return [placed_at(*(found[key][k] if key in found else value for key, value in other.items())) for k in range(n)]


def joints_of(rows: list[Row], tree: dict[str, Any], data: Data) -> list[np.ndarray | None]:
    """Of each row the matrices (J, 4, 4) that take points of its skin's joints to where they are at rest, in the node's
    own coordinates; None without a skin (section 3.7.3.3)."""
    worlds: list[np.ndarray] = []
    for _, parent, local, _ in rows:
        worlds.append(local if parent is None else worlds[parent] @ local)
    by_number = {row[3]["number"]: world for row, world in zip(rows, worlds) if "number" in row[3]}
    out: list[np.ndarray | None] = []
    for (_, _, _, node), world in zip(rows, worlds):
        joints = None
        if "skin" in node and "mesh" in node:
            skin = tree["skins"][index(node["skin"], tree.get("skins", []))]
            joints = np.stack([by_number.get(k, np.eye(4)) for k in skin["joints"]])
            if "inverseBindMatrices" in skin:
                inverse = data.array(skin["inverseBindMatrices"])[: len(joints)]
                joints = joints @ inverse.reshape(-1, 4, 4).swapaxes(1, 2).astype(np.float64)
            joints = np.linalg.pinv(world) @ joints  # a skin says where in the world its points are, whatever its node does
        out.append(joints)
    return out
