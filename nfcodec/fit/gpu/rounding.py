"""What a step does to latents before and after its sums: noisy soft rounding with its slope, and Adam.

The meaning is `fit.quantizers.noisy_round` and `fit.optimizer.RowAdam`. In a loop that is captured, what changes from step
to step is read from a row of a table: of `SCHEDULE` columns, at the row that a counter on the device names.
"""

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl

from ..optimizer import BETAS, EPS

__all__ = ["SCHEDULE", "adam", "lay_out", "noisy_round", "soft_terms"]

_VALUES = 1024
# the terms of soft rounding, sigma; Adam's rate over the mean's bias, 1 over the square's; the networks' rate, their bias
SCHEDULE = 8


def soft_terms(temperature: float) -> tuple[float, float, float]:
    """(steepness, scale, peak) of soft rounding at a temperature, as the kernels take them."""
    scale = 0.5 / math.tanh(0.5 / temperature)
    return 2 / (math.log(2) * temperature), scale, scale / temperature


def noisy_round(x: torch.Tensor, temperature: float, sigma: float) -> torch.Tensor:
    """`quantizers.noisy_round` of x (n,), with the noise that torch's generator gives it too."""
    return _NoisyRound.apply(x, temperature, sigma)


class _NoisyRound(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, temperature, sigma):
        x = x.detach().contiguous()
        noise, out, slope = torch.randn_like(x), torch.empty_like(x), torch.empty_like(x)
        with torch.cuda.device_of(x):
            _noisy_round_kernel[(-(-len(x) // _VALUES),)](
                x, noise, out, slope, len(x), *soft_terms(temperature), float(sigma), _VALUES
            )
        ctx.slope = slope
        return out

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.slope, None, None


def lay_out(
    theta: torch.Tensor, places: torch.Tensor, noise: torch.Tensor | None, table: torch.Tensor, counter: torch.Tensor,
    out: torch.Tensor, companded: torch.Tensor, slope: torch.Tensor, d_out: torch.Tensor,
) -> None:  # fmt: skip
    """Fills out (n or more,) with the rounded values of a step and a closing 0, companded with `context.compand` of these,
    d_out with zeros, slope (n,).

    theta: flat, places (n,) int32 in it; noise (n,) standard normal, None for rounding to integers. table (steps,
    SCHEDULE), counter (1,) int32.
    """
    n = len(places)
    _lay_out[(-(-(n + 1) // _VALUES),)](
        theta, places, theta if noise is None else noise, table, counter, out, companded, slope, d_out, n,
        noise is None, SCHEDULE, _VALUES,
    )  # fmt: skip


def adam(
    theta: torch.Tensor, means: torch.Tensor, squares: torch.Tensor, places: torch.Tensor, gradients: torch.Tensor,
    slope: torch.Tensor, factor: float, table: torch.Tensor, counter: torch.Tensor,
) -> None:  # fmt: skip
    """Moves theta at places (n,) against factor * gradients (n or more,) * slope (n,), as `RowAdam`."""
    n = len(places)
    _adam[(-(-n // _VALUES),)](
        theta, means, squares, places, gradients, slope, factor, table, counter, n, *BETAS, EPS, SCHEDULE, _VALUES
    )


@triton.jit
def _soft_round(x, steepness, scale, peak):
    """(value, slope): low + 1/2 + scale tanh((x - low - 1/2) / temperature), with steepness 2 log2(e) / temperature."""
    low = tl.floor(x)
    tanh = 1.0 - 2.0 / (tl.exp2((x - low - 0.5) * steepness) + 1.0)
    return low + 0.5 + scale * tanh, peak * (1.0 - tanh * tanh)


@triton.jit
def _noisy_round_kernel(x, noise, out, slope, n, steepness, scale, peak, sigma, VALUES: tl.constexpr):
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


@triton.jit
def _lay_out(
    theta, places, noise, table, counter, out, companded, slope, d_out, n,
    IS_HARD: tl.constexpr, SCHEDULE: tl.constexpr, VALUES: tl.constexpr,
):  # fmt: skip
    """Moves 28 bytes a value: theta, its place and noise in, two outs, slope and zeros out; 3.3 TB/s are 120 a ns."""
    at = tl.program_id(0) * VALUES + tl.arange(0, VALUES)
    is_value = at < n
    x = tl.load(theta + tl.load(places + at, mask=is_value, other=0), mask=is_value, other=0.0)
    if IS_HARD:
        x = tl.floor(x + 0.5)
    else:
        row = table + tl.load(counter) * SCHEDULE
        steepness, scale, peak = tl.load(row), tl.load(row + 1), tl.load(row + 2)
        first, d_first = _soft_round(x, steepness, scale, peak)
        noisy = first + tl.load(row + 3) * tl.load(noise + at, mask=is_value, other=0.0)
        x, d_second = _soft_round(noisy, steepness, scale, peak)
        tl.store(slope + at, d_first * d_second, mask=is_value)
    x = tl.where(is_value, x, 0.0)
    size = tl.log2(1.0 + tl.abs(x))
    tl.store(out + at, x, mask=at <= n)
    tl.store(companded + at, tl.where(x < 0, -size, size), mask=at <= n)
    tl.store(d_out + at, tl.zeros((VALUES,), tl.float32), mask=at <= n)


@triton.jit
def _adam(
    theta, means, squares, places, gradients, slope, factor, table, counter, n, keep_mean, keep_square, eps,
    SCHEDULE: tl.constexpr, VALUES: tl.constexpr,
):  # fmt: skip
    """Moves 36 bytes a value: what Adam keeps in and out, gradient, slope and place in; 3.3 TB/s are 90 values a ns."""
    at = tl.program_id(0) * VALUES + tl.arange(0, VALUES)
    is_value = at < n
    row = table + tl.load(counter) * SCHEDULE
    rate, correction = tl.load(row + 4), tl.load(row + 5)
    place = tl.load(places + at, mask=is_value, other=0)
    g = tl.load(gradients + at, mask=is_value, other=0.0) * tl.load(slope + at, mask=is_value, other=0.0) * factor
    mean = tl.load(means + place, mask=is_value, other=0.0)
    square = tl.load(squares + place, mask=is_value, other=0.0)
    mean += (1.0 - keep_mean) * (g - mean)
    square = keep_square * square + (1.0 - keep_square) * g * g
    tl.store(means + place, mean, mask=is_value)
    tl.store(squares + place, square, mask=is_value)
    x = tl.load(theta + place, mask=is_value, other=0.0)
    tl.store(theta + place, x - rate * mean / (tl.sqrt(correction * square) + eps), mask=is_value)
