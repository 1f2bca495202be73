"""Noisy soft rounding with its slope, in one kernel. The meaning is `fit.quantizers.noisy_round`."""

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl

__all__ = ["noisy_round"]

_VALUES = 1024


def noisy_round(x: torch.Tensor, temperature: float, sigma: float) -> torch.Tensor:
    """`quantizers.noisy_round` of x (n,), with the noise that torch's generator gives it too."""
    return _NoisyRound.apply(x, temperature, sigma)


class _NoisyRound(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, temperature, sigma):
        x = x.detach().contiguous()
        noise, out, slope = torch.randn_like(x), torch.empty_like(x), torch.empty_like(x)
        steepness, scale = 2 / (math.log(2) * temperature), 0.5 / math.tanh(0.5 / temperature)
        with torch.cuda.device_of(x):
            _kernel[(-(-len(x) // _VALUES),)](
                x, noise, out, slope, len(x), float(steepness), float(scale), float(scale / temperature), float(sigma),
                _VALUES,
            )  # fmt: skip
        ctx.slope = slope
        return out

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.slope, None, None


@triton.jit
def _soft_round(x, steepness, scale, peak):
    """(value, slope): low + 1/2 + scale tanh((x - low - 1/2) / temperature), with steepness 2 log2(e) / temperature."""
    low = tl.floor(x)
    tanh = 1.0 - 2.0 / (tl.exp2((x - low - 0.5) * steepness) + 1.0)
    return low + 0.5 + scale * tanh, peak * (1.0 - tanh * tanh)


@triton.jit
def _kernel(x, noise, out, slope, n, steepness, scale, peak, sigma, VALUES: tl.constexpr):
    """out and slope (n,) of x.

    Moves 16 bytes a value: x and noise in, out and slope out (torch's noise is 4 more); 3.3 TB/s are 200 values a ns. About
    30 operations a value, 4 of which (2 exponentials, 2 quotients) go to the special units: 6 TFLOP/s at that pace, well
    below what a GPU has.
    """
    at = tl.program_id(0) * VALUES + tl.arange(0, VALUES)
    is_value = at < n
    first, d_first = _soft_round(tl.load(x + at, mask=is_value, other=0.0), steepness, scale, peak)
    noisy = first + sigma * tl.load(noise + at, mask=is_value, other=0.0)
    second, d_second = _soft_round(noisy, steepness, scale, peak)
    tl.store(out + at, second, mask=is_value)
    tl.store(slope + at, d_first * d_second, mask=is_value)
