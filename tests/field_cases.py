"""What the tests of the field decoder share: fields from random integers, without a fit, and strategies for them."""

import ast
import functools
import itertools
import math

import numpy as np
from entropy_cases import make_net
from hypothesis import strategies as st

import nfcodec
from nfcodec import header
from nfcodec.encodings import load
from nfcodec.encodings.mesh import in_order
from nfcodec.pack import Frozen, pack
from nfcodec.spec import (
    ACTIVATIONS,
    BOUNDARIES,
    COORDINATE_ENCODINGS,
    DTYPES,
    GRID_ENCODINGS,
    INTERPOLATIONS,
    JOININGS,
    RADII,
    SCATTERED,
    SHAPE_PARTS,
    SURFACE_KINDS,
    CompositeSpec,
    FieldSpec,
    GridSpec,
    MlpSpec,
)  # fmt: skip

LATTICES = ("dense", "hash", "codebook")
FACTORED = ("triplane", "kplanes", "cp", "vm")
COMBINATIONS = [(e, i) for e, i in itertools.product(LATTICES, INTERPOLATIONS)]


def suits(encoding, n_dims):
    """Whether an encoding is there for a number of axes."""
    return n_dims in load(encoding).dims


def some_shapes(interpolation, n_levels):
    """Shapes for the kernels of an interpolation that has them: different ones, also below 0."""
    return tuple((0.25 * level - 0.125, 0.5 - 0.375 * level) for level in range(n_levels)) if interpolation == "mitchell" else ()


SURFACE_CHANNELS = (
    ("distance",),
    ("distance", "trim"),
    ("distance", "red", "green", "blue"),
    ("distance", "other", "blue", "green", "red", "trim", "other"),
)


def f32(x):
    return float(np.float32(x))


def make_spec(
    kind="volume", extent=(9, 8), resolutions=((3, 4), (9, 8)), encoding="dense", interpolation="linear", channels=2,
    dtype="f4", n_features=None, log2_size=None, n_neurons=7, n_hidden_layers=2, activation="relu", knee=0.0,
    clip=False, scale=1.5, offset=-0.25, step=0.1, n_surrounded=0, roles=None, sees=None,
    boundary=(), joining=None,
):  # fmt: skip
    """A FieldSpec whose floats survive the file. sees: all that the network sees, instead of the grid that the others say."""
    surface = kind in SURFACE_KINDS
    n_features = n_features or (2,) * len(resolutions)
    if log2_size is None:
        log2_size = {"hash": 5, "codebook": 3, "points": 6, "mesh": 5}.get(encoding, 0)
    if joining is None:
        joining = "sum" if encoding == "triplane" else ""
    grid = GridSpec(
        encoding, tuple(map(tuple, resolutions)), tuple(n_features), interpolation, log2_size,
        some_shapes(interpolation, len(resolutions)), n_surrounded, boundary, joining,
    )  # fmt: skip
    grid = grid if sees is None else sees
    return FieldSpec(
        kind=kind,
        extent=tuple(extent),
        channels=channels,
        dtype=dtype,
        grid=grid,
        mlp=MlpSpec(grid.n_inputs, n_neurons if n_hidden_layers else 0, n_hidden_layers, channels, activation),
        steps=steps_of(grid, step),
        value_offset=(f32(offset),) * channels,
        value_scale=(f32(scale),) * channels,
        knee=f32(knee),
        clip=clip,
        origin=(-1.0, 2.0, 0.5) if surface else None,
        cell=0.25 if surface else 0.0,
        truncation=0.5 if kind == "tsdf" else 0.0,
        roles=roles or ("distance",) * surface + ("other",) * (channels - 1) * surface,
    )


def steps_of(sees, step):
    """A step for each level: smaller ones of finer levels of a grid, 1 where there is no grid."""
    grids = [(level, isinstance(part, GridSpec)) for part in sees.parts for level in range(part.n_levels)]
    return tuple(header.step_value(header.step_code(step / (level + 1))) if grid else 1.0 for level, grid in grids)


