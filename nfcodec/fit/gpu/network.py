"""Small networks on a block of points that stays in registers, forward and backward; what the fused kernels share.

A network is one float32 array `flat`: for each layer its weights (outputs, inputs) and biases (outputs,), then the skip.
Activations are (points, width), every width rounded up to a multiple of 16 with zeros, the least that tensor cores take.
Each program adds up gradients over its blocks in registers and writes them once, in the order of `flat`, into its row of
an array (programs, n + 1) whose last column is the value; torch adds the rows, always in one order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import triton
import triton.language as tl

__all__ = [
    "PRECISIONS", "Network", "backward", "forward", "matrix", "n_programs", "operand_types", "skip_start", "store", "write",
    "zeros",
]  # fmt: skip

# name -> operands of products forward, those backward (gradients may leave float16's range), how float32 is multiplied
PRECISIONS = {
    "float32": (tl.float32, tl.float32, "tf32x3"),
    "tfloat32": (tl.float32, tl.float32, "tf32"),
    "float16": (tl.float16, tl.bfloat16, "tf32"),
    "bfloat16": (tl.bfloat16, tl.bfloat16, "tf32"),
}
_PROGRAMS_A_PROCESSOR = 4  # 2 warps each of 255 registers a thread are all that a processor holds


def operand_types(precision: str) -> dict[str, object]:
    """The constants FORWARD, BACKWARD and PRECISION of a kernel, by a key of PRECISIONS; sums are float32 in all."""
    return dict(zip(("FORWARD", "BACKWARD", "PRECISION"), PRECISIONS[precision]))


def n_programs(device: torch.device, n_blocks: int) -> int:
    """How many programs share the blocks."""
    if device.type != "cuda":
        return min(n_blocks, 2)
    return min(n_blocks, _PROGRAMS_A_PROCESSOR * torch.cuda.get_device_properties(device).multi_processor_count)


@dataclass(frozen=True)
class Network:
    """Where things are in `flat`. widths: inputs, outputs of every layer; n_skip: entries of the skip."""

    widths: tuple[int, ...]
    n_skip: int

    @classmethod
    def of(cls, weights: Sequence[torch.Tensor], skip: torch.Tensor) -> "Network":
        return cls((weights[0].shape[1], *(len(w) for w in weights)), skip.numel())

    @property
    def padded(self) -> tuple[int, ...]:
        """The widths of blocks in registers: powers of two from 16, as Triton wants them."""
        return tuple(max(16, triton.next_power_of_2(n)) for n in self.widths)

    @property
    def skip_start(self) -> int:
        return sum((n_in + 1) * n_out for n_in, n_out in zip(self.widths, self.widths[1:]))

    @property
    def size(self) -> int:
        return self.skip_start + self.n_skip

    @staticmethod
    def flat(weights: Sequence[torch.Tensor], biases: Sequence[torch.Tensor], skip: torch.Tensor) -> torch.Tensor:
        """The array of a network."""
        layers = [t.detach().reshape(-1) for layer in zip(weights, biases) for t in layer]
        return torch.cat([*layers, skip.detach().reshape(-1)])

    def parts(self, flat: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor], torch.Tensor]:
        """The inverse of `flat`: (weights, biases, skip (n_skip,)), views of it."""
        weights, biases, start = [], [], 0
        for n_in, n_out in zip(self.widths, self.widths[1:]):
            weights.append(flat[start : start + n_in * n_out].view(n_out, n_in))
            biases.append(flat[start + n_in * n_out : start + (n_in + 1) * n_out])
            start += (n_in + 1) * n_out
        return weights, biases, flat[start : start + self.n_skip]


@triton.jit
def skip_start(WIDTHS: tl.constexpr):
    """Where the skip begins in `flat`: behind all layers."""
    at = 0
    for k in tl.static_range(len(WIDTHS) - 1):
        at += (WIDTHS[k] + 1) * WIDTHS[k + 1]
    return at


@triton.jit
def matrix(flat, start, n_rows, n_columns, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """(ROWS, COLUMNS): a matrix (n_rows, n_columns) of `flat` with zeros beyond."""
    i, j = tl.arange(0, ROWS)[:, None], tl.arange(0, COLUMNS)[None, :]
    return tl.load(flat + start + i * n_columns + j, mask=(i < n_rows) & (j < n_columns), other=0.0)


@triton.jit
def store(partial, start, block, n_rows, n_columns, ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    """Writes a block (ROWS, COLUMNS) as the matrix (n_rows, n_columns) that starts there in this program's row."""
    i, j = tl.arange(0, ROWS)[:, None], tl.arange(0, COLUMNS)[None, :]
    tl.store(partial + start + i * n_columns + j, block, mask=(i < n_rows) & (j < n_columns))


