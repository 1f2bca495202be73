"""Primitives of a glTF file in the plain form that trimesh reads right: triangles of floats (glTF 2.0, section 3.7.2)."""

from __future__ import annotations

from typing import Any

import numpy as np

from nfcodec.errors import MissingExtraError

from .buffers import Data, index

__all__ = ["COLOUR", "DRACO", "TRANSFORM", "Bodies"]

_POINTS, _TRIANGLES, _STRIP, _FAN = 0, 4, 5, 6
DRACO, TRANSFORM = "KHR_draco_mesh_compression", "KHR_texture_transform"
COLOUR = "_COLOR_0"  # the name under which trimesh keeps colours as floats


class Bodies:
    """The primitives that nodes place, each a mesh of its own for trimesh. lost: what is not kept of them."""

    def __init__(self, tree: dict[str, Any], data: Data, name: str):
        self.tree, self.data, self.name, self.lost = tree, data, name, set()
        self._keys: dict[tuple[Any, ...], list[str]] = {}
        self._meshes: list[dict[str, Any]] = []

    def of(self, node: dict[str, Any], joints: np.ndarray | None) -> list[str]:
        """Names of the primitives of a node, whose skin has these joints."""
        if "mesh" not in node:
            return []
        meshes = self.tree.get("meshes", [])
        number = index(node["mesh"], meshes)
        mesh = meshes[number]
        weights = node.get("weights", mesh.get("weights", []))
        key = number, tuple(weights), None if joints is None else joints.tobytes()
        if key not in self._keys:
            self._keys[key] = []
            for primitive in mesh["primitives"]:
                plain = self._plain(primitive, weights, joints)
                if plain is not None:
                    extras = {"extras": mesh["extras"]} if isinstance(mesh.get("extras"), dict) else {}
                    self._meshes.append({"name": f"{number}.{len(self._meshes)}", "primitives": [plain], **extras})
                    self._keys[key].append(self._meshes[-1]["name"])
        if joints is not None:
            self.lost.add("skins (it is taken at rest)")
        return self._keys[key]

    def plain(self) -> dict[str, Any]:
        """The file that trimesh reads: without nodes."""
        kept = {key: self.tree[key] for key in ("images", "textures", "samplers", "materials") if key in self.tree}
        buffers = [{"uri": f"nfcodec:{k}", "byteLength": 0} for k in range(len(self.data.buffers) + 1)]
        return {
            "asset": {"version": "2.0"}, "buffers": buffers, "bufferViews": self.data.views,
            "accessors": self.data.accessors, "meshes": self._meshes, "nodes": [], "scene": 0, "scenes": [{"nodes": []}],
            **kept,
        }  # fmt: skip

    def _plain(self, primitive: dict[str, Any], weights: list[float], joints: np.ndarray | None) -> dict[str, Any] | None:
        """A primitive that trimesh reads right; None for one without triangles."""
        mode, named = primitive.get("mode", _TRIANGLES), primitive["attributes"]
        if mode not in (_TRIANGLES, _STRIP, _FAN) or "POSITION" not in named:
            self.lost.add("points" if mode == _POINTS else "lines")
            return None
        unpacked = self._unpacked(primitive)
        read = lambda key: unpacked[key] if key in unpacked else self.data.array(named[key])  # noqa: E731
        is_plain = lambda key: key not in unpacked and self.data.is_plain(named[key])  # noqa: E731
        targets = primitive.get("targets", [])
        attributes = {"POSITION": named["POSITION"]}
        if targets:
            self.lost.add("morph targets (it is taken at rest)")
        if not is_plain("POSITION") or any(weights[: len(targets)]) or joints is not None:
            points = read("POSITION").astype(np.float64)
            for weight, target in zip(weights, targets):
                if weight and "POSITION" in target:
                    points = points + weight * self.data.array(target["POSITION"])
            attributes["POSITION"] = self.data.put(points if joints is None else _skinned(points, read, named, joints))
        if "COLOR_0" in named:
            colours = read("COLOR_0")
            most = np.iinfo(colours.dtype).max if colours.dtype.kind in "iu" else 1
            attributes[COLOUR] = self.data.put(colours / most)
        out: dict[str, Any] = {"attributes": attributes}
        if "material" in primitive:
            out["material"] = index(primitive["material"], self.tree.get("materials", []))
            key, transform = self._texture_coordinates(out["material"])
            if key in named:
                attributes["TEXCOORD_0"] = named[key]
                if transform is not None or not is_plain(key):
                    attributes["TEXCOORD_0"] = self.data.put(_transformed(read(key), transform))
        n = len(read("POSITION"))
        indices = np.arange(n) if "indices" not in primitive and "indices" not in unpacked else None
        indices = read("indices") if "indices" in unpacked else indices
        indices = self.data.array(primitive["indices"]) if indices is None else indices
        out["indices"] = self.data.put(_triangles(indices.reshape(-1).astype(np.int64), mode))
        return out

    def _unpacked(self, primitive: dict[str, Any]) -> dict[str, np.ndarray]:
        """Attributes and indices of a primitive that Draco has compressed."""
        packed = primitive.get("extensions", {}).get(DRACO)
        if packed is None:
            return {}
        try:
            import DracoPy
        except ImportError as err:
            raise MissingExtraError.of("DracoPy", "compare", f"reading {self.name!r}") from err
        mesh = DracoPy.decode(self.data.view(packed["bufferView"]))
        names = {number: key for key, number in packed["attributes"].items()}
        out = {names[a["unique_id"]]: np.asarray(a["data"]) for a in mesh.attributes if a["unique_id"] in names}
        return out | {"indices": np.asarray(mesh.faces)}

    def _texture_coordinates(self, material: int) -> tuple[str, dict[str, Any] | None]:
        """Which ones a material's colours use, and how it moves them."""
        used = self.tree["materials"][material].get("pbrMetallicRoughness", {}).get("baseColorTexture", {})
        transform = used.get("extensions", {}).get(TRANSFORM)
        number = (transform or {}).get("texCoord", used.get("texCoord", 0))
        return f"TEXCOORD_{number}", transform


