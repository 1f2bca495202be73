"""Panels of surfaces: shaded from two sides, and coloured by distance, both ways."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...geometry import TriangleTree, bounding_box_diagonal
from ...spec import Mesh
from ..rows import NFCODEC, Comparison
from .colours import ramp
from .gallery import Gallery, Group, Panel, Shown, decoded_of, end_of_scale, panel_of, short
from .render import View, distances, rasterise, shade

__all__ = ["surface_gallery"]

_SIZE = 380  # pixels of a panel's side
_FINER = 2  # pixels of the drawing along one of the panel's
# which axis is up or to the front no file tells
_VIEWS = (("Seen from +x, +y, +z", 30.0, 20.0), ("Seen from -x, +y, -z", 210.0, 20.0))


class _Seen:
    """What a view sees of a mesh, drawn finer than it is shown."""

    def __init__(self, mesh: Mesh, view: View):
        self.mesh, self.view = mesh, view
        self.face, self.depth = rasterise(mesh, view)

    def shaded(self) -> np.ndarray:
        """(size, size, 4) uint8."""
        return _reduced(shade(self.mesh, self.face, self.view))

    def relief(self) -> np.ndarray:
        """(size, size, 4) uint8: the light alone, for `_coloured`."""
        return _reduced(shade(self.mesh, self.face, self.view, np.ones((*self.face.shape, 3))))

    def distances(self, other: TriangleTree) -> np.ndarray:
        """(size, size) world distances of what the panel's pixels see; NaN where they see nothing."""
        size = self.view.size // _FINER
        blocks = self.face.reshape(size, _FINER, size, _FINER).transpose(0, 2, 1, 3).reshape(size, size, -1)
        pick = (blocks >= 0).argmax(axis=-1)  # one drawn pixel for each of the panel's: the first that sees the mesh
        row, column = np.arange(size)[:, None] * _FINER + pick // _FINER, np.arange(size) * _FINER + pick % _FINER
        chosen = np.zeros(self.face.shape, bool)
        chosen[row, column] = True
        face = np.where(chosen, self.face, -1)
        found = distances(face, self.depth, self.view, other)
        return np.where(face >= 0, found, np.nan)[row, column]


def _reduced(rgba: np.ndarray) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.fromarray(np.rint(rgba * 255).astype(np.uint8)).reduce(_FINER))


def _coloured(relief: np.ndarray, share: np.ndarray) -> np.ndarray:
    """A relief in the colours of shares (size, size) of the largest error shown, NaN where there is nothing."""
    out = relief.copy()
    out[..., :3] = np.rint(relief[..., :3] / 255 * ramp(np.nan_to_num(share)))
    return out


def surface_gallery(comparison: Comparison, shown: Sequence[Shown]) -> Gallery:
    """Source and every shown file from two sides."""
    source = comparison.signal.mesh
    unit = bounding_box_diagonal(source) or 1.0
    views = [View.around(source, azimuth, elevation, "y", _SIZE * _FINER) for _, azimuth, elevation in _VIEWS]
    sources = [_Seen(source, view) for view in views]
    reliefs = [seen.relief() for seen in sources]
    tree = TriangleTree(source.vertices, source.faces)
    missing: list[str] = []
    n_faces: list[int] = []
    # of each file in each view: shaded, its relief, its errors, those of the source
    found: list[list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]] = []
    for file in shown:
        decoded, why = decoded_of(comparison, file.row)
        missing.append(why)
        n_faces.append(0 if decoded is None else len(decoded.faces))
        found.append([])
        if decoded is None:
            continue
        other = TriangleTree(decoded.vertices, decoded.faces)
        for view, from_source in zip(views, sources):
            seen = _Seen(decoded, view)
            errors = seen.distances(tree) / unit, from_source.distances(other) / unit
            found[-1].append((seen.shaded(), seen.relief(), *errors))
    ours = [
        e[np.isfinite(e)]
        for file, per_view in zip(shown, found)
        if file.row.codec == NFCODEC
        for v in per_view
        for e in v[2:]
    ]
    end = end_of_scale(
        np.concatenate(ours) if ours else np.empty(0),
        lambda: max((float(np.nanmax(e, initial=0)) for per_view in found for v in per_view for e in v[2:]), default=0.0),
    )
    groups = []
    for i, (title, _, _) in enumerate(_VIEWS):
        panels = [Panel("source", None, [f"{len(source.faces):,} faces"], [sources[i].shaded(), None, None])]
        for file, per_view, n, why in zip(shown, found, n_faces, missing):
            line, layers = "", [None, None, None]
            if per_view:
                shaded, relief, back, there = per_view[i]
                layers = [shaded, _coloured(relief, back / end), _coloured(reliefs[i], there / end)]
                to, back_from = (short(float(np.nanmax(e, initial=0))) for e in (there, back))
                line = f"{n:,} faces; largest seen here: {to} from the source, {back_from} from it"
            panels.append(panel_of(comparison, file, layers, line, why))
        groups.append(Group(title, panels))
    notes = [
        "Colours are distances to the other surface in units of the source's bounding-box diagonal, in one scale for all "
        "codecs: on the decoded surface they show what should not be there, on the source what is missing. "
        "Faces seen from behind are red."
    ]
    if not comparison.is_closed:
        notes.append("The source is open: files were chosen by the error from the source to the decoded surface.")
    return Gallery(("shaded", "error on the decoded surface", "error on the source"), groups, end, "of the diagonal", notes)
