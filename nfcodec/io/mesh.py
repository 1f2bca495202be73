"""Triangle meshes through trimesh: OBJ, STL, PLY, OFF, GLB and glTF; scenes are flattened with their transforms.

The surface is cleaned of what cannot matter to it, and nothing else: vertices that no face uses, faces without area and
repeated faces go; identical positions are welded only where the faces do not already close. Holes, soups and
inconsistent winding stay as they are and are counted in meta:

    n_vertices, n_faces     after cleaning
    n_instances             meshes placed in the scene; n_parts: components connected by shared vertices
    watertight              every edge belongs to exactly two faces
    n_boundary_edges        edges of one face; n_nonmanifold_edges: of three or more
    consistent_winding      no two neighbouring faces run along their common edge in the same direction
    n_welded                vertices that were merged into an identical one (absent if 0, like the next two)
    n_removed_degenerate    faces without area; n_removed_duplicate: faces with the same vertices in the same direction
    dropped                 what the format had and is not kept: "uv" without a texture
    part, part_name         the number of the part that was read alone, and the name of its node in a scene

Colours become the mesh's `Paint`: `nfcodec.io.paint`.
"""

from __future__ import annotations

import io
import logging
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np

from nfcodec.errors import MissingExtraError, SignalError, UsageError
from nfcodec.paint import some_faces, vertex_colours
from nfcodec.spec import Mesh, Paint, Signal

from . import gltf, obj
from .far import float32_error, placed, with_doubles
from .paint import Painter, glb_colours, has_one_texture, read_texture, textured_surface, to_bytes
from .pieces import chosen, piece, piece_ids
from .source import Source

__all__ = ["clean", "corners_of", "library", "load", "long_units", "part_names", "read", "short_units", "topology", "write"]

# beyond this, squares overflow float32
MAX_COORDINATE = 1e18
_LONG_UNITS = {"m": "meters", "mm": "millimeters"}  # as trimesh has them
# sine of the angle below which a triangle has no area to double precision
_FLAT = 1e-12


def library(what: str):
    """trimesh; MissingExtraError where it is not there."""
    try:
        import trimesh
    except ImportError as err:
        raise MissingExtraError.of("trimesh", "encode", what) from err
    # errors reach the user as exceptions; trimesh also logs their tracebacks
    logging.getLogger("trimesh").setLevel(logging.CRITICAL)
    return trimesh


def short_units(units: str) -> str:
    """Units as metadata have them."""
    return {long: short for short, long in _LONG_UNITS.items()}.get(units, units)


def long_units(units: str) -> str:
    """Units as trimesh has them."""
    return _LONG_UNITS.get(units, units)


# ---- reading


def read(path: Path, format: str, texture: str | Path | None = None, part: int | None = None) -> Signal:
    """A surface signal of kind "sdf": mesh with float64 vertices and int64 faces, meta as above.

    texture: an image for all texture coordinates, where the file names none or another. part: the number of the one part
    that is wanted, see `nfcodec.io.pieces`.

    Raises SignalError for a file without faces, with NaN or huge vertices, or with indices out of range.
    """
    trimesh = library(f"reading {format.upper()}")
    source = load(trimesh, path, format, by_object=part is not None)
    vertices, faces, offset = [], [], 0
    painter = Painter(path, format, None if texture is None else read_texture(texture))
    drawn = chosen(source, part, path.name)
    for number in drawn:
        transform = source.worlds[number]
        for body in source.nodes[number].bodies:
            points = np.asarray(body.vertices, np.float64)
            if not np.array_equal(transform, np.eye(4)):
                points = points @ transform[:3, :3].T + transform[:3, 3]
            corners = corners_of(body, path.name)
            if np.linalg.det(transform[:3, :3]) < 0:
                corners = corners[:, ::-1]  # a mirror turns surfaces inside out
            painter.add(body, corners)
            vertices.append(points)
            faces.append(corners + offset)
            offset += len(points)
    if not faces:
        raise SignalError(
            f"reading {path.name!r}: got no triangles{_why_empty(path, format)}, expected a mesh with faces; "
            "export it as one"
        )
    paint = painter.paint()
    if texture is not None and part is None and (paint is None or not paint.textures):
        raise SignalError(
            f"reading {path.name!r}: got a texture for a mesh without texture coordinates; leave the texture out"
        )
    mesh, counts = clean(path.name, np.concatenate(vertices), np.concatenate(faces), paint)
    meta = {"source": path.name, "format": format, "n_instances": len(drawn)}
    if part is not None:
        if len(source.drawn) < 2:
            one = piece(mesh, part, path.name)
            mesh, counts = clean(path.name, one.vertices, one.faces, one.paint)
        else:
            meta["part_name"] = source.nodes[drawn[0]].name
        meta["part"] = part
    meta |= counts
    if source.units:
        meta["units"] = short_units(source.units)
    if painter.dropped:
        meta["dropped"] = sorted(painter.dropped)
    return Signal(kind="sdf", mesh=mesh, meta=meta)


