"""What a step sees of encodings of factors: the factors alone, interpolated along their own axes.

`kernels.products` multiplies them while it looks at samples, so that no feature of a sample is ever written.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from ..kernels import vectors
from .plan import Plan

__all__ = ["FactorPlan", "Products"]


@dataclass
class FactorPlan(Plan):
    """known: what `Products` has beside its values, for each phase and stride that was seen."""

    known: dict[tuple, tuple[vectors.Vectors, np.ndarray]] = field(default_factory=dict)


@dataclass(frozen=True)
class Products:
    """Features (F, M) that were not multiplied yet. values: of all factors, end to end, with 16 more; where and table: as
    `kernels.products` takes them; multiply: gives the features by torch."""

    values: torch.Tensor
    where: vectors.Vectors
    table: np.ndarray
    multiply: Callable[[], torch.Tensor]

    def __len__(self) -> int:
        return len(self.table)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.table), int(self.where.starts[-1] + self.where.counts[-1])

    def first(self, n: int) -> "Products":
        """With 0 in place of all features but the first n."""
        table = self.table.copy()
        table[n:, :, :, 0] = -1

        def multiply() -> torch.Tensor:
            found = self.multiply()
            return torch.cat([found[:n], torch.zeros_like(found[n:])])

        return replace(self, table=table, multiply=multiply)
