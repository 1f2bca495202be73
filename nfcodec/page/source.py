"""A source as what the viewer can show beside the field: a PNG for images, bytes that are deflated for the other kinds."""

from __future__ import annotations

import io
import zlib
from typing import Any

import numpy as np

from ..errors import MissingExtraError
from ..field import Field
from ..scene import Scene
from ..spec import Mesh, Signal

__all__ = ["packed_source"]

_MAX_BYTES = 1 << 26  # of a volume; of larger ones every second sample is taken, or every third
_MAX_FACES, _MAX_SPLIT = 120_000, 8  # of a mesh with textures


def packed_source(field: Field | Scene, signal: Signal) -> tuple[dict[str, Any], bytes]:
    """What the page says of the source of a field or a scene, and its bytes.

    A picture is a PNG; a volume a byte for each sample and channel, as parts of the channel's range; a mesh the positions
    of its vertices (float32 x, y, z, in units of the box's longest edge), normals (int8), colours (uint8, if there are any)
    and faces (uint32). The last two are deflated.
    """
    if isinstance(field, Scene):
        low, high = (np.array(field.info()["box"][end]) for end in ("low", "high"))
        return _mesh(signal.mesh, low, float((high - low).max()))
    if signal.mesh is not None:
        return _mesh(signal.mesh, np.array(field.spec.origin[::-1]), float(field.box_size.max()))
    if signal.values.ndim == 3:
        return {"type": "image/png"}, _png(field, signal.values)
    return _volume(field, signal.values)


def _volume(field: Field, values: np.ndarray) -> tuple[dict[str, Any], bytes]:
    step = 1
    while values[tuple(slice(None, None, step) for _ in values.shape[:-1])].size > _MAX_BYTES:
        step += 1
    values = values[tuple(slice(None, None, step) for _ in values.shape[:-1])]
    offset, size = np.array(field.spec.value_offset), np.array(field.spec.value_scale)
    low, size = (0.0, 1.0) if field.spec.dtype == "b1" else (np.minimum(offset, offset + size), np.abs(size))
    parts = np.rint(255 * np.clip((values.astype(np.float32) - low) / np.where(size, size, 1), 0, 1)).astype(np.uint8)
    return {"type": "volume", "shape": list(values.shape[:-1])}, zlib.compress(parts.tobytes(), 6)


def _mesh(mesh: Mesh, low: np.ndarray, edge: float) -> tuple[dict[str, Any], bytes]:
    """low: the corner (x, y, z) of the box; edge: its longest one."""
    from ..paint import vertex_colours

    normals = _normals(mesh)
    colours = None if mesh.paint is None else vertex_colours(mesh)
    vertices, faces = mesh.vertices, mesh.faces
    if mesh.paint is not None and mesh.paint.textures:
        # a texture has more detail than vertices have colours
        n = int(np.clip(np.sqrt(_MAX_FACES / max(len(faces), 1)), 1, _MAX_SPLIT))
        vertices, normals, colours, faces = _split(mesh, normals, n)
    parts = [((vertices - low) / edge).astype("<f4"), np.rint(127 * normals).astype(np.int8)]
    if colours is not None:
        parts.append(np.rint(255 * np.clip(colours, 0, 1)).astype(np.uint8))
    parts.append(faces.astype("<u4"))
    facts = {"type": "mesh", "nVertices": len(vertices), "nFaces": len(faces), "colours": colours is not None}
    return facts, zlib.compress(b"".join(part.tobytes() for part in parts), 6)


def _normals(mesh: Mesh) -> np.ndarray:
    """Unit normals (V, 3) of the vertices: means over their faces by area."""
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    across = np.cross(b - a, c - a)
    sums = np.stack(
        [np.bincount(mesh.faces.reshape(-1), np.repeat(across[:, k], 3), len(mesh.vertices)) for k in range(3)], 1
    )
    return sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-30)


def _split(mesh: Mesh, normals: np.ndarray, n: int) -> tuple[np.ndarray, ...]:
    """Vertices, normals, colours and faces of a mesh whose faces are each cut into n^2, with colours of its textures."""
    from ..paint import colours_at

    corners = [(i, j) for i in range(n + 1) for j in range(n + 1 - i)]
    number = {corner: k for k, corner in enumerate(corners)}
    weights = np.array([(n - i - j, i, j) for i, j in corners]) / n
    small = [(number[i, j], number[i + 1, j], number[i, j + 1]) for i in range(n) for j in range(n - i)]
    small += [(number[i + 1, j], number[i + 1, j + 1], number[i, j + 1]) for i in range(n) for j in range(n - 1 - i)]
    n_faces, per_face = len(mesh.faces), len(corners)

    def spread(values: np.ndarray) -> np.ndarray:
        return np.einsum("kc,fcx->fkx", weights, values[mesh.faces]).reshape(-1, 3)

    colours = colours_at(mesh.paint, np.repeat(np.arange(n_faces), per_face), np.tile(weights, (n_faces, 1)))
    faces = (np.array(small)[None] + per_face * np.arange(n_faces)[:, None, None]).reshape(-1, 3)
    return spread(mesh.vertices), spread(normals), colours, faces


def shown(field: Field, values: np.ndarray) -> np.ndarray:
    """Values of a picture as bytes of a screen, (.., 1 to 4) uint8: what nfcodec/view/viewer/display.js does."""
    spec = field.spec
    scale = {"u1": 255.0, "u2": 65535.0, "b1": 1.0}.get(spec.dtype)
    offset, size = (0.0, scale) if scale else (spec.value_offset[0], spec.value_scale[0])
    low, high = min(offset, offset + size), max(offset, offset + size)
    values = values.astype(np.float64)
    parts = (values - low) / ((high - low) or 1.0)
    if spec.knee:
        n_colours = 3 if values.shape[-1] >= 3 else 1
        light = np.maximum(values[..., :n_colours], 0.0)
        parts[..., :n_colours] = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
        parts[..., n_colours:] = values[..., n_colours:]
    if values.shape[-1] > 4:
        parts = parts[..., :3]
    return np.rint(255 * np.clip(parts, 0.0, 1.0)).astype(np.uint8)


def _png(field: Field, values: np.ndarray) -> bytes:
    try:
        from PIL import Image
    except ImportError as err:
        raise MissingExtraError.of("pillow", "encode", "writing the source into the page") from err
    pixels = shown(field, values)
    out = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(out, "PNG")
    return out.getvalue()
