"""All small networks moved in one launch, a program a layer. The meaning is `fit.optimizer.Soap` and
`fit.weights.add_price`.

The networks lie in one array, `flat`, the decoder's in the order of `network.Network` with a place for its squared error
behind, then the context network's likewise; gradients and values come in an array of the same places.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
import triton
import triton.language as tl

from ..optimizer import Soap
from .flat import offset
from .rounding import SCHEDULE

__all__ = ["NetworkOptimizer"]

_LARGEST = 64  # rows or columns of a layer that a program holds
_WARPS = 8
_N_SETTINGS = 4  # for a layer's two tensors: what their prices take, and the steps a unit of their rounding
_N_INFO = 4  # of a layer: columns of the first tensor, its group, whether its rows and columns get a basis


class NetworkOptimizer:
    """What Soap keeps of every layer, as stacks (layers, rows, columns) with zeros beyond a layer's own."""

    def __init__(self, flat: torch.Tensor, layers: Sequence[Sequence[torch.Tensor]], groups: Sequence[int]):
        """layers: tensors that are views of flat (n,), as `Soap` takes them; groups: for each layer 0 or 1, which of the
        two factors of a step is that of its gradients."""
        self.flat, self.effective, self.layers, self.soap = flat, flat.clone(), layers, Soap(layers)
        device = flat.device
        shapes = [(len(layer[0]), sum(t.numel() // len(t) for t in layer)) for layer in layers]
        self.rows, self.columns = (max(16, triton.next_power_of_2(max(n))) for n in zip(*shapes))
        n = len(layers)
        index = np.full((n, self.rows, self.columns), -1, np.int32)
        info = np.zeros((n, _N_INFO), np.int32)
        for k, (layer, (n_rows, _)) in enumerate(zip(layers, shapes)):
            column = 0
            for t in layer:
                n_columns = t.numel() // n_rows
                places = offset(t, flat) + np.arange(t.numel())
                index[k, :n_rows, column : column + n_columns] = places.reshape(n_rows, n_columns)
                column += n_columns
            info[k] = layer[0].numel() // n_rows, groups[k], *(1 < size <= self.soap.widest for size in shapes[k])
        self._index, self._shapes = index, shapes
        self.index, self.info = torch.from_numpy(index).to(device), torch.from_numpy(info).to(device)
        self.mean = torch.zeros(index.shape, device=device)
        self.square = torch.zeros_like(self.mean)
        self.sides = [torch.zeros(n, size, size, device=device) for size in (self.rows, self.columns)]
        self.bases = [torch.eye(size, device=device).repeat(n, 1, 1) for size in (self.rows, self.columns)]
        self.settings = torch.zeros(n, _N_SETTINGS, device=device)

    @staticmethod
    def takes(layers: Sequence[Sequence[torch.Tensor]]) -> bool:
        """Whether a program can hold each of them."""
        return all(len(t) <= _LARGEST and t.numel() // len(t) < _LARGEST for layer in layers for t in layer)

    def start(self, gradients: torch.Tensor) -> None:
        """Has the bases be those of a first step's gradients (n,), of all that is minimised."""
        whole, info = gradients.cpu().numpy(), self.info.cpu().numpy()
        for k, (n_rows, n_columns) in enumerate(self._shapes):
            g = whole[self._index[k, :n_rows, :n_columns]]
            for side, matrix in enumerate((g, g.T)):
                if info[k, 2 + side]:
                    product, size = matrix @ matrix.T, len(matrix)
                    basis = np.linalg.eigh(product.astype(np.float64))[1][:, ::-1].astype(np.float32)
                    self.sides[side][k, :size, :size] = torch.from_numpy(product)
                    self.bases[side][k, :size, :size] = torch.from_numpy(np.ascontiguousarray(basis))

    def state(self) -> list[torch.Tensor]:
        """All that a step changes."""
        return [self.flat, self.effective, *self.sides, *self.bases, self.mean, self.square]

    def set(self, price_of: Callable[[torch.Tensor], float], parts_of: Callable[[torch.Tensor], float]) -> None:
        """What the price of the bits of a tensor takes, `weights.price_factor`, and the steps a unit of its rounding, 0 for
        none."""
        for k, layer in enumerate(self.layers):
            rest = [0.0] * (2 - len(layer))
            values = [*map(price_of, layer), *rest, *map(parts_of, layer), *rest]
            self.settings[k] = torch.tensor(values)

    def step(
        self, gradients: torch.Tensor, factors: torch.Tensor, price: float, table: torch.Tensor, counter: torch.Tensor,
        log: torch.Tensor, values_at: tuple[int, int],
    ) -> None:  # fmt: skip
        """Moves flat against gradients (n,) times their group's of factors (2,), and has `effective` be flat as the decoder
        will see it. price: of a bit. The gradients' entries values_at are put into log's row (steps, 2) of this step."""
        soap = self.soap
        _move_kernel[(len(self.layers),)](
            self.flat, self.effective, gradients, factors, self.index, self.info, self.settings, *self.sides, *self.bases,
            self.mean, self.square, table, counter, log, *values_at, price / math.log(2.0), soap.beta, soap.eps, soap.every,
            SCHEDULE, _N_SETTINGS, _N_INFO, self.rows, self.columns, num_warps=_WARPS,
        )  # fmt: skip


@triton.jit
def _orthogonal(a, N: tl.constexpr):
    """Q of the QR decomposition of a (N, N), by reflections (Householder 1958): also where columns are 0."""
    i, j, r = tl.arange(0, N)[:, None], tl.arange(0, N)[None, :], tl.arange(0, N)
    q = tl.where(i == j, 1.0, 0.0)
    for k in range(N):
        x = tl.sum(tl.where(j == k, a, 0.0), 1)
        x = tl.where(r >= k, x, 0.0)
        at_k = tl.sum(tl.where(r == k, x, 0.0), 0)
        norm = tl.sqrt(tl.sum(x * x, 0))
        v = x + tl.where(r == k, tl.where(at_k < 0, -norm, norm), 0.0)
        size = tl.sum(v * v, 0)
        scaled = tl.where(size > 0, 2.0 / tl.maximum(size, 1e-37), 0.0) * v
        a -= scaled[:, None] * tl.sum(v[:, None] * a, 0)[None, :]
        q -= tl.sum(q * v[None, :], 1)[:, None] * scaled[None, :]
    return q


@triton.jit
def _product(a, b):
    return tl.dot(a, b, input_precision="tf32x3")


@triton.jit
def _priced(size, is_own, factor, price):
    """Slope of the bits of a tensor by the sizes of its entries."""
    n = tl.sum(tl.sum(tl.where(is_own, 1.0, 0.0), 1), 0)
    mean = tl.sum(tl.sum(tl.where(is_own, size, 0.0), 1), 0) / tl.maximum(n, 1.0)
    return price * factor / (1.0 + factor * mean)


@triton.jit
def _rounded(x, parts):
    return tl.where(parts > 0, tl.floor(x * parts + 0.5) / tl.maximum(parts, 1e-30), x)


@triton.jit
def _move_kernel(
    flat, effective, gradients, factors, index, info, settings, left_side, right_side, left_basis, right_basis, means,
    squares, table, counter, log, first_value, second_value, price, beta, eps, every,
    SCHEDULE: tl.constexpr, N_SETTINGS: tl.constexpr, N_INFO: tl.constexpr, ROWS: tl.constexpr, COLUMNS: tl.constexpr,
):  # fmt: skip
    """A layer. Some 8 products of 64 x 64 matrices, and in every `every`-th step 64 reflections twice: all of it waits for
    itself, in some 20 microseconds of which a GPU is nearly idle.
    """
    layer = tl.program_id(0)
    step = tl.load(counter)
    row = table + step * SCHEDULE
    rate, correction = tl.load(row + 6), tl.load(row + 7)
    setting, fact = settings + layer * N_SETTINGS, info + layer * N_INFO
    if layer == 0:
        tl.store(log + 2 * step, tl.load(gradients + first_value))
        tl.store(log + 2 * step + 1, tl.load(gradients + second_value))
    i, j = tl.arange(0, ROWS)[:, None], tl.arange(0, COLUMNS)[None, :]
    own = layer * ROWS * COLUMNS + i * COLUMNS + j
    at = tl.load(index + own)
    is_used = at >= 0
    x = tl.load(flat + at, mask=is_used, other=0.0)
    g = tl.load(gradients + at, mask=is_used, other=0.0) * tl.load(factors + tl.load(fact + 1))
    is_first, is_second = is_used & (j < tl.load(fact)), is_used & (j >= tl.load(fact))
    size = tl.abs(x)
    slope = tl.where(
        is_first,
        _priced(size, is_first, tl.load(setting), price),
        _priced(size, is_second, tl.load(setting + 1), price),
    )
    g += tl.where(x > 0, slope, tl.where(x < 0, -slope, 0.0))

    k, m = tl.arange(0, ROWS)[None, :], tl.arange(0, COLUMNS)[:, None]
    at_left, at_right = layer * ROWS * ROWS + i * ROWS + k, layer * COLUMNS * COLUMNS + m * COLUMNS + j
    left, right = tl.load(left_basis + at_left), tl.load(right_basis + at_right)
    turned = _product(_product(tl.trans(left), g), right)
    fresh = 1.0 - beta
    mean, square = tl.load(means + own), tl.load(squares + own)
    mean += fresh * (g - mean)
    square += fresh * (turned * turned - square)
    tl.store(means + own, mean)
    tl.store(squares + own, square)
    scale = tl.sqrt(square / correction)
    scale += eps * tl.maximum(tl.max(tl.max(scale, 1), 0), 1e-30)
    move = _product(_product(tl.trans(left), mean), right) / (scale * correction)
    move = tl.minimum(tl.maximum(move, -1.0), 1.0)
    move = _product(_product(left, move), tl.trans(right))
    x -= rate * move
    tl.store(flat + at, x, mask=is_used)
    parts = tl.where(is_first, tl.load(setting + 2), tl.load(setting + 3))
    tl.store(effective + at, _rounded(x, parts), mask=is_used)

    has_left, has_right = tl.load(fact + 2), tl.load(fact + 3)
    turns = (step + 1) % every == 0
    if has_left != 0:
        side = tl.load(left_side + at_left)
        side += fresh * (_product(g, tl.trans(g)) - side)
        tl.store(left_side + at_left, side)
        if turns:
            tl.store(left_basis + at_left, _orthogonal(_product(side, left), ROWS))
    if has_right != 0:
        side = tl.load(right_side + at_right)
        side += fresh * (_product(tl.trans(g), g) - side)
        tl.store(right_side + at_right, side)
        if turns:
            tl.store(right_basis + at_right, _orthogonal(_product(side, right), COLUMNS))