@triton.jit
def _layer(flat, start, n_in: tl.constexpr, n_out: tl.constexpr, IN: tl.constexpr, OUT: tl.constexpr):
    """(OUT, IN): the weights of a layer; where its inputs have room for a 1, the biases are what that is multiplied by, and
    another 1 makes the 1 of the outputs."""
    i, j = tl.arange(0, OUT)[:, None], tl.arange(0, IN)[None, :]
    place = tl.where(j < n_in, i * n_in + j, n_in * n_out + i)
    w = tl.load(flat + start + place, mask=(i < n_out) & (j < n_in + (IN > n_in)), other=0.0)
    if IN > n_in:
        w = tl.where((i == n_out) & (j == n_in), 1.0, w)
    return w


@triton.jit
def forward(x, flat, WIDTHS: tl.constexpr, PADDED: tl.constexpr, FORWARD: tl.constexpr, PRECISION: tl.constexpr):
    """(inputs of every layer ..., outputs float32), each (points, width); x: (points, PADDED[0]), with a 1 behind its
    inputs where there is room."""
    kept = (x.to(FORWARD),)
    start = 0
    for k in tl.static_range(len(WIDTHS) - 1):
        w = _layer(flat, start, WIDTHS[k], WIDTHS[k + 1], PADDED[k], PADDED[k + 1]).to(FORWARD)
        if PADDED[k] > WIDTHS[k]:
            h = tl.dot(kept[k], tl.trans(w), input_precision=PRECISION)
        else:
            j = tl.arange(0, PADDED[k + 1])[None, :]
            b = matrix(flat, start + WIDTHS[k] * WIDTHS[k + 1], 1, WIDTHS[k + 1], 1, PADDED[k + 1])
            h = tl.dot(kept[k], tl.trans(w), input_precision=PRECISION) + tl.where(j == WIDTHS[k + 1], 1.0, b)
        if k < len(WIDTHS) - 2:
            kept = kept + (tl.maximum(h, 0.0).to(FORWARD),)
        else:
            kept = kept + (h,)
        start += (WIDTHS[k] + 1) * WIDTHS[k + 1]
    return kept


@triton.jit
def backward(
    kept, d, flat, sums, WIDTHS: tl.constexpr, PADDED: tl.constexpr, BACKWARD: tl.constexpr, PRECISION: tl.constexpr
):
    """(gradient of the first layer's inputs, sums ...) of d (points, outputs); sums: of each layer the weights' with the
    biases' behind, and the biases' where there is no room."""
    start = 0
    for k in tl.static_range(len(WIDTHS) - 1):
        start += (WIDTHS[k] + 1) * WIDTHS[k + 1]
    new = ()
    for k in tl.static_range(len(WIDTHS) - 2, -1, -1):
        start -= (WIDTHS[k] + 1) * WIDTHS[k + 1]
        g = d.to(BACKWARD)
        d_w = tl.dot(tl.trans(g), kept[k].to(BACKWARD), sums[2 * k], input_precision=PRECISION)
        if PADDED[k] > WIDTHS[k]:
            new = (d_w, sums[2 * k + 1]) + new
        else:
            new = (d_w, sums[2 * k + 1] + tl.sum(d, 0)[None, :]) + new
        w = _layer(flat, start, WIDTHS[k], WIDTHS[k + 1], PADDED[k], PADDED[k + 1]).to(BACKWARD)
        d = tl.dot(g, w, input_precision=PRECISION)
        if k > 0:
            d = tl.where(kept[k] > 0, d, 0.0)
    return (d,) + new


@triton.jit
def _zeros(ROWS: tl.constexpr, COLUMNS: tl.constexpr):
    return tl.zeros((ROWS, COLUMNS), tl.float32)


@triton.jit
def zeros(PADDED: tl.constexpr):
    """The sums that `backward` starts with."""
    sums = ()
    for k in tl.static_range(len(PADDED) - 1):
        sums = sums + (_zeros(PADDED[k + 1], PADDED[k]), _zeros(1, PADDED[k + 1]))
    return sums


@triton.jit
def write(sums, partial, WIDTHS: tl.constexpr, PADDED: tl.constexpr):
    """Writes the sums of `backward` into this program's row."""
    start = 0
    for k in tl.static_range(len(WIDTHS) - 1):
        store(partial, start, sums[2 * k], WIDTHS[k + 1], WIDTHS[k], PADDED[k + 1], PADDED[k])
        if PADDED[k] > WIDTHS[k]:
            i, j = tl.arange(0, PADDED[k + 1])[:, None], tl.arange(0, PADDED[k])[None, :]
            place = start + WIDTHS[k] * WIDTHS[k + 1] + i
            tl.store(partial + place + 0 * j, sums[2 * k], mask=(i < WIDTHS[k + 1]) & (j == WIDTHS[k]))
        else:
            store(partial, start + WIDTHS[k] * WIDTHS[k + 1], sums[2 * k + 1], 1, WIDTHS[k + 1], 1, PADDED[k + 1])
        start += (WIDTHS[k] + 1) * WIDTHS[k + 1]
