"""Meshes' files as scenes: one signal for each geometry, and the nodes that place it; and GLB with such nodes.

Nodes keep their names and their tree. A node is placed by the similarity nearest to its place in the world; what is left, a
stretch, goes into the geometry, so that distances stay distances. Equal geometries are one. In formats without nodes parts
are objects, and those that differ by a shift alone are one. A file that places a single mesh is taken apart into the pieces
that no vertex joins.
"""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nfcodec.errors import SignalError, UsageError
from nfcodec.geometry import bounding_box_diagonal
from nfcodec.limits import MAX_NAME_BYTES, MAX_SCENE_DEPTH, MAX_SCENE_FIELDS, MAX_SCENE_NODES, MAX_SCENE_SCALE
from nfcodec.paint import some_faces, vertex_colours
from nfcodec.scene import Node, Similarity, nearest_similarity
from nfcodec.spec import Mesh, Paint, Signal

from . import mesh as meshes
from .far import float32_error
from .paint import Painter, glb_colours, has_one_texture, read_texture, textured_surface, to_bytes
from .pieces import piece_ids
from .source import Source, SourceNode

__all__ = ["SceneSource", "read", "write_glb"]

_WITH_NODES = ("glb", "gltf")
_SHOWN = 60  # characters of a name in messages
_NUMBER = re.compile(r"node (\d+)")
_ALIKE = 1e-6  # of the diagonal: geometries whose vertices differ by less are one


@dataclass(frozen=True)
class SceneSource:
    """A scene as it was read. nodes: parents first, each with the number of its signal as its field. signals: of kind
    "sdf", in their own coordinates; a signal of one colour has it in meta as "colour". meta: source, format, units."""

    nodes: list[Node]
    signals: list[Signal]
    meta: dict[str, Any]


def read(path: Path, format: str, texture: str | Path | None = None) -> SceneSource:
    """The parts of a mesh's file. Raises SignalError as `mesh.read`, and for more parts than a scene may have."""
    source = meshes.load(meshes.library(f"reading {format.upper()}"), path, format, by_object=True)
    meta: dict[str, Any] = {"source": path.name, "format": format}
    if source.units:
        meta["units"] = meshes.short_units(source.units)
    stored = _Stored(path.name)
    painter = Painter(path, format, None if texture is None else read_texture(texture))
    has_nodes = format in _WITH_NODES
    if len(source.drawn) == 1:
        nodes = _single(source, stored, painter, has_nodes)
    else:
        nodes = _tree(source, stored, painter, has_nodes)
    if not stored.signals:
        raise SignalError(f"reading {path.name!r}: none of its parts has faces with an area; check the meshes' scale")
    if len(stored.signals) > MAX_SCENE_FIELDS or len(nodes) > MAX_SCENE_NODES:
        raise SignalError(
            f"reading {path.name!r}: got {len(stored.signals)} different parts in {len(nodes)} nodes, expected up to "
            f"{MAX_SCENE_FIELDS} and {MAX_SCENE_NODES}; join some, or encode it without --parts"
        )
    nodes = [replace(node, name=_short(node.name, path.name)) for node in nodes]
    return SceneSource(nodes, stored.signals, meta)


class _Stored:
    """The different geometries of a scene."""

    def __init__(self, name: str):
        self.name, self.signals = name, []
        self._known: dict[bytes, tuple[int, np.ndarray]] = {}

    def add(self, part: str, signal: Signal, is_free: bool) -> tuple[int, Similarity]:
        """The number of an equal signal, a new one if there is none; is_free: but for a shift, which comes second."""
        if signal.mesh.paint is not None and (plain := _plain(signal.mesh.paint)) is not None:
            meta = signal.meta | {"colour": hex_colour(plain)}
            signal = replace(signal, mesh=replace(signal.mesh, paint=None), meta=meta)
        mesh, colour = signal.mesh, signal.meta.get("colour")
        first = mesh.vertices[0] if is_free else np.zeros(3)
        unit = _ALIKE * bounding_box_diagonal(mesh)
        content = hashlib.sha256(np.rint((mesh.vertices - first) / unit).astype(np.int64).tobytes() + mesh.faces.tobytes())
        content.update(repr((colour, float(np.float32(unit)))).encode())
        paint = mesh.paint
        for array in () if paint is None else (paint.corners, paint.uv, paint.which, *paint.textures):
            content.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
        key = content.digest()
        if key not in self._known:
            self._known[key] = len(self.signals), first
            self.signals.append(replace(signal, meta={**signal.meta, "source": f"{self.name}, part {part}"}))
        number, origin = self._known[key]
        return number, Similarity(tuple(float(x) for x in first - origin + 0.0))