def _triangles(indices: np.ndarray, mode: int) -> np.ndarray:
    """(3 T,) corners of triangles, strips and fans (section 3.7.2.1)."""
    if mode == _TRIANGLES:
        return indices[: len(indices) // 3 * 3]
    a, b, c = (np.arange(max(len(indices) - 2, 0)) + k for k in range(3))
    if mode == _FAN:
        a = np.zeros_like(a)
    turned = (mode == _STRIP) & (np.arange(len(a)) % 2 == 1)
    return indices[np.stack([a, np.where(turned, c, b), np.where(turned, b, c)], 1).reshape(-1)]


def _transformed(uv: np.ndarray, transform: dict[str, Any] | None) -> np.ndarray:
    """Texture coordinates (V, 2) as KHR_texture_transform moves them: scaled, turned counter-clockwise, shifted."""
    if transform is None:
        return uv.astype(np.float32)
    u, v = (uv.astype(np.float64) * transform.get("scale", (1, 1))).T
    cos, sin = np.cos(transform.get("rotation", 0.0)), np.sin(transform.get("rotation", 0.0))
    return np.stack([cos * u + sin * v, cos * v - sin * u], 1) + transform.get("offset", (0, 0))


def _skinned(points: np.ndarray, read: Any, named: dict[str, int], joints: np.ndarray) -> np.ndarray:
    """Points (V, 3) where the joints of a skin put them."""
    sums = np.zeros((len(points), 4, 4))
    for k in range(8):
        if f"JOINTS_{k}" not in named or f"WEIGHTS_{k}" not in named:
            break
        which, weights = read(f"JOINTS_{k}").astype(np.int64), read(f"WEIGHTS_{k}")
        for corner in range(4):
            sums += weights[:, corner, None, None] * joints[which[:, corner]]
    return np.einsum("vij,vj->vi", sums[:, :3, :3], points) + sums[:, :3, 3]
