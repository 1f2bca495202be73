"""What a surface's further channels do to its triangles: trim cuts off what closes holes, and what is left of it as specks
goes, too; colours go to the vertices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from .errors import NfldError
from .paint import of_vertices
from .spec import COLOUR_ROLES, FieldSpec, Mesh

__all__ = ["dressed", "trimmed", "without_specks"]

_SPECK = 2.0  # samples of the source: less than that along every axis no field can hold
_MARGIN = 1e-3  # of an edge: cuts keep this distance from its ends, so that no triangle is without area


def dressed(mesh: Mesh, spec: FieldSpec, sample: Callable[[np.ndarray], np.ndarray]) -> Mesh:
    """The mesh of a field, cut by its trim channel and with its colours. sample: world points (N, 3) -> values (N, C)."""
    trim, colours = spec.channels_of("trim"), spec.channels_of(*COLOUR_ROLES)
    if trim:
        mesh = without_specks(trimmed(mesh, sample(mesh.vertices)[:, trim[0]]), _SPECK * spec.cell)
    if colours:
        found = np.nan_to_num(sample(mesh.vertices)[:, colours])  # a damaged file's may be anything
        mesh = replace(mesh, paint=of_vertices(found, mesh.faces))
    return mesh


def trimmed(mesh: Mesh, values: np.ndarray) -> Mesh:
    """The part of a mesh where values (V,), linear on the faces, are at most 0. NfldError where nothing is left."""
    faces, inside = mesh.faces, values <= 0
    n_inside = inside[faces].sum(axis=1)
    whole = faces[n_inside == 3]
    # turned so that the corner that is alone on its side comes first
    one, two = (faces[n_inside == n] for n in (1, 2))
    one = _turned(one, inside[one].argmax(axis=1))
    two = _turned(two, (~inside[two]).argmax(axis=1))
    cuts = np.concatenate([one[:, [0, 1]], one[:, [0, 2]], two[:, [1, 0]], two[:, [2, 0]]])  # kept corner first
    n = len(mesh.vertices)
    edges, ids = np.unique(cuts[:, 0] * n + cuts[:, 1], return_inverse=True)
    a, b = edges // n, edges % n
    with np.errstate(invalid="ignore", divide="ignore"):
        share = values[a].astype(np.float64) / (values[a].astype(np.float64) - values[b])
    share = np.clip(np.nan_to_num(share, nan=0.5), _MARGIN, 1 - _MARGIN)[:, None]
    between = mesh.vertices[a] * (1 - share) + mesh.vertices[b] * share
    first, second, third, fourth = np.split(ids.reshape(-1) + n, np.cumsum([len(one), len(one), len(two)]))
    corners = [
        whole,
        np.stack([one[:, 0], first, second], 1),
        np.stack([two[:, 1], two[:, 2], third], 1),
        np.stack([third, two[:, 2], fourth], 1),
    ]
    faces = np.concatenate(corners)
    if not len(faces):
        raise NfldError(
            "extracting a surface: got only parts that are trimmed off, expected some to be left: verify the file"
        )
    vertices = np.concatenate([mesh.vertices, between])
    used = np.zeros(len(vertices), bool)
    used[faces] = True
    return Mesh(vertices[used], (np.cumsum(used) - 1)[faces])


def without_specks(mesh: Mesh, size: float) -> Mesh:
    """The mesh without its pieces, of faces that share vertices, that are smaller than size along every axis; all of it
    where there is nothing else. Far from a surface with rims a field may pass through 0 where its trim has no say."""
    label, before = np.arange(len(mesh.vertices)), None
    while before is None or (label != before).any():
        before = label.copy()
        np.minimum.at(label, mesh.faces, label[mesh.faces].min(axis=1, keepdims=True))
        label = label[label]  # in leaps, since pieces may be long
    low, high = (np.full(mesh.vertices.shape, end) for end in (np.inf, -np.inf))
    np.minimum.at(low, label, mesh.vertices)
    np.maximum.at(high, label, mesh.vertices)
    kept = ((high - low).max(axis=1) >= size)[label]
    if kept.all() or not kept.any():
        return mesh
    return Mesh(mesh.vertices[kept], (np.cumsum(kept) - 1)[mesh.faces[kept[mesh.faces[:, 0]]]])


def _turned(faces: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Faces (T, 3) in the same sense, from corner first[t] on."""
    return faces[np.arange(len(faces))[:, None], (first[:, None] + np.arange(3)) % 3]