def _single(source: Source, stored: _Stored, painter: Painter, has_nodes: bool) -> list[Node]:
    """A node for each piece of the one mesh that a file places; in a format that has nodes below that mesh's own, or in its
    place where there is one piece."""
    nodes, number = _tree(source, stored, painter, True, with_geometry=False) if has_nodes else [], source.drawn[0]
    rest = _similarity(source.worlds[number])[1]
    whole = _surface_of(source.nodes[number], rest, painter, stored.name)
    ids = piece_ids(whole.mesh)
    n = int(ids.max()) + 1
    for k in range(n):
        paint = None if whole.mesh.paint is None else some_faces(whole.mesh.paint, ids == k)
        mesh, counts = meshes.clean(f"piece {k}", whole.mesh.vertices, whole.mesh.faces[ids == k], paint)
        signal = replace(whole, mesh=mesh, meta=counts | {key: whole.meta[key] for key in ("colour",) if key in whole.meta})
        field, placement = stored.add(str(k), signal, is_free=n > 1 or not has_nodes)
        if has_nodes and n == 1:
            nodes[-1] = replace(nodes[-1], field=field)
        else:
            nodes.append(Node(str(k), len(nodes) - 1 - k if has_nodes else None, field, placement))
    return nodes


def _tree(source: Source, stored: _Stored, painter: Painter, has_nodes: bool, with_geometry: bool = True) -> list[Node]:
    """The nodes that place triangles and those above them, parents first. In a format without nodes all lies in the world,
    and geometries that differ by a shift are one."""
    depths: list[int] = []
    for node in source.nodes:
        depths.append(1 if node.parent is None else depths[node.parent] + 1)
    drawn, wanted = set(source.drawn), set(source.drawn)
    for k in source.drawn:
        while depths[k] < MAX_SCENE_DEPTH and (above := source.nodes[k].parent) is not None and above not in wanted:
            wanted.add(k := above)
    numbers: dict[int, int] = {}
    nodes: list[Node] = []
    found: list[tuple[Similarity, np.ndarray | None]] = []  # place in the world, and the stretch that is left
    kept: dict[tuple[Any, ...], tuple[int | None, Similarity]] = {}
    for k in sorted(wanted):
        node = source.nodes[k]
        above = numbers.get(node.parent) if depths[k] < MAX_SCENE_DEPTH else None
        numbers[k] = len(nodes)
        found.append(_similarity(source.worlds[k]))
        placement = _below(found, above, node.local)
        if not _is_storable(placement):
            above, placement = None, found[-1][0]
        field = None
        if k in drawn and with_geometry:
            rest = found[-1][1]
            key = tuple(map(id, node.bodies)), b"" if rest is None else np.round(rest, 9).tobytes()
            if key not in kept:
                kept[key] = _kept(node, rest, stored, painter, k, is_free=not has_nodes)
            field, shift = kept[key]
            placement = placement if has_nodes else shift
        nodes.append(Node(node.name, above, field, placement))
    return nodes


def _similarity(world: np.ndarray) -> tuple[Similarity, np.ndarray | None]:
    """`nearest_similarity`; all of the matrix but its shift is rest where a file cannot hold the scale."""
    found, rest = nearest_similarity(world)
    return (found, rest) if _is_storable(found) else (Similarity(found.translation), np.asarray(world)[:3, :3])


def _is_storable(placement: Similarity) -> bool:
    return 1 / MAX_SCENE_SCALE <= abs(placement.scale) <= MAX_SCENE_SCALE


def _short(text: str, name: str) -> str:
    """A node's name that a file can hold."""
    data = text.encode("utf-8", "replace")
    if len(data) <= MAX_NAME_BYTES:
        return data.decode("utf-8")
    warnings.warn(
        f"reading {name!r}: got a node's name of {len(data)} bytes, expected up to {MAX_NAME_BYTES}; it was cut short",
        stacklevel=2,
    )
    return data[:MAX_NAME_BYTES].decode("utf-8", "ignore")


def _below(found: list[tuple[Similarity, np.ndarray | None]], parent: int | None, local: np.ndarray) -> Similarity:
    """Where the last node of `found` lies in its parent, in which the file has it at `local`."""
    (world, rest) = found[-1]
    if parent is None:
        return world
    above, rest_above = found[parent]
    if rest is None and rest_above is None:
        return Similarity.of(local)
    return Similarity.of(np.linalg.inv(above.matrix) @ world.matrix)


def _kept(
    node: SourceNode, rest: np.ndarray | None, stored: _Stored, painter: Painter, number: int, is_free: bool
) -> tuple[int | None, Similarity]:
    """What `_Stored.add` gives for a node; None, with a warning, where it has no face with an area."""
    name = "".join(c if c.isprintable() else "?" for c in node.name[:_SHOWN]) or f"of node {number}"
    try:
        signal = _surface_of(node, rest, painter, stored.name)
    except SignalError as error:
        warnings.warn(f"{error}; the part {name!r} was left out", stacklevel=2)
        return None, Similarity()
    return stored.add(name, signal, is_free)


