"""A level of integer planes <-> bytes, with a context network; spec/entropy.md section 8.

A level's bytes: u8 flags; if bit 0 is set, varint length of the mask's stream and that stream (`static`, 2 symbols);
then one rANS stream (`laplace`) with the values of all planes. Inside a plane the order is by wavefront.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence

import numpy as np

from ..binary import Reader, Writer
from ..errors import FormatError, LimitError, UsageError
from ..kernels import use_native, use_numba
from ..limits import MAX_DIMS, MAX_FEATURES_PER_LEVEL, MAX_GRID_INTEGERS, MAX_LEVELS, MAX_RESOLUTION
from .context import (
    ContextNet,
    PlaneInputs,
    coarse_plane,
    plane_inputs,
    predict,
)
from .fronts import Fronts
from .laplace import LaplaceDecoder, laplace_operations
from .lattice import Lattice, ParentTables, block_mask, expand_mask
from .masks import decode_mask, encode_mask
from .rans import Operations, encode_operations, raise_status

__all__ = ["decode_level", "encode_level", "encode_smallest", "level_operations", "take_level"]

HAS_MASK = 1  # flag bit 0
FRONT_COST = 16  # a wavefront costs numpy about as much as this many symbols
_MASK_BELOW = 0.9  # share of blocks with something in them
_MASK_ALWAYS = 0.1  # below it the time that a mask saves matters more than the bytes that it may cost
STEP = 1 << 16  # positions that are prepared at a time, which bounds the memory


def encode_level(net: ContextNet, levels: Sequence[np.ndarray], level: int, mask: np.ndarray | None = None) -> bytes:
    """The bytes of one level.

    levels: the whole pyramid, coarse first, each (F, *res) int32 within +-2**24. mask: bool blocks to code, of shape
    ceil(res / edge) with edge 8 for 1 and 2 axes and 4 for more; None for all. `block_mask` finds the smallest one.
    Raises UsageError where the network, the levels and the mask do not fit, or a value outside the mask is not 0.
    """
    _check_pyramid(net, levels, level)
    out = Writer().u8(HAS_MASK if mask is not None else 0)
    if mask is not None:
        stream = encode_mask(np.asarray(mask, bool), levels[level - 1] if level else None, levels[level].shape[1:])
        out.varint(len(stream)).bytes(stream)
    return out.bytes(encode_operations(level_operations(net, levels, level, mask))).getvalue()


def encode_smallest(net: ContextNet, levels: Sequence[np.ndarray], level: int) -> bytes:
    """As `encode_level`, with a mask of the blocks that hold something where one pays."""
    mask = block_mask(np.asarray(levels[level]))
    if mask.mean() >= _MASK_BELOW:
        return encode_level(net, levels, level)
    masked = encode_level(net, levels, level, mask)
    if mask.mean() < _MASK_ALWAYS:
        return masked
    # blocks that are left out cost no time, but the context network may know as well that they are empty
    return min(masked, encode_level(net, levels, level), key=len)


def level_operations(
    net: ContextNet, levels: Sequence[np.ndarray], level: int, mask: np.ndarray | None = None
) -> list[Operations]:
    """A level's values as operations of a stream that may hold more; arguments as `encode_level`."""
    _check_pyramid(net, levels, level)
    planes = _flat(levels[level])
    return [
        laplace_operations(planes[feature, positions], mu8, scale)[0]
        for feature, positions, mu8, scale in _predictions(net, levels, level, mask)
    ]


def decode_level(
    net: ContextNet, coarser: Sequence[np.ndarray], n_levels: int, shape: Sequence[int], data: bytes
) -> np.ndarray:
    """The integers of one level, of the given shape (F, *res), int32, from the bytes of `encode_level`.

    coarser: the levels before it, coarse first; only the last is read. n_levels: of the whole pyramid.
    Raises LimitError for a shape beyond the format's limits, FormatError for damaged data.
    """
    level, shape = len(coarser), tuple(int(n) for n in shape)
    _check_shape(net, shape, level, n_levels)
    before = coarser[-1] if level else None
    reader = Reader(data, "a level")
    flags = reader.u8()
    if flags & ~HAS_MASK:
        raise FormatError(f"reading a level: got flags {flags}, expected 0 or 1", "level-flags")
    mask = decode_mask(reader.bytes(reader.varint()), before, shape[1:]) if flags & HAS_MASK else None
    decoder = LaplaceDecoder(reader.bytes(reader.left))
    values = take_level(decoder, net, coarser, n_levels, shape, mask)
    decoder.finish()
    return values


