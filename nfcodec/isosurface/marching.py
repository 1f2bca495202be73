"""Marching cubes (Lorensen and Cline, SIGGRAPH 1987): vertices where the surface crosses the edges of the lattice."""

from __future__ import annotations

import numpy as np

from .cells import triangle_table
from .crossings import Crossings

__all__ = ["march"]


def march(values: np.ndarray, crossings: Crossings) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (E, 3) float64 in samples and faces (T, 3) int64 of cells with corner values (M, 8) minus the level."""
    counts, starts, triples = triangle_table()
    edge_of = np.full((len(values), 12), -1, crossings.edge.dtype)
    edge_of[crossings.cell, crossings.side] = crossings.edge
    case = ((values < 0) << np.arange(8)).sum(axis=1)
    n_triangles = counts[case]
    cell = np.repeat(np.arange(len(values)), n_triangles)
    nth = np.arange(len(cell)) - np.repeat(np.cumsum(n_triangles) - n_triangles, n_triangles)
    faces = edge_of[cell[:, None], triples[starts[case[cell]] + nth]]
    return crossings.positions, faces.astype(np.int64)
