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
from ..gathers import LANES, LOOSE, RUN, SAME, Gathers
from ..plan import Plan
from ..rate import LOCATIONS, LOG2_B_MAX, LOG2_B_MIN, P_MIN
from .network import Network, backward, forward, n_programs, operand_types, write, zeros

__all__ = ["context_bits", "launch"]

# more points, other numbers of warps, or loads that are pipelined all spill more: compiled for an H100, 88 bytes a thread
# in TF32 and 120 in `float32` are spilled as it is (two hidden layers of 16)
_POINTS, _WARPS, _STAGES = 64, 4, 1
_LANES, _LOOSE, _RUN, _SAME = (tl.constexpr(n) for n in (LANES, LOOSE, RUN, SAME))
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
    net: Network, flat: torch.Tensor, values: torch.Tensor, gathers: Gathers, d_values: torch.Tensor | None,
    as_coded: bool, wanted: bool, precision: str,
) -> torch.Tensor:  # fmt: skip
    """(programs, net.size + 1): rows whose sum is the gradients by `flat`, where wanted, and last the value.

    To d_values (V,) the gradients by the values (V,) are added, unless it is None.
    """
    m, device = len(gathers), values.device
    runs, loose, constants = gathers.packed(device)
    programs = n_programs(device, -(-m // _POINTS))
    partial = torch.empty(programs, net.size + 1, device=device)
    if programs:
        _context_bits_kernel[(programs,)](
            values, runs, loose, constants, flat, values if d_values is None else d_values, partial, len(values), m,
            runs.shape[1], programs, net.widths, net.padded, as_coded, wanted, d_values is not None,
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
            total = launch(net, flat, values, plan.gathers, d_values, as_coded, wanted, precision).sum(0)
        if wanted:
            d_weights, d_biases, d_skip = net.parts(total)
            ctx.gradients = (d_values, d_skip, *d_weights, *d_biases)
        return total[-1].clone()

    @staticmethod
    def backward(ctx, grad):
        return None, None, None, None, *(None if g is None else g * grad for g in ctx.gradients)


@triton.jit
def _places(runs, loose, row, n_vectors, at, is_wanted):
    """Indices into values of the positions `at` of a row, as `fit.gathers` packs them."""
    vector, lane = at // _LANES, at % _LANES
    run = runs + (row * n_vectors + vector) * 2
    first, kind = tl.load(run, mask=is_wanted, other=0), tl.load(run + 1, mask=is_wanted, other=_SAME)
    pair = tl.where(lane % 2 == 0, first, kind) + lane // 2
    place = tl.where(kind == _RUN, first + lane, tl.where(kind == _SAME, first, pair))
    is_loose = kind == _LOOSE
    return tl.where(is_loose, tl.load(loose + first * _LANES + lane, mask=is_loose, other=0), place)


@triton.jit
def _laplace(x, location, scales, AS_CODED: tl.constexpr):
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
    values, runs, loose, constants, flat, d_values, partial, n_values, m, n_vectors, n_programs,
    WIDTHS: tl.constexpr, PADDED: tl.constexpr, AS_CODED: tl.constexpr, WANTS: tl.constexpr, WANTS_VALUES: tl.constexpr,
    POINTS: tl.constexpr, FORWARD: tl.constexpr, BACKWARD: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The value and gradients of the blocks program_id, program_id + n_programs, ... of POINTS positions each.

    Moves about (G + 1) / 2 + 2 bytes of packed indices and constants a position, and each value once in and its gradient
    once out, 8 bytes, where caches hold the rest: at G = 17 19 bytes, so that 3.3 TB/s are 170 positions a ns. What counts
    are the G + 1 gathers (4 bytes each) and as many atomic additions (32 bytes of traffic in the L2 cache if none are
    merged): at about 5 TB/s of L2 8 positions a ns. Multiplies and adds 3 times ((G + 2) H + (L - 1) H^2 + 2 H),
    600 for 2 layers of 16: 3600 operations a position, 30 TFLOP/s at that pace, and about 40 of special units, mostly G
    logarithms and G quotients.
    """
    N_RAW: tl.constexpr = WIDTHS[0] - 2
    IN: tl.constexpr = PADDED[0]
    OUT: tl.constexpr = PADDED[len(WIDTHS) - 1]
    skip_start = 0
    for k in tl.static_range(len(WIDTHS) - 1):
        skip_start += (WIDTHS[k] + 1) * WIDTHS[k + 1]
    row = partial + tl.program_id(0) * (skip_start + N_RAW + 1)
    # inputs are gathered as (inputs, points): neighbouring threads then take neighbouring values
    i, c = tl.arange(0, IN)[:, None], tl.arange(0, OUT)[None, :]
    skip = tl.load(flat + skip_start + i, mask=i < N_RAW, other=0.0)
    sums, d_skip, total, d_last = zeros(PADDED), tl.zeros((IN,), tl.float32), 0.0, 0.0
    for block in range(tl.program_id(0), tl.cdiv(m, POINTS), n_programs):
        at = block * POINTS + tl.arange(0, POINTS)
        is_position = at < m
        is_raw = (i < N_RAW) & is_position[None, :]
        place = _places(runs, loose, i, n_vectors, at[None, :], is_raw)
        raw = tl.load(values + place, mask=is_raw, other=0.0)
        is_constant = (i >= N_RAW) & (i < N_RAW + 2) & is_position[None, :]
        constant = tl.load(constants + (i - N_RAW) * m + at[None, :], mask=is_constant, other=0).to(tl.float32)
        companded = tl.log2(1.0 + tl.abs(raw))
        x = tl.where(raw < 0, -companded, companded) + constant
        kept = forward(tl.trans(x), flat, WIDTHS, PADDED, FORWARD, PRECISION)
        output = kept[len(WIDTHS) - 1]
        location = tl.sum(tl.where(c == 0, output, 0.0), 1) + tl.sum(raw * skip, 0)
        scales = tl.sum(tl.where(c == 1, output, 0.0), 1)
        own = _places(runs, loose, N_RAW, n_vectors, at, is_position)
        bits, d_own, d_scales = _laplace(tl.load(values + own, mask=is_position, other=0.0), location, scales, AS_CODED)
        total += tl.sum(tl.where(is_position, bits, 0.0), 0)
        if WANTS:
            d_own = tl.where(is_position, d_own, 0.0)
            d_scales = tl.where(is_position, d_scales, 0.0)
            d = tl.where(c == 0, -d_own[:, None], tl.where(c == 1, d_scales[:, None], 0.0))
            led = backward(kept, d, flat, sums, WIDTHS, PADDED, BACKWARD, PRECISION)
            sums = led[1:]
            d_skip -= tl.sum(raw * d_own[None, :], 1)
            if WANTS_VALUES:
                d_raw = tl.trans(led[0]) / (1.0 + tl.abs(raw)) * _LOG2_E - d_own[None, :] * skip
                # most inputs outside of lattices are the closing 0: additions to that one value would wait for each other
                is_last = place == n_values - 1
                d_last += tl.sum(tl.sum(tl.where(is_raw & is_last, d_raw, 0.0), 1), 0)
                tl.atomic_add(d_values + place, d_raw, mask=is_raw & (place < n_values - 1), sem="relaxed")
                tl.atomic_add(d_values + own, d_own, mask=is_position, sem="relaxed")
    if WANTS_VALUES:
        tl.atomic_add(d_values + n_values - 1, d_last, sem="relaxed")
    write(sums, row, WIDTHS, PADDED)
    tl.store(row + skip_start + tl.arange(0, IN), d_skip, mask=tl.arange(0, IN) < N_RAW)
    tl.store(row + skip_start + N_RAW, total)
