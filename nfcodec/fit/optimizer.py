"""The optimisers of a fit: `RowAdam` for latents, of which a step reads a part, `Soap` for small networks and `Adam` for
wide ones.

Networks are what a fit waits for: with networks that are done, latents from the first pyramid take 100 visits to where
they take 600 otherwise. So networks get the better, costlier optimiser.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from .plan import Plan

BETAS, EPS = (0.9, 0.99), 1e-8  # of Adam for latents
_TINY = np.float32(1e-30)


class RowAdam:
    """Adam (Kingma & Ba 2015) that moves only the rows that a tile reads, whatever the size of the whole pyramid.

    Moments of rows that were not read stay as they are, and bias is corrected by how often a tile was seen, so that a
    tile of a large signal is fitted as it would be alone. theta: (rows, F) tensors. betas, eps as in torch.optim.Adam.
    """

    def __init__(self, theta: Sequence[torch.Tensor], betas: tuple[float, float] = BETAS, eps: float = EPS):
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


class Adam:
    """Adam (Kingma & Ba 2015), of torch, for wide networks: what their papers train them with. layers as `Soap`."""

    def __init__(self, layers: Sequence[Sequence[torch.Tensor]]):
        self.optimizer = torch.optim.Adam([t for layer in layers for t in layer], betas=BETAS, eps=EPS)

    def step(self, rate: float) -> None:
        """Moves every layer against the gradients of its tensors and forgets them."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad()


class Soap:
    """Adam in the eigenbasis of Shampoo's preconditioners (SOAP, Vyas et al. 2024, algorithm 3).

    layers: lists of tensors that are one matrix side by side, such as weights (outputs, inputs) and biases (outputs,).
    Sides of more than `widest` rows or columns, such as those of codebooks, keep their own basis.
    """

    def __init__(
        self,
        layers: Sequence[Sequence[torch.Tensor]],
        beta: float = 0.8,
        every: int = 5,
        eps: float = 1e-5,
        widest: int = 48,
    ):
        self.layers, self.beta, self.every, self.eps, self.widest = layers, beta, every, eps, widest
        self.n_steps = 0
        self.state: list[dict[str, np.ndarray]] = [{} for _ in layers]

    @torch.no_grad()
    def step(self, rate: float) -> None:
        """Moves every layer against the gradients of its tensors and forgets them."""
        self.n_steps += 1
        for layer, state in zip(self.layers, self.state):
            if layer[0].grad is None:
                continue
            # numpy, since its calls take a fifth of the time of torch's, which is all that counts at this size
            parts = [t.grad.cpu().numpy().reshape(len(t), -1) for t in layer]
            move = self._direction(np.concatenate(parts, 1) if len(parts) > 1 else parts[0], state) * np.float32(-rate)
            start = 0
            for tensor, part in zip(layer, parts):
                width = part.shape[1]
                tensor += torch.from_numpy(move[:, start : start + width].reshape(tensor.shape)).to(tensor.device)
                tensor.grad = None
                start += width

    def _direction(self, gradient: np.ndarray, state: dict[str, np.ndarray]) -> np.ndarray:
        fresh = np.float32(1 - self.beta)
        sides = [side for side, n in zip(("left", "right"), gradient.shape) if 1 < n <= self.widest]
        if not state:
            state["mean"], state["square"] = np.zeros_like(gradient), np.zeros_like(gradient)
            for side in sides:
                matrix = gradient if side == "left" else gradient.T
                state[side] = matrix @ matrix.T
                basis = np.linalg.eigh(state[side].astype(np.float64))[1][:, ::-1]
                state["basis_" + side] = np.ascontiguousarray(basis, np.float32)
        left, right = state.get("basis_left"), state.get("basis_right")
        turned = _turn(gradient, left, right)
        state["mean"] += fresh * (gradient - state["mean"])
        state["square"] += fresh * (turned * turned - state["square"])
        correction = np.float32(1 - self.beta**self.n_steps)
        scale = np.sqrt(state["square"] / correction)
        # directions that no gradient has had yet hold rounding errors, which must not become whole steps
        scale += np.float32(self.eps) * max(scale.max(), _TINY)
        # with equal averages no mean exceeds the root of its square, but in a basis that has just turned it may, by far
        step = np.clip(_turn(state["mean"], left, right) / (scale * correction), -1, 1)
        move = _turn(step, None if left is None else left.T, None if right is None else right.T)
        for side in sides:
            matrix = gradient if side == "left" else gradient.T
            state[side] += fresh * (matrix @ matrix.T - state[side])
            if self.n_steps % self.every == 0:  # one step of the power iteration keeps up with slow changes
                state["basis_" + side] = np.linalg.qr(state[side] @ state["basis_" + side])[0]
        return move


def _turn(matrix: np.ndarray, left: np.ndarray | None, right: np.ndarray | None) -> np.ndarray:
    """left^T matrix right."""
    matrix = matrix if left is None else left.T @ matrix
    return matrix if right is None else matrix @ right
