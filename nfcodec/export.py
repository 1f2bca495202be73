"""A field -> a file of a usual format: images and volumes as lattices, surfaces as meshes or as lattices of distances."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from . import io
from .atomic import check_output
from .errors import UsageError
from .field import Field, Region
from .geometry import area_vectors
from .limits import MAX_OUTPUT_VALUES
from .scene import Scene, joined, placed
from .spec import COLOUR_ROLES, Mesh
from .vectors import finished

__all__ = ["default_suffix", "export", "export_scene", "mean_normals", "vertex_normals"]

_FALLBACK = {"image": ".png", "volume": ".npy"}
_NUMBERED = "-%04d"  # what is added to the name of numbered images
_PNG_CHANNELS = 4
TEXTURED_RESOLUTION = 96  # of a mesh whose colours are in a texture: unwrapping takes the longer the more faces there are
_TEXTURED = ".glb"
_SCENE = ".glb"  # the format that has nodes


def default_suffix(field: Field | Scene) -> str:
    """The suffix of the source's format where that can hold the field, else .png, .npy or .obj; of a scene .glb."""
    if isinstance(field, Scene):
        return _SCENE
    writable = io.suffixes(field.kind, writable=True)
    source, name = field.meta.get("source"), field.meta.get("format")
    if isinstance(source, str):
        for suffix in sorted(writable, key=len, reverse=True):
            # a format that the name does not say is stored beside it
            if source.lower().endswith(suffix) and name == "frames":
                return _NUMBERED + suffix
            if source.lower().endswith(suffix) and name in (None, io.FORMATS[suffix].name):
                return suffix
    for suffix in writable:
        if io.FORMATS[suffix].name == name:
            return suffix
    if field.is_surface:
        return ".obj"
    fits_png = field.spec.dtype in ("u1", "u2") and field.spec.channels <= _PNG_CHANNELS
    return _FALLBACK[field.kind] if field.kind != "image" or fits_png else ".npy"


def export(
    field: Field,
    path: str | os.PathLike,
    *,
    shape: tuple[int, ...] | None = None,
    scale: float | tuple[float, ...] | None = None,
    resolution: int | None = None,
    region: Region | None = None,
    level: int | None = None,
    dtype: Any = None,
    iso: float | None = None,
    method: str | None = None,
    texture: int | None = None,
    sharp: bool | None = None,
    overwrite: bool = False,
    max_values: int = MAX_OUTPUT_VALUES,
) -> dict[str, Any]:
    """Writes a field in the format of the path's suffix, with the metadata that the format can hold.

    shape, scale, resolution, region, level, dtype, max_values: as `Field.decode`. For meshes resolution or scale set the
    lattice of the isosurface, level, iso, method and sharp are as in `Field.to_mesh`, and vertices get normals from the
    field's gradient; shape, region and dtype do not apply. texture: for GLB, the edge in texels of a texture that holds the
    field's colours instead of the vertices; the lattice then has TEXTURED_RESOLUTION samples where nothing else is said.
    Returns {"shape": (*extent, C)} or {"n_vertices", "n_faces"}.
    Raises UsageError before anything is decoded where the options do not fit; the file appears whole or not at all.
    """
    path = Path(path)
    as_mesh = _is_mesh_format(path)
    if as_mesh and not field.is_surface:
        raise UsageError(
            f"writing {str(path)!r}: got a field of kind {field.kind}, expected a surface; "
            f"choose a format such as {default_suffix(field)}"
        )
    check_output(path, overwrite)
    if as_mesh:
        for name, value in (("shape", shape), ("region", region), ("dtype", dtype)):
            if value is not None:
                raise UsageError(
                    f"writing {str(path)!r}: {name} does not apply to meshes; "
                    "use resolution, or a lattice's format such as .npy"
                )
        mesh, normals = _mesh_of(field, path, scale, resolution, level, iso, method, texture, sharp)
        io.write_mesh(path, mesh, field.meta, normals=normals, overwrite=overwrite)
        return {"n_vertices": len(mesh.vertices), "n_faces": len(mesh.faces)}
    for name, value in (("iso", iso), ("method", method), ("sharp", sharp), ("texture", texture)):
        if value is not None:
            raise UsageError(f"writing {str(path)!r}: {name} applies to meshes only; leave it out")
    values = field.decode(
        shape, scale=scale, resolution=resolution, region=region, level=level, dtype=dtype, max_values=max_values
    )
    if field.residual is None:  # what is guaranteed stays as it is
        spans = [b - a for a, b in region] if region is not None else [1.0] * field.spec.n_dims
        steps = tuple(n * span / m for n, span, m in zip(field.spec.extent, spans, values.shape))
        values = finished(values, field.meta.get("quantity"), steps)
    io.write_lattice(path, values, _lattice_meta(field, region, values), overwrite=overwrite)
    return {"shape": values.shape}


