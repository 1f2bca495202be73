"""Further channels of a surface's field: its colours, and where it ends.

Both are known on the surface and are wanted in its neighbourhood: off it, a sample has the colour of its closest point;
far from it, where nothing looks, values are filled in smoothly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..paint import barycentric, colours_at
from ..spec import COLOUR_ROLES, Mesh
from .distance import MeshDistance
from .hidden import fill_hidden
from .rims import Rim, phantoms, trim_lattice

__all__ = ["Channels", "further_channels"]

_BAND = 4.0  # samples from the surface within which values are those of closest points
_TRIM_RANGE = 3.0  # samples at which the trim levels off
_CUT = 2.0  # samples beyond the rim, where a surface is that is none
_TRIM_WEIGHT = 0.5  # of an error of the trim, in errors of the distance
_COLOUR_WEIGHT = 2.0  # of an error of 1 in a colour, in errors of two samples in the distance
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Channels:
    """values (*extent, C) float32 and, for each, its role and the size of an error that is as bad as one of two samples in
    the distance. phantom_share: of the field's surface within the rim, what is none of the mesh and has to be cut off."""

    values: np.ndarray
    roles: tuple[str, ...] = ()
    scales: tuple[float, ...] = ()
    phantom_share: float = 0.0


def further_channels(
    mesh: Mesh,
    distance: MeshDistance,
    rim: Rim | None,
    signed: np.ndarray,
    apart: np.ndarray,
    low: np.ndarray,
    cell: float,
) -> Channels:
    """The channels after the distance: colours of a painted mesh, then the trim of one with a rim.

    signed, apart: distances with and without sign on the lattice of `distance.lattice_distance` (low, cell). `signed` is
    changed beyond the rim, where it becomes the height over the surface's continuation.
    """
    shape, painted = signed.shape, mesh.paint is not None
    roles = (*(COLOUR_ROLES if painted else ()), *(("trim",) if rim is not None else ()))
    if not roles:
        return Channels(np.empty((*shape, 0), np.float32))
    near = np.flatnonzero(apart.reshape(-1) <= _BAND * cell)
    values = np.zeros((signed.size, len(roles)), np.float32)
    flat = signed.reshape(-1)

    def leveled(trim: np.ndarray) -> np.ndarray:
        return _TRIM_RANGE * cell * np.tanh(trim / (_TRIM_RANGE * cell))

    if rim is not None:
        values[:, -1] = leveled(trim_lattice(rim, low, cell, shape)).reshape(-1)
    for start in range(0, len(near), _CHUNK):
        places = near[start : start + _CHUNK]
        index = np.stack(np.unravel_index(places, shape), 1)
        points = low + cell * (index[:, ::-1] + 0.5)
        if painted:
            nearest, ids = distance.closest(points)
            values[places, :3] = colours_at(mesh.paint, ids, barycentric(mesh, ids, nearest))
        if rim is not None:
            _, heights, trim, on_rim = rim.at(points)
            beyond = places[on_rim]
            flat[beyond] = heights[on_rim]
            values[places, -1] = leveled(trim)
    values = values.reshape(*shape, -1)
    phantom_share = 0.0
    if rim is not None:
        cut, phantom_share = phantoms(signed, apart, values[..., -1], cell)
        values[cut, -1] = _CUT * cell
    if painted:
        values[..., :3] = fill_hidden(values[..., :3], apart <= _BAND * cell)
    scales = (*((1 / _COLOUR_WEIGHT,) * 3 if painted else ()), *((2 * cell / _TRIM_WEIGHT,) if rim is not None else ()))
    return Channels(values, roles, scales, phantom_share)
