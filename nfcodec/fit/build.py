"""Puts a fit together: spec, first pyramid, twin, tiles."""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch

from ..entropy.context import n_inputs
from ..spec import CoordinateSpec, FieldSpec, GridSpec
from . import prior
from .analysis import channel_transform
from .context import ContextModel
from .encodings import GridTwin, load
from .encodings.composite import Composite
from .levels import halves
from .model import FieldModel
from .presets import Preset
from .source import Source
from .start import Start, start
from .step import Tile
from .train import Fit

_MASK_EDGE = 4  # of the blocks in which three-dimensional levels may be empty
_QUIET_VISITS = 0.15  # how often a tile without fine features is visited


def build(
    source: Source,
    preset: Preset,
    seed: int = 0,
    device: str = "cpu",
    networks: prior.Networks | None = None,
    is_short: bool = False,
    from_nothing: bool = False,
) -> Fit:
    """A fit of `source`, ready to run. The same seed on the same machine gives the same fit. networks: where it starts; of
    `prior.load` if None, and where that has none or they are empty, as they are made. is_short: the fit will have few
    steps. from_nothing: latents start from 0 instead of the signal."""
    torch.manual_seed(seed)
    grid, channels = preset.grid, source.channels
    transform = channel_transform(source.target, source.is_color, first=1 if source.roles else 0)
    mean = _mean(source, is_weighted=not any(isinstance(part, GridSpec) for part in grid.parts))
    # several grids take a share each
    n_grids = sum(isinstance(part, GridSpec) for part in grid.parts)
    planes = (source.target - mean) @ (transform.T / np.float32(max(n_grids, 1)))
    at_surface = None if source.at_surface is None else source.at_surface - float(mean[0])
    at_surface = None if at_surface is None else at_surface / max(n_grids, 1)
    starts = [start(planes, part, preset, source.weight, from_nothing, seed, at_surface) for part in grid.parts]
    spec = FieldSpec(
        kind=source.kind,
        extent=source.extent,
        channels=channels,
        dtype=source.dtype,
        grid=grid,
        mlp=preset.mlp,
        steps=tuple(step for first in starts for step in first.steps),
        value_offset=source.offset,
        value_scale=source.scale,
        knee=source.knee,
        clip=source.clip,
        origin=source.origin,
        cell=source.cell,
        truncation=source.truncation,
        roles=source.roles,
    )
    twin = _twin(source, preset, spec.steps, starts)
    twin.packs = device == "cpu"
    skip = np.concatenate([first.skip(transform) for first in starts], axis=1)
    model = FieldModel(spec, twin, skip, mean, preset.activation_numbers)
    if hasattr(twin, "flat") and preset.mlp.n_hidden_layers and model.is_plain and halves(grid):
        known = prior.load().get(prior.key_of(model)) if networks is None else networks
        if known:
            prior.start(model, known, transform, is_silent=is_short)
    model.to(device)
    return Fit(model, _tiles(source, preset, twin, device), preset.stride, seed)


def _mean(source: Source, is_weighted: bool) -> np.ndarray:
    """(C,) of the target, where a network's output starts. is_weighted: as errors count; far from a surface values are
    large, and a network that is all there is has a long way back from them."""
    flat = source.target.reshape(-1, source.channels).astype(np.float64)
    if source.weight is None or not is_weighted:
        return flat.mean(0).astype(np.float32)
    return np.average(flat, axis=0, weights=source.weight.ravel()).astype(np.float32)


def _twin(source: Source, preset: Preset, steps: tuple[float, ...], starts: list[Start]) -> GridTwin:
    """The twin of all that the network sees. starts: of each part."""
    twins = []
    for part, first in zip(preset.grid.parts, starts):
        if isinstance(part, CoordinateSpec):
            twins.append(load(part.encoding)(part))
        else:
            twins.append(_grid_twin(source, preset, part, first.steps, first.latents))
    return twins[0] if len(twins) == 1 else Composite(preset.grid, steps, twins)


def _grid_twin(source: Source, preset: Preset, grid: GridSpec, steps, latents: list[np.ndarray]) -> GridTwin:
    if grid.encoding != "dense":
        return load(grid.encoding)(grid, steps, latents)
    multi = any(f > 1 for f in grid.n_features)
    context = ContextModel(
        grid.n_dims, multi, n_inputs(grid.n_dims, multi) - 2, preset.context_neurons, preset.context_layers
    )
    masks = [_mask(values, source.weight) for values in latents]
    return load("dense")(grid, steps, latents, masks, context)


def _mask(latents: np.ndarray, weight: np.ndarray | None) -> np.ndarray | None:
    """(*resolution) bool: vertices worth a feature. Of large 3-D levels only blocks that start with something, and
    for surfaces only those near the surface; None for all."""
    resolution = latents.shape[1:]
    if len(resolution) < 3 or math.prod(resolution) < 1 << 14:
        return None
    size = np.abs(latents).max(0)
    if weight is not None:
        for k, n in enumerate(resolution):
            weight = np.maximum.reduceat(weight, np.arange(n) * weight.shape[k] // n, axis=k)
        size = size * (weight > 0.05)
    for k, n in enumerate(resolution):  # blocks with something in them ...
        size = np.maximum.reduceat(size, np.arange(0, n, _MASK_EDGE), axis=k)
    busy = size > 0.5
    for k in range(busy.ndim if weight is None else 0):  # ... and, where nothing says how far to go, their neighbours
        padded = np.pad(busy, [(1, 1) if j == k else (0, 0) for j in range(busy.ndim)])
        n = busy.shape[k]
        busy = busy | np.take(padded, range(0, n), axis=k) | np.take(padded, range(2, n + 2), axis=k)
    for k, n in enumerate(resolution):
        busy = np.repeat(busy, _MASK_EDGE, axis=k)
    return busy[tuple(slice(0, n) for n in resolution)]


def _tiles(source: Source, preset: Preset, twin: GridTwin, device: str) -> list[Tile]:
    cuts = []
    for n in source.extent:
        k = -(-n // preset.tile_edge)
        cuts.append([(i * n // k, (i + 1) * n // k) for i in range(k)])
    boxes = [tuple(zip(*box)) for box in itertools.product(*cuts)]
    tiles = []
    for (first, stop), plan in zip(boxes, twin.plans(boxes, source.extent)):
        block = tuple(map(slice, first, stop))
        target = torch.from_numpy(np.ascontiguousarray(np.moveaxis(source.target[block], -1, 0)))
        weight = None if source.weight is None else torch.from_numpy(np.ascontiguousarray(source.weight[block]))
        quiet = twin.uses_context and len(plan.rows[-1]) == 0
        visits = _QUIET_VISITS if quiet else 1.0
        tiles.append(Tile(plan.to(device), target.to(device), None if weight is None else weight.to(device), visits, first))
    return tiles