def _mesh_of(
    field: Field, path: Path, scale, resolution: int | None, level: int | None, iso: float | None, method: str | None,
    texture: int | None, sharp: bool | None,
) -> tuple[Mesh, np.ndarray]:  # fmt: skip
    """What `export` writes of a surface: its mesh, and normals of the vertices."""
    if scale is not None and resolution is not None:
        raise UsageError("decoding: got more than one of scale and resolution, expected one at most")
    if np.iterable(scale):
        raise UsageError(f"writing {str(path)!r}: got a scale for each axis, expected one for a mesh")
    if scale is not None:
        resolution = round(max(field.spec.extent) * scale)
    if texture is not None:
        _check_texture(field, path)
        resolution = TEXTURED_RESOLUTION if resolution is None and level is None else resolution
    mesh = field.to_mesh(resolution, level, iso, sharp=sharp, **({} if method is None else {"method": method}))
    if texture is not None:
        mesh = _textured(field, mesh, texture, level)
    # at its surface a distance without sign has no slope
    normals = mean_normals(mesh) if field.draws_in(iso) else vertex_normals(field, mesh.vertices, level)
    return mesh, normals


def export_scene(
    scene: Scene,
    path: str | os.PathLike,
    *,
    resolution: int | None = None,
    level: int | None = None,
    iso: float | None = None,
    method: str | None = None,
    overwrite: bool = False,
) -> dict[str, Any]:
    """Writes a scene: GLB with its nodes, names and shared meshes, other formats of meshes with all parts as one.

    resolution, level, iso, method: as `Scene.to_mesh`. Returns {"n_vertices", "n_faces", "n_parts"}, those of the parts
    where they are placed. UsageError for formats of other signals; the file appears whole or not at all.
    """
    path = Path(path)
    if not _is_mesh_format(path):
        raise UsageError(f"writing {str(path)!r}: got a scene, expected a format of meshes; .glb keeps its nodes")
    check_output(path, overwrite)
    meshes = scene.meshes(resolution, level, iso, **({} if method is None else {"method": method}))
    normals: list[np.ndarray | None] = []
    for field, mesh in zip(scene.fields, meshes):
        if mesh is None or field.draws_in(iso):
            normals.append(None if mesh is None else mean_normals(mesh))
        else:
            own = None if level is None else min(level, field.n_levels - 1)
            normals.append(vertex_normals(field, mesh.vertices, own))
    drawn = [part for part in scene.parts if meshes[scene.nodes[part.node].field] is not None]
    fields = [scene.nodes[part.node].field for part in drawn]
    if path.name.lower().endswith(_SCENE):
        io.write_scene(path, scene.nodes, meshes, normals, scene.meta, overwrite=overwrite)
    else:
        mesh = joined([placed(meshes[k], part) for k, part in zip(fields, drawn)])
        turned = np.concatenate([part.world.turned(normals[k]) for k, part in zip(fields, drawn)])
        io.write_mesh(path, mesh, scene.meta, normals=turned, overwrite=overwrite)
    return {
        "n_vertices": sum(len(meshes[k].vertices) for k in fields),
        "n_faces": sum(len(meshes[k].faces) for k in fields),
        "n_parts": len(drawn),
    }


def vertex_normals(field: Field, vertices: np.ndarray, level: int | None = None) -> np.ndarray:
    """Unit normals (V, 3) float64 as (x, y, z) at world points (V, 3): the direction of the field's gradient, outwards."""
    slopes = field.gradient(field.from_world(vertices), level)[:, 0] / field.box_size
    normals = slopes[:, ::-1].astype(np.float64)
    return _unit(-normals if field.kind == "occupancy" else normals)  # occupancy grows inwards


def mean_normals(mesh: Mesh) -> np.ndarray:
    """Unit normals (V, 3) float64: of the faces around each vertex, weighted by their areas."""
    vectors, vertices = np.repeat(area_vectors(mesh), 3, axis=0), mesh.faces.reshape(-1)
    return _unit(np.stack([np.bincount(vertices, x, len(mesh.vertices)) for x in vectors.T], 1))


def _unit(normals: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(normals, axis=1, keepdims=True)
    # where there is no direction any one is as good, but it has to be a unit vector
    return np.where(lengths > 0, normals / np.maximum(lengths, np.finfo(float).tiny), [0.0, 0.0, 1.0])


def _check_texture(field: Field, path: Path) -> None:
    if not path.name.lower().endswith(_TEXTURED):
        raise UsageError(f"writing {str(path)!r}: a texture goes into GLB only; name a file with {_TEXTURED}")
    if not field.spec.channels_of(*COLOUR_ROLES):
        raise UsageError(f"writing {str(path)!r}: got a texture for a field without colours; leave it out")


def _textured(field: Field, mesh: Mesh, size: int, level: int | None) -> Mesh:
    from .texture import textured

    colours = field.spec.channels_of(*COLOUR_ROLES)
    return textured(mesh, lambda points: field.sample(field.from_world(points), level)[:, colours], size)


def _is_mesh_format(path: Path) -> bool:
    suffix = next((s for s in io.suffixes("sdf") if path.name.lower().endswith(s)), None)
    return suffix is not None


def _lattice_meta(field: Field, region: Region | None, values: np.ndarray) -> dict[str, Any]:
    if field.is_surface:
        spec = field.spec
        centres = [o + spec.cell / 2 for o in spec.origin]
        meta = {"axes": "zyx", "spacing": [spec.cell] * 3, "origin": centres}
        if isinstance(field.meta.get("units"), str):
            meta["units"] = field.meta["units"]
    else:
        meta = dict(field.meta)
    if values.dtype != np.dtype(field.spec.dtype):
        meta.pop("bit_depth", None)  # it is the source's dtype that was not filled
    return io.rescale_meta(meta, field.spec.extent, region, values.shape[:-1])
