"""Torch twin of the codebook grid: a vector a vertex, snapped to the nearest entry of its level's codebook.

The straight-through estimator of VQ-VAE (van den Oord et al. 2017, section 3.2) instead of the softmax of Variable
Bitrate Neural Fields (2022, section 4.2), which would need 2**log2_size numbers a vertex; the choice weighs distance
against the entry's bits (entropy-constrained vector quantisation, Chou et al. 1989).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from ...spec import GridSpec
from ..plan import Plan
from ..quantizers import straight_through
from . import GridTwin, Rounding

_N_KMEANS = 12
_MAX_KMEANS_POINTS = 20_000
_COMMITMENT = 0.05  # pull of vectors towards their entries, in bits a squared integer step
_RATE_WEIGHT = 0.2  # squared integer steps that a bit is worth when an entry is chosen
_ROWS_AT_ONCE = 1 << 16


class Twin(GridTwin):
    """theta[l] (vertices, F_l) vectors and codebooks[l] (K, F_l), both in units of integers."""

    def __init__(self, spec: GridSpec, steps, latents: list[np.ndarray]):
        """latents[l] (F_l, *resolution) float: what the vertices' vectors start from."""
        super().__init__(spec, steps)
        self.codebooks = nn.ParameterList()
        self.counts: list[torch.Tensor] = []
        generator = np.random.default_rng(torch.initial_seed() % (1 << 32))
        k = 1 << spec.log2_size
        for start in latents:
            flat = np.ascontiguousarray(start.reshape(len(start), -1).T).astype(np.float32)
            self.row_maps.append(np.arange(len(flat)).reshape(start.shape[1:]))
            self.theta.append(nn.Parameter(torch.from_numpy(flat)))
            book = _kmeans(flat, k, generator)
            book[0] = 0  # most of a level is nothing
            self.codebooks.append(nn.Parameter(torch.from_numpy(book)))
            self.counts.append(torch.full((k,), len(flat) / k))

    def train(self, mode: bool = True) -> "Twin":
        if not mode:  # from here on the counts are those of the whole levels
            for level, theta in enumerate(self.theta):
                for _ in range(2):  # the choice of entries depends on the counts
                    index = self._assign(level, theta.detach(), torch.round(self.codebooks[level].detach()))
                    self.counts[level] = torch.bincount(index, minlength=len(self.codebooks[level])).to(self.counts[level])
        return super().train(mode)

    def values(self, plan: Plan, rounding: Rounding, picked=None) -> tuple[torch.Tensor, torch.Tensor]:
        chosen, scaled = [], []
        picked = picked or [t.index_select(0, r) for t, r in zip(self.theta, plan.rows)]
        self._commitment = 0.0
        for level, (theta, rows, z) in enumerate(zip(self.theta, plan.rows, picked)):
            book = straight_through(self.codebooks[level], torch.round(self.codebooks[level]))
            index = self._assign(level, z.detach(), book.detach())
            entry = book.index_select(0, index)
            if self.training:
                # counts forget about as fast as a level is seen anew
                seen = torch.bincount(index, minlength=len(book)).to(self.counts[level])
                keep = 1 - 0.5 * len(rows) / max(len(theta), 1)
                self.counts[level] = keep * self.counts[level] + (1 - keep) * seen * len(theta) / max(len(rows), 1)
            self._commitment = self._commitment + (z - entry.detach()).square().sum() * _COMMITMENT
            # the value is the entry, its gradient goes to both the entry and the vertex's vector
            value = entry + (z - z.detach())
            chosen.append(index)
            scaled.append((value * self.steps[level]).t().reshape(-1))
        self._chosen = chosen
        flat = torch.cat([*scaled, scaled[0].new_zeros(1)])
        return flat, flat

    def bits(self, plan: Plan, v: torch.Tensor) -> torch.Tensor:
        total = self._commitment if self.training else 0.0
        offset = 0
        for level, index in enumerate(self._chosen):
            f = self.spec.n_features[level]
            share = plan.shares[offset : offset + len(index)]  # the same for every feature of a vertex
            total = total + (self._costs(level).to(share).index_select(0, index) * share).sum()
            offset += len(index) * f
        return total

    def layers(self) -> list[list[torch.Tensor]]:
        return [[t] for t in self.codebooks]

    def freeze(self) -> list[dict[str, np.ndarray]]:
        out = []
        for level, (theta, book, row_map) in enumerate(zip(self.theta, self.codebooks, self.row_maps)):
            rounded = torch.round(book.detach())
            index = self._assign(level, theta.detach(), rounded).cpu().numpy()
            used = np.bincount(index, minlength=len(rounded)) > 0
            entries = rounded.cpu().numpy().astype(np.int32) * used[:, None]  # unused entries cost next to nothing
            out.append({"indices": index.reshape(row_map.shape).astype(np.int32), "codebook": entries})
        return out

    def _costs(self, level: int) -> torch.Tensor:
        """Bits (K,) of each entry under the running counts, or once training is over the real ones."""
        counts = self.counts[level] + (0.1 if self.training else 1e-6)
        return torch.log2(counts.sum() / counts)

    def _assign(self, level: int, z: torch.Tensor, book: torch.Tensor) -> torch.Tensor:
        """(n,) the entry of each vector that is cheapest in distance and bits together."""
        bias = book.square().sum(1) + _RATE_WEIGHT * self._costs(level).to(book)
        return torch.cat([torch.argmin(torch.addmm(bias, part, book.T, alpha=-2), 1) for part in z.split(_ROWS_AT_ONCE)])


def _kmeans(points: np.ndarray, k: int, generator: np.random.Generator) -> np.ndarray:
    """k centres (k, F) float32 of points (n, F): Lloyd's algorithm from random points."""
    if len(points) > _MAX_KMEANS_POINTS:
        points = points[generator.choice(len(points), _MAX_KMEANS_POINTS, replace=False)]
    centres = points[generator.choice(len(points), k, replace=len(points) < k)].copy()
    for _ in range(_N_KMEANS):
        nearest = np.argmin(np.square(centres).sum(1) - 2 * points @ centres.T, 1)
        count = np.bincount(nearest, minlength=k)
        for f in range(points.shape[1]):
            total = np.bincount(nearest, points[:, f], k)
            centres[:, f] = np.where(count > 0, total / np.maximum(count, 1), centres[:, f])
    return centres.astype(np.float32)
