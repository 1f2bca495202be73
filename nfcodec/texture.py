"""Textures: a mesh's surface laid out flat, without overlaps, and a picture of its colours there.

xatlas cuts the mesh into charts and packs them. Texels whose middle lies on a triangle are given the colour of that
point of the surface; others that of the nearest of them, so that seams do not show when a viewer interpolates.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np

from .errors import MissingExtraError, UsageError
from .spec import Mesh, Paint

__all__ = ["MAX_SIZE", "MIN_SIZE", "textured", "texels", "unwrapped"]

MIN_SIZE, MAX_SIZE = 16, 8192
_PADDING = 4  # texels between charts
_CHUNK = 1 << 20  # texels looked at at a time
_EDGE = 1e-6  # of a barycentric weight: a texel on an edge belongs to both sides


def textured(mesh: Mesh, colours: Callable[[np.ndarray], np.ndarray], size: int) -> Mesh:
    """The mesh with a texture of size x size texels. colours: points (N, 3) of its surface -> (N, 3), sRGB-encoded, 0 to 1.

    Raises UsageError for a size below MIN_SIZE or above MAX_SIZE, MissingExtraError without xatlas or scipy.
    """
    if not MIN_SIZE <= size <= MAX_SIZE:
        raise UsageError(f"making a texture: got {size} texels an edge, expected {MIN_SIZE} to {MAX_SIZE}")
    uv = unwrapped(mesh, size)
    image, covered = np.zeros((size * size, 3), np.uint8), np.zeros(size * size, bool)
    for places, ids, weights in texels(uv, size):
        points = np.einsum("nk,nkc->nc", weights, mesh.vertices[mesh.faces[ids]])
        found = np.nan_to_num(colours(points))  # a damaged file's may be anything
        image[places], covered[places] = np.rint(np.clip(found, 0, 1) * 255), True
    image = _spread(image.reshape(size, size, 3), covered.reshape(size, size))
    n = len(mesh.faces)
    return replace(mesh, paint=Paint(np.ones((n, 3, 3), np.float32), uv, np.zeros(n, np.int32), (image,)))


def unwrapped(mesh: Mesh, size: int) -> np.ndarray:
    """Texture coordinates (T, 3, 2) float32 in 0 to 1 of the corners of each face, as `Paint` has them."""
    try:
        import xatlas
    except ImportError as err:
        raise MissingExtraError.of("xatlas", "texture", "making a texture") from err
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    positions = (mesh.vertices - low) / max(float((high - low).max()), np.finfo(float).tiny)
    atlas, packing = xatlas.Atlas(), xatlas.PackOptions()
    atlas.add_mesh(positions.astype(np.float32), mesh.faces.astype(np.uint32))
    packing.resolution, packing.padding, packing.bilinear = size, _PADDING, True
    atlas.generate(xatlas.ChartOptions(), packing)
    _, corners, places = atlas[0]
    return np.ascontiguousarray(places[corners], np.float32)


def texels(uv: np.ndarray, size: int) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The texels whose middles lie on faces with texture coordinates uv (T, 3, 2), a part at a time: their places (M,) in a
    picture of size x size in row order, the faces (M,) and barycentric weights (M, 3)."""
    # columns and rows, in texels, 0 at the middle of the first
    corners = np.stack([uv[..., 0] * size - 0.5, (1.0 - uv[..., 1].astype(np.float64)) * size - 0.5], -1)
    first = np.clip(np.ceil(corners.min(axis=1)), 0, size - 1).astype(np.int64)
    extent = np.clip(np.floor(corners.max(axis=1)), -1, size - 1).astype(np.int64) - first + 1
    counts = np.maximum(extent, 0).prod(axis=1)
    some = np.flatnonzero(counts)
    for part in np.split(some, np.flatnonzero(np.diff(np.cumsum(counts[some]) // _CHUNK)) + 1):
        ids = np.repeat(part, counts[part])
        k = np.arange(len(ids)) - np.repeat(np.cumsum(counts[part]) - counts[part], counts[part])
        places = first[ids] + np.stack([k % extent[ids, 0], k // extent[ids, 0]], 1)
        weights = _weights(corners[ids], places)
        inside = (weights >= -_EDGE).all(axis=1)
        yield places[inside, 1] * size + places[inside, 0], ids[inside], weights[inside]


def _weights(corners: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Barycentric weights (M, 3) of points (M, 2) in triangles (M, 3, 2); NaN in those without area."""
    a, b = corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]
    p = points - corners[:, 0]
    area = a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]
    with np.errstate(divide="ignore", invalid="ignore"):
        second = (p[:, 0] * b[:, 1] - p[:, 1] * b[:, 0]) / area
        third = (a[:, 0] * p[:, 1] - a[:, 1] * p[:, 0]) / area
    return np.stack([1.0 - second - third, second, third], 1)


def _spread(image: np.ndarray, covered: np.ndarray) -> np.ndarray:
    """The picture with texels that no face covers given the colour of the nearest one that a face does."""
    try:
        from scipy.ndimage import distance_transform_edt
    except ImportError as err:
        raise MissingExtraError.of("scipy", "encode", "making a texture") from err
    if not covered.any():
        return image
    nearest = distance_transform_edt(~covered, return_distances=False, return_indices=True)
    return image[tuple(nearest)]
