"""What a mesh's file places: nodes with triangles, as trimesh reads these, whatever the format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Source", "SourceNode"]


@dataclass(frozen=True)
class SourceNode:
    """name: as the file has it, "" for none. parent: the number of an earlier node, None for the world. local: (4, 4), its
    place in the parent. bodies: trimesh meshes in its own coordinates, one for each material of a surface."""

    name: str
    parent: int | None
    local: np.ndarray
    bodies: list[Any]


class Source:
    """nodes, parents first. worlds: (4, 4) of each. drawn: numbers of those with triangles. units: "meters" .., or None."""

    def __init__(self, nodes: list[SourceNode], units: str | None):
        self.nodes, self.units = nodes, units
        self.worlds: list[np.ndarray] = []
        for node in nodes:
            self.worlds.append(node.local if node.parent is None else self.worlds[node.parent] @ node.local)
            node.bodies[:] = [body for body in node.bodies if len(getattr(body, "faces", ()))]
        self.drawn = [k for k, node in enumerate(nodes) if node.bodies]

    @classmethod
    def of(cls, scene: Any) -> Source:
        """Of a trimesh scene without a tree worth keeping."""
        nodes = []
        for name in scene.graph.nodes_geometry:
            world, geometry = scene.graph[name]
            nodes.append(SourceNode(name, None, world, [scene.geometry[geometry]]))
        return cls(nodes, scene.units)
