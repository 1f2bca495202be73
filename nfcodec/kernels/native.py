"""Loops over the wavefronts of a plane in C, where they were compiled when nfcodec was installed: for programs that have
just been started, which numba would make wait for half a second.

    decode_plane   entropy.levels._decode_plane        coding_order   entropy.lattice.Lattice.coding_order
    take_laplace   entropy.laplace.LaplaceDecoder.take
"""

from __future__ import annotations

import functools
import math

import numpy as np

from ..entropy.context import COMPAND, ContextNet, PlaneInputs
from ..entropy.laplace import LaplaceDecoder
from ..entropy.tables import laplace_tables
from . import _plane

__all__ = ["coding_order", "decode_plane", "take_laplace"]


def coding_order(
    shape: tuple[int, ...], weights: tuple[int, ...], coded: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Positions (n,) int32 by the sum of weights times coordinates, in raster order where it is equal, and the bounds of
    equal ones. coded: bool, of the shape, which positions count; None for all."""
    n = math.prod(shape) if coded is None else int(np.count_nonzero(coded))
    positions = np.empty(n, np.int32)
    bounds = np.zeros(sum(w * (k - 1) for w, k in zip(weights, shape)) + 2, np.int64)
    which = b"" if coded is None else np.ascontiguousarray(coded, np.bool_)
    _plane.coding_order(np.array(shape, np.int64), np.array(weights, np.int64), which, positions, bounds)
    return positions, bounds[np.concatenate([[True], bounds[1:] != bounds[:-1]])]


def decode_plane(
    net: ContextNet,
    inputs: PlaneInputs,
    decoder: LaplaceDecoder,
    positions: np.ndarray,
    bounds: np.ndarray,
    values: np.ndarray,
) -> int:
    """Fills a flat plane of values, int32, and `inputs.current` wavefront by wavefront. Returns a status."""
    lattice, parents = inputs.lattice, inputs.parents
    has_previous = inputs.previous is not None
    collocated = lattice.collocated if has_previous else lattice.collocated[:0]
    parts = [part.ravel() for pair in zip(net.weights, net.biases) for part in pair]
    layers = [len(net.weights), net.n_inputs, net.shifts[-1]]
    for bias, shift in zip(net.biases, net.shifts):
        layers += [len(bias), shift]
    geometry = [
        lattice.n_dims, len(lattice.causal), len(collocated), lattice.origin, *lattice.shape, *lattice.strides,
        *parents.first, *lattice.causal, *collocated, *inputs.constants,
    ]  # fmt: skip
    return _plane.decode_plane(
        np.concatenate([*parts, net.skip]).astype(np.int32),
        np.array(layers, np.int64),
        COMPAND,
        np.array(geometry, np.int64),
        np.concatenate([parents.base, parents.near, parents.far]).astype(np.int32),
        inputs.coarse,
        inputs.previous if has_previous else b"",
        *_tables(),
        decoder.words,
        np.ascontiguousarray(positions, np.int32),
        np.ascontiguousarray(bounds, np.int64),
        inputs.current,
        decoder.state,
        values,
    )


def take_laplace(decoder: LaplaceDecoder, mu8: np.ndarray, scale: np.ndarray, values: np.ndarray) -> int:
    """Fills values, (n,) int32, by locations and scales (n,) in range. Returns a status."""
    places = (np.ascontiguousarray(part, np.int64) for part in (mu8, scale))
    return _plane.take_laplace(*_tables(), decoder.words, *places, decoder.state, values)


@functools.cache
def _tables() -> tuple[np.ndarray, np.ndarray]:
    """Cumulative frequencies of all tables; where each begins, its tokens and the r of token 1."""
    known = laplace_tables()
    return known.cumulative, np.concatenate([known.start, known.n_tokens, known.lowest]).astype(np.int32)
