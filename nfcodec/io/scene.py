"""Meshes' files as scenes: one signal for each geometry, and the nodes that place it; and GLB with such nodes.

Nodes keep their names and their tree. A node is placed by the similarity nearest to its place in the world; what is left, a
stretch, goes into the geometry, so that distances stay distances. Equal geometries are one. A file that places a single
mesh is taken apart into the pieces that no vertex joins, and pieces that differ by a shift alone are one.
"""

from __future__ import annotations

import hashlib
import itertools
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from nfcodec.errors import SignalError, UsageError
from nfcodec.geometry import bounding_box_diagonal
from nfcodec.paint import some_faces, vertex_colours
from nfcodec.scene import Node, Similarity, nearest_similarity
from nfcodec.spec import MAX_SCENE_DEPTH, MAX_SCENE_FIELDS, MAX_SCENE_NODES, Mesh, Paint, Signal

from . import mesh as meshes
from .far import float32_error
from .paint import Painter, glb_colours, has_one_texture, read_texture, textured_surface, to_bytes
from .pieces import instances, piece_ids

__all__ = ["SceneSource", "read", "write_glb"]

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
    trimesh = meshes.library(f"reading {format.upper()}")
    scene = meshes.load(trimesh, path, format)
    meta: dict[str, Any] = {"source": path.name, "format": format}
    if scene.units:
        meta["units"] = meshes.short_units(scene.units)
    stored = _Stored(path.name)
    if len(instances(scene)) < 2:
        whole = meshes.read(path, format, texture)
        nodes = [Node(str(k), None, *stored.add(str(k), piece, is_free=True)) for k, piece in enumerate(_pieces(whole))]
    else:
        painter = Painter(path, format, None if texture is None else read_texture(texture))
        nodes = _tree(scene, stored, painter, path.name)
    if not stored.signals:
        raise SignalError(f"reading {path.name!r}: none of its parts has faces with an area; check the meshes' scale")
    if len(stored.signals) > MAX_SCENE_FIELDS or len(nodes) > MAX_SCENE_NODES:
        raise SignalError(
            f"reading {path.name!r}: got {len(stored.signals)} different parts in {len(nodes)} nodes, expected up to "
            f"{MAX_SCENE_FIELDS} and {MAX_SCENE_NODES}; join some, or encode it without --parts"
        )
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


def _pieces(whole: Signal) -> list[Signal]:
    ids = piece_ids(whole.mesh)
    out = []
    for k in range(int(ids.max()) + 1):
        some = ids == k
        paint = None if whole.mesh.paint is None else some_faces(whole.mesh.paint, some)
        mesh, counts = meshes.clean(f"piece {k}", whole.mesh.vertices, whole.mesh.faces[some], paint)
        out.append(Signal("sdf", mesh=mesh, meta=counts))
    return out


def _tree(scene: Any, stored: _Stored, painter: Painter, name: str) -> list[Node]:
    """The nodes that place triangles and those above them, parents first."""
    parents, base = scene.graph.transforms.parents, scene.graph.base_frame
    drawn = instances(scene)
    lines = []
    for node in drawn:
        line = [node]
        while line[0] in parents and parents[line[0]] != base:
            line.insert(0, parents[line[0]])
        lines.append(line if len(line) < MAX_SCENE_DEPTH else [node])
    numbers: dict[str, int] = {}
    nodes: list[Node] = []
    found: list[tuple[Similarity, np.ndarray | None]] = []  # place in the world, and the stretch that is left
    kept: dict[tuple[str, bytes], int | None] = {}
    for line in lines:
        for above, node in zip([None, *line], line):
            if node in numbers:
                continue
            world, geometry = scene.graph[node]
            number, parent = len(nodes), numbers.get(above)
            numbers[node] = number
            found.append(nearest_similarity(world))
            placement = _below(found, parent, scene.graph.get(node, above)[0] if parent is not None else world)
            field = None
            if node in drawn:
                rest = found[number][1]
                key = geometry, b"" if rest is None else np.round(rest, 9).tobytes()
                if key not in kept:
                    kept[key] = _kept(scene.geometry[geometry], rest, node, stored, painter, name)
                field = kept[key]
            nodes.append(Node(node, parent, field, placement))
    return nodes


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
    body: Any, rest: np.ndarray | None, node: str, stored: _Stored, painter: Painter, name: str
) -> int | None:
    """The number of a geometry; None, with a warning, where it has no face with an area."""
    vertices = np.asarray(body.vertices, np.float64)
    corners = np.asarray(body.faces, np.int64)
    if corners.min() < 0 or corners.max() >= len(vertices):
        raise SignalError(f"reading {name!r}: a face refers to vertex {corners.max()} of {len(vertices)}; repair the file")
    own = painter.anew()
    own.add(body, corners)
    try:
        mesh, counts = meshes.clean(name, vertices if rest is None else vertices @ rest.T, corners, own.paint())
    except SignalError as error:
        warnings.warn(f"{error}; the part {node!r} was left out", stacklevel=2)
        return None
    colour = {} if own.one_colour is None else {"colour": hex_colour(own.one_colour)}
    return stored.add(node, Signal("sdf", mesh=mesh, meta=counts | colour), is_free=False)[0]


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
    scene, names = trimesh.Scene(), _distinct(nodes)
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
    path.write_bytes(scene.export(file_type="glb", include_normals=True, tree_postprocessor=name_colours))


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


def _distinct(nodes: list[Node]) -> list[str]:
    """Names of nodes, numbered where there are several or none."""
    taken, out = {"world"}, []
    for number, node in enumerate(nodes):
        name = node.name or f"node{number}"
        tries = itertools.chain([name], (f"{name}_{k}" for k in itertools.count(1)))
        out.append(next(text for text in tries if text not in taken))
        taken.add(out[-1])
    return out
