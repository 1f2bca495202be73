"""Differentiable bits: what the integer coder of `nfcodec.entropy` will spend, as a smooth function.

Integers are coded under a Laplace distribution of location mu and scale b, cut into unit bins.
"""

from __future__ import annotations

import math

import torch

from ..entropy.tables import SCALES_PER_OCTAVE
from .quantizers import straight_through

LOCATIONS = 8  # the coder takes locations in parts of 1, and log2 of scales in SCALES_PER_OCTAVE parts
# the smallest probability that a table of 2**14 can give, and the smallest and largest scales of the tables
P_MIN = 2.0**-14
LOG2_B_MIN, LOG2_B_MAX = -4.5, 9.0


def laplace_bits(x: torch.Tensor, mu: torch.Tensor, log2_b: torch.Tensor) -> torch.Tensor:
    """Bits of x under a Laplace of location mu and scale 2**log2_b, all of one shape; x need not be integer yet."""
    inverse_b = torch.exp(log2_b.clamp(LOG2_B_MIN, LOG2_B_MAX) * -math.log(2.0))
    z = (x - mu).abs()
    upper = _tail((z - 0.5) * inverse_b)
    lower = _tail((z + 0.5) * inverse_b)
    return -torch.log2((upper - lower).clamp_min(0) + P_MIN)


def escape_bits(x: torch.Tensor, mu: torch.Tensor, log2_b: torch.Tensor) -> torch.Tensor:
    """Bits beyond those of `laplace_bits` of values so far off that they are coded as an escape and an Exp-Golomb number.

    With a context network there are hardly any; under one scale for a whole column there may be many.
    """
    log2_b = log2_b.clamp(LOG2_B_MIN, LOG2_B_MAX)
    b = torch.exp2(log2_b)
    reach = b * (torch.log(2 * torch.sinh(0.5 / b)) + 13 * math.log(2.0))  # where a table's tokens end
    order = torch.floor(log2_b).clamp_min(0)
    excess = ((x - mu).abs() - reach.clamp_min(0) - 1).clamp_min(0)
    bits = 1 + order + 2 * torch.log2(1 + excess * torch.exp2(-order))
    return torch.where((x - mu).abs() > reach.clamp_min(0) + 0.5, bits, torch.zeros_like(bits))


def as_coded(mu: torch.Tensor, log2_b: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Location and log2 of the scale, rounded as the integer network rounds them; the gradient passes."""
    parts = SCALES_PER_OCTAVE
    log2_b = log2_b.clamp(LOG2_B_MIN, LOG2_B_MAX)
    return (
        straight_through(mu, torch.floor(mu * LOCATIONS + 0.5) / LOCATIONS),
        straight_through(log2_b, torch.floor(log2_b * parts + 0.5) / parts),
    )


def _tail(u: torch.Tensor) -> torch.Tensor:
    """P(X > u) of the standard Laplace distribution."""
    # not by |u|, whose slope at 0 torch takes as 0: rounded locations do meet it
    return torch.where(u >= 0, 0.5 * torch.exp(-u.clamp_min(0)), 1 - 0.5 * torch.exp(u.clamp_max(0)))
