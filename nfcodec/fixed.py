"""The field in integers: its outputs at the samples of the source's own lattice, the same on every machine.

A residual is added to what this module computes, never to the float field: spec/residual.md, section 2, is the same text.
Numbers are int64 with a stated number of fractional bits; a shift to the right rounds half up. Bounds that `check`
looks at once, and clips on the way, keep every sum within 63 bits whatever a file holds.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from .encodings import Encoding, LatticeEncoding, load
from .encodings.factors import FactoredEncoding, spread
from .encodings.interpolate import fold, n_taps
from .errors import FormatError
from .kernels import use_numba
from .mlp import Mlp
from .spec import LINEAR, NEAREST, PLAIN_ACTIVATIONS, SHAPE_PARTS, SMOOTHSTEP, FieldSpec, Kernel, Read

__all__ = ["FRACTION", "LIMIT", "affine", "axis_taps", "blocks", "blocks_of", "check", "is_available", "outputs", "shifted"]

WEIGHT_BITS = 15  # fractional bits of an interpolation weight
VERTEX_BITS = 12  # of a vertex's integer on its way through the axes
FRACTION = 20  # of features, hidden values and outputs
LIMIT = 1 << 30  # of their magnitude, which is 1024
MAX_ROW = 1 << 31  # sum of |weights| of a neuron
GUARD_BITS = 8  # of values before they are rounded to integers
SATURATED = 1 << 50
POINTS = 1 << 16  # samples that are computed at a time

Box = tuple[slice, ...]


def shifted(x: np.ndarray | int, n: int):
    """x * 2**n, rounded half up where n < 0, clipped to +-2**50 where n > 0. |x| < 2**61, so that 62 stands for more."""
    if n <= 0:
        n = min(-n, 62)
        return x + (1 << n >> 1) >> n
    room = SATURATED >> min(n, 51)  # beyond it the product is clipped
    if n > 50:
        return np.sign(x) * np.int64(SATURATED)
    return np.clip(x, -room, room) << np.int64(n)


def float_parts(value: float, n_bits: int = 24) -> tuple[int, int]:
    """(m, e) with value = m * 2**e exactly, for a float of n_bits significant bits."""
    m, e = math.frexp(value)
    return int(m * (1 << n_bits)), e - n_bits


def axis_taps(
    start: int, stop: int, extent: int, n: int, kernel: Kernel, shift: int = 0, boundary: str = "clamp"
) -> tuple[np.ndarray, np.ndarray]:
    """For what lies `shift` samples from samples [start, stop) of `extent` on an axis of n vertices: indices (T, M) and
    weights (T, M), both int64.

    Weights have WEIGHT_BITS fractional bits and sum to one exactly. Positions are exact fractions of integers.
    """
    a = (2 * (np.arange(start, stop, dtype=np.int64) + shift) + 1) * n - (0 if kernel == NEAREST else extent)
    i, rest = a // (2 * extent), a % (2 * extent)
    one = np.int64(1) << WEIGHT_BITS
    t = (rest * one + extent) // (2 * extent)
    if kernel == NEAREST:
        weights = np.full((1, len(i)), one)
    elif kernel in (LINEAR, SMOOTHSTEP):
        if kernel == SMOOTHSTEP:
            t = t * t * (3 * one - 2 * t) + (one * one >> 1) >> 2 * WEIGHT_BITS
        weights = np.stack([one - t, t])
    else:
        b, c = (np.int64(round(x * SHAPE_PARTS)) for x in kernel)
        t1, t2, t3 = t << 2 * WEIGHT_BITS, t * t << WEIGHT_BITS, t * t * t
        whole = np.int64(1) << 3 * WEIGHT_BITS
        sums = (
            -(b + 6 * c) * t3 + (3 * b + 12 * c) * t2 - (3 * b + 6 * c) * t1 + b * whole,
            (9 * b + 6 * c - 12 * SHAPE_PARTS) * t3
            + (18 * SHAPE_PARTS - 15 * b - 12 * c) * t2
            + (3 * b + 6 * c) * t1
            + b * whole,
            (b + 6 * c) * t3 - 6 * c * t2,
        )
        scale = np.int64(6 * SHAPE_PARTS) << 2 * WEIGHT_BITS
        before, after, last = ((x + scale // 2) // scale for x in sums)
        weights = np.stack([before, one - before - after - last, after, last])
    n_taps_here = len(weights)
    index = i + np.arange(n_taps_here)[:, None] - (n_taps_here - 1) // 2
    return fold(index, n, boundary), weights


def features(spec: FieldSpec, grid: Encoding, box: Box) -> np.ndarray:
    """Features (*box, F) int32 with FRACTION fractional bits, at the samples of a box of the source's lattice."""
    shape = tuple(s.stop - s.start for s in box)
    if isinstance(grid, FactoredEncoding):
        return _joined(spec, grid, box, shape)
    out = np.empty((*shape, spec.grid.n_inputs), np.int32)
    for read, part in grid.reads(spec.grid.n_levels):
        x, axes = _gathered(spec, grid, read, box)
        for k, (place, weights) in enumerate(axes):
            if place is not None:
                column = (-1,) + (1,) * (x.ndim - 1 - k)
                sums = sum(x.take(i, axis=k) * w.reshape(column) for i, w in zip(place, weights))
                x = sums + (1 << WEIGHT_BITS >> 1) >> WEIGHT_BITS
        m, e = float_parts(spec.steps[read.level], 8)
        out[..., part] = np.clip(shifted(x * np.int64(m), e + FRACTION - VERTEX_BITS), -LIMIT, LIMIT)
    return out


