"""A whole small field as one chunk, FULL: header, then one stream for networks and levels; spec/format.md section 8.

Chunks, streams and their lengths cost some 80 bytes, which is nothing in a file of kilobytes and half of an icon's. Only
dense fields without masks come like this.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import header
from .binary import Reader
from .encodings import LevelData
from .entropy import streams
from .entropy.context import MAX_HIDDEN_LAYERS, MAX_NEURONS, ContextNet
from .entropy.laplace import LaplaceDecoder
from .entropy.levels import level_operations, take_level
from .entropy.rans import Operations, encode_operations, raw_operation
from .entropy.tables import N_SCALES
from .errors import FormatError
from .mlp import Mlp
from .spec import FieldSpec

__all__ = ["pack_single", "unpack_single"]

# bits of numbers that stand raw in the stream
_SHIFT_BITS, _SCALE_BITS, _CONTEXT_SHIFT_BITS, _LAYERS_BITS, _NEURONS_BITS = 5, 7, 4, 2, 6
assert header.MAX_SHIFT < 1 << _SHIFT_BITS and N_SCALES <= 1 << _SCALE_BITS
assert MAX_HIDDEN_LAYERS < 1 << _LAYERS_BITS and MAX_NEURONS <= 1 << _NEURONS_BITS


def pack_single(
    spec: FieldSpec, levels: list[np.ndarray], tensors: list[np.ndarray], shifts: list[int], net: ContextNet
) -> bytes:
    """The content of FULL. levels: (F, *resolution) integers, coarse first; tensors, shifts as in `pack.Frozen`."""
    operations = _tensors_in(tensors, shifts, _SHIFT_BITS)
    operations.append(raw_operation(net.n_hidden_layers, _LAYERS_BITS))
    if net.n_hidden_layers:
        operations.append(raw_operation(net.n_neurons - 1, _NEURONS_BITS))
    operations += _tensors_in(net.tensors(), net.shifts, _CONTEXT_SHIFT_BITS)
    for level in range(len(levels)):
        operations += level_operations(net, levels, level)
    return header.pack_spec(spec) + encode_operations(operations)


def unpack_single(data: bytes, check_size: Any) -> tuple[FieldSpec, Mlp, list[LevelData], dict[str, Any]]:
    """(description, network, levels, bytes of the parts) of the content of FULL.

    check_size: called with the description before its levels are allocated. Raises FormatError, LimitError.
    """
    reader = Reader(data, "the field")
    spec = header.read_spec(reader)
    if spec.grid.encoding != "dense":
        raise FormatError(
            f"reading the field: got {spec.grid.encoding} levels in FULL, expected dense ones", "fhdr-encoding"
        )
    check_size(spec)
    decoder = LaplaceDecoder(reader.bytes(reader.left))
    marks = [decoder.n_read]
    shapes = header.mlp_shapes(spec.mlp)
    tensors, shifts = _take_tensors(decoder, shapes, len(shapes), _SHIFT_BITS, header.check_shift)
    mlp = header.assemble_mlp(spec.mlp, tensors, shifts)
    marks.append(decoder.n_read)
    net = _take_context(decoder, spec)
    marks.append(decoder.n_read)
    levels: list[np.ndarray] = []
    for f, resolution in zip(spec.grid.n_features, spec.grid.resolutions):
        levels.append(take_level(decoder, net, levels, spec.grid.n_levels, (f, *resolution)))
        marks.append(decoder.n_read)
    decoder.finish()
    network, context, *level_bytes = (2 * int(n) for n in np.diff(marks))
    sizes = {"network_bytes": network, "context_bytes": context, "level_bytes": level_bytes}
    return spec, mlp, [{"latents": latents} for latents in levels], sizes


def _take_context(decoder: LaplaceDecoder, spec: FieldSpec) -> ContextNet:
    n_layers = decoder.raw(_LAYERS_BITS)
    n_neurons = decoder.raw(_NEURONS_BITS) + 1 if n_layers else 0
    multi = max(spec.grid.n_features) > 1
    shapes = ContextNet.tensor_shapes(spec.n_dims, multi, n_neurons, n_layers)
    tensors, shifts = _take_tensors(decoder, shapes, n_layers + 2, _CONTEXT_SHIFT_BITS)
    return ContextNet.assemble(spec.n_dims, multi, n_neurons, n_layers, tensors, shifts)


def _tensors_in(tensors: list[np.ndarray], shifts: list[int], shift_bits: int) -> list[Operations]:
    scales = [streams.best_scale(t) for t in tensors]
    numbers = [raw_operation(x, shift_bits) for x in shifts] + [raw_operation(x, _SCALE_BITS) for x in scales]
    return [*numbers, streams.tensor_operations(tensors, scales)]


def _take_tensors(
    decoder: LaplaceDecoder,
    shapes: list[tuple[int, ...]],
    n_shifts: int,
    shift_bits: int,
    check_shift: Callable[[int], int] = int,  # the context network looks at its own
) -> tuple[list[np.ndarray], list[int]]:
    shifts = [check_shift(decoder.raw(shift_bits)) for _ in range(n_shifts)]
    scales = [streams.check_scale(decoder.raw(_SCALE_BITS), "the field") for _ in shapes]
    return streams.take_tensors(decoder, shapes, scales), shifts
