"""Torch twin of the hash grid: table rows in units of their integers, one Laplace scale a column."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from ...encodings.hash import n_rows, rows
from ...spec import GridSpec
from .tables import Tables


class Twin(Tables):
    """theta[l] (T, F_l): shared by all vertices that hash to a row."""

    def __init__(self, spec: GridSpec, steps, latents: list[np.ndarray]):
        """latents[l] (F_l, *resolution) float: what each vertex would like; rows start at their vertices' mean."""
        super().__init__(spec, steps)
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

    def freeze(self) -> list[dict[str, np.ndarray]]:
        return [{"table": torch.round(t.detach()).cpu().numpy().astype(np.int32)} for t in self.theta]