def make_frozen(spec, rng, spread=3.0):
    """Random integers for a spec: a network of weights around 0.3, levels of about +-spread."""
    shapes = header.mlp_shapes(spec.mlp)
    tensors = [np.rint(rng.normal(0, 40, shape)).astype(np.int32) for shape in shapes]
    if len(shapes) % 2 == 0 and spec.mlp.n_hidden_layers:  # numbers of the activation: mostly about 1, not 0
        tensors[-1] = rng.integers(64, 200, shapes[-1]).astype(np.int32)
    levels = []
    for level in range(spec.grid.n_levels):
        shapes_of_level = load(spec.grid.encoding).level_shapes(spec.grid, level)
        if "faces" in shapes_of_level:
            levels.append(_mesh(shapes_of_level, spec.grid.resolutions[level], rng, spread))
            continue
        if "positions" in shapes_of_level:
            levels.append(_points(shapes_of_level, spec.grid.resolutions[level], rng, spread))
            continue
        levels.append({name: _integers(name, shape, spec, rng, spread) for name, shape in shapes_of_level.items()})
    net = None
    for part in spec.grid.parts:
        if part.encoding == "dense":
            net = make_net(rng, spec.n_dims, max(part.n_features) > 1, largest=30)
    return Frozen(levels, tensors, [7] * len(shapes), net)


def _mesh(shapes, resolution, rng, spread):
    """A level of a mesh: random heights over a lattice, so that no face lies in another; of thin lattices there are none."""
    m = [min(n, math.isqrt(shapes["positions"][0])) for n in resolution[1:]]
    places = [np.sort(rng.choice(n, k, replace=False)) for n, k in zip(resolution[1:], m, strict=True)]
    positions = np.stack([rng.integers(0, resolution[0], m), *np.meshgrid(*places, indexing="ij")], -1).reshape(-1, 3)
    corner = (np.arange(m[0] - 1)[:, None] * m[1] + np.arange(m[1] - 1)).ravel()
    faces = np.stack([corner, corner + 1, corner + m[1] + 1], 1)
    faces = np.concatenate([faces, np.stack([corner, corner + m[1], corner + m[1] + 1], 1)])
    features = _integers("features", (len(positions), *shapes["features"][1:]), None, rng, spread)
    level = {"positions": positions.astype(np.int32), "faces": faces.astype(np.int32), "features": features}
    return in_order(level)[0]  # as a file numbers it, so that it comes back as it went


