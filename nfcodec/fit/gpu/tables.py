"""Bits of rows of tables under one Laplace scale a column, with their gradients: as `fit.encodings.tables.Tables`."""

from __future__ import annotations

import math

import torch
import triton
import triton.language as tl

from ..encodings.tables import LEAST, Tables
from ..plan import Plan
from ..rate import LOG2_B_MAX, LOG2_B_MIN
from .rate import laplace

__all__ = ["TableBits"]

_VALUES = 1024
# of a column: log2 of its scale, where its tokens end, bits of the zeros of idle rows for each other row
_N_FIELDS = tl.constexpr(3)
_LOW, _HIGH = tl.constexpr(LOG2_B_MIN), tl.constexpr(LOG2_B_MAX)
_LN2, _LOG2_E = tl.constexpr(math.log(2)), tl.constexpr(1 / math.log(2))
_TOKENS_OCTAVES = tl.constexpr(13.0)  # as in `rate.escape_bits`


class TableBits:
    """The values that a tile reads, each with its column and its share of the tile."""

    def __init__(self, grid: Tables, plan: Plan):
        device = grid.theta[0].device
        sizes = [(len(rows), theta.shape[1]) for rows, theta in zip(plan.rows, grid.theta)]
        counts = torch.tensor([n for n, width in sizes for _ in range(width)], device=device)
        self.columns = torch.arange(len(counts), dtype=torch.int32, device=device).repeat_interleave(counts)
        self.shares = plan.shares.contiguous()
        self.n_columns = len(counts)
        rows = torch.tensor([len(theta) for theta in grid.theta for _ in range(theta.shape[1])])
        ends = rows.cumsum(0)
        self.bounds = torch.stack([ends - rows, ends], 1).to(device, torch.int32).contiguous()
        idle = grid.idle or [0.0] * len(grid.theta)
        self.idle = torch.tensor([x for x, theta in zip(idle, grid.theta) for _ in range(theta.shape[1])], device=device)
        self.facts = torch.empty(self.n_columns, _N_FIELDS.value, device=device)

    def launch(self, theta: torch.Tensor, values: torch.Tensor, d_values: torch.Tensor | None) -> torch.Tensor:
        """(programs,): what adds up to the bits of values (n or more,), whose gradients are added to d_values unless it is
        None. theta: all tables, column by column."""
        n = len(self.columns)
        programs = -(-n // _VALUES)
        partial = torch.empty(programs, device=values.device)
        _columns_kernel[(self.n_columns,)](theta, self.bounds, self.idle, self.facts, LEAST, _VALUES)
        _table_bits_kernel[(programs,)](
            values, self.columns, self.shares, self.facts, values if d_values is None else d_values, partial, n,
            d_values is not None, _VALUES,
        )  # fmt: skip
        return partial


@triton.jit
def _columns_kernel(theta, bounds, idle, facts, least, VALUES: tl.constexpr):
    """A column. Moves 4 bytes an entry, of which a single program reads all: some 10 microseconds for 2**16."""
    column = tl.program_id(0)
    start, end = tl.load(bounds + 2 * column), tl.load(bounds + 2 * column + 1)
    total = tl.zeros((VALUES,), tl.float32)
    for first in range(start, end, VALUES):
        at = first + tl.arange(0, VALUES)
        total += tl.abs(tl.load(theta + at, mask=at < end, other=0.0))
    one = tl.zeros((1,), tl.float32)
    log2_b = one + tl.log2(tl.sum(total, 0) / (end - start) + least)
    b = tl.exp2(_clamped(log2_b))
    # log(2 sinh(1 / 2b)), which for small scales is 1 / 2b
    half = 0.5 / b
    ends = b * (half + tl.log2(1.0 - tl.exp2(-2.0 * half * _LOG2_E)) * _LN2 + _TOKENS_OCTAVES * _LN2)
    zero_bits, _, _ = laplace(one, one, log2_b, False)
    out = facts + column * _N_FIELDS + tl.arange(0, 1)
    tl.store(out, log2_b)
    tl.store(out + 1, tl.maximum(ends, 0.0))
    tl.store(out + 2, zero_bits * tl.load(idle + column))


@triton.jit
def _clamped(log2_b):
    return tl.minimum(tl.maximum(log2_b, _LOW), _HIGH)


@triton.jit
def _table_bits_kernel(
    values, columns, shares, facts, d_values, partial, n, WANTS_VALUES: tl.constexpr, VALUES: tl.constexpr
):  # fmt: skip
    """Moves 12 bytes a value in and 8 for its gradient: 3.3 TB/s are 160 values a ns. About 60 operations, 10 of special
    units."""
    at = tl.program_id(0) * VALUES + tl.arange(0, VALUES)
    is_value = at < n
    x = tl.load(values + at, mask=is_value, other=0.0)
    share = tl.load(shares + at, mask=is_value, other=0.0)
    fact = facts + tl.load(columns + at, mask=is_value, other=0) * _N_FIELDS
    log2_b, ends, idle_bits = tl.load(fact), tl.load(fact + 1), tl.load(fact + 2)
    bits, d_x, _ = laplace(x, 0.0 * x, log2_b, False)
    # beyond the tokens an escape and an Exp-Golomb number
    order = tl.maximum(tl.floor(_clamped(log2_b)), 0.0)
    part = tl.exp2(-order)
    size = tl.abs(x)
    excess = tl.maximum(size - ends - 1.0, 0.0)
    is_escape = size > ends + 0.5
    bits += tl.where(is_escape, 1.0 + order + 2.0 * tl.log2(1.0 + excess * part), 0.0) + idle_bits
    tl.store(partial + tl.program_id(0), tl.sum(bits * share, 0))
    if WANTS_VALUES:
        slope = 2.0 * _LOG2_E * part / (1.0 + excess * part)
        slope = tl.where(is_escape & (excess > 0.0), tl.where(x < 0, -slope, slope), 0.0)
        before = tl.load(d_values + at, mask=is_value, other=0.0)
        tl.store(d_values + at, before + share * (d_x + slope), mask=is_value)
