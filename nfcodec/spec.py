"""Names, ids and the frozen descriptions that every other module shares. Nothing here computes.

The tables below are the registry of the format: spec/registry.md lists the same rows, and a test compares them.
Axes are in array order (z, y, x), coordinates are in [0, 1] with sample centres at (i + 0.5) / n.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np

DRAFT = 1  # readers of major 0 accept only their own draft (the minor byte)

# name -> id; ids are never reused
KINDS = {"image": 0, "volume": 1, "sdf": 2, "tsdf": 3, "occupancy": 4, "udf": 5}
SURFACE_KINDS = ("sdf", "tsdf", "occupancy", "udf")
GRID_ENCODINGS = {
    "dense": 0, "hash": 1, "codebook": 2, "triplane": 3, "kplanes": 4, "cp": 5, "vm": 6, "points": 7, "mesh": 8,
}  # fmt: skip
JOININGS = {"sum": 0, "concatenation": 1}  # of the planes of triplane
COORDINATE_ENCODINGS = {  # features that are functions of the coordinate
    "identity": 16, "frequency": 17, "random-fourier": 18, "one-blob": 19, "super-gaussian": 20, "spherical-harmonics": 21,
}  # fmt: skip
ENCODINGS = GRID_ENCODINGS | COORDINATE_ENCODINGS
INTERPOLATIONS = {"linear": 0, "cubic": 1, "mitchell": 2, "nearest": 3, "smoothstep": 4}
BOUNDARIES = {"clamp": 0, "wrap": 1, "reflect": 2}
ACTIVATIONS = {
    "identity": 0, "relu": 1, "prelu": 2, "sine": 3, "tanh": 4, "sigmoid": 5, "silu": 6, "softplus": 7, "gaussian": 8,
    "quadratic": 9, "multi-quadratic": 10, "laplacian": 11, "super-gaussian": 12, "expsin": 13, "gabor": 14, "finer": 15,
}  # fmt: skip
PLAIN_ACTIVATIONS = ("identity", "relu")  # all that kernels and the field in integers know
# what the channels of a surface hold; the first is the distance or occupancy
ROLES = {"other": 0, "distance": 1, "trim": 2, "red": 3, "green": 4, "blue": 5}
COLOUR_ROLES = ("red", "green", "blue")
# of lattices, in their metadata: colours have a white; vectors are along x, y, z, flow is in samples, normals have length 1
QUANTITIES = ("colour", "measurement", "vectors", "flow", "normals")
DTYPES = {"u1": 0, "u2": 1, "u4": 2, "i1": 3, "i2": 4, "i4": 5, "f2": 6, "f4": 7, "f8": 8, "b1": 9}

# primes of the spatial hash, uint32 arithmetic (Instant-NGP, section 3); one an axis
HASH_PRIMES = (1, 2654435761, 805459861, 3674653429)


SCATTERED = ("points", "mesh")  # encodings whose features lie at some vertices of a lattice, which is not interpolated
FACES_A_VERTEX = 4  # of a mesh, at most: a closed one without holes has 2
RADII = 16  # of points: squared, so many parts of the squared reach
SHAPE_PARTS = 64  # the parts of 1 in which b and c are stored

# how a lattice is interpolated along an axis: by name, or by a cubic of these (b, c)
Kernel = tuple[float, float] | str
NEAREST, LINEAR, SMOOTHSTEP = "nearest", "linear", "smoothstep"
CATMULL_ROM: Kernel = (0.0, 0.5)


@dataclass(frozen=True)
class Parameter:
    """A number that an encoding or an activation is made with: its name, its least and greatest value, and the usual one;
    None where that follows the signal."""

    name: str
    low: float
    high: float
    default: float | None
    is_integer: bool = False


class Read(NamedTuple):
    """A level as the network sees it: at the coordinate, or `shift` vertices of the finest level from it along each
    axis."""

    level: int
    shift: tuple[int, ...]


@dataclass(frozen=True)
class GridSpec:
    """The lattices of a field, coarse level first.

    encoding: a key of GRID_ENCODINGS. resolutions: for each level the number of vertices along each axis; vertex i of
    n lies at coordinate (i + 0.5) / n. n_features: for each level its features a vertex. log2_size: hash: a level's
    table has min(vertices, 2**log2_size) rows; codebook: a level's codebook has 2**log2_size entries; points: a level
    has 2**log2_size points at most; others: 0. shapes: for each level the parameters b and c of its cubic kernel
    (Mitchell & Netravali 1988), with the interpolation "mitchell" and only there; multiples of 1 / SHAPE_PARTS from
    -2 to below 2. n_surrounded: of so many of the finest levels the network also sees the features around the
    coordinate, one vertex of the finest level before and after it along each axis; dense grids with the interpolation
    "mitchell" only, whose finest level has the source's extent. boundary: for each axis a key of BOUNDARIES, what
    lies beyond its ends: the last vertex again ("clamp"), the axis anew ("wrap"), or backwards ("reflect"); () for
    clamp along all. joining: triplane: a key of JOININGS; others: "".
    """

    encoding: str
    resolutions: tuple[tuple[int, ...], ...]
    n_features: tuple[int, ...]
    interpolation: str = "linear"
    log2_size: int = 0
    shapes: tuple[tuple[float, float], ...] = ()
    n_surrounded: int = 0
    boundary: tuple[str, ...] = ()
    joining: str = ""

    def kernel(self, level: int) -> Kernel:
        """What a level is interpolated by."""
        if self.interpolation in (NEAREST, LINEAR, SMOOTHSTEP):
            return self.interpolation
        return self.shapes[level] if self.shapes else CATMULL_ROM

    @property
    def boundaries(self) -> tuple[str, ...]:
        """What lies beyond the ends of each axis."""
        return self.boundary or ("clamp",) * self.n_dims

    @property
    def n_levels(self) -> int:
        return len(self.resolutions)

    @property
    def n_dims(self) -> int:
        return len(self.resolutions[0])

    @property
    def reads(self) -> tuple[Read, ...]:
        """What the network's inputs are, in their order: every level at the coordinate, then what lies around."""
        own = [Read(level, (0,) * self.n_dims) for level in range(self.n_levels)]
        surrounded = range(self.n_levels - self.n_surrounded, self.n_levels)
        shifts = [tuple(step * (k == axis) for k in range(self.n_dims)) for axis in range(self.n_dims) for step in (-1, 1)]
        return (*own, *(Read(level, shift) for level in surrounded for shift in shifts))

    def shift(self, read: Read) -> tuple[float, ...]:
        """A read's shift in vertices of its own level."""
        sizes = zip(read.shift, self.resolutions[read.level], self.resolutions[-1])
        return tuple(step * n / finest for step, n, finest in sizes)

    @property
    def n_inputs(self) -> int:
        """Features of all reads: the width of the network's input."""
        return sum(self.width(read.level) for read in self.reads)

    @property
    def n_parts(self) -> int:
        """Vectors of a level's features that the network sees side by side."""
        return {"vm": self.n_dims, "triplane": 3 if self.joining == "concatenation" else 1}.get(self.encoding, 1)

    def width(self, level: int) -> int:
        """Numbers that a read of a level gives the network."""
        return self.n_features[level] * self.n_parts

    @property
    def parts(self) -> tuple[GridSpec]:
        """The encodings side by side: this one alone."""
        return (self,)


