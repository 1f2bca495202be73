"""Triangles as a walk over their edges: a mesh's connectivity in about three bits a face, whatever its vertices are.

Each face is told at an open edge of those before it, in the order in which edges came, by its third corner: mostly a new
vertex or the other end of an open edge next to it, as in Edgebreaker (Rossignac, TVCG 1999), but over a queue instead of a
border, so that the surface need not be a manifold. Vertices are numbered as the walk comes to them. Spec/format.md,
section 4.9.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from ..binary import Reader, Writer
from ..errors import FormatError, LimitError
from . import streams

__all__ = ["decode_faces", "encode_faces"]

_NONE, _NEW, _AT_FIRST, _AT_SECOND, _FAR = range(_N_SYMBOLS := 5)
Edge = tuple[int, int]  # vertices, the lower number first


class _Walk:
    """Faces so far and their edges, of which those are open that one face has and that were not asked for another."""

    def __init__(self):
        self.faces: list[tuple[int, int, int]] = []
        self.n_vertices = 0
        self._is_open: dict[Edge, bool] = {}
        self._waiting: deque[Edge] = deque()
        self._around: dict[int, deque[Edge]] = {}

    def add(self, a: int, b: int, c: int) -> None:
        self.faces.append((a, b, c))
        for p, q in ((a, b), (b, c), (c, a)):
            edge = (p, q) if p < q else (q, p)
            if edge in self._is_open:
                self._is_open[edge] = False
                continue
            self._is_open[edge] = True
            self._waiting.append(edge)
            for vertex in edge:
                self._around.setdefault(vertex, deque()).append(edge)

    def next(self) -> Edge | None:
        """The oldest open edge, which then is open no more; None where there is none."""
        while self._waiting:
            edge = self._waiting.popleft()
            if self._is_open[edge]:
                self._is_open[edge] = False
                return edge
        return None

    def across(self, vertex: int) -> int | None:
        """The other end of the oldest open edge at a vertex."""
        edges = self._around[vertex]
        while edges and not self._is_open[edges[0]]:
            edges.popleft()
        return sum(edges[0]) - vertex if edges else None

    def new(self) -> int:
        self.n_vertices += 1
        return self.n_vertices - 1


def encode_faces(faces: np.ndarray) -> tuple[bytes, np.ndarray, np.ndarray]:
    """faces (T, 3), each of three different vertices, T >= 1 -> the bytes; the vertices that they use in the order of the
    walk; and the faces (T, 3) int64 in its order and numbers, of which it makes the same again."""
    of_edge: dict[Edge, list[int]] = {}
    for number, face in enumerate(faces.tolist()):
        for k in range(3):
            of_edge.setdefault(tuple(sorted((face[k - 1], face[k]))), []).append(number)
    walk, symbols, far = _Walk(), [], []
    is_told, order, numbers, first = [False] * len(faces), [], {}, 0

    def named(vertex: int) -> tuple[int, int]:
        """A vertex's number, new where it has none, and how far back it is, 0 for a new one."""
        back = walk.n_vertices - numbers[vertex] if vertex in numbers else 0
        if not back:
            numbers[vertex] = walk.new()
            order.append(vertex)
        return numbers[vertex], back

    while len(walk.faces) < len(faces):
        edge = walk.next()
        if edge is None:
            first = is_told.index(False, first)
            corners = [named(vertex) for vertex in faces[first].tolist()]
            far += [back for _, back in corners]
            is_told[first] = True
            walk.add(*(number for number, _ in corners))
            continue
        ends = {order[edge[0]], order[edge[1]]}
        found = next((k for k in of_edge[tuple(sorted(ends))] if not is_told[k]), None)
        if found is None:
            symbols.append(_NONE)
            continue
        vertex, back = named(next(corner for corner in faces[found].tolist() if corner not in ends))
        if not back:
            symbols.append(_NEW)
        elif vertex in (near := [walk.across(end) for end in edge]):
            symbols.append(_AT_FIRST + near.index(vertex))
        else:
            symbols.append(_FAR)
            far.append(back)
        is_told[found] = True
        walk.add(*edge, vertex)
    writer = Writer().varint(len(symbols)).varint(len(far))
    writer.bytes(streams.encode_indices(np.array(symbols, np.int64), _N_SYMBOLS))
    writer.bytes(streams.encode_columns(np.array(far, np.int64)[:, None]))
    return writer.getvalue(), np.array(order, np.int64), np.array(walk.faces, np.int64)


def decode_faces(reader: Reader, n_vertices: int, n_faces: int) -> np.ndarray:
    """The inverse: faces (T, 3) int64 with corners below n_vertices, n_faces >= 1. FormatError for what is no walk."""
    n_symbols, n_far = reader.varint(), reader.varint()
    if n_symbols > 3 * n_faces or n_far > 3 * n_faces:
        raise LimitError(
            f"reading a mesh: got {n_symbols} edges and {n_far} corners for {n_faces} faces, expected three a face at most",
            "limit-mesh",
        )
    symbols = iter(streams.decode_indices(reader, n_symbols, _N_SYMBOLS).tolist())
    far = iter(streams.decode_columns(reader, (n_far, 1))[:, 0].tolist())
    walk = _Walk()

    def back() -> int:
        """The vertex that the next number of `far` names."""
        steps = next(far, -1)
        return walk.new() if steps == 0 else walk.n_vertices - steps if 0 < steps <= walk.n_vertices else -1

    while len(walk.faces) < n_faces:
        edge = walk.next()
        if edge is None:
            corners = (back(), back(), back())
        else:
            symbol = next(symbols, _N_SYMBOLS)
            if symbol == _NONE:
                continue
            corners = (*edge, -1)
            if symbol == _NEW:
                corners = (*edge, walk.new())
            elif symbol in (_AT_FIRST, _AT_SECOND):
                vertex = walk.across(edge[symbol - _AT_FIRST])
                corners = (*edge, -1 if vertex is None else vertex)
            elif symbol == _FAR:
                corners = (*edge, back())
        if min(corners) < 0 or walk.n_vertices > n_vertices or len(set(corners)) < 3:
            raise FormatError(
                f"reading a mesh: got face {len(walk.faces)} with corners that are not there; the file is damaged",
                "mesh-face",
            )
        walk.add(*corners)
    if next(symbols, None) is not None or next(far, None) is not None:
        raise FormatError("reading a mesh: got more corners than faces have; the file is damaged", "mesh-face")
    return np.array(walk.faces, np.int64)
