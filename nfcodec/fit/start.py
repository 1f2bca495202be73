"""Where a fit starts: latents, what the network's skip makes of them, and the value of their integer steps."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..encodings import load
from ..encodings.factors import FactoredEncoding
from ..header import step_code, step_value
from ..spec import SCATTERED, CoordinateSpec, GridSpec
from .analysis import pyramid
from .coarse_mesh import on_meshes
from .decomposition import decompose
from .levels import coarser
from .presets import Preset
from .scatter import scatter


@dataclass(frozen=True)
class Start:
    """latents: for each level what the twin takes, in units of its step. owners (n_inputs,): the plane that each input of
    the network is a part of, -1 for none. steps: of each level."""

    latents: list[Any]
    owners: np.ndarray
    steps: tuple[float, ...]

    def skip(self, transform: np.ndarray) -> np.ndarray:
        """(C, n_inputs) the linear map to channels. transform: (C, C), from channels to planes, orthogonal."""
        return np.where(self.owners < 0, np.float32(0), transform.T[:, self.owners])


def start(
    planes: np.ndarray,
    part: GridSpec | CoordinateSpec,
    preset: Preset,
    weight: np.ndarray | None,
    from_nothing: bool,
    seed: int,
    at_surface: float | None = None,
) -> Start:
    """The start of one encoding for planes (*extent, C) float32. weight: as in `Source`; from_nothing: latents of lattices
    are 0. at_surface: what the first plane is at a surface, None for signals that are none. Features beyond those of the
    planes start as 0, for the hidden layers alone."""
    if isinstance(part, CoordinateSpec):
        return Start([], np.full(part.n_inputs, -1), (1.0,))
    levels = preset.levels[part.encoding]
    step_fine = preset.step_fine * preset.step_ratio**levels.octaves
    if issubclass(load(part.encoding), FactoredEncoding):
        found, owners, gains = decompose(planes, part, weight, seed)
        steps = _coded(step_fine * preset.step_ratio ** _depth(part, level) / g for level, g in enumerate(gains))
        return Start([[v / step for v in level] for level, step in zip(found, steps)], owners, steps)
    steps = _coded(step_fine * preset.step_ratio**k for k in coarser(part))
    owned = replace(part, n_features=tuple(min(f, planes.shape[-1]) for f in part.n_features))
    further = [f - own for f, own in zip(part.n_features, owned.n_features)]
    owners = np.concatenate([np.pad(np.arange(f), (0, n), constant_values=-1) for f, n in zip(owned.n_features, further)])
    if part.encoding in SCATTERED:
        if part.encoding == "points":
            found = scatter(planes, owned, weight, preset.lmbda * planes.shape[-1], levels.most)
        else:
            found = on_meshes(planes, owned, weight, at_surface, levels.most)
        features = [np.pad(level["features"] / step, ((0, 0), (0, n))) for level, step, n in zip(found, steps, further)]
        return Start([{**level, "features": f} for level, f in zip(found, features)], owners, steps)
    first = pyramid(planes, owned, weight, preset.lmbda * planes.shape[-1])
    owners = np.pad(owners, (0, part.n_inputs - len(owners)), constant_values=-1)
    latents = [values / step * (not from_nothing) for values, step in zip(first, steps)]
    return Start([np.pad(v, ((0, n), *((0, 0),) * part.n_dims)) for v, n in zip(latents, further)], owners, steps)


def _coded(steps) -> tuple[float, ...]:
    """Steps as a file has them."""
    return tuple(step_value(step_code(step)) for step in steps)


def _depth(grid: GridSpec, level: int) -> float:
    """How many levels coarser than the finest a lattice with as many vertices as a factor of this level has would be."""
    shapes = load(grid.encoding).level_shapes(grid, level).values()
    sizes = [math.log2(math.prod(shape[1:])) for shape in shapes]
    return (math.log2(math.prod(grid.resolutions[-1])) - sum(sizes) / len(sizes)) / grid.n_dims