@dataclass(frozen=True)
class CoordinateSpec:
    """An encoding without a grid: its features are functions of the coordinate, and its one level.

    encoding: a key of COORDINATE_ENCODINGS. n_dims: d. parameters: the numbers that its class names, in that order.
    n_features: those of its one level; made by `encodings.CoordinateEncoding.describe`.
    """

    encoding: str
    n_dims: int
    parameters: tuple[float, ...]
    n_features: tuple[int]

    n_levels: ClassVar[int] = 1
    resolutions: ClassVar[tuple[tuple[int, ...], ...]] = ((),)
    interpolation: ClassVar[str] = "none"
    boundary: ClassVar[tuple[str, ...]] = ()
    log2_size: ClassVar[int] = 0
    shapes: ClassVar[tuple[tuple[float, float], ...]] = ()

    @property
    def n_inputs(self) -> int:
        return self.n_features[0]

    def width(self, level: int) -> int:
        """As `GridSpec.width`."""
        return self.n_features[level]

    @property
    def parts(self) -> tuple[CoordinateSpec]:
        return (self,)


@dataclass(frozen=True)
class CompositeSpec:
    """Encodings side by side: the network sees the features of all, one after another; the levels are those of the first
    part, then those of the second, and so on.

    parts: two or more, no encoding twice.
    """

    parts: tuple[GridSpec | CoordinateSpec, ...]

    @property
    def encoding(self) -> str:
        return "+".join(part.encoding for part in self.parts)

    @property
    def shapes(self) -> tuple[tuple[float, float], ...]:
        """Those of all levels that have some."""
        return tuple(shape for part in self.parts for shape in part.shapes)

    @property
    def interpolation(self) -> str:
        return "+".join(part.interpolation for part in self.parts)

    @property
    def boundary(self) -> tuple[str, ...]:
        return next((part.boundary for part in self.parts if part.boundary), ())

    @property
    def log2_size(self) -> int:
        return max(part.log2_size for part in self.parts)

    @property
    def n_dims(self) -> int:
        return self.parts[0].n_dims

    @property
    def n_levels(self) -> int:
        return sum(part.n_levels for part in self.parts)

    @property
    def n_features(self) -> tuple[int, ...]:
        return tuple(f for part in self.parts for f in part.n_features)

    @property
    def resolutions(self) -> tuple[tuple[int, ...], ...]:
        return tuple(resolution for part in self.parts for resolution in part.resolutions)

    @property
    def n_inputs(self) -> int:
        return sum(part.n_inputs for part in self.parts)

    def width(self, level: int) -> int:
        """As `GridSpec.width`."""
        k, first = self.place(level)
        return self.parts[k].width(level - first)

    def place(self, level: int) -> tuple[int, int]:
        """(number of the part, its first level) that a level belongs to."""
        first = 0
        for k, part in enumerate(self.parts):
            if level < first + part.n_levels:
                return k, first
            first += part.n_levels
        raise IndexError(level)


