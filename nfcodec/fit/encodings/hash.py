"""Torch twin of the hash grid: table rows in units of their integers, one Laplace scale a column."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from ...encodings.hash import n_rows, rows
from ...entropy.streams import best_scale
from ...entropy.tables import SCALE_OFFSET, SCALES_PER_OCTAVE
from ...spec import GridSpec
from ..plan import Plan
from ..rate import escape_bits, laplace_bits
from . import GridTwin, Rounding, lay_out


_LEAST = 0.05  # added to mean sizes: columns of zeros have a scale too


class Twin(GridTwin):
    """theta[l] (T, F_l): shared by all vertices that hash to a row."""

    def __init__(self, spec: GridSpec, steps, latents: list[np.ndarray]):
        """latents[l] (F_l, *resolution) float: what each vertex would like; rows start at their vertices' mean."""
        super().__init__(spec, steps)
        self.idle: list[float] = []  # rows that no vertex has, for each that one has
        self._scales: list[torch.Tensor] = []  # once training is over, log2 of each column's scale, of the table it gets
        for level, start in enumerate(latents):
            index = np.ix_(*(np.arange(n) for n in start.shape[1:]))
            row_map = np.broadcast_to(rows(spec, level, list(index)), start.shape[1:])
            flat = start.reshape(len(start), -1)
            count = np.maximum(np.bincount(row_map.ravel(), minlength=n_rows(spec, level)), 1)
            table = np.stack([np.bincount(row_map.ravel(), plane, len(count)) / count for plane in flat], 1)
            self.row_maps.append(row_map)
            n_used = len(np.unique(row_map))
            self.idle.append(n_rows(spec, level) / n_used - 1)
            self.theta.append(nn.Parameter(torch.tensor(table, dtype=torch.float32)))

    def train(self, mode: bool = True) -> "Twin":
        self._scales = [] if mode else [self._coded_scales(t) for t in self.theta]
        return super().train(mode)

    @staticmethod
    def _coded_scales(table: torch.Tensor) -> torch.Tensor:
        """log2 of the scales (F,) that `entropy.streams` gives the columns of a table."""
        columns = torch.round(table.detach()).cpu().numpy().astype(np.int64).T
        return torch.tensor([(best_scale(c) - SCALE_OFFSET) / SCALES_PER_OCTAVE for c in columns]).to(table)

    def values(self, plan: Plan, rounding: Rounding, picked=None) -> tuple[torch.Tensor, torch.Tensor]:
        return lay_out(self.theta, self.steps, plan, rounding, picked)

    def bits(self, plan: Plan, v: torch.Tensor) -> torch.Tensor:
        # every row that the tile reads, shared out evenly over the tiles that read it; of the Laplace distributions those
        # of each column's mean size are the cheapest
        scales = self._scales or [torch.log2(t.detach().abs().mean(0) + _LEAST) for t in self.theta]
        log2_b = torch.cat([s.repeat_interleave(len(r)) for s, r in zip(scales, plan.rows)])
        zero = torch.zeros_like(log2_b)
        bits = laplace_bits(v[:-1], zero, log2_b) + escape_bits(v[:-1], zero, log2_b)
        # rows that no vertex has are coded too, as zeros; their bits are laid on those that are read
        idle = torch.cat([zero.new_full((r.numel() * f,), n) for r, f, n in zip(plan.rows, self.spec.n_features, self.idle)])
        return ((bits + idle * laplace_bits(zero, zero, log2_b)) * plan.shares).sum()

    def freeze(self) -> list[dict[str, np.ndarray]]:
        return [{"table": torch.round(t.detach()).cpu().numpy().astype(np.int32)} for t in self.theta]
