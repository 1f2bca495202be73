"""Arrays of small integers as streams: tensors with one Laplace scale each, columns with one scale each, indices.

Each array's scale index goes ahead as a byte; spec/entropy.md section 7.
"""

from __future__ import annotations

import math

import numpy as np

from ..binary import Reader, Writer
from ..errors import FormatError
from .laplace import LaplaceDecoder, cost_bits, laplace_operations
from .rans import Operations, encode_operations
from .static import StaticDecoder, encode_static
from .tables import N_SCALES

_SCALES_TRIED = np.arange(N_SCALES)
_STEP = 1 << 18  # values that are read at a time, which bounds the memory


def best_scale(values: np.ndarray) -> int:
    """The scale index under which integers of mean 0 cost least."""
    values = np.ravel(values)
    if values.size == 0:
        return 0
    distinct, counts = np.unique(values, return_counts=True)
    costs = cost_bits(np.tile(distinct, N_SCALES), 0, np.repeat(_SCALES_TRIED, distinct.size))
    return int(np.argmin(costs.reshape(N_SCALES, -1) @ counts))


def encode_tensors(tensors: list[np.ndarray]) -> bytes:
    """Integer arrays one after another: a scale byte each, then one stream to the end of the data."""
    scales = [best_scale(t) for t in tensors]
    return bytes(scales) + encode_operations([tensor_operations(tensors, scales)])


def decode_tensors(reader: Reader, shapes: list[tuple[int, ...]]) -> list[np.ndarray]:
    """The inverse of `encode_tensors`, to the end of the reader; int32 arrays of the given shapes."""
    scales = [check_scale(reader.u8(), reader.what) for _ in shapes]
    decoder = LaplaceDecoder(reader.bytes(reader.left))
    tensors = take_tensors(decoder, shapes, scales)
    decoder.finish()
    return tensors


def check_scale(scale: int, what: str) -> int:
    """The scale index, if there is such a one."""
    if scale >= N_SCALES:
        raise FormatError(f"reading {what}: got scale index {scale}, expected at most {N_SCALES - 1}", "scale")
    return scale


def tensor_operations(tensors: list[np.ndarray], scales: list[int]) -> Operations:
    """Integer arrays one after another, each under its scale, as operations of a stream that holds more."""
    values = np.concatenate([np.ravel(t) for t in tensors])
    return laplace_operations(values, 0, np.repeat(scales, [t.size for t in tensors]))[0]


def take_tensors(decoder: LaplaceDecoder, shapes: list[tuple[int, ...]], scales: list[int]) -> list[np.ndarray]:
    """The next values of a stream as int32 arrays of the given shapes; scales below N_SCALES."""
    ends = np.cumsum([math.prod(shape) for shape in shapes])
    flat = np.empty(ends[-1], np.int32)
    for start in range(0, len(flat), _STEP):
        part = flat[start : start + _STEP]
        owner = np.searchsorted(ends, np.arange(start, start + len(part)), side="right")
        part[:] = decoder.take(np.zeros(len(part), np.int64), np.asarray(scales)[owner])
    return [part.reshape(shape) for part, shape in zip(np.split(flat, ends[:-1]), shapes)]


def encode_columns(table: np.ndarray) -> bytes:
    """An integer table (T, F), column by column: F scale bytes, the stream's length, the stream."""
    data = encode_tensors(list(table.T))
    return Writer().varint(len(data)).bytes(data).getvalue()


def decode_columns(reader: Reader, shape: tuple[int, int]) -> np.ndarray:
    """The inverse of `encode_columns`: (T, F) int32."""
    inner = Reader(reader.bytes(reader.varint()), "a table of columns")
    columns = decode_tensors(inner, [(shape[0],)] * shape[1])
    inner.done()
    return np.stack(columns, 1)


def encode_indices(indices: np.ndarray, n_symbols: int) -> bytes:
    """Indices (n,) below n_symbols under one static table: the stream's length, the stream."""
    data = encode_static(indices, None, n_symbols, 1)
    return Writer().varint(len(data)).bytes(data).getvalue()


def decode_indices(reader: Reader, n: int, n_symbols: int) -> np.ndarray:
    """The inverse of `encode_indices`: (n,) int32."""
    decoder = StaticDecoder(reader.bytes(reader.varint()), n_symbols, 1)
    indices = np.empty(n, np.int32)
    for start in range(0, n, _STEP):
        part = indices[start : start + _STEP]
        part[:] = decoder.take(np.zeros(len(part), np.int8))
    decoder.finish()
    return indices
