"""Adam for latents: a step moves only the rows that its tile reads, whatever the size of the whole pyramid.

Moments of rows that were not read stay as they are, and bias is corrected by how often a tile was seen, so that a tile
of a large signal is fitted as it would be alone. (Kingma & Ba 2015; "lazy" as in sparse Adam.)
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .plan import Plan


class RowAdam:
    """The moments of `theta`, a sequence of (rows, F) tensors. betas, eps as in torch.optim.Adam."""

    def __init__(self, theta: Sequence[torch.Tensor], betas: tuple[float, float] = (0.9, 0.99), eps: float = 1e-8):
        self.theta, self.betas, self.eps = theta, betas, eps
        self.means = [torch.zeros_like(t) for t in theta]
        self.squares = [torch.zeros_like(t) for t in theta]
        self.n_steps: dict[int, int] = {}

    def pick(self, plan: Plan) -> list[torch.Tensor]:
        """The rows that a plan reads, (n_l, F_l) a level, as leaves that take gradients."""
        return [t.detach().index_select(0, r).requires_grad_(True) for t, r in zip(self.theta, plan.rows)]

    @torch.no_grad()
    def step(self, tile: int, plan: Plan, picked: list[torch.Tensor], rate: float) -> None:
        """Moves the rows of the tile of that number against the gradients of `picked`."""
        n = self.n_steps[tile] = self.n_steps.get(tile, 0) + 1
        first, second = self.betas
        for theta, rows, leaf, means, squares in zip(self.theta, plan.rows, picked, self.means, self.squares):
            if leaf.grad is None:
                continue
            mean = means.index_select(0, rows).lerp_(leaf.grad, 1 - first)
            square = squares.index_select(0, rows).mul_(second).addcmul_(leaf.grad, leaf.grad, value=1 - second)
            means.index_copy_(0, rows, mean)
            squares.index_copy_(0, rows, square)
            scale = square.div_(1 - second**n).sqrt_().add_(self.eps)
            theta.index_copy_(0, rows, leaf.addcdiv_(mean, scale, value=-rate / (1 - first**n)))
