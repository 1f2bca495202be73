"""Torch twin of the encodings of `nfcodec.encodings.factors`: a table for every factor and level."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from ...encodings import load as load_grid
from ...encodings.factors import factor_spec, name_of
from ...kernels.vectors import LANES, block_starts, distances, vectors
from ...spec import GridSpec
from .. import fused
from ..deferred import FactorPlan, Products
from ..plan import Block, Planner
from .tables import Tables


class FactoredTwin(Tables):
    """theta (rows, F_l): the levels of factor 0, then those of factor 1, and so on."""

    def __init__(self, spec: GridSpec, steps, latents: list[list[np.ndarray]]):
        """latents[l][k] (F_l, *resolution of factor k) float in units of steps."""
        super().__init__(spec, steps)
        self.numpy_twin = load_grid(spec.encoding)
        self.factors = self.numpy_twin.factors(spec)
        self.table_steps = steps * len(self.factors)
        for factor in zip(*latents):
            for start in factor:
                flat = np.ascontiguousarray(start.reshape(len(start), -1).T, np.float32)
                self.row_maps.append(np.arange(len(flat)).reshape(start.shape[1:]))
                self.theta.append(nn.Parameter(torch.from_numpy(flat)))

    def planner(self) -> "FactorPlanner":
        return FactorPlanner(self.spec, self.factors, self.row_maps)

    def seen(
        self, v: torch.Tensor, plan: FactorPlan, phase: tuple[int, ...], stride: int, shapes: torch.Tensor | None
    ) -> torch.Tensor | Products:
        if v.device.type != "cpu" or not fused.is_available(v):
            return self.features(v, plan, phase, stride, shapes)
        parts = self.interpolated(v, plan, phase, stride, shapes)
        key = (*phase, stride)
        if key not in plan.known:
            plan.known[key] = self._laid_out([part.shape[1:] for part in parts[:: self.spec.n_levels]])
        values = torch.cat([*(part.reshape(-1) for part in parts), v.new_zeros(LANES)])
        widths = tuple(map(self.spec.width, range(self.spec.n_levels)))
        return Products(values, lambda: self.join(parts), *plan.known[key], widths)

    def block_starts(self, shape: tuple[int, ...]) -> np.ndarray:
        return block_starts(shape)

    def _laid_out(self, sizes: list[tuple[int, ...]]):
        """Where the samples of a tile find factors of these sizes, and the table of products."""
        extent = {axis: n for axes, size in zip(self.factors, sizes) for axis, n in zip(axes, size)}
        n_rows = sum(self.spec.n_features)
        firsts = np.cumsum([0, *(n_rows * math.prod(size) for size in sizes)])[:-1].tolist()
        block = [slice(0, extent[axis]) for axis in range(self.spec.n_dims)]
        return vectors(block, self.factors, sizes, firsts), distances(self.numpy_twin.sources(self.spec), sizes)

    def join(self, parts: list[torch.Tensor]) -> torch.Tensor:
        d, n_levels = self.spec.n_dims, self.spec.n_levels
        wide = []
        for k, axes in enumerate(self.factors):
            found = torch.cat(parts[k * n_levels : (k + 1) * n_levels])  # (sum of F, M of its axes)
            sizes = dict(zip(axes, found.shape[1:]))
            wide.append(found.reshape(len(found), *(sizes.get(axis, 1) for axis in range(d))).movedim(0, -1))
        if self.spec.n_parts > 1:
            shape = torch.broadcast_shapes(*(x.shape for x in wide))
            wide = [x.expand(shape) for x in wide]
        joined = self.numpy_twin.join(self.spec, wide, concatenate=torch.cat)
        return joined.movedim(-1, 0).reshape(joined.shape[-1], -1)

    def freeze(self) -> list[dict[str, np.ndarray]]:
        out: list[dict[str, np.ndarray]] = [{} for _ in range(self.spec.n_levels)]
        for k, (table, row_map) in enumerate(zip(self.theta, self.row_maps)):
            integers = torch.round(table.detach()).cpu().numpy().astype(np.int32).T
            factor, level = divmod(k, self.spec.n_levels)
            out[level][name_of(factor)] = np.ascontiguousarray(integers).reshape(-1, *row_map.shape)
        return out


class FactorPlanner:
    """As `plan.Planner`, of the factors' lattices: a tile is planned along the axes of each, and the plans joined."""

    def __init__(self, spec: GridSpec, factors, row_maps: list[np.ndarray]):
        n = spec.n_levels
        self.factors = factors
        self.planners = [
            Planner(factor_spec(spec, axes), row_maps[k * n : (k + 1) * n], False) for k, axes in enumerate(factors)
        ]

    def block(self, start: tuple[int, ...], stop: tuple[int, ...], extent: tuple[int, ...]) -> FactorPlan:
        """A plan for the samples [start, stop) of a source lattice."""
        whole, offset = FactorPlan([]), 0
        for axes, planner in zip(self.factors, self.planners):
            box = (tuple(x[k] for k in axes) for x in (start, stop, extent))
            part = planner.block(*box)
            whole.blocks += [_moved(block, offset, axes) for block in part.blocks]
            whole.rows += part.rows
            offset += sum(len(r) * f for r, f in zip(part.rows, planner.spec.n_features))
        return whole


def _moved(block: Block, offset: int, axes: tuple[int, ...]) -> Block:
    """A block of these axes of a tile, whose values begin at `offset`."""
    index = None if block.index is None else block.index + offset
    return replace(block, start=block.start + offset, index=index, axes=axes)