def _points(shapes, resolution, rng, spread):
    """A level of a cloud, of about half the points that it may have."""
    n = shapes["sizes"][0]
    kept = np.sort(rng.choice(math.prod(resolution), (n + 1) // 2, replace=False))
    return {
        "positions": np.stack(np.unravel_index(kept, resolution), 1).astype(np.int32),
        "sizes": rng.integers(0, RADII, len(kept)).astype(np.int32),
        "features": _integers("features", (len(kept), *shapes["features"][1:]), None, rng, spread),
        "reach": np.array([rng.integers(1, 3)], np.int32),
    }


def _integers(name, shape, spec, rng, spread):
    if name == "indices":
        (book,) = (part for part in spec.grid.parts if part.encoding == "codebook")
        return rng.integers(0, 1 << book.log2_size, shape).astype(np.int32)
    return np.rint(rng.laplace(0, spread, shape)).clip(-(1 << 24), 1 << 24).astype(np.int32)


def make_field(meta=None, **settings):
    """A decoded field of random integers; settings as `make_spec`."""
    return nfcodec.open(_packed(repr(meta), **settings))


@functools.cache
def _packed(meta, **settings):
    spec = make_spec(**settings)
    return pack(spec, make_frozen(spec, np.random.default_rng(0)), ast.literal_eval(meta))


@st.composite
def specs(draw, max_integers=600, in_integers=False, encodings=tuple(GRID_ENCODINGS), alone=False):
    """FieldSpecs of every kind, encoding and number of axes, small enough to be packed quickly. in_integers: only those
    whose values integers give. encodings: of the grid; alone: with nothing beside it."""
    kind = draw(st.sampled_from(["image", "volume", "volume", *SURFACE_KINDS]))
    surface = kind in SURFACE_KINDS
    d = {"image": 2, "volume": draw(st.integers(1, 4))}.get(kind, 3)
    roles = draw(st.sampled_from(SURFACE_CHANNELS)) if surface else ()
    channels = len(roles) if surface else draw(st.integers(1, 5))
    finite = st.floats(-1e6, 1e6, width=32)
    positive = st.floats(2**-10, 1000, width=32)
    edges = {1: 40, 2: 12, 3: 6, 4: 4}[d]
    n_levels = draw(st.integers(1, 3))
    extent = draw(st.tuples(*[st.integers(1, 20)] * d))
    resolution = st.tuples(*[st.integers(1, edges)] * d)
    resolutions = tuple(draw(resolution) for _ in range(n_levels))
    if draw(st.booleans()):
        halving = [resolutions[-1]]
        while len(halving) < n_levels:
            halving.insert(0, header.halved(halving[0]))
        resolutions = tuple(halving)
    most = max(1, max_integers // max(map(math.prod, resolutions)))
    n_features = tuple(draw(st.integers(1, min(4, most))) for _ in range(n_levels))
    names = [name for name in encodings if suits(name, d) and not (in_integers and name in SCATTERED)]
    encoding = draw(st.sampled_from(names))
    n_hidden_layers = draw(st.integers(0, 3))
    interpolation = draw(st.sampled_from(list(INTERPOLATIONS))) if encoding not in SCATTERED else "linear"
    part = st.integers(-128, 127).map(lambda n: n / SHAPE_PARTS)
    shapes = tuple((draw(part), draw(part)) for _ in range(n_levels if interpolation == "mitchell" else 0))
    surrounds = encoding == "dense" and interpolation == "mitchell" and draw(st.booleans())
    extent = resolutions[-1] if surrounds else extent
    grid = GridSpec(
        encoding, resolutions, n_features, interpolation,
        draw(st.integers(0, {"hash": 7, "codebook": 4, "points": 6, "mesh": 5}.get(encoding, 0))), shapes,
        draw(st.integers(0, n_levels)) if surrounds else 0,
        draw(st.tuples(*[st.sampled_from(list(BOUNDARIES))] * d).map(lambda names: names if set(names) != {"clamp"} else ()))
        if encoding not in SCATTERED else (),
        draw(st.sampled_from(list(JOININGS))) if encoding == "triplane" else "",
    )  # fmt: skip
    sees = grid if in_integers or alone else draw(inputs(grid, d))
    same_range = draw(st.booleans())
    offsets = tuple(draw(finite) for _ in range(channels))
    scales = tuple(draw(finite) for _ in range(channels))
    return FieldSpec(
        kind=kind,
        extent=extent,
        channels=channels,
        dtype="f4" if surface else draw(st.sampled_from(list(DTYPES))),
        grid=sees,
        mlp=MlpSpec(
            sees.n_inputs, draw(st.integers(1, 12)) if n_hidden_layers else 0, n_hidden_layers, channels,
            draw(st.sampled_from(["identity", "relu"] if in_integers else list(ACTIVATIONS))),
        ),
        steps=steps_of(sees, draw(positive)),
        value_offset=offsets[:1] * channels if same_range else offsets,
        value_scale=scales[:1] * channels if same_range else scales,
        knee=draw(st.one_of(st.just(0.0), positive)),
        clip=draw(st.booleans()),
        origin=tuple(draw(st.floats(-1e6, 1e6)) for _ in range(3)) if surface else None,
        cell=draw(st.floats(1e-3, 1e3)) if surface else 0.0,
        truncation=draw(positive) if kind == "tsdf" else 0.0,
        roles=roles,
    )  # fmt: skip


@st.composite
def inputs(draw, grid, n_dims):
    """What a network may see: mostly the grid, sometimes encodings without one, alone or beside it."""
    coordinates = [name for name in COORDINATE_ENCODINGS if n_dims in load(name).dims]
    names = draw(st.one_of(st.just([]), st.lists(st.sampled_from(coordinates), max_size=3, unique=True)))
    parts = [load(name).describe(n_dims, **draw(numbers(load(name).parameters))) for name in names]
    if not parts or draw(st.booleans()):
        parts.insert(draw(st.integers(0, len(parts))), grid)
    return parts[0] if len(parts) == 1 else CompositeSpec(tuple(parts))


def numbers(parameters):
    """Numbers of an encoding, small enough to be quick."""
    return st.fixed_dictionaries({
        p.name: st.integers(int(p.low), int(min(p.high, 9))) if p.is_integer else st.floats(f32(p.low * 1.01), f32(p.high * 0.99), width=32)
        for p in parameters
    })  # fmt: skip