def part_names(path: Path, format: str) -> list[str]:
    """Names of the parts that `read` knows by their numbers: those of a scene's nodes, or of a single one, numbers."""
    source = load(library(f"reading {format.upper()}"), path, format, by_object=True)
    if len(source.drawn) > 1:
        return [source.nodes[k].name or str(part) for part, k in enumerate(source.drawn)]
    return [str(k) for k in range(int(piece_ids(read(path, format).mesh).max()) + 1)]


def load(trimesh: Any, path: Path, format: str, by_object: bool = False) -> Source:
    """The nodes of a file with their triangles as they are there; by_object: of OBJ its objects or groups."""
    try:
        return _load(trimesh, path, format, by_object)
    except ModuleNotFoundError as err:
        if err.name != "charset_normalizer":
            raise
        # trimesh guesses encodings with it; the formats have none but UTF-8, so the text is damaged
        raise SignalError(
            f"reading {path.name!r} as {format}: its text is not UTF-8; the file is damaged, export it again"
        ) from err


def _load(trimesh: Any, path: Path, format: str, by_object: bool) -> Source:
    if format in ("glb", "gltf"):
        return gltf.load(trimesh, path)
    data = path.read_bytes()
    is_text = format in ("obj", "off") or (format == "stl" and not _is_binary_stl(data))
    if is_text:
        if b"\0" in data[:4096]:
            raise SignalError(f"reading {path.name!r} as {format}: the content is not text; give the file the right suffix")
        try:
            data.decode("utf-8")
        except UnicodeDecodeError:
            data = data.decode("latin-1").encode("utf-8")  # comments and names of older tools
    if format == "obj":
        return obj.load(trimesh, path, data, by_object)
    return Source.of(trimesh.load_scene(io.BytesIO(data), file_type=format, process=False))


def corners_of(body: Any, name: str) -> np.ndarray:
    """The faces (T, 3) int64 of a trimesh mesh; SignalError where one names a vertex that is not there."""
    corners = np.asarray(body.faces, np.int64)
    if corners.min() < 0 or corners.max() >= len(body.vertices):
        raise SignalError(
            f"reading {name!r}: a face refers to vertex {corners.max()} of {len(body.vertices)}; repair the file"
        )
    return corners


def _is_binary_stl(data: bytes) -> bool:
    return len(data) >= 84 and len(data) == 84 + 50 * int.from_bytes(data[80:84], "little")


def _why_empty(path: Path, format: str) -> str:
    if format == "ply":
        with path.open("rb") as file:
            head = file.read(4096)
        if b"element tristrips" in head:
            return " but triangle strips"
        if b"element vertex" in head:
            return " but a point cloud"
    return ""


