"""Torch twin of the dense grid: latents in units of their integers, coded under the context network."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from ...entropy.context import ContextNet
from ...spec import GridSpec
from .. import fused
from ..context import ContextModel, compand
from ..plan import Plan
from ..rate import as_coded, laplace_bits
from . import GridTwin, Rounding, lay_out


class Twin(GridTwin):
    """theta[l] (rows, F_l); a vertex outside the level's mask has no row and is 0. On a CPU they are views of `flat`."""

    uses_context = True

    def __init__(
        self, spec: GridSpec, steps, latents: list[np.ndarray], masks: list[np.ndarray | None], context: ContextModel
    ):
        """latents[l] (F_l, *resolution) float in units of steps; masks[l] (*resolution) bool or None for all."""
        super().__init__(spec, steps)
        self.context = context
        kept = []
        for start, mask in zip(latents, masks):
            resolution = start.shape[1:]
            mask = np.ones(resolution, bool) if mask is None else mask
            row_map = np.full(resolution, -1, np.int64)
            row_map[mask] = np.arange(np.count_nonzero(mask))
            self.row_maps.append(row_map)
            kept.append(torch.tensor(start[:, mask], dtype=torch.float32))
        # one piece of memory, feature by feature, level by level, for `fast.FastStep`
        self.flat = torch.cat([rows.reshape(-1) for rows in kept])
        parts = torch.split(self.flat, [rows.numel() for rows in kept])
        self.theta.extend(nn.Parameter(part.view(rows.shape).t()) for part, rows in zip(parts, kept))

    def values(self, plan: Plan, rounding: Rounding, picked=None) -> tuple[torch.Tensor, torch.Tensor]:
        return lay_out(self.theta, self.steps, plan, rounding, picked)

    def bits(self, plan: Plan, v: torch.Tensor) -> torch.Tensor:
        if fused.is_available(v):
            return fused.context_bits(v, plan, *self.context.layers(), as_coded=self.context.shifts is not None)
        own, context, constants = plan.gathers.whole(v.device)
        gathered = v.index_select(0, context.reshape(-1)).view(context.shape)
        companded = compand(v).index_select(0, context.reshape(-1)).view(context.shape)
        mu, log2_b = self.context(gathered, companded, constants)
        if self.context.shifts is not None:
            mu, log2_b = as_coded(mu, log2_b)
        return laplace_bits(v.index_select(0, own), mu, log2_b).sum()

    def layers(self) -> list[list[torch.Tensor]]:
        return [*([w, b] for w, b in zip(self.context.weights, self.context.biases)), [self.context.skip]]

    def context_net(self) -> ContextNet:
        return self.context.integers()

    def freeze(self) -> list[dict[str, np.ndarray]]:
        out = []
        for theta, row_map in zip(self.theta, self.row_maps):
            latents = np.zeros((theta.shape[1], *row_map.shape), np.int32)
            latents[:, row_map >= 0] = torch.round(theta.detach()).cpu().numpy().T.astype(np.int32)
            out.append({"latents": latents})
        return out
