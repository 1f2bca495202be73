"""Squared error of the per-point network with all its gradients, in one kernel. The meaning is `fit.model.FieldModel`."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import triton
import triton.language as tl

from .network import Network, backward, forward, matrix, n_programs, operand_types, skip_start, store, write, zeros

__all__ = ["error_of", "launch", "squared_error"]

# so few that tensor cores are given single warps' work: with the wide instructions that an H100 has for 64 points and 4
# warps Triton 3.6 gives wrong sums of more than 32 inputs in half precision, and the barriers take what they save
_POINTS, _WARPS, _STAGES = 32, 2, 1


def squared_error(
    features: torch.Tensor,
    target: torch.Tensor,
    weight: torch.Tensor | None,
    weights: Sequence[torch.Tensor],
    biases: Sequence[torch.Tensor],
    skip: torch.Tensor,
    precision: str = "float32",
) -> torch.Tensor:
    """As `fused.squared_error`: features (F, M), target (C, M), weight (M,) or None, skip (C, F); F * M below 2**31.

    precision: of the operands of products, see `network.PRECISIONS`.
    """
    return _SquaredError.apply(precision, target, weight, len(weights), features, skip, *weights, *biases)


def launch(
    net: Network, flat: torch.Tensor, features: torch.Tensor, target: torch.Tensor, weight: torch.Tensor | None,
    d_features: torch.Tensor | None, wanted: bool, precision: str,
) -> torch.Tensor:  # fmt: skip
    """(programs, net.size + 1): rows whose sum is the gradients by `flat`, where wanted, and last the value.

    d_features (F, M) is filled with the gradients by the features, unless it is None.
    """
    m = features.shape[1]
    programs = n_programs(features.device, -(-m // _POINTS))
    partial = torch.empty(programs, net.size + 1, device=features.device)
    _squared_error_kernel[(programs,)](
        features, target, target if weight is None else weight.contiguous(), flat,
        features if d_features is None else d_features, partial, m, programs,
        net.widths, net.padded, weight is not None, wanted, d_features is not None, _POINTS,
        num_warps=_WARPS, num_stages=_STAGES, **operand_types(precision),
    )  # fmt: skip
    return partial


class _SquaredError(torch.autograd.Function):
    @staticmethod
    def forward(ctx, precision, target, weight, n_layers, features, skip, *tensors):
        net = Network.of(tensors[:n_layers], skip)
        wanted, features_wanted = any(ctx.needs_input_grad), ctx.needs_input_grad[4]
        features, target = features.detach().contiguous(), target.contiguous()
        d_features = torch.empty_like(features) if features_wanted else None
        flat = net.flat(tensors[:n_layers], tensors[n_layers:], skip)
        with torch.cuda.device_of(features):
            total = launch(net, flat, features, target, weight, d_features, wanted, precision).sum(0)
        if wanted:
            d_weights, d_biases, d_skip = net.parts(total)
            ctx.gradients = (d_features, d_skip.view(skip.shape), *d_weights, *d_biases)
        return total[-1].clone()

    @staticmethod
    def backward(ctx, grad):
        return None, None, None, None, *(None if g is None else g * grad for g in ctx.gradients)


@triton.jit
def error_of(
    x, sample, is_point, target, weight, n_samples, scale, flat, sums, d_skip,
    WIDTHS: tl.constexpr, PADDED: tl.constexpr, HAS_WEIGHT: tl.constexpr, WANTS: tl.constexpr,
    FORWARD: tl.constexpr, BACKWARD: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """(errors times scale (points,), d_skip, and where wanted the gradients by x, sums ...) of features x (points,
    PADDED[0]) at samples (points,) of a tile of n_samples; sums and d_skip (outputs, features) with what is added to them.
    """
    N_IN: tl.constexpr = WIDTHS[0]
    N_OUT: tl.constexpr = WIDTHS[len(WIDTHS) - 1]
    IN: tl.constexpr = PADDED[0]
    OUT: tl.constexpr = PADDED[len(WIDTHS) - 1]
    skip_at = skip_start(WIDTHS)
    i, c = tl.arange(0, IN)[None, :], tl.arange(0, OUT)[None, :]
    x = tl.where(i == N_IN, 1.0, x)
    kept = forward(x, flat, WIDTHS, PADDED, FORWARD, PRECISION)
    skip = matrix(flat, skip_at, N_OUT, N_IN, OUT, IN)
    output = tl.dot(kept[0], tl.trans(skip.to(FORWARD)), kept[len(WIDTHS) - 1], input_precision=PRECISION)
    is_output = (c < N_OUT) & is_point[:, None]
    wanted = tl.load(target + c * n_samples + sample[:, None], mask=is_output, other=0.0)
    error = tl.where(is_output, output - wanted, 0.0)
    scaled = error * (scale / N_OUT)
    if HAS_WEIGHT:
        scaled = scaled * tl.load(weight + sample, mask=is_point, other=0.0)[:, None]
    errors = tl.sum(error * scaled, 1)
    found = (errors, d_skip)
    if WANTS:
        d = 2.0 * scaled
        led = backward(kept, d, flat, sums, WIDTHS, PADDED, BACKWARD, PRECISION)
        g = d.to(BACKWARD)
        d_skip = tl.dot(tl.trans(g), kept[0].to(BACKWARD), d_skip, input_precision=PRECISION)
        found = (errors, d_skip, tl.dot(g, skip.to(BACKWARD), led[0], input_precision=PRECISION)) + led[1:]
    return found


@triton.jit
def _squared_error_kernel(
    features, target, weight, flat, d_features, partial, m, n_programs,
    WIDTHS: tl.constexpr, PADDED: tl.constexpr, HAS_WEIGHT: tl.constexpr, WANTS: tl.constexpr, WANTS_FEATURES: tl.constexpr,
    POINTS: tl.constexpr, FORWARD: tl.constexpr, BACKWARD: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """The value and gradients of the blocks program_id, program_id + n_programs, ... of POINTS points each.

    Moves 8 F + 4 C (+ 4 with weights) bytes a point: features in, their gradients out, targets in; at F = 20 and C = 3
    172, so that 3.3 TB/s are 19 points a ns. Multiplies and adds 3 times (F H + (L - 1) H^2 + H C + F C) for L hidden
    layers of H: for 2 of 16 684 a time, 4100 operations a point, 80 TFLOP/s at that pace. With padding (F to 32, C to 16)
    9200, 180 TFLOP/s of the 495 that an H100 has in TF32; in `float32` every product is three, so that they and not
    bytes are the floor.
    """
    N_IN: tl.constexpr = WIDTHS[0]
    N_OUT: tl.constexpr = WIDTHS[len(WIDTHS) - 1]
    IN: tl.constexpr = PADDED[0]
    OUT: tl.constexpr = PADDED[len(WIDTHS) - 1]
    skip_at = skip_start(WIDTHS)
    row = partial + tl.program_id(0) * (skip_at + N_IN * N_OUT + 1)
    i = tl.arange(0, IN)[None, :]
    sums, d_skip, total = zeros(PADDED), tl.zeros((OUT, IN), tl.float32), tl.zeros((POINTS,), tl.float32)
    for block in range(tl.program_id(0), tl.cdiv(m, POINTS), n_programs):
        at = block * POINTS + tl.arange(0, POINTS)
        is_entry = (i < N_IN) & (at < m)[:, None]
        x = tl.load(features + i * m + at[:, None], mask=is_entry, other=0.0)
        led = error_of(
            x, at, at < m, target, weight, m, 1.0, flat, sums, d_skip,
            WIDTHS, PADDED, HAS_WEIGHT, WANTS, FORWARD, BACKWARD, PRECISION,
        )  # fmt: skip
        total += led[0]
        if WANTS:
            d_skip, sums = led[1], led[3:]
            if WANTS_FEATURES:
                tl.store(d_features + i * m + at[:, None], led[2], mask=is_entry)
    write(sums, row, WIDTHS, PADDED)
    store(row, skip_at, d_skip, N_OUT, N_IN, OUT, IN)
    tl.store(row + skip_at + N_IN * N_OUT, tl.sum(total, 0))
