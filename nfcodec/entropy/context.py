"""The context network: integers around a position -> location and scale of its value; spec/entropy.md section 6.

Everything is fixed point with 8 fractional bits in int32, with bounds that are checked when a network is made, so that
every machine finds the same table for the same symbol. `ContextNet` is the network, `PlaneInputs` its inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..binary import Reader, Writer
from ..errors import FormatError, UsageError
from ..limits import MAX_DIMS, MAX_FEATURES_PER_LEVEL, MAX_LEVELS
from .laplace import MAX_MU8
from .lattice import CAUSAL, CLIP, Lattice, ParentTables
from .streams import decode_tensors, encode_tensors
from .tables import N_SCALES, SCALE_OFFSET, SCALES_PER_OCTAVE

__all__ = [
    "COMPAND",
    "ContextNet",
    "PlaneInputs",
    "finish",
    "first_layer",
    "n_causal",
    "n_inputs",
    "predict",
    "skip_sum",
]

FRACTION_BITS = 8
MAX_NEURONS = 64
MAX_HIDDEN_LAYERS = 3
MAX_WEIGHT = 2047
MAX_BIAS = 1 << 17
MAX_SHIFT = 12
MAX_HIDDEN = (1 << 16) - 1
MU8_SHIFT = FRACTION_BITS - 3  # from the network's units to eighths, rounded
MU8_HALF = 1 << MU8_SHIFT >> 1
SCALE_HALF = 1 << FRACTION_BITS >> 1  # scale indices are rounded, too
N_CONSTANTS = 2  # the inputs n_levels - 1 - l and f

# round(256 * log2(1 + |x|)) for |x| = 0..255: the length of (1 + x)**512 in bits is floor(512 * log2(1 + x)) + 1
_MAGNITUDE: list[int] = []
for _n in range(1, CLIP + 2):
    _MAGNITUDE.append((_n**512).bit_length() >> 1 if _n % 2 else _MAGNITUDE[_n // 2 - 1] + 256)
COMPAND = np.array([-c for c in _MAGNITUDE[:0:-1]] + _MAGNITUDE, np.int32)  # COMPAND[x + 255]


def n_causal(n_dims: int) -> int:
    """Inputs of group (a)."""
    return len(CAUSAL[n_dims])


def n_inputs(n_dims: int, multi: bool) -> int:
    """Inputs of the network: causal, parent, previous plane (only if multi), constants."""
    return n_causal(n_dims) + (1 + 2 * n_dims) * (2 if multi else 1) + N_CONSTANTS


@dataclass(frozen=True)
class ContextNet:
    """Weights of the network, all small integers.

    n_dims: axes of the lattices. n_inputs: `n_inputs(n_dims, multi)`. multi: whether any level has more than one
    feature. n_neurons: width of the hidden layers, 0 without any. n_hidden_layers: 0..3.
    weights: n_hidden_layers + 1 arrays (outputs, inputs) int32 within +-2047; the last has 2 rows, location and
    log2 of the scale. biases: as many arrays (outputs,) int32 within +-2**17. skip: (n_inputs - 2,) int32 within
    +-2047, straight to the location. shifts: n_hidden_layers + 2 integers 0..12, one a layer and the skip's.
    Raises UsageError where these do not fit together or an accumulator could leave 32 bits.
    """

    n_dims: int
    n_inputs: int
    multi: bool
    n_neurons: int
    n_hidden_layers: int
    weights: list[np.ndarray]
    biases: list[np.ndarray]
    skip: np.ndarray
    shifts: list[int]

    def __post_init__(self) -> None:
        problem = self._shape_problem() or self._range_problem()
        if problem:
            raise UsageError(f"making a context network: got {problem}")

    @property
    def widths(self) -> list[int]:
        """Inputs of every layer, then the two outputs."""
        return _widths(self.n_inputs, self.n_neurons, self.n_hidden_layers)

    def _shape_problem(self) -> str | None:
        if not 1 <= self.n_dims <= MAX_DIMS or self.n_inputs != n_inputs(self.n_dims, self.multi):
            return f"{self.n_dims} axes and {self.n_inputs} inputs, which do not belong together"
        if not 0 <= self.n_hidden_layers <= MAX_HIDDEN_LAYERS or not 0 <= self.n_neurons <= MAX_NEURONS:
            return (
                f"{self.n_hidden_layers} x {self.n_neurons} neurons, expected up to {MAX_HIDDEN_LAYERS} x {MAX_NEURONS}"
            )
        if (self.n_neurons == 0) != (self.n_hidden_layers == 0):
            return f"{self.n_hidden_layers} hidden layers of {self.n_neurons} neurons, expected both 0 or neither"
        found, expected = [t.shape for t in self.tensors()], _tensor_shapes(self.widths)
        if found != expected or len(self.weights) != len(self.biases):
            return f"weights, biases and skip of {found}, expected {expected}"
        if len(self.shifts) != self.n_hidden_layers + 2:
            return f"{len(self.shifts)} shifts, expected {self.n_hidden_layers + 2}"
        return None

    def _range_problem(self) -> str | None:
        bounds = [MAX_WEIGHT] * len(self.weights) + [MAX_BIAS] * len(self.biases) + [MAX_WEIGHT]
        for array, bound in zip(self.tensors(), bounds):
            if array.dtype != np.int32 or np.abs(array.astype(np.int64)).max(initial=0) > bound:
                return f"weights of {array.dtype} beyond +-{bound}, expected int32 within it"
        if not all(0 <= shift <= MAX_SHIFT for shift in self.shifts):
            return f"shifts {list(self.shifts)}, expected 0 to {MAX_SHIFT}"
        for layer, (weights, bias, shift) in enumerate(zip(self.weights, self.biases, self.shifts)):
            largest = _largest_inputs(self.n_inputs) if layer == 0 else np.full(weights.shape[1], MAX_HIDDEN)
            sums = np.abs(weights.astype(np.int64)) @ largest + (np.abs(bias.astype(np.int64)) << shift)
            if (sums + rounding(shift)).max() >= 1 << 31:
                return f"weights in layer {layer} whose sums leave 32 bits, expected smaller weights or shifts"
        if np.abs(self.skip.astype(np.int64)).sum() * (CLIP << FRACTION_BITS) + rounding(self.shifts[-1]) >= 1 << 31:
            return "a skip whose sum leaves 32 bits, expected smaller weights"
        return None

    def tensors(self) -> list[np.ndarray]:
        """Weights of all layers, their biases, the skip: the order of a file."""
        return [*self.weights, *self.biases, self.skip]

    def to_bytes(self) -> bytes:
        """u8 n_dims, multi, n_neurons, n_hidden_layers; u8 shifts; then weights, biases and skip as `streams` do it."""
        out = Writer().u8(self.n_dims).u8(self.multi).u8(self.n_neurons).u8(self.n_hidden_layers)
        for shift in self.shifts:
            out.u8(shift)
        return out.bytes(encode_tensors(self.tensors())).getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> "ContextNet":
        """The network that `to_bytes` stored. Raises FormatError."""
        reader = Reader(data, "the context network")
        n_dims, multi, n_neurons, n_hidden_layers = (reader.u8() for _ in range(4))
        if not 1 <= n_dims <= MAX_DIMS or multi > 1 or n_neurons > MAX_NEURONS or n_hidden_layers > MAX_HIDDEN_LAYERS:
            raise FormatError(
                f"reading the context network: got {n_dims} axes, {n_hidden_layers} x {n_neurons} neurons, expected at "
                f"most {MAX_DIMS}, {MAX_HIDDEN_LAYERS} x {MAX_NEURONS}",
                "context-net",
            )
        if (n_neurons == 0) != (n_hidden_layers == 0):
            raise FormatError(
                f"reading the context network: got {n_hidden_layers} hidden layers of {n_neurons} neurons, expected both 0 "
                "or neither",
                "context-net",
            )
        shifts = [reader.u8() for _ in range(n_hidden_layers + 2)]
        shapes = cls.tensor_shapes(n_dims, bool(multi), n_neurons, n_hidden_layers)
        return cls.assemble(n_dims, bool(multi), n_neurons, n_hidden_layers, decode_tensors(reader, shapes), shifts)

    @staticmethod
    def tensor_shapes(n_dims: int, multi: bool, n_neurons: int, n_hidden_layers: int) -> list[tuple[int, ...]]:
        """Shapes of the tensors of a network in the order of a file: weights of all layers, their biases, the skip."""
        return _tensor_shapes(_widths(n_inputs(n_dims, multi), n_neurons, n_hidden_layers))

    @classmethod
    def assemble(
        cls, n_dims: int, multi: bool, n_neurons: int, n_hidden_layers: int, tensors: list[np.ndarray], shifts: list[int]
    ) -> "ContextNet":
        """The network of tensors in the order of `tensor_shapes`, read from a file. Raises FormatError."""
        n = n_hidden_layers + 1
        try:
            return cls(
                n_dims, n_inputs(n_dims, multi), multi, n_neurons, n_hidden_layers,
                tensors[:n], tensors[n:-1], tensors[-1], shifts,
            )  # fmt: skip
        except UsageError as error:
            raise FormatError(f"reading the context network: {error}", "context-net") from None


def _widths(n_in: int, n_neurons: int, n_hidden_layers: int) -> list[int]:
    return [n_in, *[n_neurons] * n_hidden_layers, 2]


def _tensor_shapes(widths: list[int]) -> list[tuple[int, ...]]:
    """Weights of all layers, their biases, the skip."""
    return [*zip(widths[1:], widths[:-1]), *((n,) for n in widths[1:]), (widths[0] - N_CONSTANTS,)]


def rounding(shift: int) -> int:
    """Half a unit of what is shifted out."""
    return 1 << shift >> 1


def _largest_inputs(n: int) -> np.ndarray:
    """(n,) int64, the largest magnitude of each input of the first layer."""
    constants = [MAX_LEVELS - 1 << FRACTION_BITS, MAX_FEATURES_PER_LEVEL - 1 << FRACTION_BITS]
    return np.array([int(COMPAND[-1])] * (n - N_CONSTANTS) + constants, np.int64)


class PlaneInputs:
    """Gathers the raw inputs of positions of one plane; rows in the order of the network's inputs.

    lattice: of the plane. parents, coarse: tables into the flat clipped plane of the coarser level. current, previous:
    padded planes (`Lattice.padded`); previous is None where the network has no such inputs. constants: (2,) integers.
    """

    def __init__(self, lattice: Lattice, parents: ParentTables, coarse, current, previous, constants):
        self.lattice, self.parents = lattice, parents
        self.coarse, self.current, self.previous = coarse, current, previous
        self.constants = np.array(constants, np.int16)

    def causal(self, index: np.ndarray) -> np.ndarray:
        """Group (a), (n_causal, n) int16, at padded indices (n,)."""
        return self.current[index + self.lattice.causal[:, None]]

    def rest(self, coordinates: np.ndarray, index: np.ndarray) -> np.ndarray:
        """Groups (b), (c), (d), (n_inputs - n_causal, n) int16; they do not depend on the plane itself."""
        groups = [self.parents.gather(self.coarse, coordinates)]
        if self.previous is not None:
            groups.append(self.previous[index + self.lattice.collocated[:, None]])
        groups.append(np.broadcast_to(self.constants[:, None], (N_CONSTANTS, index.size)))
        return np.concatenate(groups)

    def all(self, positions: np.ndarray) -> np.ndarray:
        """(n_inputs, n) int16 at flat positions (n,)."""
        coordinates = self.lattice.coordinates(positions)
        index = self.lattice.padded_index(coordinates)
        return np.concatenate([self.causal(index), self.rest(coordinates, index)])


def coarse_plane(coarser: np.ndarray | None, feature: int, n_dims: int) -> tuple[np.ndarray, tuple[int, ...]]:
    """The plane that holds the parents of feature f: flat, clipped, int16, and its shape; one 0 for the first level."""
    if coarser is None:
        return np.zeros(1, np.int16), (1,) * n_dims
    plane = coarser[min(feature, len(coarser) - 1)]
    return np.clip(plane, -CLIP, CLIP).astype(np.int16).ravel(), plane.shape


def plane_inputs(levels: Sequence[np.ndarray], level: int, feature: int, multi: bool) -> PlaneInputs:
    """The inputs of a plane whose values are all known, as the encoder's are."""
    planes = levels[level]
    lattice = Lattice(planes.shape[1:])
    coarse, coarse_shape = coarse_plane(levels[level - 1] if level else None, feature, lattice.n_dims)
    previous = None
    if multi:
        previous = lattice.padded(planes[feature - 1]) if feature else lattice.empty()
    parents = ParentTables.of(lattice.shape, coarse_shape)
    constants = (len(levels) - 1 - level, feature)
    return PlaneInputs(lattice, parents, coarse, lattice.padded(planes[feature]), previous, constants)


