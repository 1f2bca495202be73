"""The residual of a finished fit: quantised within the bound, a context network taught on it, packed.

`encode` is the whole of it; `estimate` says from a few boxes about how many bytes it would take. Both see the field as a
decoder does, in integers. Nothing here is seen by the fit of the field: their sum is what `fit.session` searches.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch

from .. import fixed, residual
from ..entropy.context import n_inputs, plane_inputs
from ..entropy.lattice import block_mask, expand_mask
from ..errors import SignalError
from ..field import Field
from ..limits import MAX_GRID_INTEGERS, MAX_RESOLUTION
from ..residual import MAX_QUOTIENT, Head
from ..spec import FieldSpec
from . import fused
from .context import ContextModel, compand
from .gathers import Gathers
from .plan import Plan
from .rate import as_coded, laplace_bits

__all__ = ["check", "encode", "estimate", "first_quality"]

# training steps by effort
_STEPS = {1: 1200, 2: 1600, 3: 2400, 4: 3200, 5: 4500, 6: 6000, 7: 9000, 8: 12000, 9: 16000}
_ESTIMATE_STEPS = 150
_EPOCHS, _FEW_STEPS = 60, 150
_BATCH = 2048
_QUALITY_LOSSLESS = 40.0
_DB_AT_50, _DB_A_POINT = 36.0, 0.3  # about what fields reach
_DB_BELOW_BOUND = 8.0
_QUALITY_NOISE = 62.0  # beyond it a field fits the noise, which a residual does for less
_KNOWN = 1 << 18  # values that the network is taught on
_RATE = 0.02
_SLACK = 2.0**-20  # of a float's step, for the rounding of base and sum
_MAX_TIGHTER = 60
_N_BOXES = 24
_BOX_POINTS = 1 << 14  # samples of a box of an estimate
_SIZES = ((1 << 12, 8, 1), (1 << 16, 16, 2), (math.inf, 32, 2))  # bytes up to which, neurons, hidden layers
_SHORT = ("u1", "u2", "i1", "i2", "b1")  # dtypes whose q is short
_LARGE = 1 << 22  # values from which a narrow network keeps decoding quick


@dataclass(frozen=True)
class _Planes:
    """What is coded of some box: the detail below, and the levels of q."""

    below: np.ndarray
    levels: list[np.ndarray]

    @property
    def pyramid(self) -> list[np.ndarray]:
        return [self.below, *self.levels]


def check(extent: tuple[int, ...], channels: int, dtype: str, bound: float, name: str) -> None:
    """SignalError for a signal that a residual cannot hold, before it is fitted."""
    if bound == 0 and not residual.is_integer(dtype):
        raise SignalError(
            f"{name}: got values of dtype {dtype} to be kept lossless, expected integers; of floats give a max_error"
        )
    if channels * math.prod(extent) > MAX_GRID_INTEGERS or max(extent) > MAX_RESOLUTION:
        raise SignalError(
            f"{name}: got {'x'.join(map(str, extent))} samples of {channels} channels with a guarantee, expected at most "
            f"{MAX_GRID_INTEGERS} values and {MAX_RESOLUTION} samples along an axis; cut it into parts"
        )


def first_quality(values: np.ndarray, bound: float) -> float:
    """Where the search for the best field begins: its error is a part of the bound, and of noise where that is 0."""
    if bound == 0:
        return _QUALITY_LOSSLESS
    span = float(values.max()) - float(values.min())
    psnr = 20 * math.log10(max(span / bound, 1.0)) + _DB_BELOW_BOUND
    return min(max(50 + (psnr - _DB_AT_50) / _DB_A_POINT, 5.0), _QUALITY_NOISE)


def encode(field: Field, values: np.ndarray, bound: float, effort: int, seed: int) -> bytes:
    """The content of RESI that brings every sample of `values` (*extent, C) within `bound`; 0 for lossless.

    SignalError for a bound that is too small for the precision of float values, or for the distance of the field.
    """
    spec = field.spec
    y = residual.outputs_of(spec, field.grid, field.mlp)
    head, q = _quantised(spec, y, values, bound)
    head = _arranged(spec, q, head)
    planes = _Planes(residual.detail(y, head), residual.split(q, head))
    del q, y
    n_neurons, n_layers = _size_of(planes)
    model = _taught([planes], n_neurons, n_layers, _STEPS[effort], seed)[0]
    return residual.pack_residual(spec, head, model.integers(), planes.levels, planes.below)


def estimate(field: Field, values: np.ndarray, bound: float, seed: int) -> float:
    """About how many bytes `encode` would give, from a few boxes and a short lesson."""
    spec = field.spec
    boxes = list(fixed.blocks_of(spec.extent, _BOX_POINTS))
    if len(boxes) > _N_BOXES:
        chosen = np.random.default_rng(seed).choice(len(boxes), _N_BOXES, replace=False)
        boxes = [boxes[k] for k in sorted(chosen)]
    head, parts, n = _head(spec, bound), [], 0
    for box in boxes:
        y = np.ascontiguousarray(np.moveaxis(fixed.outputs(spec, field.grid, field.mlp, box), -1, 0))
        q = _quotients(spec, y, values[box], head)
        parts.append((y, q))
        n += y[0].size
    head = _arranged(spec, np.concatenate([q.reshape(spec.channels, -1) for _, q in parts], 1), head)
    planes = [_Planes(residual.detail(y, head), residual.split(q, head)) for y, q in parts]
    bits = _taught(planes, 16, 1, _ESTIMATE_STEPS, seed)[1]
    return bits / 8 * math.prod(spec.extent) / n


# ---------------------------------------------------------------- q


def _head(spec: FieldSpec, bound: float) -> Head:
    if residual.is_integer(spec.dtype):
        low, high = residual.limits_of(spec.dtype)
        whole = min(math.floor(bound), high - low)
        return Head(2 * whole + 1, whole)
    return Head(_below_f32(2 * bound * (1 - _SLACK)), bound)


def _below_f32(value: float) -> float:
    """The largest float32 at most `value`, but not 0."""
    found = np.float32(value)
    if found > value:
        found = np.nextafter(found, np.float32(0))
    return float(max(min(found, np.finfo(np.float32).max), np.finfo(np.float32).smallest_subnormal))


def _quotients(spec: FieldSpec, y: np.ndarray, values: np.ndarray, head: Head) -> np.ndarray:
    """q (C, *box) int32 or int64, 0 where the field suffices. y (C, *box), values (*box, C)."""
    q = np.empty(y.shape, np.int32 if spec.dtype in _SHORT else np.int64)
    for c, rows in _slabs(y):
        base, wanted = residual.base_of(spec, c, y[c, rows]), values[rows][..., c]
        if residual.is_integer(spec.dtype):
            error = wanted.astype(np.int64) - base
            q[c, rows] = np.sign(error) * ((np.abs(error) + int(head.bound)) // int(head.step))
        else:
            enough = np.abs(wanted.astype(np.float64) - base.astype(spec.dtype)) <= head.bound
            quotient = np.rint((wanted - base) / head.step)
            if not (np.abs(quotient) <= MAX_QUOTIENT).all():
                raise SignalError(
                    f"keeping a largest error of {head.bound:g}: got values {np.abs(quotient).max():.3g} steps from the "
                    f"field, expected at most {MAX_QUOTIENT}; allow a larger error"
                )
            q[c, rows] = np.where(enough, 0, quotient)
    return q


def _slabs(y: np.ndarray) -> Iterator[tuple[int, slice]]:
    """(channel, rows of the first axis), few enough at a time to bound the memory."""
    n_rows = max(1, (1 << 20) * y.shape[1] // y[0].size)
    for c in range(len(y)):
        for start in range(0, y.shape[1], n_rows):
            yield c, slice(start, min(start + n_rows, y.shape[1]))


def _quantised(spec: FieldSpec, y: np.ndarray, values: np.ndarray, bound: float) -> tuple[Head, np.ndarray]:
    """Head and q for which every sample lies within the bound. The rounding of a float's sum to its dtype may take a
    part of the bound; the step then becomes smaller until all samples fit."""
    head = _head(spec, bound)
    for _ in range(_MAX_TIGHTER):
        q = _quotients(spec, y, values, head)
        if residual.is_integer(spec.dtype):
            return head, q
        worst = 0.0
        for c, rows in _slabs(y):
            found = residual.values_of(spec, residual.base_of(spec, c, y[c, rows]), q[c, rows], head.step)
            worst = max(worst, float(np.abs(found.astype(np.float64) - values[rows][..., c]).max()))
        if worst <= bound:
            return head, q
        # what rounding took, or half
        head = replace(head, step=_below_f32(max(head.step - 2.1 * (worst - bound), head.step / 2)))
    raise SignalError(
        f"keeping a largest error of {bound:g}: got values of dtype {spec.dtype}, which are not precise enough; allow a "
        "larger error"
    )


def _arranged(spec: FieldSpec, q: np.ndarray, head: Head) -> Head:
    """The head with what suits q: planes as they are or as differences, one or two digits, the scale of the detail."""
    scale = max(abs(s) for s in spec.value_scale)
    unit = head.step / scale * (1 << fixed.FRACTION) / 2 if scale else 1.0
    shift = min(max(round(math.log2(max(unit, 1.0))), 0), residual.MAX_DETAIL_SHIFT)
    choices = [replace(head, detail_shift=shift)]
    if len(set(spec.value_scale)) == 1 and 1 < len(q) <= 4:
        choices += [replace(choices[0], lead=lead, differences=True) for lead in range(len(q))]
    stride = max(1, q[0].size // _KNOWN)
    some = q.reshape(len(q), -1)[:, ::stride]
    some = np.clip(some, -(1 << 23), 1 << 23)
    best = min(choices, key=lambda h: _entropy(residual.split(some, h)[0]))
    largest = max(int(q.max()), -int(q.min()))
    return replace(best, wide=largest << best.differences > 1 << 24)


def _entropy(planes: np.ndarray) -> float:
    """Bits a position, of each plane on its own and without any context."""
    total = 0.0
    for plane in planes:
        share = np.unique(plane, return_counts=True)[1] / plane.size
        total -= float(share @ np.log2(share))
    return total


# ---------------------------------------------------------------- the context network


def _size_of(planes: _Planes) -> tuple[int, int]:
    """Neurons and hidden layers that are worth their bytes, and their time."""
    n_bytes = sum(_entropy(level) * level[0].size / 8 for level in planes.levels)
    n_neurons, n_layers = next((n, layers) for most, n, layers in _SIZES if n_bytes <= most)
    n_coded = sum(int(np.count_nonzero(block_mask(level))) for level in planes.levels) * 64
    return (min(n_neurons, 16), n_layers) if n_coded > _LARGE else (n_neurons, n_layers)


def _lessons(parts: list[_Planes], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float]:
    """(inputs (n_inputs, N), values (N,), number of all coded values) at random positions of coded blocks."""
    multi = len(parts[0].below) > 1
    chosen, n_all = [], 0
    for part in parts:
        for level in range(1, len(part.pyramid)):
            planes = part.pyramid[level]
            coded = np.flatnonzero(expand_mask(block_mask(planes), planes.shape[1:]))
            n_all += len(coded) * len(planes)
            chosen.append((part, level, coded))
    share = min(1.0, _KNOWN / max(n_all, 1))
    inputs, values = [np.zeros((n_inputs(parts[0].below.ndim - 1, multi), 0), np.int16)], [np.zeros(0, np.int32)]
    for part, level, coded in chosen:
        for f in range(len(part.below)):
            some = coded if share == 1 else rng.choice(coded, round(len(coded) * share), replace=False)
            if len(some):
                inputs.append(plane_inputs(part.pyramid, level, f, multi).all(some))
                values.append(part.pyramid[level][f].reshape(-1)[some])
    return np.concatenate(inputs, 1), np.concatenate(values), n_all


def _taught(parts: list[_Planes], n_neurons: int, n_layers: int, n_steps: int, seed: int) -> tuple[ContextModel, float]:
    """A network for the planes, rounded to integers in its last part, and its bits over all coded values."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    inputs, values, n_all = _lessons(parts, rng)
    d, multi = parts[0].below.ndim - 1, len(parts[0].below) > 1
    n_steps = min(n_steps, max(_FEW_STEPS, _EPOCHS * len(values) // _BATCH))  # few values are soon known by heart
    if not len(values):
        n_neurons = n_layers = n_steps = 0
    model = ContextModel(d, multi, len(inputs) - 2, n_neurons, n_layers)
    optimizer = torch.optim.Adam(model.parameters(), lr=_RATE, betas=(0.9, 0.99), fused=True)
    plan = _batch_plan(len(inputs) - 2)
    last = []
    for step in range(n_steps):
        if step == round(0.6 * n_steps):
            model.choose_shifts(64.0)
        for group in optimizer.param_groups:
            group["lr"] = _RATE * max(0.02, 0.5 * (1 + math.cos(math.pi * step / n_steps)))
        some = rng.integers(0, len(values), _BATCH)
        x = torch.from_numpy(inputs[:, some].astype(np.float32))
        bits = _bits(model, x, torch.from_numpy(values[some].astype(np.float32)), plan) / _BATCH
        optimizer.zero_grad(set_to_none=True)
        bits.backward()
        optimizer.step()
        last = [*last[-49:], bits.item()]
    return model, float(np.mean(last)) * n_all if last else 0.0


def _batch_plan(n_gathered: int) -> Plan:
    """Every input of a batch has its own place, and after all of them come the values that are coded."""
    places = np.arange((n_gathered + 1) * _BATCH).reshape(-1, _BATCH)
    return Plan([], gathers=Gathers.pack(places[-1], places[:-1], np.zeros((2, _BATCH))))


def _bits(model: ContextModel, x: torch.Tensor, values: torch.Tensor, plan: Plan) -> torch.Tensor:
    """Bits of a batch: inputs x (n_inputs, _BATCH), values (_BATCH,)."""
    gathered, constants, is_rounded = x[:-2], x[-2:], model.shifts is not None
    if fused.is_available(gathered):
        plan.gathers.constants = constants.numpy().astype(np.int8)
        v = torch.cat([gathered.reshape(-1), values])
        return fused.context_bits(v, plan, *model.layers(), as_coded=is_rounded)
    mu, log2_b = model(gathered, compand(gathered), constants)
    if is_rounded:
        mu, log2_b = as_coded(mu, log2_b)
    return laplace_bits(values, mu, log2_b).sum()
