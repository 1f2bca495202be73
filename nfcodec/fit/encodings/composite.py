"""Torch twin of encodings side by side."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from ...entropy.context import ContextNet
from ...spec import CompositeSpec
from ..plan import Box, Plan
from . import GridTwin, Rounding


class Composite(GridTwin):
    """The twins of the parts. What `values` gives are lists, an entry a part."""

    def __init__(self, spec: CompositeSpec, steps: tuple[float, ...], parts: list[GridTwin]):
        super().__init__(spec, steps)
        self.parts = nn.ModuleList(parts)
        self.theta.extend(theta for part in parts for theta in part.theta)
        self._coded = next((k for k, part in enumerate(parts) if part.uses_context), None)
        self.uses_context = self._coded is not None
        if self.uses_context:
            self.context = parts[self._coded].context

    def values(self, plan: Plan, rounding: Rounding, picked=None) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        found, start = [], 0
        for twin, own in zip(self.parts, plan.parts):
            end = start + len(own.rows)
            found.append(twin.values(own, rounding, picked[start:end] if picked else None))
            start = end
        integers, values = zip(*found)
        return list(integers), list(values)

    def features(
        self, v: list[torch.Tensor], plan: Plan, phase: tuple[int, ...], stride: int, shapes: torch.Tensor | None
    ) -> torch.Tensor:
        found, start = [], 0
        for twin, own, part in zip(self.parts, v, plan.parts):
            end = start + len(twin.spec.shapes)  # of a part all levels have one, or none
            found.append(twin.features(own, part, phase, stride, shapes[start:end] if end > start else None))
            start = end
        return torch.cat(found)

    def plans(self, boxes: list[Box], extent: tuple[int, ...]) -> list[Plan]:
        tiles = zip(*(twin.plans(boxes, extent) for twin in self.parts))
        return [Plan([rows for part in parts for rows in part.rows], parts=list(parts)) for parts in tiles]

    def contextual(self, plan: Plan) -> tuple[GridTwin, Plan]:
        return self.parts[self._coded], plan.parts[self._coded]

    def bits(self, plan: Plan, v: list[torch.Tensor]) -> torch.Tensor:
        return sum(twin.bits(part, own) for twin, part, own in zip(self.parts, plan.parts, v))

    def layers(self) -> list[list[torch.Tensor]]:
        return [layer for twin in self.parts for layer in twin.layers()]

    def context_net(self) -> ContextNet | None:
        return self.parts[self._coded].context_net() if self.uses_context else None

    def freeze(self) -> list[dict[str, np.ndarray]]:
        return [level for twin in self.parts for level in twin.freeze()]
