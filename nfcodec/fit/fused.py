"""The costly parts of a training step as single operations for autograd: on a CPU with numba, on a GPU with Triton.

Each computes its value and all its gradients in one pass. On a CPU (`kernels.rate`, `kernels.synthesis`,
`kernels.rounding`) threads take an even share of the blocks each; what a GPU takes goes to the functions of the same names
in `gpu`. What they mean is written in torch beside their callers, which ask `is_available` first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import torch

from ..entropy.tables import SCALES_PER_OCTAVE
from ..kernels import use_numba
from ..kernels.vectors import LANES, VECTORS
from . import gpu
from .deferred import Deferred
from .plan import Block, Plan
from .rate import LOCATIONS, LOG2_B_MAX, LOG2_B_MIN, P_MIN

__all__ = [
    "LIMITS", "SAMPLES", "context_bits", "first_output", "interpolate", "interpolates", "is_available", "noisy_round",
    "pool", "squared_error",
]  # fmt: skip

SAMPLES = LANES * VECTORS  # of a block of the kernels
_REPEATS = 256  # a fit does the same hundreds of times, so that numba pays for small work too
# what `kernels.rate` wants to know beside the network, by whether it rounds as the coder does
LIMITS = {
    False: np.array([LOG2_B_MIN, LOG2_B_MAX, P_MIN, 0, 0], np.float32),
    True: np.array([LOG2_B_MIN, LOG2_B_MAX, P_MIN, LOCATIONS, SCALES_PER_OCTAVE], np.float32),
}


def is_available(x: torch.Tensor) -> bool:
    """Whether the kernels take this tensor: float32, with numba in main memory, with Triton on a GPU, where allowed."""
    if gpu.is_available(x):
        return True
    return x.device.type == "cpu" and x.dtype == torch.float32 and use_numba(x.numel() * _REPEATS)


def context_bits(
    v: torch.Tensor,
    plan: Plan,
    weights: Sequence[torch.Tensor],
    biases: Sequence[torch.Tensor],
    skip: torch.Tensor,
    as_coded: bool = False,
) -> torch.Tensor:
    """Bits of what the plan owns: `ContextModel`, with as_coded `rate.as_coded`, and `laplace_bits`.

    skip (G,); the rest as in `ContextModel`.
    """
    if gpu.is_available(v):
        from .gpu.rate import context_bits as kernel

        return kernel(v, plan, weights, biases, skip, as_coded)
    return _ContextBits.apply(plan, as_coded, len(weights), v, skip, *weights, *(b[:, 0] for b in biases))


def squared_error(
    features: torch.Tensor | Deferred,
    target: torch.Tensor,
    weight: torch.Tensor | None,
    weights: Sequence[torch.Tensor],
    biases: Sequence[torch.Tensor],
    skip: torch.Tensor,
) -> torch.Tensor:
    """Sum over the points of weight * mean over channels of squared error. features (F, M), target (C, M), skip (C, F)."""
    if isinstance(features, Deferred):
        return _ErrorOfDeferred.apply(features, target, weight, len(weights), features.values, skip, *weights, *biases)
    if gpu.is_available(features):
        from .gpu.synthesis import squared_error as kernel

        return kernel(features, target, weight, weights, biases, skip)
    return _SquaredError.apply(target, weight, len(weights), features, skip, *weights, *biases)


@torch.no_grad()
def first_output(
    features: torch.Tensor | Deferred,
    weight: torch.Tensor,
    least: float,
    weights: Sequence[torch.Tensor],
    biases: Sequence[torch.Tensor],
    skip: torch.Tensor,
) -> torch.Tensor:
    """(M,) output 0 of the network in those blocks of samples that have a weight (M,) above `least`, on a CPU."""
    from ..kernels import synthesis
    from ..kernels.blocks import pack, pad

    arrays = [t.detach().numpy() for t in weights], [t.detach().numpy() for t in biases]
    network = *pack(*arrays), pad(skip.detach().numpy()).reshape(-1)
    out = torch.zeros(features.shape[1])
    if isinstance(features, Deferred):
        kernel, fixed, n_blocks = features.kernels().first_output, *_of_deferred(features)
    else:
        kernel, fixed, n_blocks = synthesis.first_output, *_of_features(features)

    def part(first: int, last: int) -> float:
        kernel(first, last, *fixed, weight.numpy(), least, *network, out.numpy())
        return 0.0

    _shared_out(part, n_blocks, ())
    return out


def noisy_round(x: torch.Tensor, temperature: float, sigma: float) -> torch.Tensor:
    """`quantizers.noisy_round` of x (n,)."""
    if gpu.is_available(x):
        from .gpu.rounding import noisy_round as kernel

        return kernel(x, temperature, sigma)
    return _NoisyRound.apply(x, temperature, sigma)


def interpolates(v: torch.Tensor, block: Block, stride: int, shape: torch.Tensor | None) -> bool:
    """Whether `interpolate` is there for a level, and faster than torch: on a GPU, for values at indices."""
    if block.index is None or (shape is not None and shape.requires_grad) or not gpu.is_available(v):
        return False
    from .gpu.interpolation import is_worth_it

    return is_worth_it(block, stride)


def interpolate(
    v: torch.Tensor, block: Block, phase: tuple[int, ...], stride: int, shape: torch.Tensor | None
) -> torch.Tensor:
    """(F, M): one level of `FieldModel.features`. shape: (2,) of the level's kernel, which gets no gradient, or None."""
    from .gpu.interpolation import interpolate as kernel

    return kernel(v, block, phase, stride, shape)


