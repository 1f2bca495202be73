"""Torch twin of features on a mesh: features are trained, the mesh is that which the fit starts from."""

from __future__ import annotations

import numpy as np
import torch

from ...encodings.mesh import Surface, likely_from
from ..plan import Box, Plan, share_out
from .points import PointPlan
from .points import Twin as PointTwin


class Twin(PointTwin):
    """theta[l] (V, F_l), the features of vertices; latents[l] has them with the mesh, which does not change."""

    has_kernels = False

    def __init__(self, spec, steps, latents: list[dict[str, np.ndarray]]):
        super().__init__(spec, steps, latents)
        self._likely = [tuple(map(torch.from_numpy, likely_from(level))) for level in latents]

    def expected(self, k: int) -> torch.Tensor:
        """As `encodings.mesh` predicts them: constants of a step, so that only its own bits move a vertex."""
        integers = torch.round(self.theta[k].detach()).long()
        to, of = (places.to(integers.device) for places in self._likely[k])
        n = torch.bincount(to, minlength=len(integers)).clamp(min=1)[:, None]
        total = torch.zeros_like(integers).index_add(0, to, integers[of])
        return torch.div(2 * total + n, 2 * n, rounding_mode="floor").to(self.theta[k])

    def _cloud(self, level: dict[str, np.ndarray], resolution: tuple[int, ...]) -> Surface:
        return Surface(level, resolution)

    def plans(self, boxes: list[Box], extent: tuple[int, ...]) -> list[Plan]:
        found = []
        for start, stop in boxes:
            axes = [torch.from_numpy((np.arange(a, b) + 0.5) / n) for a, b, n in zip(start, stop, extent)]
            coords = np.stack([g.ravel() for g in np.meshgrid(*(x.numpy() for x in axes), indexing="ij")], 1)
            rows = []
            for cloud in self.clouds:
                seen = [np.empty(0, np.int64), *(vertex for _, vertex, _ in cloud.near(coords, 0))]
                rows.append(torch.from_numpy(np.unique(np.concatenate(seen))))
            found.append(PointPlan(rows, axes=axes))
        share_out(found, [theta.shape[1] for theta in self.theta])
        return found