def first_layer(net: ContextNet, inputs: np.ndarray, rows: slice) -> np.ndarray:
    """Weighted sums of some of the inputs, (outputs, n) int32. inputs: (n_rows, n), the network's inputs `rows`."""
    start, stop, _ = rows.indices(net.n_inputs)
    n_companded = min(stop, net.n_inputs - N_CONSTANTS) - start
    hidden = inputs.astype(np.int32)
    hidden[:n_companded] = COMPAND[hidden[:n_companded] + CLIP]
    hidden[n_companded:] <<= FRACTION_BITS
    return np.einsum("oi,in->on", net.weights[0][:, rows], hidden)


def skip_sum(net: ContextNet, inputs: np.ndarray, rows: slice) -> np.ndarray:
    """The skip's weighted sum of some of the inputs, (n,) int32; arguments as `first_layer`."""
    weights = net.skip[rows]
    return np.einsum("i,in->n", weights, inputs[: len(weights)].astype(np.int32) << FRACTION_BITS)


def finish(net: ContextNet, sums: np.ndarray, skip: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """From the first layer's whole sums (outputs, n) and the skip's (n,) to mu8 (n,) int32 and scale (n,) int32."""
    for layer, (bias, shift) in enumerate(zip(net.biases, net.shifts)):
        if layer:
            hidden = np.minimum(np.maximum(sums, 0), MAX_HIDDEN)  # np.clip takes five times as long for a few values
            sums = np.einsum("oi,in->on", net.weights[layer], hidden)
        sums = sums + ((bias << shift) + rounding(shift))[:, None] >> shift
    location, log2_scale = sums.astype(np.int64)  # their sum and multiple may leave 32 bits
    location = location + (skip + rounding(net.shifts[-1]) >> net.shifts[-1])
    mu8 = np.minimum(np.maximum(location + MU8_HALF >> MU8_SHIFT, -MAX_MU8), MAX_MU8)
    scale = log2_scale * SCALES_PER_OCTAVE + SCALE_HALF >> FRACTION_BITS
    scale = np.minimum(np.maximum(scale + SCALE_OFFSET, 0), N_SCALES - 1)
    return mu8.astype(np.int32), scale.astype(np.int32)


def predict(net: ContextNet, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Location and scale for raw inputs (n_inputs, *any) within +-255: mu8 and scale index, (*any) int32 each."""
    flat = inputs.reshape(net.n_inputs, -1)
    everything = slice(0, net.n_inputs)
    mu8, scale = finish(net, first_layer(net, flat, everything), skip_sum(net, flat, everything))
    return mu8.reshape(inputs.shape[1:]), scale.reshape(inputs.shape[1:])