def clean(
    name: str, vertices: np.ndarray, faces: np.ndarray, paint: Paint | None = None
) -> tuple[Mesh, dict[str, Any]]:
    """The mesh without unused vertices, faces without area and repeated faces, and what was counted on the way.

    vertices (V, 3) float64, faces (T, 3) int64. Raises SignalError for NaN or huge vertices and if no face is left.
    """
    vertices, faces = _without_unused(vertices, faces)
    bad = ~(np.abs(vertices) <= MAX_COORDINATE).all(axis=1)  # written so that NaN counts as bad
    if bad.any():
        first = vertices[bad][0].tolist()
        raise SignalError(
            f"reading {name!r}: {int(bad.sum())} of {len(vertices)} vertices are NaN, infinite or beyond "
            f"{MAX_COORDINATE:g}, "
            f"the first is {first}; repair or rescale the mesh"
        )
    n_read, kept = len(faces), np.arange(len(faces))
    faces, kept = _picked(_distinct_corners(faces), faces, kept)
    n_welded = 0
    if len(faces) and topology(faces)["n_boundary_edges"]:
        # STL and texture seams repeat positions; a mesh that closes is left alone, as welding could join parts that touch
        merged, index = np.unique(vertices, axis=0, return_inverse=True)
        n_welded = len(vertices) - len(merged)
        if n_welded:
            # keep the order of first appearance
            vertices, faces = merged, index.reshape(-1)[faces]
            faces, kept = _picked(_distinct_corners(faces), faces, kept)
            vertices, faces = _in_order_of_use(vertices, faces)
    n_before = len(faces)
    faces, kept = _picked(_first_of_each(faces), faces, kept)
    n_duplicate = n_before - len(faces)
    # a flat face that fills a T-junction closes the mesh for whoever counts edges, so they are counted first
    counts = topology(faces) if len(faces) else {}
    faces, kept = _picked(_has_area(vertices, faces), faces, kept)
    n_degenerate = n_read - n_duplicate - len(faces)
    if not len(faces):
        raise SignalError(f"reading {name!r}: none of its {n_read} faces has an area; check the mesh and its scale")
    vertices, faces = _without_unused(vertices, faces)
    found = {"n_vertices": len(vertices), "n_faces": len(faces), **counts}
    removed = {"n_welded": n_welded, "n_removed_degenerate": n_degenerate, "n_removed_duplicate": n_duplicate}
    for key, count in removed.items():
        if count:
            found[key] = count
    if paint is not None:
        paint = some_faces(paint, kept)
    return Mesh(np.ascontiguousarray(vertices), np.ascontiguousarray(faces), paint), found


def _picked(mask: np.ndarray, *arrays: np.ndarray) -> tuple[np.ndarray, ...]:
    return tuple(array[mask] for array in arrays)


