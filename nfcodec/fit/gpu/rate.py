"""Bits of latents under the context network with all their gradients, in one kernel.

The meaning is `fit.context.ContextModel` followed by `fit.rate.laplace_bits`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import triton
import triton.language as tl

from ...entropy.tables import SCALES_PER_OCTAVE
from ..context import compand
from ..plan import Plan
from ..rate import LOCATIONS, LOG2_B_MAX, LOG2_B_MIN, P_MIN
from .network import Network, backward, forward, n_programs, operand_types, skip_start, write, zeros

__all__ = ["context_bits", "laplace", "launch"]

# so few that tensor cores are given single warps' work: with the wide instructions that an H100 has for 64 points and 4
# warps Triton 3.6 gives wrong sums of more than 32 inputs in half precision, and the barriers take what they save
_POINTS, _WARPS, _STAGES = 32, 2, 1
_LOW, _HIGH, _P_MIN = (tl.constexpr(x) for x in (LOG2_B_MIN, LOG2_B_MAX, P_MIN))
_LOCATIONS, _PARTS = tl.constexpr(float(LOCATIONS)), tl.constexpr(float(SCALES_PER_OCTAVE))
_LOG2_E, _LN2 = tl.constexpr(1 / math.log(2)), tl.constexpr(math.log(2))


def context_bits(
    v: torch.Tensor,
    plan: Plan,
    weights: Sequence[torch.Tensor],
    biases: Sequence[torch.Tensor],
    skip: torch.Tensor,
    as_coded: bool = False,
    precision: str = "float32",
) -> torch.Tensor:
    """As `fused.context_bits`: v (V,), biases (outputs, 1), skip (G,). precision: see `network.PRECISIONS`."""
    biases = [b[:, 0] for b in biases]
    return _ContextBits.apply(precision, plan, as_coded, len(weights), v, skip, *weights, *biases)


def launch(
    net: Network, flat: torch.Tensor, values: torch.Tensor, companded: torch.Tensor, places: torch.Tensor,
    constants: torch.Tensor, d_values: torch.Tensor | None, as_coded: bool, wanted: bool, precision: str,
) -> torch.Tensor:  # fmt: skip
    """(programs, net.size + 1): rows whose sum is the gradients by `flat`, where wanted, and last the value.

    companded (V,): `context.compand` of the values (V,); places (G + 1, M), constants (2, M): `Gathers.places`. To d_values
    (V,), unless it is None, the gradients by the values are added; the closing 0 gets none.
    """
    m, device = places.shape[1], values.device
    programs = n_programs(device, -(-m // _POINTS))
    partial = torch.empty(programs, net.size + 1, device=device)
    if programs:
        _context_bits_kernel[(programs,)](
            values, companded, places, constants, flat, values if d_values is None else d_values, partial, len(values), m,
            programs, net.widths, net.padded, as_coded, wanted, d_values is not None,
            _POINTS, num_warps=_WARPS, num_stages=_STAGES, **operand_types(precision),
        )  # fmt: skip
    return partial


class _ContextBits(torch.autograd.Function):
    @staticmethod
    def forward(ctx, precision, plan, as_coded, n_layers, v, skip, *tensors):
        net = Network.of(tensors[:n_layers], skip)
        wanted, values_wanted = any(ctx.needs_input_grad), ctx.needs_input_grad[4]
        values = v.detach().contiguous()
        d_values = torch.zeros_like(values) if values_wanted else None
        flat = net.flat(tensors[:n_layers], tensors[n_layers:], skip)
        with torch.cuda.device_of(v):
            places = plan.gathers.places(v.device)
            total = launch(net, flat, values, compand(values), *places, d_values, as_coded, wanted, precision).sum(0)
        if wanted:
            d_weights, d_biases, d_skip = net.parts(total)
            ctx.gradients = (d_values, d_skip, *d_weights, *d_biases)
        return total[-1].clone()

    @staticmethod
    def backward(ctx, grad):
        return None, None, None, None, *(None if g is None else g * grad for g in ctx.gradients)


@triton.jit
def laplace(x, location, scales, AS_CODED: tl.constexpr):
    """(bits, their derivatives by x, which is minus that by the location, and by scales): `rate.laplace_bits`."""
    log2_b = tl.minimum(tl.maximum(scales, _LOW), _HIGH)
    is_inside = tl.abs(log2_b - scales) < 1e-30
    if AS_CODED:
        location = tl.floor(location * _LOCATIONS + 0.5) / _LOCATIONS
        log2_b = tl.floor(log2_b * _PARTS + 0.5) / _PARTS
    inverse = tl.exp2(-log2_b)
    difference = x - location
    z = tl.abs(difference)
    u = (z - 0.5) * inverse
    upper = 0.5 * tl.exp2(tl.abs(u) * -_LOG2_E)
    lower = 0.5 * tl.exp2((z + 0.5) * inverse * -_LOG2_E)
    p = tl.maximum(tl.where(u < 0, 1.0 - upper, upper) - lower, 0.0) + _P_MIN
    # by z and by the inverse scale: the tails' derivatives are -upper and -lower on both sides of 0
    common = 1.0 / p * _LOG2_E
    d_z = common * (upper - lower) * inverse
    d_inverse = common * (upper * (z - 0.5) - lower * (z + 0.5))
    d_x = tl.where(difference > 0, d_z, tl.where(difference < 0, -d_z, 0.0))
    return -tl.log2(p), d_x, tl.where(is_inside, inverse * d_inverse * -_LN2, 0.0)


@triton.jit
def _context_bits_kernel(
    values, companded, places, constants, flat, d_values, partial, n_values, m, n_programs,
    WIDTHS: tl.constexpr, PADDED: tl.constexpr, AS_CODED: tl.constexpr, WANTS: tl.constexpr, WANTS_VALUES: tl.constexpr,
    POINTS: tl.constexpr, FORWARD: tl.constexpr, BACKWARD: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The value and gradients of the blocks program_id, program_id + n_programs, ... of POINTS positions each.

    Moves 4 (G + 1) + 2 bytes of indices and constants a position, and where caches hold the rest each value twice in and
    its gradient once out, 12 bytes: at G = 17 86 bytes, so that 3.3 TB/s are 38 positions a ns. What counts are the 2 G + 1
    gathers (4 bytes each) and the atomic additions, whose neighbours share lines of the L2 cache. Multiplies and adds 3
    times ((G + 2) H + (L - 1) H^2 + 2 H), 600 for 2 layers of 16: 3600 operations a position, and G exponentials of
    special units.
    """
    N_RAW: tl.constexpr = WIDTHS[0] - 2
    IN: tl.constexpr = PADDED[0]
    OUT: tl.constexpr = PADDED[len(WIDTHS) - 1]
    skip_at = skip_start(WIDTHS)
    row = partial + tl.program_id(0) * (skip_at + N_RAW + 1)
    # inputs are gathered as (inputs, points), and neighbouring threads are to take neighbouring points: where nothing is
    # known of pointers, versions of Triton differ in which axis that is, and so they are told that along points these
    # count up
    i, c = tl.arange(0, IN)[:, None], tl.arange(0, OUT)[None, :]
    skip = tl.load(flat + skip_at + i, mask=i < N_RAW, other=0.0)
    sums, d_skip, total = zeros(PADDED), tl.zeros((IN, POINTS), tl.float32), tl.zeros((POINTS,), tl.float32)
    for block in range(tl.program_id(0), tl.cdiv(m, POINTS), n_programs):
        at = block * POINTS + tl.arange(0, POINTS)
        is_position = at < m
        is_raw = (i < N_RAW) & is_position[None, :]
        place = tl.load(tl.max_contiguous(places + (i * m + at[None, :]), (1, 16)), mask=is_raw, other=0)
        raw = tl.load(tl.max_contiguous(values + place, (1, 16)), mask=is_raw, other=0.0)
        small = tl.load(tl.max_contiguous(companded + place, (1, 16)), mask=is_raw, other=0.0)
        is_constant = (i >= N_RAW) & (i < N_RAW + 2) & is_position[None, :]
        constant = tl.load(constants + (i - N_RAW) * m + at[None, :], mask=is_constant, other=0).to(tl.float32)
        x = small + tl.where(i == N_RAW + 2, 1.0, constant)
        kept = forward(tl.trans(x), flat, WIDTHS, PADDED, FORWARD, PRECISION)
        output = kept[len(WIDTHS) - 1]
        location = tl.sum(tl.where(c == 0, output, 0.0), 1) + tl.sum(raw * skip, 0)
        scales = tl.sum(tl.where(c == 1, output, 0.0), 1)
        own = tl.load(places + N_RAW * m + at, mask=is_position, other=0)
        bits, d_own, d_scales = laplace(tl.load(values + own, mask=is_position, other=0.0), location, scales, AS_CODED)
        total += tl.where(is_position, bits, 0.0)
        if WANTS:
            d_own = tl.where(is_position, d_own, 0.0)
            d_scales = tl.where(is_position, d_scales, 0.0)
            d = tl.where(c == 0, -d_own[:, None], tl.where(c == 1, d_scales[:, None], 0.0))
            led = backward(kept, d, flat, sums, WIDTHS, PADDED, BACKWARD, PRECISION)
            sums = led[1:]
            d_skip -= raw * d_own[None, :]
            if WANTS_VALUES:
                # the slope of companding, log2(e) / (1 + |raw|)
                d_raw = tl.trans(led[0]) * (tl.exp2(-tl.abs(small)) * _LOG2_E) - d_own[None, :] * skip
                # most inputs outside of lattices are the closing 0: additions to that one value would wait for each other
                added = tl.max_contiguous(d_values + place, (1, 16))
                tl.atomic_add(added, d_raw, mask=is_raw & (place < n_values - 1), sem="relaxed")
                tl.atomic_add(d_values + own, d_own, mask=is_position, sem="relaxed")
    write(sums, row, WIDTHS, PADDED)
    tl.store(row + skip_at + tl.arange(0, IN), tl.sum(d_skip, 1), mask=tl.arange(0, IN) < N_RAW)
    tl.store(row + skip_at + N_RAW, tl.sum(total, 0))