def _joined(spec: FieldSpec, grid: FactoredEncoding, box: Box, shape: tuple[int, ...]) -> np.ndarray:
    """As `features`, from those of the factors of a grid."""
    found = []
    for axes, lattice in zip(grid.factors(spec.grid), grid.lattices):
        part = replace(spec, extent=tuple(spec.extent[k] for k in axes), grid=lattice.spec)
        x = features(part, lattice, tuple(box[k] for k in axes)).astype(np.int64)
        found.append(np.broadcast_to(spread(x, axes, len(shape)), (*shape, x.shape[-1])))
    joined = grid.join(spec.grid, found, lambda a, b: np.clip(shifted(a * b, -FRACTION), -LIMIT, LIMIT))
    return np.clip(joined, -LIMIT, LIMIT).astype(np.int32)


def _gathered(spec: FieldSpec, grid: LatticeEncoding, read: Read, box: Box):
    """The vertices that a read of a box touches, and for each axis where each tap lies among them, and its weights.

    (None, None) for an axis whose vertices are the samples.
    """
    level = read.level
    axes, used, kernel = [], [], spec.grid.kernel(level)
    sizes = spec.extent, spec.grid.resolutions[level], read.shift, spec.grid.boundaries
    for s, extent, n, shift, boundary in zip(box, *sizes):
        if n == extent and (isinstance(kernel, str) or kernel[0] == 0):
            axes.append((None, None))
            used.append(fold(np.arange(s.start + shift, s.stop + shift), n, boundary))
        else:
            index, weights = axis_taps(s.start, s.stop, extent, n, kernel, shift, boundary)
            unique, place = np.unique(index, return_inverse=True)
            axes.append((place.reshape(index.shape), weights))
            used.append(unique)
    return grid.integers(level, list(np.ix_(*used))).astype(np.int64) << np.int64(VERTEX_BITS), axes


def is_available(spec: FieldSpec) -> bool:
    """Whether integers give a field's values: those of one grid, through a network of sums and ReLUs."""
    return load(spec.grid.encoding).is_interpolated and spec.mlp.activation in PLAIN_ACTIVATIONS


def check(mlp: Mlp) -> None:
    """FormatError where a sum of the network could leave 63 bits."""
    for tensor in mlp.tensors:
        if tensor.ndim == 2 and int(np.abs(tensor.astype(np.int64)).sum(1).max()) >= MAX_ROW:
            raise FormatError(
                "reading the residual: got a network whose weights are too large for integer sums, expected below 2**31 a "
                "neuron; the file is damaged",
                "resi-network",
            )