InputSpec = GridSpec | CoordinateSpec | CompositeSpec


@dataclass(frozen=True)
class MlpSpec:
    """A per-point network: features -> hidden layers -> channels, plus a linear skip from features to channels."""

    n_inputs: int
    n_neurons: int
    n_hidden_layers: int
    n_outputs: int
    activation: str = "relu"

    @property
    def widths(self) -> tuple[int, ...]:
        """Widths of all layers from the inputs to the outputs."""
        return (self.n_inputs, *(self.n_neurons,) * self.n_hidden_layers, self.n_outputs)


@dataclass(frozen=True)
class FieldSpec:
    """All that shapes a field, without its integers.

    extent: samples of the source along each axis in array order (for surfaces, the lattice that is natural for the finest
    level). channels: C. dtype: of the source's values, a key of DTYPES ("f4" for surfaces). grid: what the network sees.
    steps: for each level the float value of one integer step of its features, 1 where it has none. value_offset,
    value_scale: (C,) each; value = offset + scale * network output. knee: 0, or the distance from the offset at which
    values begin to be stored on a logarithmic scale: value = offset + knee * sinh(scale * network output / knee), so that
    far parts of a surface need no precision, and highlights of a picture no more than its shadows. clip: whether values are
    clipped to those between outputs 0 and 1, without a knee [offset, offset + scale]. origin, cell: surfaces only: world
    position (in axis order) of the corner at coordinate 0, and the edge of the cubic cells of which `extent` lie along each
    axis. truncation: world distance at which a tsdf is cut, 0 for other kinds. roles: surfaces only: for each channel a key
    of ROLES, the first "distance"; the knee and `clip` are that one's, which like colours is clipped to [0, 1].
    """

    kind: str
    extent: tuple[int, ...]
    channels: int
    dtype: str
    grid: InputSpec
    mlp: MlpSpec
    steps: tuple[float, ...]
    value_offset: tuple[float, ...]
    value_scale: tuple[float, ...]
    knee: float = 0.0
    clip: bool = True
    origin: tuple[float, ...] | None = None
    cell: float = 0.0
    truncation: float = 0.0
    roles: tuple[str, ...] = ()

    @property
    def n_dims(self) -> int:
        return len(self.extent)

    def channels_of(self, *roles: str) -> list[int]:
        """The channels that have these roles, in their order; [] unless all are there."""
        return [self.roles.index(role) for role in roles] if set(roles) <= set(self.roles) else []

    @property
    def knees(self) -> tuple[float, ...]:
        """The knee of each channel: of a surface only the distance has one."""
        return (self.knee,) + (0.0 if self.roles else self.knee,) * (self.channels - 1)


