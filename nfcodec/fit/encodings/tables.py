"""What twins share whose integers are tables of rows: one Laplace scale for each column, as `entropy.streams` codes."""

from __future__ import annotations

import numpy as np
import torch

from ...entropy.streams import best_scale
from ...entropy.tables import SCALE_OFFSET, SCALES_PER_OCTAVE
from ..plan import Plan
from ..rate import escape_bits, laplace_bits
from . import GridTwin, Rounding, lay_out

LEAST = 0.05  # added to mean sizes: columns of zeros have a scale too


class Tables(GridTwin):
    """theta[k] (T, F): the rows of one table, in units of its step in `table_steps`."""

    def __init__(self, spec, steps: tuple[float, ...]):
        super().__init__(spec, steps)
        self.table_steps = steps
        self.idle: list[float] = []  # of each table, rows that no vertex has for each that one has; [] for none
        self._scales: list[torch.Tensor] = []  # once training is over, log2 of each column's scale, of the table it gets

    def train(self, mode: bool = True) -> "Tables":
        self._scales = [] if mode else [self._coded_scales(k) for k in range(len(self.theta))]
        return super().train(mode)

    def expected(self, k: int) -> torch.Tensor | float:
        """What a file takes the integers (T, F) of a table for before it tells them."""
        return 0.0

    def _coded_scales(self, k: int) -> torch.Tensor:
        """log2 of the scales (F,) that `entropy.streams` gives the columns of a table."""
        table = self.theta[k].detach()
        columns = (torch.round(table) - self.expected(k)).cpu().numpy().astype(np.int64).T
        return torch.tensor([(best_scale(c) - SCALE_OFFSET) / SCALES_PER_OCTAVE for c in columns]).to(table)

    def values(self, plan: Plan, rounding: Rounding, picked=None) -> tuple[torch.Tensor, torch.Tensor]:
        return lay_out(self.theta, self.table_steps, plan, rounding, picked)

    def bits(self, plan: Plan, v: torch.Tensor) -> torch.Tensor:
        # every row that the tile reads, shared out evenly over the tiles that read it; of the Laplace distributions those
        # of each column's mean size are the cheapest
        expected = [self.expected(k) for k in range(len(self.theta))]
        scales = [s.to(v) for s in self._scales] or [
            torch.log2((t.detach() - mean).abs().mean(0) + LEAST) for t, mean in zip(self.theta, expected)
        ]
        log2_b = torch.cat([s.repeat_interleave(len(r)) for s, r in zip(scales, plan.rows)])
        zero = torch.zeros_like(log2_b)
        told = v[:-1]
        if isinstance(expected[0], torch.Tensor):
            told = told - torch.cat([mean[rows].T.reshape(-1) for mean, rows in zip(expected, plan.rows)])
        bits = laplace_bits(told, zero, log2_b) + escape_bits(told, zero, log2_b)
        if self.idle:
            # rows that no vertex has are coded too, as zeros; their bits are laid on those that are read
            sizes = [r.numel() * t.shape[1] for r, t in zip(plan.rows, self.theta)]
            idle = torch.cat([zero.new_full((size,), n) for size, n in zip(sizes, self.idle)])
            bits = bits + idle * laplace_bits(zero, zero, log2_b)
        return (bits * plan.shares).sum()