def _surface_of(node: SourceNode, rest: np.ndarray | None, painter: Painter, name: str) -> Signal:
    """All bodies of a node as one surface, in its own coordinates after the stretch `rest`."""
    vertices, faces, own, n = [], [], painter.anew(), 0
    for body in node.bodies:
        corners = meshes.corners_of(body, name)
        own.add(body, corners)
        vertices.append(np.asarray(body.vertices, np.float64))
        faces.append(corners + n)
        n += len(vertices[-1])
    points = np.concatenate(vertices)
    mesh, counts = meshes.clean(name, points if rest is None else points @ rest.T, np.concatenate(faces), own.paint())
    colour = {} if own.one_colour is None else {"colour": hex_colour(own.one_colour)}
    return Signal("sdf", mesh=mesh, meta=counts | colour)


def _plain(paint: Paint) -> np.ndarray | None:
    """The one colour (3,) of faces that have no other."""
    corners = paint.corners.reshape(-1, 3)
    return corners[0] if not paint.textures and (corners == corners[0]).all() else None


def hex_colour(colour: np.ndarray) -> str:
    """A colour (3,), 0 to 1, as metadata have it: "#rrggbb"."""
    return "#" + to_bytes(np.asarray(colour)[None])[0, :3].tobytes().hex()


def write_glb(
    path: Path, nodes: list[Node], geometries: list[Mesh | None], normals: list[np.ndarray | None], meta: dict[str, Any]
) -> None:
    """A GLB file with these nodes; geometries: for each field its mesh in its own coordinates, which several nodes may
    share, and normals (V, 3) of its vertices."""
    trimesh = meshes.library("writing GLB")
    scene, names = trimesh.Scene(), [f"node {k}" for k in range(len(nodes))]
    surfaces: dict[int, tuple[str, np.ndarray]] = {}  # by field: name of the geometry, and how far it was moved
    name_colours = None
    for number, node in enumerate(nodes):
        above = scene.graph.base_frame if node.parent is None else names[node.parent]
        scene.graph.update(names[number], above, matrix=node.placement.matrix)
        if node.field is None or geometries[node.field] is None:
            continue
        if node.field not in surfaces:
            surface, moved, post = _surface(trimesh, geometries[node.field], normals[node.field])
            name_colours = post or name_colours
            scene.geometry[f"part{node.field}"] = surface
            surfaces[node.field] = f"part{node.field}", moved
        geometry, moved = surfaces[node.field]
        if moved.any():
            shift = np.eye(4)
            shift[:3, 3] = moved
            scene.graph.update(f"{names[number]}/{geometry}", names[number], matrix=shift, geometry=geometry)
        else:
            scene.graph.update(names[number], above, matrix=node.placement.matrix, geometry=geometry)
    if not surfaces:
        raise UsageError("writing a scene: got no part with faces, expected one; raise the resolution or the level")
    units = meta.get("units")
    if isinstance(units, str) and units != "m":
        scene.units = meshes.long_units(units)
    path.write_bytes(scene.export(file_type="glb", include_normals=True, tree_postprocessor=_named(nodes, name_colours)))


def _surface(trimesh: Any, mesh: Mesh, normals: np.ndarray | None) -> tuple[Any, np.ndarray, Any]:
    """A trimesh mesh, how far it was moved so that float32 holds it, and the postprocessor that its colours need."""
    moved = np.zeros(3)
    if float32_error(mesh.vertices) is not None:
        moved = (mesh.vertices.min(axis=0) + mesh.vertices.max(axis=0)) / 2
        mesh = replace(mesh, vertices=mesh.vertices - moved)
    if has_one_texture(mesh.paint):
        return textured_surface(trimesh, mesh, normals), moved, None
    surface = trimesh.Trimesh(mesh.vertices, mesh.faces, vertex_normals=normals, process=False, validate=False)
    return surface, moved, None if mesh.paint is None else glb_colours(surface, vertex_colours(mesh))


def _named(nodes: list[Node], others: Callable[[dict[str, Any]], None] | None) -> Callable[[dict[str, Any]], None]:
    """A postprocessor of trimesh's export, which needs a name of its own for each node: after `others` it puts back those
    that nodes have, equal ones and none, and takes out the node that older versions write for the world."""

    def rename(tree: dict[str, Any]) -> None:
        if others is not None:
            others(tree)
        for node in tree["nodes"]:
            number = _NUMBER.fullmatch(node.pop("name", ""))
            if number is not None and nodes[int(number[1])].name:
                node["name"] = nodes[int(number[1])].name
            elif number is None and "mesh" not in node:
                tree["scenes"][0]["nodes"] = node.pop("children", [])

    return rename
