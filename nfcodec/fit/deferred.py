"""Features that kernels make as they look at a block of samples, so that none is ever written.

That is for encodings whose features have far more numbers than what they are made of: products of factors
(`kernels.products`), sums over the points of a cloud (`kernels.cloud`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from types import ModuleType

import numpy as np
import torch

from ..kernels import entries, vectors
from .plan import Plan

__all__ = ["CloudFeatures", "Deferred", "FactorPlan", "Products"]


@dataclass(frozen=True)
class Deferred(ABC):
    """Features (F, M). values: what they are made of, flat; make: gives the features by torch."""

    values: torch.Tensor
    make: Callable[[], torch.Tensor]

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """(F, M)."""

    @abstractmethod
    def first(self, n_levels: int) -> "Deferred":
        """With 0 in place of the features of all levels but the first ones."""

    @abstractmethod
    def kernels(self) -> ModuleType:
        """The module of the kernels."""

    @abstractmethod
    def arguments(self) -> tuple:
        """What the kernels take after the blocks, the last one being the values as they want them."""

    @abstractmethod
    def gradient(self, d_values: np.ndarray) -> np.ndarray:
        """That of the values, of the gradient of the last of `arguments`."""


@dataclass
class FactorPlan(Plan):
    """known: what `Products` has beside its values, for each phase and stride that was seen."""

    known: dict[tuple, tuple[vectors.Vectors, np.ndarray]] = field(default_factory=dict)


@dataclass(frozen=True)
class Products(Deferred):
    """values: of all factors, end to end, with 16 more. where, table: as `kernels.products` takes them; widths: of each
    level, as the network sees it."""

    where: vectors.Vectors
    table: np.ndarray
    widths: tuple[int, ...]

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.table), int(self.where.starts[-1] + self.where.counts[-1])

    def first(self, n_levels: int) -> "Products":
        table, n = self.table.copy(), sum(self.widths[:n_levels])
        table[n:, :, :, 0] = -1
        return replace(self, table=table)

    def kernels(self) -> ModuleType:
        from ..kernels import products

        return products

    def arguments(self) -> tuple:
        where = self.where
        return where.starts, where.counts, where.places, where.singles, self.table, self.values.detach().numpy()

    def gradient(self, d_values: np.ndarray) -> np.ndarray:
        return d_values


@dataclass(frozen=True)
class CloudFeatures(Deferred):
    """values: of the points of all levels (F, P), end to end, with one more. coords: of the samples' axes; n_points: of
    each level; n_levels: how many count."""

    entries: entries.Entries
    coords: tuple[np.ndarray, ...]
    n_points: tuple[int, ...]
    n_levels: int

    @property
    def shape(self) -> tuple[int, int]:
        return int(self.entries.info[:, entries.FEATURES].sum()), int(np.prod([len(x) for x in self.coords]))

    def first(self, n_levels: int) -> "CloudFeatures":
        return replace(self, n_levels=n_levels)

    def kernels(self) -> ModuleType:
        from ..kernels import cloud

        return cloud

    def arguments(self) -> tuple:
        own, n = self.entries, self.shape[1]
        starts, sizes = np.arange(0, n, vectors.LANES), np.array([len(x) for x in self.coords], np.int64)
        return (
            starts, np.minimum(n - starts, vectors.LANES), np.concatenate(self.coords), sizes, own.info, self.n_levels,
            own.keys, own.begins, own.ends, own.places, own.inverses, own.values(self._levels()),
        )  # fmt: skip

    def gradient(self, d_values: np.ndarray) -> np.ndarray:
        sums = self.entries.sums(d_values, self.n_points)
        return np.concatenate([*(x.reshape(-1) for x in sums), np.zeros(1, np.float32)])

    def _levels(self) -> list[np.ndarray]:
        """The values of each level (F, P)."""
        n_features = self.entries.info[:, entries.FEATURES].tolist()
        ends = np.cumsum([f * n for f, n in zip(n_features, self.n_points)])
        parts = np.split(self.values.detach().numpy()[: ends[-1]], ends[:-1])
        return [part.reshape(f, n) for part, f, n in zip(parts, n_features, self.n_points)]