def biases(mlp: Mlp) -> list[np.ndarray]:
    """Biases (n_out,) int64 of every layer, with FRACTION fractional bits."""
    pairs = list(zip(mlp.tensors, mlp.shifts))
    return [shifted(t.astype(np.int64), FRACTION - shift) for t, shift in pairs if t.ndim == 1]


def weights_and_shifts(mlp: Mlp) -> tuple[list[np.ndarray], list[int]]:
    """Weights of every layer and, last, the skip, with their shifts."""
    pairs = [(t, shift) for t, shift in zip(mlp.tensors, mlp.shifts) if t.ndim == 2]
    return [t for t, _ in pairs], [shift for _, shift in pairs]


def network(mlp: Mlp, x: np.ndarray, clip: bool) -> np.ndarray:
    """Features (N, F) int32 -> outputs (N, C) int32, all with FRACTION fractional bits. clip: outputs to [0, 1]."""
    if use_numba(len(x)):
        from .kernels.fixed import network as fast

        return fast(mlp, x, clip)
    *layers, skip = zip(*weights_and_shifts(mlp))
    offsets = biases(mlp)
    low, high = (0, 1 << FRACTION) if clip else (-LIMIT, LIMIT)
    h = x.astype(np.int64)
    y = _product(h, *skip) + offsets[-1]
    for (w, shift), b in zip(layers[:-1], offsets):
        h = np.clip(_product(h, w, shift) + b, -LIMIT, LIMIT)
        if mlp.spec.activation == "relu":
            h = np.maximum(h, 0)
    if layers:
        y = y + _product(h, *layers[-1])
    return np.clip(y, low, high).astype(np.int32)


def _product(h: np.ndarray, w: np.ndarray, shift: int) -> np.ndarray:
    return h @ w.T.astype(np.int64) + (1 << shift >> 1) >> shift


def outputs(spec: FieldSpec, grid: Encoding, mlp: Mlp, box: Box) -> np.ndarray:
    """Outputs (*box, C) int32 of the network, FRACTION fractional bits, at a box of the source's own samples."""
    x = features(spec, grid, box)
    y = network(mlp, x.reshape(-1, x.shape[-1]), spec.clip)
    return y.reshape(*x.shape[:-1], -1)


def affine(y: np.ndarray, offset: float, scale: float) -> np.ndarray:
    """offset + scale * y rounded to integers, int64. y: outputs with FRACTION fractional bits; offset, scale: f32."""
    (a, a_exponent), (b, b_exponent) = float_parts(offset), float_parts(scale)
    product = shifted(y.astype(np.int64) * np.int64(b), b_exponent - FRACTION + GUARD_BITS)
    return product + shifted(np.int64(a), a_exponent + GUARD_BITS) + (1 << GUARD_BITS >> 1) >> GUARD_BITS


def blocks(spec: FieldSpec) -> Iterator[Box]:
    """Boxes that cover the source's lattice, small enough for every level of a file that lies about its resolutions."""
    worst = 1
    taps = n_taps(spec.grid.kernel(0))
    for resolution in spec.grid.resolutions:
        worst = max(worst, math.prod(min(taps, -(-n // m)) for n, m in zip(resolution, spec.extent)))
    widest = max(spec.mlp.widths)
    n_points = max(1 << 10, min(POINTS, (1 << 22) // widest) // worst)
    return blocks_of(spec.extent, n_points)


def blocks_of(shape: Sequence[int], n_points: int) -> Iterator[Box]:
    """Yields tuples of slices that cover a lattice in blocks of about n_points samples, of even edges."""
    edges = list(shape)
    while math.prod(edges) > n_points and max(edges) > 1:
        k = edges.index(max(edges))
        edges[k] = (edges[k] + 1) // 2
    starts = [range(0, n, e) for n, e in zip(shape, edges)]
    for corner in itertools.product(*starts):
        yield tuple(slice(a, min(a + e, n)) for a, e, n in zip(corner, edges, shape))
