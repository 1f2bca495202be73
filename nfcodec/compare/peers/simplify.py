"""Fewer triangles by quadric errors, then Draco: what one does by hand to make a mesh small."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from ...errors import SignalError
from ...geometry import bounding_box_diagonal, count_edges, weld
from ...spec import Mesh, Signal
from . import draco
from .base import Peer, Setting, package_version

__all__ = ["SimplifyDraco", "simplified"]

# share of the faces that is kept, and bits a coordinate that go with such an error; the most bits are for flat parts
_LADDER = (
    (0.005, (8, 10)),
    (0.01, (8, 9, 10)),
    (0.02, (9, 10, 11)),
    (0.05, (10, 11)),
    (0.1, (10, 11, 12, 13)),
    (0.25, (11, 12, 13)),
    (0.5, (12, 13, 14)),
)
_MIN_FACES = 4  # a tetrahedron
_GENTLE_FIRST = (2, 3, 4, 5, 6, 7)  # 7 is the library's default
_NEAR = 1.15  # faces by those asked for: a gentler pass that comes so close is the better one
_MAX_CALLS = 10


class SimplifyDraco(Peer):
    """keep: share of the faces. qp: Draco's bits a coordinate. border: open meshes: whether their borders stay."""

    name = "simplify + Draco"
    needs = (("fast_simplification", "fast-simplification"), ("DracoPy", "DracoPy"))
    how = f"the gentlest aggressiveness from {_GENTLE_FIRST[0]} that reaches the faces; Draco at compression level 10"

    def refuses(self, signal: Signal) -> str | None:
        n_faces = len(signal.mesh.faces)
        if int(_LADDER[-1][0] * n_faces) >= _MIN_FACES:
            return None
        return f"half of {n_faces} faces is less than a tetrahedron has"

    def settings(self, signal: Signal) -> list[Setting]:
        n_faces = len(signal.mesh.faces)
        ladder = [(keep, qp) for keep, bits in _LADDER for qp in bits if int(keep * n_faces) >= _MIN_FACES]
        n_boundary = count_edges(weld(signal.mesh)).boundary
        if n_boundary == 0:
            return [{"keep": keep, "qp": qp} for keep, qp in ladder]
        # each edge of a border that stays keeps its face
        borders = {keep: (False, True) if keep * n_faces > n_boundary else (False,) for keep, _ in ladder}
        return [{"keep": keep, "qp": qp, "border": border} for keep, qp in ladder for border in borders[keep]]

    def encode(self, signal: Signal, **setting: Any) -> bytes:
        mesh = simplified(signal.mesh, setting["keep"], keep_border=setting.get("border", False))
        return draco.encoded(mesh, setting["qp"])

    def decode(self, data: bytes, like: Signal) -> Mesh:
        return draco.decoded(data)

    def version(self) -> str:
        return f"{package_version('fast-simplification')}, {package_version('DracoPy')}"


def simplified(
    mesh: Mesh, keep: float, *, keep_border: bool = False, aggressiveness: Iterable[int] = _GENTLE_FIRST
) -> Mesh:
    """A mesh with a share of its faces, in the same coordinates.

    The library collapses edges in passes, each up to a larger error, and stops after a hundred of them: the less its
    aggressiveness, the better the order of the edges, and the earlier it stalls. So it is called again on its result
    while that helps, and the gentlest that comes within 15 % of the faces asked for is taken; where none does, the
    fewest faces. Equal positions are welded first, or every face would be an island.

    Raises SignalError where nothing can be collapsed and where fewer than 4 faces are left.
    """
    target = max(int(keep * len(mesh.faces)), _MIN_FACES)
    if count_edges(mesh).boundary:
        welded = weld(mesh)
        mesh = welded if len(welded.vertices) < len(mesh.vertices) else mesh
    # its limits are absolute: it gets the mesh with a diagonal of 1
    centre = (mesh.vertices.min(axis=0) + mesh.vertices.max(axis=0)) / 2
    diagonal = bounding_box_diagonal(mesh)
    vertices = (mesh.vertices - centre) / diagonal
    best = mesh
    for step in aggressiveness:
        result = _collapsed(vertices, mesh.faces, target, step, keep_border)
        best = result if len(result.faces) < len(best.faces) else best
        if len(best.faces) <= _NEAR * target:
            break
    n_faces = len(best.faces)
    if best is mesh or n_faces < _MIN_FACES:
        raise SignalError(
            f"simplifying: got {n_faces} of {len(mesh.faces)} faces, expected fewer and at least {_MIN_FACES}: keep "
            f"{'less' if best is mesh else 'more'} than {keep:g}"
        )
    return Mesh(best.vertices * diagonal + centre, best.faces)


def _collapsed(vertices: np.ndarray, faces: np.ndarray, target: int, aggressiveness: int, keep_border: bool) -> Mesh:
    """The mesh after as many calls as help."""
    import fast_simplification

    for _ in range(_MAX_CALLS):
        n_before = len(faces)
        if n_before <= target:
            break
        vertices, faces = fast_simplification.simplify(
            vertices, faces, target_count=target, agg=aggressiveness, preserve_border=keep_border
        )
        if len(faces) == n_before:
            break
    return Mesh(vertices, faces.astype(np.int64))
