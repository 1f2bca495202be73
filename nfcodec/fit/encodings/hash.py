"""Torch twin of the hash grid: table rows in units of their integers, one Laplace scale a column."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from ...encodings.hash import n_rows, rows
from ...spec import GridSpec
from ..plan import Plan
from ..rate import laplace_bits
from . import GridTwin, Rounding, lay_out


class Twin(GridTwin):
    """theta[l] (T, F_l): shared by all vertices that hash to a row."""

    def __init__(self, spec: GridSpec, steps, latents: list[np.ndarray]):
        """latents[l] (F_l, *resolution) float: what each vertex would like; rows start at their vertices' mean."""
        super().__init__(spec, steps)
        self.log2_scales = nn.ParameterList()
        for level, start in enumerate(latents):
            index = np.ix_(*(np.arange(n) for n in start.shape[1:]))
            row_map = np.broadcast_to(rows(spec, level, list(index)), start.shape[1:])
            flat = start.reshape(len(start), -1)
            count = np.maximum(np.bincount(row_map.ravel(), minlength=n_rows(spec, level)), 1)
            table = np.stack([np.bincount(row_map.ravel(), plane, len(count)) / count for plane in flat], 1)
            self.row_maps.append(row_map)
            self.theta.append(nn.Parameter(torch.tensor(table, dtype=torch.float32)))
            spread = np.log2(np.abs(table).mean(0) + 0.1)
            self.log2_scales.append(nn.Parameter(torch.tensor(spread, dtype=torch.float32)))

    def values(self, plan: Plan, rounding: Rounding, picked=None) -> tuple[torch.Tensor, torch.Tensor]:
        return lay_out(self.theta, self.steps, plan, rounding, picked)

    def bits(self, plan: Plan, v: torch.Tensor) -> torch.Tensor:
        # every row that the tile reads, shared out evenly over the tiles that read it
        log2_b = torch.cat([s.repeat_interleave(len(r)) for s, r in zip(self.log2_scales, plan.rows)])
        return (laplace_bits(v[:-1], torch.zeros_like(log2_b), log2_b) * plan.shares).sum()

    def layers(self) -> list[list[torch.Tensor]]:
        return [[t] for t in self.log2_scales]

    def freeze(self) -> list[dict[str, np.ndarray]]:
        return [{"table": torch.round(t.detach()).cpu().numpy().astype(np.int32)} for t in self.theta]
