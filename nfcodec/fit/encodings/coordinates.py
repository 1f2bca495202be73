"""What the twins of encodings without a grid share: features of the coordinates of a tile's samples."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
import torch

from ...spec import CoordinateSpec
from ..plan import Box, Plan
from . import GridTwin, Rounding


class CoordinateTwin(GridTwin):
    """No rows; a subclass that learns something keeps it in parameters of its own, which `layers` and `freeze` give."""

    def __init__(self, spec: CoordinateSpec):
        super().__init__(spec, (1.0,))

    @abstractmethod
    def terms(self, x: torch.Tensor) -> torch.Tensor:
        """x (d, M) float64 in [0, 1] -> features (F, M)."""

    def values(self, plan: Plan, rounding: Rounding, picked=None) -> tuple[torch.Tensor, torch.Tensor]:
        return plan.axes[0].new_zeros(1), plan.axes[0].new_zeros(1)

    def features(
        self, v: torch.Tensor, plan: Plan, phase: tuple[int, ...], stride: int, shapes: torch.Tensor | None
    ) -> torch.Tensor:
        axes = [x[p::stride] for x, p in zip(plan.axes, phase)]
        x = torch.stack([g.reshape(-1) for g in torch.meshgrid(*axes, indexing="ij")])
        return self.terms(x).to(torch.float32)

    def plans(self, boxes: list[Box], extent: tuple[int, ...]) -> list[Plan]:
        found = []
        for start, stop in boxes:
            axes = [torch.from_numpy((np.arange(a, b) + 0.5) / n) for a, b, n in zip(start, stop, extent)]
            found.append(Plan([], axes=axes))
        return found

    def bits(self, plan: Plan, v: torch.Tensor) -> torch.Tensor:
        return torch.zeros(())

    def freeze(self) -> list[dict[str, np.ndarray]]:
        return [{}]
