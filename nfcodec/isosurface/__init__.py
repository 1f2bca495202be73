"""The surface where a field crosses a level, as triangles. Only the neighbourhood of the surface is ever evaluated.

`tiles` evaluates the lattice there, `cells` knows how a surface cuts a cell, `crossings` finds where it crosses edges of
the lattice, `marching` and `dual` make triangles of that. Needs numpy only.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from nfcodec.errors import UsageError

from .crossings import find_crossings
from .dual import contour
from .marching import march
from .tiles import Evaluate, Tiles, find_cells

__all__ = ["METHODS", "isosurface"]

METHODS = ("marching-cubes", "dual-contouring")


def isosurface(
    evaluate: Evaluate,
    shape: tuple[int, int, int],
    level: float = 0.0,
    *,
    method: str = METHODS[0],
    step: tuple[float, float, float] | None = None,
    truncation: float | None = None,
    points: Callable[[np.ndarray], np.ndarray] | None = None,
    is_quick: bool = True,
    gradient: Callable[[np.ndarray], np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Triangles between the samples below `level` (inside) and the others, of a field sampled on a lattice.

    evaluate: takes three float64 arrays of coordinates in [0, 1], along z, y and x, and returns the field on their
    product, (nz, ny, nx) float. shape: samples along (z, y, x), sample i of n at (i + 0.5) / n, at least 2 an axis.
    method: one of METHODS. Marching cubes has a vertex wherever the surface crosses an edge of the lattice; dual contouring
    has one in each cell that it crosses, where the tangent planes meet, which keeps edges and corners sharp.
    step: for fields whose values are distances, the distance between neighbouring samples along (z, y, x); parts
    thinner than a tile are then found too. None: surfaces are found where the sign changes on every fourth sample, and
    followed from there. truncation: the largest absolute value of a truncated distance. points: the field at coordinates
    (N, 3), (N,) float32, the same bits for the same coordinates: crossings are then the zeros of the field itself and not
    of a line between samples. is_quick: points take about as long as samples of `evaluate`, and are used for them.
    gradient: the derivatives (N, 3) by coordinates (N, 3), for dual contouring.

    An occupancy (1 inside) is passed negated, with level -0.5. An unsigned distance has no inside: extract it at a
    small positive level, which gives a thin closed shell.

    Returns vertices (V, 3) float64 as (z, y, x) in samples (0 at the first, world = low + (vertex + 0.5) * step) and
    faces (T, 3) int64. Once the vertices' columns are reversed to (x, y, z), normals by the right-hand rule point
    to greater values. The mesh is closed, and a manifold, where it does not leave the lattice. Raises NfldError when
    nothing crosses the level or the field is not finite, UsageError for an unknown method.
    """
    if len(shape) != 3 or min(shape) < 2:
        raise UsageError(
            f"extracting a surface: got shape {shape}, expected three axes of at least 2: raise the resolution"
        )
    if method not in METHODS:
        raise UsageError(f"extracting a surface: got method {method!r}, expected {' or '.join(METHODS)}")
    lattice = Tiles(evaluate, shape, level, points if is_quick else None)
    cells, values = find_cells(lattice, step, truncation)
    crossings = find_crossings(lattice, cells, values, points)
    if method == "marching-cubes":
        return march(values, crossings)
    if points is None or gradient is None:
        raise UsageError("extracting a surface: got no points or no gradient, expected both for dual contouring")
    return contour(lattice, cells, values, crossings, points, gradient)
