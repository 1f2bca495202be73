"""Scenes: several fields in one file, each placed by nodes (Neural Scene Graphs, Ost et al. 2021). Spec/scene.md.

`placement` says where a node lies, `nodes` reads and writes them, `rounding` makes their numbers short, `boxes` finds those
near a point or a ray, `queries` asks the fields there, and `scene` is what a file decodes to.
"""

from .nodes import Node, pack_nodes, unpack_nodes, worlds
from .placement import Similarity, nearest_similarity
from .queries import SceneHits, ScenePoints
from .rounding import rounded_nodes
from .scene import Scene, coloured, joined, placed

__all__ = [
    "Node",
    "Scene",
    "SceneHits",
    "ScenePoints",
    "Similarity",
    "coloured",
    "joined",
    "nearest_similarity",
    "pack_nodes",
    "placed",
    "rounded_nodes",
    "unpack_nodes",
    "worlds",
]