def take_level(
    decoder: LaplaceDecoder,
    net: ContextNet,
    coarser: Sequence[np.ndarray],
    n_levels: int,
    shape: Sequence[int],
    mask: np.ndarray | None = None,
) -> np.ndarray:
    """The integers of one level, of a shape (F, *res) within the limits, from a stream that may hold more."""
    level, shape = len(coarser), tuple(int(n) for n in shape)
    _check_shape(net, shape, level, n_levels)
    before = coarser[-1] if level else None
    values = np.zeros((shape[0], math.prod(shape[1:])), np.int32)
    lattice = Lattice(shape[1:])
    positions, bounds = lattice.coding_order(None if mask is None else expand_mask(mask, shape[1:]))
    previous = lattice.empty() if net.multi else None
    for feature in range(shape[0]):
        coarse, coarse_shape = coarse_plane(before, feature, lattice.n_dims)
        parents = ParentTables.of(lattice.shape, coarse_shape)
        constants = (n_levels - 1 - level, feature)
        inputs = PlaneInputs(lattice, parents, coarse, lattice.empty(), previous, constants)
        if use_native():
            from ..kernels.native import decode_plane

            raise_status(decode_plane(net, inputs, decoder, positions, bounds, values[feature]))
        elif use_numba(len(positions) + FRONT_COST * len(bounds), "decode"):
            from ..kernels.context import decode_plane

            raise_status(decode_plane(net, inputs, decoder, positions, bounds, values[feature]))
        else:
            _decode_plane(net, inputs, decoder, positions, bounds, values[feature])
        previous = inputs.current if net.multi else None
    return values.reshape(shape)


def _decode_plane(
    net: ContextNet,
    inputs: PlaneInputs,
    decoder: LaplaceDecoder,
    positions: np.ndarray,
    bounds: np.ndarray,
    values: np.ndarray,
) -> None:
    """Fills `values` and the padded plane wavefront by wavefront; the part that needs no causal values goes first."""
    fronts = Fronts(net, inputs)
    for start, stop in _runs(bounds):
        run = positions[bounds[start] : bounds[stop]]
        coordinates = inputs.lattice.coordinates(run)
        index = inputs.lattice.padded_index(coordinates)
        fixed = fronts.fixed(coordinates, index)
        symbols: list[int] = []
        for first, last in itertools.pairwise((bounds[start : stop + 1] - bounds[start]).tolist()):
            front = index[first:last]
            mu8, scale = fronts.predict(front, fixed[:, first:last]).tolist()
            found = decoder.take_list(mu8, scale)
            fronts.put(front, found)
            symbols += found
        values[run] = symbols
    fronts.close()


def _runs(bounds: np.ndarray) -> Iterator[tuple[int, int]]:
    """Ranges of wavefronts with about STEP positions each."""
    start = 0
    while start < len(bounds) - 1:
        stop = max(int(np.searchsorted(bounds, bounds[start] + STEP, side="right")) - 1, start + 1)
        yield start, stop
        start = stop


def _predictions(
    net: ContextNet, levels: Sequence[np.ndarray], level: int, mask: np.ndarray | None
) -> Iterator[tuple[int, np.ndarray, np.ndarray, np.ndarray]]:
    """(feature, flat positions in coding order, mu8, scale) for all features, piece by piece."""
    planes = np.asarray(levels[level])
    coded = None
    if mask is not None:
        coded = expand_mask(np.asarray(mask, bool), planes.shape[1:])
        if (planes != 0).any(axis=0)[~coded].any():
            raise UsageError("coding a level: got values other than 0 in blocks that the mask leaves out")
    positions, _ = Lattice(planes.shape[1:]).coding_order(coded)
    for feature in range(len(planes)):
        inputs = plane_inputs(levels, level, feature, net.multi)
        for start in range(0, len(positions), STEP):
            piece = positions[start : start + STEP]
            if use_numba(len(positions), "predict"):
                from ..kernels.context import predict_plane

                mu8, scale = predict_plane(net, inputs, piece)
            else:
                mu8, scale = predict(net, inputs.all(piece))
            yield feature, piece, mu8, scale


def _flat(planes: np.ndarray) -> np.ndarray:
    return np.asarray(planes).reshape(len(planes), -1)


def _check_shape(net: ContextNet, shape: tuple[int, ...], level: int, n_levels: int) -> None:
    resolution = shape[1:]
    if not 1 <= len(resolution) <= MAX_DIMS or not 0 <= level < n_levels <= MAX_LEVELS:
        raise LimitError(f"reading a level: got {len(resolution)} axes, level {level} of {n_levels}, beyond the limits")
    if not 1 <= shape[0] <= MAX_FEATURES_PER_LEVEL or not all(1 <= n <= MAX_RESOLUTION for n in resolution):
        raise LimitError(f"reading a level: got shape {shape}, expected at most 16 features of 2**20")
    if math.prod(shape) > MAX_GRID_INTEGERS:
        raise LimitError(f"reading a level: got {math.prod(shape)} integers, expected at most {MAX_GRID_INTEGERS}")
    if len(resolution) != net.n_dims or (shape[0] > 1 and not net.multi):
        raise FormatError(f"reading a level: got shape {shape}, but the context network is for another", "context-net")


def _check_pyramid(net: ContextNet, levels: Sequence[np.ndarray], level: int) -> None:
    for at, planes in enumerate(levels):
        try:
            _check_shape(net, planes.shape, at, len(levels))
        except FormatError as error:
            raise UsageError(f"coding a level: {error}") from None
    if net.multi != any(len(planes) > 1 for planes in levels):
        raise UsageError("coding a level: got a network made for another number of features a level")
    if not 0 <= level < len(levels):
        raise UsageError(f"coding a level: got level {level}, expected 0 to {len(levels) - 1}")
