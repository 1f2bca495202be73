"""Torch twin of the point cloud: features are trained, positions and sizes are those that the fit starts from."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import nn

from ...encodings.points import Cloud
from ...kernels.entries import Entries
from ...spec import GridSpec
from .. import fused
from ..deferred import CloudFeatures
from ..plan import Box, Plan, share_out
from .tables import Tables

_MOST_PAIRS = 1 << 25  # that are kept from one visit of a tile to the next
# samples, rows of the plan and kernels of the pairs of a level that see each other
Pairs = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@dataclass
class PointPlan(Plan):
    """rows[l]: the points of a level that reach into the tile. pairs: for each phase and stride those of every level;
    entries: of the points that reach into the tile, for the kernels."""

    pairs: dict[tuple, list[Pairs]] = field(default_factory=dict)
    entries: Entries | None = None


class Twin(Tables):
    """theta[l] (P, F_l), the features of points; latents[l] has them with the points that do not change."""

    has_kernels = True

    def __init__(self, spec: GridSpec, steps, latents: list[dict[str, np.ndarray]]):
        """latents[l]: as the numpy encoding keeps a level, but for features, which are float, in units of steps."""
        super().__init__(spec, steps)
        self.levels = latents
        self._n_kept = 0
        self.clouds = [self._cloud(level, resolution) for level, resolution in zip(latents, spec.resolutions)]
        self.theta.extend(nn.Parameter(torch.tensor(level["features"], dtype=torch.float32)) for level in latents)

    def _cloud(self, level: dict[str, np.ndarray], resolution: tuple[int, ...]) -> Cloud:
        """As that of the numpy encoding."""
        return Cloud.of(level, resolution)

    def plans(self, boxes: list[Box], extent: tuple[int, ...]) -> list[Plan]:
        found = []
        for start, stop in boxes:
            axes = [torch.from_numpy((np.arange(a, b) + 0.5) / n) for a, b, n in zip(start, stop, extent)]
            rows = []
            for cloud in self.clouds:
                # what lies within reach of the tile, in cells of the lattice
                low, high = (np.array(end) / np.array(extent) * cloud.resolution - 0.5 for end in (start, stop))
                near = (cloud.positions > low - cloud.edge) & (cloud.positions < high + cloud.edge)
                rows.append(torch.from_numpy(np.flatnonzero(near.all(1))))
            found.append(PointPlan(rows, axes=axes))
        share_out(found, [theta.shape[1] for theta in self.theta])
        return found

    def seen(
        self, v: torch.Tensor, plan: PointPlan, phase: tuple[int, ...], stride: int, shapes: torch.Tensor | None
    ) -> torch.Tensor | CloudFeatures:
        def make() -> torch.Tensor:
            return self.features(v, plan, phase, stride, shapes)

        if not self.has_kernels or v.device.type != "cpu" or not fused.is_available(v):
            return make()
        if plan.entries is None:
            own = zip(self.levels, self.spec.resolutions, plan.rows)
            near = [({k: x[r.numpy()] if k != "reach" else x for k, x in level.items()}, n) for level, n, r in own]
            plan.entries = Entries.of([self._cloud(*level) for level in near], self.spec.n_features)
        coords = tuple(x[p::stride].numpy() for x, p in zip(plan.axes, phase))
        return CloudFeatures(v, make, plan.entries, coords, tuple(map(len, plan.rows)), self.spec.n_levels)

    def features(
        self, v: torch.Tensor, plan: PointPlan, phase: tuple[int, ...], stride: int, shapes: torch.Tensor | None
    ) -> torch.Tensor:
        key = (*phase, stride)
        pairs = plan.pairs.get(key) or self._pairs(plan, phase, stride)
        if key not in plan.pairs and self._n_kept < _MOST_PAIRS:
            plan.pairs[key] = pairs
            self._n_kept += sum(len(kernel) for _, _, kernel in pairs)
        n, start, out = self._n_samples(plan, phase, stride), 0, []
        for f, rows, (sample, row, kernel) in zip(self.spec.n_features, plan.rows, pairs):
            values = v[start : start + f * len(rows)].view(f, len(rows))
            out.append(v.new_zeros(f, n).index_add(1, sample, values.index_select(1, row) * kernel))
            start += f * len(rows)
        return torch.cat(out)

    def _pairs(self, plan: PointPlan, phase: tuple[int, ...], stride: int) -> list[Pairs]:
        axes = [x[p::stride].cpu().numpy() for x, p in zip(plan.axes, phase)]
        coords = np.stack([g.ravel() for g in np.meshgrid(*axes, indexing="ij")], 1)
        found = []
        for cloud, rows in zip(self.clouds, plan.rows):
            place = np.full(len(cloud.positions), -1)
            place[rows.cpu().numpy()] = np.arange(len(rows))
            parts = [tuple(np.empty(0, t) for t in (np.int64, np.int64, np.float32))]
            parts += [(sample, place[point], terms[0]) for sample, point, terms in cloud.near(coords, 0)]
            arrays = [np.concatenate(part) for part in zip(*parts)]
            found.append(tuple(torch.from_numpy(a).to(rows.device) for a in arrays))
        return found

    @staticmethod
    def _n_samples(plan: PointPlan, phase: tuple[int, ...], stride: int) -> int:
        return int(np.prod([len(x[p::stride]) for x, p in zip(plan.axes, phase)]))

    def freeze(self) -> list[dict[str, np.ndarray]]:
        integers = [torch.round(theta.detach()).cpu().numpy().astype(np.int32) for theta in self.theta]
        return [{**level, "features": f} for level, f in zip(self.levels, integers)]
