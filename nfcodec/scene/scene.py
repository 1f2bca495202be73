"""`Scene`: what a file with several fields decodes to. Nodes, the fields that they place, and queries over all of them."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np

from ..arguments import world_points
from ..errors import NfldError, UsageError
from ..field import MESH_METHOD, MESH_RESOLUTION, Field
from ..paint import of_vertices
from ..spec import Mesh, Paint
from .nodes import Node, worlds
from .queries import Part, Parts, SceneHits, ScenePoints, span_of

__all__ = ["Scene", "coloured", "joined", "one_colour", "placed"]

_LEAST_RESOLUTION = 32  # of a small part beside large ones
_WHITE = 1.0  # what a part without colours has beside painted ones


class Scene:
    """Fields of surfaces, each in its own box, placed in the world by the nodes of a tree.

    nodes: as `Node`, parents first; several may place one field. fields: None where a file that was cut off lacks one.
    Points, meshes and distances are in world coordinates, (x, y, z). `level=k` uses levels 0..k of each field, or all where
    it has fewer.
    """

    def __init__(self, nodes: list[Node], fields: list[Field | None], meta: dict[str, Any], sizes: dict[str, Any]):
        self.nodes, self.fields, self.meta, self.sizes = tuple(nodes), tuple(fields), meta, sizes
        self.worlds = tuple(worlds(nodes))
        placed = [(k, fields[node.field]) for k, node in enumerate(nodes) if node.field is not None]
        self.parts = [Part(k, field, self.worlds[k]) for k, field in placed if field is not None]
        self._parts = Parts(self.parts) if self.parts else None

    def __repr__(self) -> str:
        return f"<nfcodec.Scene {len(self.nodes)} nodes, {len(self.parts)} parts, {len(self.fields)} fields>"

    def node(self, name: str | int) -> int:
        """The number of the node with a name, or of that number. UsageError where there is none, or several."""
        if isinstance(name, (int, np.integer)):
            found = [int(name)] if 0 <= name < len(self.nodes) else []
        else:
            found = [k for k, node in enumerate(self.nodes) if node.name == name]
        if len(found) != 1:
            raise UsageError(
                f"finding a node: got {name!r}, which {len(found)} of {len(self.nodes)} nodes have; expected one"
            )
        return found[0]

    # ------------------------------------------------------------ queries

    def distance(self, points: np.ndarray, level: int | None = None) -> np.ndarray:
        """Signed distances (N,) float64 of world points (N, 3) from the union of all parts: the least over the parts.

        In a part's box it is the value of its field. Beyond it is a distance that a ray may safely go: never more than that
        from the surface, which lies in the box, if the field's values are distances, and at least that from the box. It is
        root(g^2 + max(v, 0)^2) with g the distance from the box and v the value at the point of the box next to it. Trims
        do not count. UsageError for parts of kind occupancy, whose values are no distances.
        """
        return self._found().distance(self._points(points, "finding distances"), self._level(level))

    def closest_point(self, points: np.ndarray, level: int | None = None, iso: float | None = None) -> ScenePoints:
        """What of any part's surface is closest to world points (N, 3), also where another part covers it: `ScenePoints`.

        distances are negative inside any part. Otherwise as `Field.closest_point`; parts that are nowhere at a level do not
        count, and NfldError comes where all are.
        """
        return self._found().closest(self._points(points, "finding closest points"), self._level(level), iso)

    def raycast(
        self, origins: np.ndarray, directions: np.ndarray, min_distance: float = 0.0, max_distance: float = math.inf,
        level: int | None = None, iso: float | None = None,
    ) -> SceneHits:  # fmt: skip
        """Where rays first cross the surface of a part: `SceneHits`; as `Field.raycast`."""
        rows = [self._points(array, "casting rays") for array in (origins, directions)]
        if len(rows[0]) != len(rows[1]) and 1 not in (len(rows[0]), len(rows[1])):
            raise UsageError(f"casting rays: got {len(rows[0])} origins and {len(rows[1])} directions, expected as many")
        if not (rows[1] != 0).any(axis=1).all():
            raise UsageError("casting rays: got a direction of length 0, expected others")
        starts, along = np.broadcast_arrays(*rows)
        return self._found().cast(starts, along, *span_of(min_distance, max_distance), self._level(level), iso)

    # ------------------------------------------------------------ meshes

    def to_mesh(
        self, resolution: int | None = None, level: int | None = None, iso: float | None = None, method: str = MESH_METHOD,
        node: str | int | None = None,
    ) -> Mesh:  # fmt: skip
        """All parts, or that of one node, as one mesh in the world; of parts that overlap all faces.

        resolution: samples along the longest axis of the largest part, 256 by default; smaller parts get fewer, in
        proportion to their size, but 32 at least. level, iso, method: as in `Field.to_mesh`. With `paint` where any part
        has colours.
        """
        meshes = self.meshes(resolution, level, iso, method)
        chosen = self.parts if node is None else [part for part in self.parts if part.node == self.node(node)]
        if not chosen:
            raise UsageError(f"meshing a node: got {node!r}, which places no field; expected one that does")
        return joined([placed(meshes[self.nodes[part.node].field], part) for part in chosen])

    def meshes(
        self, resolution: int | None = None, level: int | None = None, iso: float | None = None, method: str = MESH_METHOD
    ) -> list[Mesh | None]:
        """For each field its mesh in its own coordinates; None where it has no surface at this level, or no node places
        it."""
        level, largest = self._level(level), max((part.size for part in self._found().parts), default=0.0)
        wanted = MESH_RESOLUTION if resolution is None else resolution
        out: list[Mesh | None] = []
        for number, field in enumerate(self.fields):
            ours = [part for part in self.parts if self.nodes[part.node].field == number]
            share = max((part.size for part in ours), default=0.0) / largest
            n = max(round(wanted * share), min(wanted, _LEAST_RESOLUTION))
            if level is not None and resolution is None:
                n = min(n, field._mesh_resolution(ours[0].level(level))) if ours else n
            out.append(_mesh(field, n, ours[0].level(level), iso, method) if ours else None)
        if all(mesh is None for mesh in out):
            raise NfldError("meshing a scene: got no part with a surface at this level; choose another one")
        return out

    def own_mesh(self, parts: list[Part] | None = None) -> Mesh:
        """As `to_mesh`, each part at the resolution of its own source: what is measured. parts: those that are wanted."""
        meshes = [
            None if field is None else _mesh(field, max(field.spec.extent), None, None, MESH_METHOD)
            for field in self.fields
        ]
        wanted = self._found().parts if parts is None else parts
        return joined([placed(meshes[self.nodes[part.node].field], part) for part in wanted])

    def largest_parts(self) -> list[Part]:
        """Of each field that is placed the part where it is largest, the first of several, in the order of fields."""
        found: dict[int, Part] = {}
        for part in sorted(self.parts, key=lambda part: -part.size):
            found.setdefault(self.nodes[part.node].field, part)
        return [found[k] for k in sorted(found)]

    # ------------------------------------------------------------ description

    def info(self) -> dict[str, Any]:
        """What the file holds, JSON-able: nodes, what each field is, bytes of each part, metadata."""
        nodes = [
            {"name": node.name, "parent": node.parent, "field": node.field, "matrix": node.placement.matrix.tolist()}
            for node in self.nodes
        ]
        fields = [None if field is None else field.info() for field in self.fields]
        low, high = (None, None) if self._parts is None else (self._parts.low.min(axis=0), self._parts.high.max(axis=0))
        box = None if low is None else {"low": low.tolist(), "high": high.tolist()}
        return {
            "kind": "scene",
            "n_parts": len(self.parts),
            "nodes": nodes,
            "fields": fields,
            "box": box,
            **self.sizes,
            "meta": self.meta,
        }

    # ------------------------------------------------------------ arguments

    def _found(self) -> Parts:
        if self._parts is None:
            raise NfldError("asking a scene: got none whose nodes place a field that is there, expected at least one")
        return self._parts

    def _points(self, points: np.ndarray, what: str) -> np.ndarray:
        self._found()
        return world_points(points, what)

    def _level(self, level: int | None) -> int | None:
        most = max((part.field.n_levels for part in self.parts), default=1) - 1
        if level is not None and not (isinstance(level, (int, np.integer)) and 0 <= level <= most):
            raise UsageError(f"choosing a level: got {level}, expected 0 (coarsest) to {most}")
        return level


def _mesh(field: Field, resolution: int, level: int | None, iso: float | None, method: str) -> Mesh | None:
    """A field's mesh, with the one colour of its metadata if it has no other; None where it is nowhere."""
    try:
        mesh = field.to_mesh(resolution, level, iso, method)
    except NfldError as error:
        if type(error) is not NfldError:  # of the arguments, not of the field
            raise
        return None
    return coloured(mesh, field.meta)


