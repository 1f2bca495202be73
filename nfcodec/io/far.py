"""Positions so far from the origin that float32, which PLY, GLB and STL are usually written with, would move them.

A mesh in the coordinates of a map has offsets of 10^6 m and details of 1 mm. PLY may hold doubles; GLB's buffers may not,
but the transform of a node is text.
"""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["float32_error", "placed", "with_doubles"]

_FAR = 1e-6  # of the box's diagonal: a rounding error that matters


def float32_error(vertices: np.ndarray) -> float | None:
    """By how much float32 moves a coordinate at most, where that matters; else None."""
    error = float(np.abs(vertices).max()) * 2.0**-24
    diagonal = float(np.linalg.norm(vertices.max(axis=0) - vertices.min(axis=0)))
    return error if error > _FAR * diagonal else None


def placed(trimesh: Any, surface: Any, node: str | None, is_moved: bool) -> Any:
    """A scene with a trimesh mesh in a node of that name; is_moved: around the origin, and the node takes it back."""
    transform = np.eye(4)
    if is_moved:
        middle = (surface.vertices.min(axis=0) + surface.vertices.max(axis=0)) / 2
        transform[:3, 3] = middle
        normals = surface.vertex_normals  # which moving would make trimesh forget
        surface.vertices = surface.vertices - middle
        surface.vertex_normals = normals
    scene = trimesh.Scene()
    scene.add_geometry(surface, node_name=node, geom_name=node, transform=transform)
    return scene


def with_doubles(data: bytes, vertices: np.ndarray) -> bytes:
    """A binary PLY file whose vertices begin with x, y and z as floats, with (V, 3) doubles instead."""
    head, end, body = data.partition(b"end_header\n")
    for axis in (b"x", b"y", b"z"):
        head = head.replace(b"property float %s\n" % axis, b"property double %s\n" % axis, 1)
    n, n_faces = len(vertices), int(head.split(b"element face ")[1].split()[0])
    # a face is a count and three indices, and comes after the vertices
    rows = np.frombuffer(body, np.uint8)[: len(body) - 13 * n_faces].reshape(n, -1)
    doubles = np.ascontiguousarray(vertices, "<f8").view(np.uint8).reshape(n, 24)
    return head + end + np.concatenate([doubles, rows[:, 12:]], axis=1).tobytes() + body[rows.size :]