def _without_unused(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    used = np.zeros(len(vertices), bool)
    used[faces] = True
    if used.all():
        return vertices, faces
    return vertices[used], (np.cumsum(used) - 1)[faces]


def _in_order_of_use(vertices: np.ndarray, faces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vertices renumbered as the faces first use them: coherent in memory, unlike sorted positions."""
    used, first, index = np.unique(faces, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(used), np.int64)
    rank[order] = np.arange(len(used))
    return vertices[used[order]], rank[index.reshape(-1)].reshape(-1, 3)


def _distinct_corners(faces: np.ndarray) -> np.ndarray:
    a, b, c = faces.T
    return (a != b) & (b != c) & (c != a)


def _first_of_each(faces: np.ndarray) -> np.ndarray:
    """Mask of faces without an earlier one of the same vertices in the same direction; a face and its reverse both stay."""
    start = faces.argmin(axis=1)
    turned = faces[np.arange(len(faces))[:, None], (start[:, None] + np.arange(3)) % 3]
    order = np.lexsort(turned.T[::-1])  # stable: equal faces stay in the order of the file
    repeated = np.zeros(len(faces), bool)
    repeated[order[1:]] = (turned[order[1:]] == turned[order[:-1]]).all(axis=1)
    return ~repeated


def _has_area(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    a, b, c = (vertices[faces[:, i]] for i in range(3))
    twice_area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    longest = np.maximum.reduce([((p - q) ** 2).sum(axis=1) for p, q in ((a, b), (b, c), (c, a))])
    return twice_area > _FLAT * longest


def topology(faces: np.ndarray) -> dict[str, Any]:
    """Counts of parts and edges of faces (T, 3), and whether they close and agree in winding: see the module."""
    try:
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import connected_components
    except ImportError as err:
        raise MissingExtraError.of("scipy", "encode", "reading a mesh") from err

    edges = faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2)
    n_vertices = int(faces.max()) + 1
    forward = edges[:, 0] < edges[:, 1]
    low, high = edges.min(axis=1), edges.max(axis=1)
    _, index, uses = np.unique(low * n_vertices + high, return_inverse=True, return_counts=True)
    along = np.bincount(index.reshape(-1), weights=forward, minlength=len(uses)).astype(np.int64)
    # runs one way minus runs the other way: balanced up to the odd face of a border
    surplus = np.abs(2 * along - uses)
    graph = coo_matrix((np.ones(len(low), bool), (low, high)), (n_vertices, n_vertices))
    labels = connected_components(graph, directed=False)[1]
    return {
        "n_parts": len(np.unique(labels[faces[:, 0]])),
        "watertight": bool((uses == 2).all()),
        "n_boundary_edges": int((uses == 1).sum()),
        "n_nonmanifold_edges": int((uses > 2).sum()),
        "consistent_winding": bool((surplus <= uses % 2).all()),
    }


# ---- writing


def write(path: Path, mesh: Mesh, meta: dict[str, Any], format: str, name: str, normals: np.ndarray | None) -> None:
    """Write a mesh; normals (V, 3) or None; `name` is the final file's, for messages."""
    trimesh = library(f"writing {format.upper()}")
    vertices, faces = np.asarray(mesh.vertices, np.float64), np.asarray(mesh.faces, np.int64)
    if len(faces) == 0:
        raise UsageError(f"writing {name!r}: the mesh has no faces; raise the resolution or check the field's level set")
    if normals is not None and np.shape(normals) != vertices.shape:
        raise UsageError(
            f"writing {name!r}: got normals of shape {np.shape(normals)}, expected {vertices.shape}, one a vertex"
        )
    with_normals = normals is not None
    is_textured = format == "glb" and has_one_texture(mesh.paint)
    if is_textured:
        surface = textured_surface(trimesh, mesh, normals)
    else:
        surface = trimesh.Trimesh(vertices, faces, vertex_normals=normals, process=False, validate=False)
    colours = None if mesh.paint is None or is_textured else vertex_colours(mesh)
    if colours is not None and format in ("obj", "ply"):
        surface.visual.vertex_colors = to_bytes(colours)
    units, options, error = meta.get("units"), {}, float32_error(vertices)
    if format == "obj":
        header = f"units: {units}" if isinstance(units, str) and units.isprintable() else ""
        options = {"digits": _digits(vertices), "include_normals": with_normals, "header": header}
        options["include_color"] = colours is not None
    elif format == "off":
        options = {"digits": _digits(vertices)}
    elif format == "ply":
        options = {"vertex_normal": with_normals}
    elif format == "glb":
        options = {"include_normals": with_normals}
        if colours is not None:
            options["tree_postprocessor"] = glb_colours(surface, colours)
        if isinstance(units, str) and units != "m":
            surface.units = long_units(units)
        node = meta.get("part_name")
        if error is not None or isinstance(node, str):
            surface = placed(trimesh, surface, node if isinstance(node, str) else None, is_moved=error is not None)
    elif error is not None:
        warnings.warn(
            f"writing {name!r}: {format.upper()} has 32 bits for a position, which is then off by up to {error:.1g}; "
            "choose OBJ, PLY or GLB to keep it",
            stacklevel=2,
        )
    data = surface.export(file_type=format, **options)
    if format == "ply" and error is not None:
        data = with_doubles(data, vertices)
    path.write_bytes(data.encode("utf-8") if isinstance(data, str) else data)


def _digits(vertices: np.ndarray) -> int:
    """Decimal places that keep 1e-9 of the box's diagonal."""
    diagonal = float(np.linalg.norm(vertices.max(axis=0) - vertices.min(axis=0)))
    return 9 if not diagonal else min(max(9 - math.floor(math.log10(diagonal)), 1), 24)
