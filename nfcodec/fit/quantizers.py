"""Stand-ins for rounding that training can pass gradients through. Pure functions of tensors."""

from __future__ import annotations

import torch


def soft_round(x: torch.Tensor, temperature: float) -> torch.Tensor:
    """A smooth staircase through the integers: the identity for a large temperature, rounding for a small one.

    Agustsson & Theis 2020 (Universally quantized neural compression, section 4.1), with C3's temperature.
    """
    low = torch.floor(x)
    scale = 0.5 / torch.tanh(torch.tensor(0.5 / temperature)).item()
    return low + 0.5 + scale * torch.tanh((x - low - 0.5) / temperature)


def noisy_round(x: torch.Tensor, temperature: float, sigma: float) -> torch.Tensor:
    """Soft rounding before and after additive Gaussian noise of deviation sigma (C3, section 3.2, in spirit).

    Without noise the optimiser hides information between the steps of the staircase, which rounding then destroys.
    """
    return soft_round(soft_round(x, temperature) + sigma * torch.randn_like(x), temperature)


class _HardRound(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, temperature):
        ctx.save_for_backward(x)
        ctx.temperature = temperature
        return torch.round(x)

    @staticmethod
    def backward(ctx, grad):
        (x,) = ctx.saved_tensors
        t = ctx.temperature
        peak = 0.5 / torch.tanh(torch.tensor(0.5 / t)).item()
        slope = peak / t * (1 - torch.tanh((x - torch.floor(x) - 0.5) / t) ** 2)
        return grad * slope, None


def hard_round(x: torch.Tensor, temperature: float) -> torch.Tensor:
    """Rounding to integers forward, the slope of `soft_round` backward (Cool-Chic 3: last training stage)."""
    return _HardRound.apply(x, temperature)


def straight_through(x: torch.Tensor, rounded: torch.Tensor) -> torch.Tensor:
    """`rounded` forward, the identity's gradient to x backward."""
    return x + (rounded - x).detach()
