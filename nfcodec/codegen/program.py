"""A field as a short program: what every language is written from.

    coordinates c0 .. c(d-1) --Read, Cloud, Formula--> inputs x --Layer--> h --Layer--> .. --> outputs y --> values

Formulas are `Expr`s traced from the decoder's own numpy, tables hold the file's integers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ..activations import load as load_activation
from ..encodings import Encoding, LatticeEncoding
from ..encodings.composite import Composite
from ..encodings.coordinates import AxisEncoding
from ..encodings.factors import FactoredEncoding
from ..encodings.hash import rows as hash_rows
from ..encodings.interpolate import fold, n_taps, placed, tap_weights
from ..encodings.random_fourier import Grid as RandomFourier
from ..encodings.random_fourier import matrix
from ..encodings.spherical_harmonics import Grid as SphericalHarmonics
from ..errors import UsageError
from ..evaluate import MAX_BENT
from ..field import Field
from ..spec import NEAREST, FieldSpec, Kernel
from .clouds import Cloud, cloud_of
from .expressions import INT, Expr, fetch, name
from .harmonics import harmonics
from .tables import Table, lattice

__all__ = ["Formula", "Layer", "Level", "Program", "Read", "program_of"]

Vertex = Sequence[Expr]  # its index along each axis


@dataclass(frozen=True, eq=False)
class Level:
    """A lattice. rows: of F features each, times step. row: a vertex's row, as a formula of its indices."""

    name: str
    resolution: tuple[int, ...]
    kernel: Kernel
    boundaries: tuple[str, ...]
    n_features: int
    step: float
    rows: Table
    row: Callable[[Vertex], Expr]

    @property
    def n_taps(self) -> int:
        return n_taps(self.kernel)

    @property
    def tables(self) -> list[Table]:
        """Those looked up on the way to a row, and that of the rows."""
        return [*self.row([name("i", INT)] * len(self.resolution)).tables(), self.rows]

    def place(self, axis: int, coordinate: Expr, shift: Expr) -> Expr:
        """Where a coordinate lies among the vertices of an axis."""
        return placed(coordinate, self.boundaries[axis])[0] * self.resolution[axis] - 0.5 + shift

    def first(self, place: Expr) -> Expr:
        """The vertex at or before it, as a real."""
        return np.floor(place + 0.5 if self.kernel == NEAREST else place)

    def vertex(self, axis: int, first: Expr, tap: int) -> Expr:
        """The index of a tap's vertex."""
        return fold(first.astype(np.int64) + (tap - (self.n_taps - 1) // 2), self.resolution[axis], self.boundaries[axis])

    def weights(self, fraction: Expr) -> list[Expr | float]:
        """Of each tap."""
        return list(tap_weights(np.array([fraction], object), self.kernel)[0][0])


@dataclass(frozen=True, eq=False)
class Read:
    """inputs[first : first + F] += what a level gives at the coordinates of its axes; or *= where it `multiplies`.

    shifts: vertices of the level, along each of its axes.
    """

    level: Level
    axes: tuple[int, ...]
    shifts: tuple[float, ...]
    first: int
    multiplies: bool = False


@dataclass(frozen=True, eq=False)
class Formula:
    """inputs[first + k] = features[k]; names are what they mention besides coordinates, in their order."""

    first: int
    names: tuple[tuple[str, Expr], ...]
    features: tuple[Expr, ...]


@dataclass(frozen=True, eq=False)
class Layer:
    """activation(2**-shift_w W x + 2**-shift_b b), a formula of v; None for the last one."""

    weights: Table
    weight_scale: float
    biases: Table
    bias_scale: float
    n_inputs: int
    n_outputs: int
    activation: Expr | None


@dataclass(frozen=True, eq=False)
class Program:
    """inputs: in order. layers: the hidden ones and that of outputs, which without hidden ones has biases alone. skip: from
    inputs to outputs. values: for each channel a formula of y.
    """

    spec: FieldSpec
    inputs: tuple[Read | Cloud | Formula, ...]
    layers: tuple[Layer, ...]
    skip: Table
    skip_scale: float
    values: tuple[Expr, ...]

    @property
    def axes(self) -> list[int]:
        """Those whose coordinates matter."""
        axes = range(self.spec.n_dims)
        return [k for k in axes if any(not isinstance(op, Read) or k in op.axes for op in self.inputs)]

    @property
    def levels(self) -> list[Level]:
        """Each once, in the order of reading."""
        return list({id(op.level): op.level for op in self.inputs if isinstance(op, Read)}.values())

    @property
    def clouds(self) -> list[Cloud]:
        """In the order of reading."""
        return [op for op in self.inputs if isinstance(op, Cloud)]

    @property
    def tables(self) -> list[Table]:
        """All of some length: those of levels, then the network's."""
        found = [*self.lattices, *(table for layer in self.layers for table in (layer.weights, layer.biases)), self.skip]
        return [table for table in found if table.integers.size]

    @property
    def lattices(self) -> list[Table]:
        """The tables of levels."""
        return [table for level in [*self.levels, *self.clouds] for table in level.tables]

    @property
    def n_weights(self) -> int:
        """Integers of the network."""
        return sum(table.integers.size for table in self.tables) - sum(table.integers.size for table in self.lattices)


def program_of(field: Field, n_levels: int) -> Program:
    """The program of a field with its n_levels coarsest levels. UsageError for encodings that are too much of a program."""
    spec, mlp = field.spec, field.mlp
    inputs = tuple(_inputs(field.grid, n_levels, 0, "level"))
    scales = [float(2.0**-shift) for shift in mlp.shifts]
    tensors = list(zip(mlp.tensors, scales))
    if mlp.spec.n_hidden_layers == 0:
        tensors = [(np.zeros((spec.channels, 0), np.int32), 1.0), *tensors]
    n = mlp.spec.n_hidden_layers + 1
    (skip, skip_scale), layers = tensors[2 * n], []
    for k in range(n):
        (w, w_scale), (b, b_scale) = tensors[2 * k : 2 * k + 2]
        act = None
        if k + 1 < n:
            numbers = () if mlp.numbers is None else mlp.numbers[k]
            act = load_activation(mlp.spec.activation).value(name("v"), *numbers)
        tables = Table.of(f"weights{k}", w), w_scale, Table.of(f"biases{k}", b), b_scale
        layers.append(Layer(*tables, w.shape[1], w.shape[0], act))
    return Program(spec, inputs, tuple(layers), Table.of("skip", skip), skip_scale, tuple(_values(field)))


def _inputs(grid: Encoding, n_levels: int, first: int, prefix: str):
    """The operations of an encoding, whose inputs begin at `first`; of levels that are not there, none."""
    n_levels = min(n_levels, len(grid.levels))
    if isinstance(grid, Composite):
        for k, part in enumerate(grid.parts):
            yield from _inputs(part, max(n_levels, 0), first, f"part{k}_level")
            first, n_levels = first + part.spec.n_inputs, n_levels - part.spec.n_levels
    elif isinstance(grid, LatticeEncoding):
        yield from _reads(grid, n_levels, first, prefix)
    elif isinstance(grid, FactoredEncoding):
        yield from _factors(grid, n_levels, first, prefix)
    elif grid.name == "points":
        for k in range(n_levels):
            if len(grid.levels[k]["positions"]):
                yield cloud_of(grid, k, first, f"{prefix}{k}")
            first += grid.spec.width(k)
    elif isinstance(grid, (AxisEncoding, RandomFourier, SphericalHarmonics)):
        if n_levels:
            yield _formula(grid, first)
    else:
        raise UsageError(
            f"exporting: got the encoding {grid.name}, which cannot be exported; encode with another one, such as dense"
        )


def _reads(grid: LatticeEncoding, n_levels: int, first: int, prefix: str):
    axes, levels = tuple(range(grid.spec.n_dims)), {}
    for read, part in grid.reads(n_levels):
        k = read.level
        if k not in levels:
            levels[k] = _level(grid, k, f"{prefix}{k}")
        if levels[k].rows.integers.any():  # else its features are 0, as inputs are from the start
            yield Read(levels[k], axes, grid.spec.shift(read), first + part.start)


def _factors(grid: FactoredEncoding, n_levels: int, first: int, prefix: str):
    axes, terms = grid.factors(grid.spec), grid.terms(grid.spec)
    is_summed = grid.spec.n_parts == 1
    for k in range(n_levels):
        f = grid.spec.n_features[k]
        for t, term in enumerate(terms):
            for j, factor in enumerate(term):
                level = _level(grid.lattices[factor], k, f"{prefix}{k}_factor{factor}")
                place = first if is_summed else first + t * f
                yield Read(level, axes[factor], (0.0,) * len(axes[factor]), place, multiplies=j > 0)
        first += grid.spec.width(k)


def _level(grid: LatticeEncoding, k: int, label: str) -> Level:
    spec, data = grid.spec, grid.levels[k]
    if "table" in data:
        rows, row = Table.of(label, data["table"]), lambda vertex: hash_rows(spec, k, list(vertex))
    elif "codebook" in data:
        rows = Table.of(label, data["codebook"])
        indices, place = lattice(f"{label}_indices", data["indices"][..., None])

        def row(vertex: Vertex) -> Expr:
            return fetch(indices, place(vertex))

    else:
        rows, row = lattice(label, np.moveaxis(data["latents"], 0, -1))
    step = float(np.float32(grid.steps[k]))
    shape = spec.resolutions[k], spec.kernel(k), spec.boundaries, spec.n_features[k]
    return Level(label, *shape, step, rows, row)


def _formula(grid: AxisEncoding | RandomFourier | SphericalHarmonics, first: int) -> Formula:
    """Coordinates are clipped to the box; an axis' features are traced, the others written again."""
    d = grid.spec.n_dims
    inside = [name(f"q{first}_{k}") for k in range(d)]
    names = [(q.args[0], placed(name(f"c{k}"), "clamp")[0]) for k, q in enumerate(inside)]
    if isinstance(grid, AxisEncoding):
        features = [x for k in range(d) for x in grid.along(np.array([inside[k]], object), k, 0)[0][0]]
    elif isinstance(grid, SphericalHarmonics):
        further, features = harmonics(inside, int(grid.spec.parameters[0]), f"d{first}_")
        names += further
    else:
        turns = [sum((float(b) * x for b, x in zip(row[1:], inside[1:])), float(row[0]) * inside[0])
                 for row in matrix(d, *grid.spec.parameters)]  # fmt: skip
        named = [name(f"t{first}_{k}") for k in range(len(turns))]
        names += [(t.args[0], turn) for t, turn in zip(named, turns)]
        phases = [(t - np.rint(t)) * (2 * np.pi) for t in named]
        features = [function(phase) for function in (np.cos, np.sin) for phase in phases]
    return Formula(first, tuple(names), tuple(features))


def _values(field: Field):
    """As `evaluate.Values`, of one channel after the other."""
    y = name("y")
    for knee, scale, offset, low, high in zip(*map(list, field._evaluation.values.arrays())):
        if knee > 0:
            v = np.sinh(np.clip(y * (scale / knee), -MAX_BENT, MAX_BENT)) * knee + offset
        else:
            v = y * scale + offset
        yield np.clip(v, low, high) if np.isfinite([low, high]).all() else v
