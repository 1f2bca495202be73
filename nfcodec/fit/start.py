"""Where a fit starts: latents, what the network's skip makes of them, and the value of their integer steps."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..encodings import load
from ..encodings.factors import FactoredEncoding
from ..header import step_code, step_value
from ..spec import SCATTERED, CoordinateSpec, GridSpec
from .analysis import pyramid
from .coarse_mesh import on_meshes
from .decomposition import decompose
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
    are 0. at_surface: what the first plane is at a surface, None for signals that are none."""
    if isinstance(part, CoordinateSpec):
        return Start([], np.full(part.n_inputs, -1), (1.0,))
    if issubclass(load(part.encoding), FactoredEncoding):
        found, owners, gains = decompose(planes, part, weight, seed)
        steps = _coded(preset.step_fine * preset.step_ratio ** _depth(part, level) / g for level, g in enumerate(gains))
        return Start([[v / step for v in level] for level, step in zip(found, steps)], owners, steps)
    steps = _coded(preset.step_fine * preset.step_ratio**k for k in reversed(range(part.n_levels)))
    owners = np.concatenate([np.arange(f) for f in part.n_features])
    if part.encoding in SCATTERED:
        if part.encoding == "points":
            found = scatter(planes, part, weight, preset.lmbda * planes.shape[-1])
        else:
            found = on_meshes(planes, part, weight, at_surface)
        return Start([{**level, "features": level["features"] / step} for level, step in zip(found, steps)], owners, steps)
    first = pyramid(planes, part, weight, preset.lmbda * planes.shape[-1])
    owners = np.pad(owners, (0, part.n_inputs - len(owners)), constant_values=-1)
    return Start([values / step * (not from_nothing) for values, step in zip(first, steps)], owners, steps)


def _coded(steps) -> tuple[float, ...]:
    """Steps as a file has them."""
    return tuple(step_value(step_code(step)) for step in steps)


def _depth(grid: GridSpec, level: int) -> float:
    """How many levels coarser than the finest a lattice with as many vertices as a factor of this level has would be."""
    shapes = load(grid.encoding).level_shapes(grid, level).values()
    sizes = [math.log2(math.prod(shape[1:])) for shape in shapes]
    return (math.log2(math.prod(grid.resolutions[-1])) - sum(sizes) / len(sizes)) / grid.n_dims