def coloured(mesh: Mesh, meta: dict[str, Any]) -> Mesh:
    """A mesh with the one colour that metadata give it, if it has no other."""
    colour = one_colour(meta)
    if mesh.paint is not None or colour is None:
        return mesh
    return Mesh(mesh.vertices, mesh.faces, of_vertices(np.tile(colour, (len(mesh.vertices), 1)), mesh.faces))


def one_colour(meta: dict[str, Any]) -> np.ndarray | None:
    """The colour (3,) float32, sRGB-encoded, that metadata give all of a surface."""
    found = meta.get("colour")  # anybody's JSON
    if not isinstance(found, str) or not re.fullmatch("#[0-9a-f]{6}", found):
        return None
    return np.frombuffer(bytes.fromhex(found[1:]), np.uint8).astype(np.float32) / 255


def placed(mesh: Mesh | None, part: Part) -> Mesh | None:
    """A part's mesh in the world; a mirror turns its faces."""
    if mesh is None:
        return None
    if part.world.scale > 0:
        return Mesh(part.world.to_world(mesh.vertices), mesh.faces, mesh.paint)
    paint = None if mesh.paint is None else Paint(mesh.paint.corners[:, ::-1])
    return Mesh(part.world.to_world(mesh.vertices), mesh.faces[:, ::-1], paint)


def joined(meshes: list[Mesh | None]) -> Mesh:
    """Several meshes as one; NfldError where there is none."""
    found = [mesh for mesh in meshes if mesh is not None]
    if not found:
        raise NfldError("meshing a scene: got no part with a surface at this level; choose another one")
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in found)])
    paint = None
    if any(mesh.paint is not None for mesh in found):
        corners = [
            np.full((len(mesh.faces), 3, 3), _WHITE, np.float32) if mesh.paint is None else mesh.paint.corners
            for mesh in found
        ]
        paint = Paint(np.concatenate(corners))
    faces = np.concatenate([mesh.faces + start for mesh, start in zip(found, starts)])
    return Mesh(np.concatenate([mesh.vertices for mesh in found]), faces, paint)
