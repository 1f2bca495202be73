"""A tile as the captured steps take it: what a step does with its values, by the kind of the grid.

    LatticeTile   dense levels without gaps, every sample seen: `pyramid`
    PointTile     any values at indices, such as rows of hash tables and levels with gaps, at all samples or at some that a
                  step draws at random: `points`

and the bits of its values, under a context network (`rate`) or one scale a column (`tables`).
"""

from __future__ import annotations

import math
from abc import abstractmethod

import torch

from ..encodings.tables import Tables
from ..model import FieldModel
from ..step import Tile
from . import points, rate, synthesis
from .network import Network
from .points import Lookup
from .pyramid import Pyramid
from .tables import TableBits

__all__ = ["LatticeTile", "LoopTile", "PointTile", "make", "n_bytes"]

_WEIGHED = 48  # bytes that are kept of an entry of an axis' matrix, for both ways
MOST_POINTS = 1 << 18  # of a `PointTile` that a step sees


def make(tile: Tile, model: FieldModel, stride: int, precision: str) -> "LoopTile":
    """What suits a tile. stride: between the samples of a step along each axis."""
    if _is_whole(tile, model, stride):
        return LatticeTile(tile, model, precision)
    return PointTile(tile, model, precision, stride)


def n_bytes(tile: Tile, model: FieldModel, stride: int) -> tuple[int, int]:
    """(bytes that what `make` gives keeps beside the tile, and those that a step on it fills), but for small arrays."""
    plan, grid = tile.plan, model.grid
    n = sum(len(rows) * theta.shape[1] for rows, theta in zip(plan.rows, grid.theta))
    kept = 4 * n  # places
    if plan.gathers is not None:
        kept += plan.gathers.places_bytes(grid.theta[0].device)
    if isinstance(grid, Tables):
        kept += 4 * n  # columns
    kept += _WEIGHED * sum(len(w.places) for block in plan.blocks for w in block.weights if w is not None)
    if _is_whole(tile, model, stride):
        size = Pyramid.size_of(plan.blocks, n + 1)
    else:
        kept += points.index_bytes(plan.blocks)
        size = points.size_of(n + 1)
    return kept, 4 * (2 * size + 3 * (n + 1))  # both spaces; slopes, companded values and noise


def _is_whole(tile: Tile, model: FieldModel, stride: int) -> bool:
    return model.grid.uses_context and stride == 1 and all(block.index is None for block in tile.plan.blocks)


class LoopTile:
    """Values of a step are `n` and a closing 0, in the order of the plan; arrays of them may need more room, `size`."""

    size: int

    def __init__(self, tile: Tile, model: FieldModel, precision: str):
        device = model.grid.theta[0].device
        places, offset = [], 0
        for rows, theta in zip(tile.plan.rows, model.grid.theta):
            places += [offset + f * len(theta) + rows for f in range(theta.shape[1])]
            offset += theta.numel()
        self.places = torch.cat(places).to(torch.int32)
        self.n, self.precision = len(self.places), precision
        self.target = tile.target.reshape(len(tile.target), -1).contiguous()
        self.weight = None if tile.weight is None else tile.weight.reshape(-1).contiguous()
        self.share = 1.0 / (tile.visits * tile.target[0].numel())  # of the bits in the loss of a step
        self.factors = torch.zeros(2, device=device)  # of the squared error and of the bits
        self.gathers = None if tile.plan.gathers is None else tile.plan.gathers.places(device)
        self.tables = TableBits(model.grid, tile.plan) if isinstance(model.grid, Tables) else None

    @abstractmethod
    def set_shapes(self, shapes: torch.Tensor | None) -> None:
        """Has interpolation follow the kernels' (b, c) (L, 2), on the device; None where they are fixed."""

    @abstractmethod
    def error(
        self, net: Network, flat: torch.Tensor, space: torch.Tensor, d_space: torch.Tensor | None, ratio: torch.Tensor
    ) -> torch.Tensor:
        """Rows (programs, net.size + 1) of gradients by flat and the squared error; d_space, where there is one, gets ratio
        (1,) times those by the values that space (size,) begins with."""

    def bits(
        self, net: Network | None, flat: torch.Tensor, theta: torch.Tensor, values: torch.Tensor, companded: torch.Tensor,
        d_values: torch.Tensor | None, is_coded: bool,
    ) -> torch.Tensor:  # fmt: skip
        """Rows (programs, net.size + 1) of gradients by flat and the bits, likewise; without a network the bits alone."""
        if self.tables is not None:
            return self.tables.launch(theta, values, d_values)[:, None]
        return rate.launch(net, flat, values, companded, *self.gathers, d_values, is_coded, True, self.precision)


class LatticeTile(LoopTile):
    """A space holds the values, what lies between two axes, and the features."""

    def __init__(self, tile: Tile, model: FieldModel, precision: str):
        super().__init__(tile, model, precision)
        self.pyramid = Pyramid(tile.plan.blocks, model.grid.steps, self.n + 1, model.grid.theta[0].device)
        self.size = self.pyramid.size

    def set_shapes(self, shapes: torch.Tensor | None) -> None:
        self.pyramid.set_shapes(shapes)

    def error(self, net, flat, space, d_space, ratio) -> torch.Tensor:
        self.pyramid.forward(space)
        d_features = None if d_space is None else self.pyramid.features(d_space)
        features = self.pyramid.features(space)
        found = synthesis.launch(net, flat, features, self.target, self.weight, d_features, True, self.precision)
        if d_space is not None:
            self.pyramid.backward(d_space, ratio)
        return found


class PointTile(LoopTile):
    """A space holds the values, and in one of gradients copies of some of these."""

    def __init__(self, tile: Tile, model: FieldModel, precision: str, stride: int):
        super().__init__(tile, model, precision)
        self.lookup = Lookup(tile.plan.blocks, model.grid.steps, self.n + 1, model.grid.theta[0].device)
        self.size = self.lookup.size
        seen = min(math.prod(-(-n // stride) for n in self.lookup.samples), MOST_POINTS)
        self.n_seen = None if seen == self.lookup.n_samples else seen

    def set_shapes(self, shapes: torch.Tensor | None) -> None:
        self.lookup.set_shapes(shapes)

    def error(self, net, flat, space, d_space, ratio) -> torch.Tensor:
        samples = None
        if self.n_seen is not None:
            samples = torch.randint(self.lookup.n_samples, (self.n_seen,), dtype=torch.int32, device=space.device)
        values = space[: self.n + 1]
        return points.launch(
            net, flat, values, self.lookup, samples, self.target, self.weight, d_space, ratio, True, self.precision
        )