@dataclass(frozen=True)
class Paint:
    """The colours of a mesh's faces, sRGB-encoded, 0 to 1: `nfcodec.paint` samples them.

    corners: (T, 3, 3) float32, of each face's corners, linear in between. Where which (T,) int32 is k and not -1, they
    are multiplied by textures[k], (H, W, 3) uint8, at uv (T, 3, 2) float32: v upwards from the last row, repeating.
    """

    corners: np.ndarray
    uv: np.ndarray | None = None
    which: np.ndarray | None = None
    textures: tuple[np.ndarray, ...] = ()


@dataclass(frozen=True)
class Mesh:
    """A triangle mesh in world coordinates: vertices (V, 3) float64 as (x, y, z), faces (T, 3) int64, and their colours."""

    vertices: np.ndarray
    faces: np.ndarray
    paint: Paint | None = None


@dataclass(frozen=True)
class Signal:
    """What is to be encoded, as read by `nfcodec.io`.

    kind: a key of KINDS. values: lattice signals as (*extent, C), C order, channels last, in the source's dtype;
    None for surfaces. mesh: the surface, None for lattice signals. meta: what must survive the round trip and
    never affects samples, JSON-able (see `nfcodec.io` for the keys).
    """

    kind: str
    values: np.ndarray | None = None
    mesh: Mesh | None = None
    meta: dict[str, Any] = field(default_factory=dict)

    @property
    def extent(self) -> tuple[int, ...]:
        return () if self.values is None else tuple(self.values.shape[:-1])

    @property
    def channels(self) -> int:
        return 1 if self.values is None else int(self.values.shape[-1])

    @property
    def quantity(self) -> str:
        """What values are, a key of QUANTITIES: images are colours, volumes measurements, unless their metadata deny it."""
        default = "colour" if self.kind == "image" else "measurement"
        found = self.meta.get("quantity", default)
        return found if found in QUANTITIES else default

    @property
    def is_picture(self) -> bool:
        """Whether values run from black to white, the ends of their dtype, whatever part of that is used."""
        dtype = None if self.values is None else self.values.dtype
        return self.quantity == "colour" and dtype in (np.uint8, np.uint16)

    @property
    def has_alpha(self) -> bool:
        """Whether the last channel is straight alpha: that of an image whose metadata say so, or of 2 or 4 channels of
        colours, unless they deny it."""
        default = self.channels in (2, 4) and self.quantity == "colour"
        return self.kind == "image" and self.channels > 1 and self.meta.get("alpha", default) is True

    @property
    def opaque(self) -> float:
        """What alpha is where nothing shines through: white, 1 for floats, or what the metadata say; half of it is the
        limit below which a measurement is none."""
        white = float(np.iinfo(self.values.dtype).max) if self.values.dtype.kind in "iu" else 1.0
        opaque = self.meta.get("opaque", white)
        return float(opaque) if isinstance(opaque, (int, float)) and opaque > 0 else white