class _NoisyRound(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, temperature, sigma):
        from ..kernels.rounding import noisy_round as kernel

        noise = torch.randn(x.shape)
        out, slope = torch.empty_like(x), torch.empty_like(x)
        kernel(x.detach().numpy(), noise.numpy(), temperature, sigma, out.numpy(), slope.numpy())
        ctx.slope = slope
        return out

    @staticmethod
    def backward(ctx, grad):
        return grad * ctx.slope, None, None


class _ContextBits(torch.autograd.Function):
    @staticmethod
    def forward(ctx, plan, as_coded, n_layers, v, skip, *tensors):
        from ..kernels.blocks import POINTS, pack, pad
        from ..kernels.rate import context_bits as kernel

        gathers = plan.gathers
        layers = [t.detach().numpy() for t in tensors]
        flat, widths = pack(layers[:n_layers], layers[n_layers:])
        values = v.detach().numpy()
        size = np.abs(values)
        companded, slopes = np.copysign(np.log2(1 + size), values), np.float32(1 / np.log(2)) / (1 + size)
        places = (gathers.runs, gathers.loose, gathers.constants)
        fixed = (len(gathers), values, companded, slopes, *places, flat, widths)
        wanted, values_wanted = any(ctx.needs_input_grad), ctx.needs_input_grad[3]
        rows = pad(skip.detach().numpy()[None])
        sizes = len(values) if values_wanted else 0, len(flat) if wanted else 0, rows.size

        def part(first: int, last: int, d_values: np.ndarray, d_flat: np.ndarray, d_skip: np.ndarray) -> float:
            return kernel(first, last, *fixed, rows.reshape(-1), LIMITS[as_coded], 1.0, d_values, d_flat, d_skip)

        bits, d_values, d_flat, d_skip = _shared_out(part, -(-len(gathers) // POINTS), sizes)
        if wanted:
            d_values = d_values if values_wanted else None
            ctx.gradients = (d_values, d_skip[: len(skip)], *_unpacked(d_flat, layers, n_layers))
        return v.new_tensor(bits)

    @staticmethod
    def backward(ctx, grad):
        return None, None, None, *_scaled(ctx.gradients, grad)


class _SquaredError(torch.autograd.Function):
    @staticmethod
    def forward(ctx, target, weight, n_layers, features, skip, *tensors):
        from ..kernels.synthesis import squared_error as kernel

        of_samples, n_blocks = _of_features(features)
        error, gradients = _error(ctx, kernel, of_samples, n_blocks, of_samples[1], target, weight, n_layers, skip, tensors)
        if gradients is not None:
            d_lines, *others = gradients
            ctx.gradients = (d_lines[:-SAMPLES].reshape(features.shape), *others)
        return features.new_tensor(error)

    @staticmethod
    def backward(ctx, grad):
        return None, None, None, *_scaled(ctx.gradients, grad)


class _ErrorOfDeferred(torch.autograd.Function):
    @staticmethod
    def forward(ctx, features, target, weight, n_layers, values, skip, *tensors):
        kernel, (of_samples, n_blocks) = features.kernels().squared_error, _of_deferred(features)
        error, gradients = _error(
            ctx, kernel, of_samples, n_blocks, of_samples[-1], target, weight, n_layers, skip, tensors
        )
        if gradients is not None:
            d_values, *others = gradients
            ctx.gradients = (features.gradient(d_values), *others)
        return values.new_tensor(error)

    @staticmethod
    def backward(ctx, grad):
        return None, None, None, None, *_scaled(ctx.gradients, grad)


def _of_features(features: torch.Tensor) -> tuple[tuple, int]:
    """The arguments of `kernels.synthesis` that say what features (F, M) are, and the number of blocks: one plane of all
    samples, one tap of weight 1 a feature."""
    from ..kernels.synthesis import MAX_TAPS

    n_features, m = features.shape
    lines = np.zeros(n_features * m + SAMPLES, np.float32)
    lines[:-SAMPLES].reshape(n_features, m)[:] = features.detach().numpy()
    rows, taps = np.arange(n_features, dtype=np.int32)[:, None], np.ones((n_features, 1, MAX_TAPS), np.float32)
    return (m, lines, rows, taps, np.ones(n_features, np.int32)), -(-m // SAMPLES)


def _of_deferred(features: Deferred) -> tuple[tuple, int]:
    """As `_of_features`, for the kernels of these."""
    arguments = features.arguments()
    return arguments, -(-len(arguments[0]) // VECTORS)


def _error(ctx, kernel, of_samples, n_blocks, values, target, weight, n_layers, skip, tensors):
    """The squared error and, if they are wanted, its gradients: of values, skip, weights and biases."""
    from ..kernels.blocks import pack, pad

    layers = [t.detach().numpy() for t in tensors]
    flat, widths = pack(layers[:n_layers], layers[n_layers:])
    wanted, padded = any(ctx.needs_input_grad), pad(skip.detach().numpy())
    scale = np.ones(target.shape[1], np.float32) if weight is None else weight.numpy()
    fixed = (*of_samples, target.numpy(), scale, 1.0)
    sizes = (len(values), len(flat), padded.size) if wanted else (0, 0, padded.size)

    def part(first: int, last: int, d_values: np.ndarray, d_flat: np.ndarray, d_skip: np.ndarray) -> float:
        return kernel(first, last, *fixed, flat, widths, padded.reshape(-1), d_values, d_flat, d_skip)

    error, d_values, d_flat, d_skip = _shared_out(part, n_blocks, sizes)
    if not wanted:
        return error, None
    d_skip = d_skip.reshape(padded.shape)[: len(skip), : skip.shape[1]]
    return error, (d_values, d_skip, *_unpacked(d_flat, layers, n_layers))


def _scaled(gradients: Sequence[np.ndarray | None], grad: torch.Tensor) -> list[torch.Tensor | None]:
    """In place: a loss is differentiated once."""
    return [None if g is None else torch.from_numpy(np.ascontiguousarray(g)).mul_(grad) for g in gradients]


def _unpacked(d_flat: np.ndarray, layers: list[np.ndarray], n_layers: int) -> list[np.ndarray]:
    from ..kernels.blocks import unpack

    weights, biases = unpack(d_flat, [w.shape for w in layers[:n_layers]])
    return [*weights, *biases]


def _shared_out(part: Callable[..., float], n_blocks: int, sizes: Sequence[int]) -> list:
    """[sum of part(first, last, *arrays), *sums of the arrays (size,)], the blocks shared out among torch's threads."""
    n_threads = min(torch.get_num_threads(), n_blocks)
    arrays = [[np.zeros(size, np.float32) for size in sizes] for _ in range(max(n_threads, 1))]
    cuts = [i * n_blocks // len(arrays) for i in range(len(arrays) + 1)]
    if len(arrays) == 1:
        return [part(0, n_blocks, *arrays[0]), *arrays[0]]
    futures = [pool().submit(part, a, b, *own) for a, b, own in zip(cuts[1:], cuts[2:], arrays[1:])]
    value = part(cuts[0], cuts[1], *arrays[0]) + sum(future.result() for future in futures)
    return [value, *(np.sum(parts, axis=0) for parts in zip(*arrays))]


@cache
def pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(thread_name_prefix="nfcodec-fit")
