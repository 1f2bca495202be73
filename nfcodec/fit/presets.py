"""Quality and effort in numbers: lmbda, resolutions, sizes of networks, steps. Chosen by measurement (results/)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any

from .. import activations
from ..choice import Choice, numbers_of, parse_activation, parse_encoding
from ..encodings import checked, load
from ..errors import SignalError, UsageError
from ..limits import MAX_GRID_INTEGERS, MAX_RESOLUTION
from ..spec import (
    CATMULL_ROM,
    GRID_ENCODINGS,
    SCATTERED,
    SURFACE_KINDS,
    CompositeSpec,
    CoordinateSpec,
    GridSpec,
    InputSpec,
    MlpSpec,
)  # fmt: skip
from .levels import FACTORED, Levels, check, choose_levels, whole_resolution
from .source import SURFACE_ALIGNMENT, Source

# training steps by effort for a signal of 8 tiles; see n_steps
_STEPS = {1: 60, 2: 160, 3: 500, 4: 1400, 5: 4000, 6: 7500, 7: 20000, 8: 60000, 9: 200000}
_LARGER_FROM = 6  # the effort from which larger networks have the time to learn
_LEAST_TILES = 1 / 8  # below, steps cost more than they do
_SHORT_FIT = 30  # visits a tile
_SHORT_SURFACE_FIT = 8
_LONG_FIT = 6000  # steps
# of `train.Recipe`; how that of hash tables grows where a bit is worth less than at quality 50
_LATENT_RATE, _HASTE = 0.1, 0.3
_PATIENT_VISITS = 2500  # of each tile, from which latents of pictures find better places from nothing than from an analysis
# coordinate networks: their bits a sample at lmbda 1e-3 by axes, which are about those of grids, how these grow, bits of a
# weight, hidden layers
_RATE, _RATE_SLOPE, _BITS_OF_WEIGHT, _DEPTH = {1: 2.0, 2: 0.3, 3: 0.05, 4: 0.02}, 0.6, 6.0, 3
_SURFACE_RATE = 2.0  # a cell that the surface passes through, about as many as the lattice has samples to the power of 2/3
_NARROWEST, _WIDEST = 16, 256
_BATCH = 1 << 14  # samples of a step
_NETWORK_RESOLUTION = 96  # of surfaces, at most: networks of this size have no finer detail
_ACTIVATION_OF_IDENTITY = "sine"
_STEP_SHARE = {"codebook": 0.25}  # a step of the codebook costs about four times as much
_LMBDA = (-3.1, 0.045)  # log10 of the weight of a bit at quality 50, and per point
_SURFACE_LMBDA = (-2.1, 0.03)
_SLOPED_LMBDA = (-2.05, 0.03)  # more, as their errors count more
_SURFACE_STEPS = 2.0  # most of a surface's samples hold little: its steps cost least
_SURFACE_TILE_EDGE = 128  # fewer, larger tiles than of volumes: blocks of samples away from the surface take no time
_SURFACE_RESOLUTION = 176  # samples along the longest axis at quality 50
_MOST = 640  # and at any
_SLOPED_KINDS = ("sdf", "tsdf")  # whose surface is where they pass through 0: errors of their slopes count
_SLOPE = 0.5  # the weight of these
_LEAST_SURFACE_STEPS = 150  # before them occupancy has not found its surface
_TILE_EDGE = {1: 1 << 14, 2: 256, 3: 64, 4: 24}
_LARGE_TILE_EDGE = {1: 1 << 12, 2: 1024, 3: 96, 4: 32}  # on a GPU the interpolation of an axis is a whole matrix
_GPU_PATIENCE = 3  # times the visits, where a step of a large tile takes little longer
_LARGE = 250_000  # samples, at lmbda 1e-3, that pay for larger networks: fewer where a bit is worth more
_FIRST_SHAPE = (0.296875, 0.40625)  # of the kernels of all levels but the finest; where many fits end
_SURROUNDED = 2  # levels of an image whose neighbours the network sees
_SMALL = 1 << 13  # samples below which networks have to be paid for
_TINY = 1 << 10


@dataclass(frozen=True)
class Preset:
    """Everything that shapes a fit beside the signal."""

    grid: InputSpec
    mlp: MlpSpec
    context_neurons: int
    context_layers: int
    tile_edge: int
    stride: int
    step_fine: float  # one integer step of what is usually the finest level, in target units
    step_ratio: float  # of what is coarser by one halving
    lmbda: float = 0.0  # the weight of a bit
    levels: dict[str, Levels] = field(default_factory=dict)  # by encoding, those of grids
    activation_numbers: tuple[float, ...] | None = None  # None for the usual ones


def lmbda_of(quality: float, kind: str) -> float:
    """The weight of a bit: quality 0 gives thumbnails, 100 visually lossless files; beyond both goes on likewise."""
    middle, per_point = _ladder(kind)
    return 10 ** (middle - per_point * (quality - 50))


def quality_of(lmbda: float, kind: str) -> float:
    """The inverse of `lmbda_of`."""
    middle, per_point = _ladder(kind)
    return 50 - (math.log10(lmbda) - middle) / per_point


def _ladder(kind: str) -> tuple[float, float]:
    if kind in _SLOPED_KINDS:
        return _SLOPED_LMBDA
    return _SURFACE_LMBDA if kind in SURFACE_KINDS else _LMBDA


def surface_resolution(quality: float, effort: int, is_network_alone: bool = False, finest: int | None = None) -> int:
    """Target samples along a mesh's longest axis; the finest level has half as many vertices. finest: about so many, if
    somebody asked for them."""
    unit = 2 * SURFACE_ALIGNMENT
    if finest is not None:
        return min(unit * -(-2 * finest // unit), _MOST)
    resolution = unit * round(_SURFACE_RESOLUTION * 2 ** ((quality - 50) / 40) / unit)
    return min(max(resolution, unit), _NETWORK_RESOLUTION if is_network_alone else 192 if effort == 1 else _MOST)


def choose(
    source: Source,
    lmbda: float,
    encoding: str,
    effort: int,
    n_samples: int = 0,
    activation: str = "auto",
    network: tuple[int, int] | None = None,
    interpolation: str | None = None,
    boundary: tuple[str, ...] = (),
) -> Preset:
    """The preset for a source, a weight of bits, and an effort. encoding, activation: as in `choice`, or for the latter
    "auto". n_samples: of the whole signal, where the source is a part of it. network: neurons and hidden layers, if not to
    be chosen. interpolation: of grids, None for what suits best; boundary: of grids, as in `GridSpec`.
    """
    parts = checked(encoding)
    between = interpolation, boundary
    is_alone = len(parts) == 1
    grids = {
        part.name: _grid_preset(source, lmbda, part, effort, n_samples, is_alone, *between)
        for part in parts
        if part.name in GRID_ENCODINGS
    }
    preset = next(iter(grids.values())) if grids else _coordinate_preset(source, lmbda, n_samples)
    described = [
        grids[part.name].grid if part.name in grids else load(part.name).describe(len(source.extent), **part.numbers)
        for part in parts
    ]
    sees = described[0] if is_alone else CompositeSpec(tuple(described))
    if any(part.numbers for part in parts):
        check(sees)
    activation = usual_activation(parts) if activation == "auto" else activation
    chosen = parse_activation(activation)
    parameters = activations.load(chosen.name).parameters
    numbers = numbers_of(parameters, chosen.numbers, f"the activation {chosen.name}")
    n_neurons, n_hidden_layers = network or (preset.mlp.n_neurons, preset.mlp.n_hidden_layers)
    mlp = MlpSpec(sees.n_inputs, n_neurons, n_hidden_layers, source.channels, chosen.name)
    return replace(
        preset,
        grid=sees,
        mlp=mlp,
        activation_numbers=numbers,
        levels={name: found.levels[name] for name, found in grids.items()},
        stride=min((found.stride for found in grids.values()), default=preset.stride),
    )


def check_size(grid: InputSpec, name: str) -> None:
    """SignalError for a grid larger than a file may hold, before it is fitted. name: the signal's."""
    encoding = load(grid.encoding)
    n = sum(math.prod(x) for level in range(grid.n_levels) for x in encoding.level_shapes(grid, level).values())
    longest = max((n for resolution in grid.resolutions for n in resolution), default=0)
    if n > MAX_GRID_INTEGERS or longest > MAX_RESOLUTION:
        raise SignalError(
            f"{name}: got a grid of {n} integers and {longest} vertices along an axis, expected at most "
            f"{MAX_GRID_INTEGERS} and {MAX_RESOLUTION}; cut it into parts, or give it fewer samples"
        )


def usual_activation(parts: tuple[Choice, ...]) -> str:
    """What "auto" stands for with an encoding."""
    return _ACTIVATION_OF_IDENTITY if [part.name for part in parts] == ["identity"] else "relu"


def _coordinate_preset(source: Source, lmbda: float, n_samples: int) -> Preset:
    """Without a grid the network is the whole field: as wide as its bits may be many."""
    n_samples = n_samples or math.prod(source.extent)
    if source.kind in SURFACE_KINDS:
        n_bits = _SURFACE_RATE * n_samples ** (2 / 3) * (1e-2 / lmbda) ** _RATE_SLOPE
    else:
        n_bits = _RATE[len(source.extent)] * n_samples * (1e-3 / lmbda) ** _RATE_SLOPE
    width = round(math.sqrt(n_bits / _BITS_OF_WEIGHT / (_DEPTH - 1)))
    return Preset(
        grid=CoordinateSpec("identity", len(source.extent), (), (len(source.extent),)),
        mlp=MlpSpec(len(source.extent), min(max(width, _NARROWEST), _WIDEST), _DEPTH, source.channels),
        context_neurons=0,
        context_layers=0,
        tile_edge=_TILE_EDGE[len(source.extent)],
        stride=_stride_of_network(source.extent),
        step_fine=1.0,
        step_ratio=1.0,
        lmbda=lmbda,
    )


def _stride_of_network(extent: tuple[int, ...]) -> int:
    """Of a network's samples any part will do for a step, as long as others follow: in 3-D a few thousand."""
    if len(extent) < 3:
        return 2
    n_tile = math.prod(min(n, _TILE_EDGE[len(extent)]) for n in extent)
    return max(2, round((n_tile / _BATCH) ** (1 / len(extent))))


def _grid_preset(
    source: Source, lmbda: float, part: Choice, effort: int, n_samples: int = 0, is_alone: bool = True,
    interpolation: str | None = None, boundary: tuple[str, ...] = (),
) -> Preset:  # fmt: skip
    """The preset of a grid. is_alone: whether it is all that the network sees."""
    extent, d, channels, encoding = source.extent, len(source.extent), source.channels, part.name
    n_samples = n_samples or math.prod(extent)
    small = n_samples < _SMALL
    levels = choose_levels(source, lmbda, encoding, part.numbers, small)
    n_levels = len(levels.resolutions)
    networks = _small_networks(n_samples) if small else _Networks()
    if source.kind not in SURFACE_KINDS and not small:
        networks = _networks(n_samples * (1e-3 / lmbda) ** 0.7, effort)
    ratio = 0.85 if source.kind in SURFACE_KINDS else {1: 0.75, 2: 0.67}.get(d, 0.52)
    step_fine = 2.75 * math.sqrt(lmbda * channels)
    is_halved = whole_resolution(source, lmbda) != extent
    if is_halved:
        step_fine *= ratio
    if encoding in SCATTERED:  # which are not interpolated
        interpolation, boundary = "linear", ()
    plain = encoding == "hash" or encoding in FACTORED
    interpolation = interpolation or ("linear" if plain else "cubic" if small or not is_alone else "mitchell")
    shapes = (_FIRST_SHAPE,) * (n_levels - 1) + (CATMULL_ROM,) if interpolation == "mitchell" else ()
    is_surrounded = encoding == "dense" and shapes and d == 2 and levels.resolutions[-1] == extent
    grid = GridSpec(
        encoding=encoding,
        resolutions=levels.resolutions,
        n_features=levels.n_features,
        interpolation=interpolation,
        log2_size=levels.log2_size,
        shapes=shapes,
        n_surrounded=min(_SURROUNDED, n_levels - 1) if is_surrounded else 0,
        boundary=boundary,
        joining="concatenation" if encoding == "triplane" else "",
    )
    return Preset(
        grid=grid,
        mlp=MlpSpec(grid.n_inputs, networks.n_neurons, networks.n_hidden_layers, channels),
        context_neurons=networks.context_neurons,
        context_layers=networks.context_layers,
        tile_edge=_tile_edge(d, source.kind),
        stride=2 if is_halved and levels.octaves >= 0 else 1,
        step_fine=step_fine,
        step_ratio=ratio,
        lmbda=lmbda,
        levels={encoding: levels},
    )


def with_large_tiles(preset: Preset) -> Preset:
    """The preset with tiles as a GPU wants them, and a free fit, whose networks then follow no single part of a picture."""
    return replace(preset, tile_edge=_LARGE_TILE_EDGE[preset.grid.n_dims]) if preset.stride == 1 else preset


@dataclass(frozen=True)
class _Networks:
    """Sizes of both networks."""

    n_neurons: int = 16
    n_hidden_layers: int = 2
    context_neurons: int = 16
    context_layers: int = 2


def _networks(weight: float, effort: int) -> _Networks:
    """weight: samples, times what a bit is worth; networks have to save the bytes that they take themselves."""
    if effort < _LARGER_FROM:
        return _Networks(24, 2, 24, 2) if weight > _LARGE else _Networks()
    decoder = 32 if weight > 3 * _LARGE else 24 if weight > 0.5 * _LARGE else 16
    context = 40 if weight > 1.5 * _LARGE else 32 if weight > 0.8 * _LARGE else 24
    return _Networks(decoder, 2, context, 2)


def _small_networks(n_samples: int) -> _Networks:
    """What a signal of a few thousand samples can pay for: a decoder that is linear, a context network of few neurons
    (results/tiny.tsv; spec/rationale.md)."""
    return _Networks(0, 0, 4 if n_samples <= _TINY else 8, 1)


def small_factor(n_samples: int) -> float:
    """What the weight of a bit is multiplied by: since networks have to be paid for, a dB costs more bytes in a small file,
    and at the same weight it would look worse than a large one of the same quality."""
    return 0.6 if n_samples < _SMALL else 1.0


def fixed_bytes(n_samples: int) -> int:
    """Bytes of header and networks, roughly, before the first file says better."""
    return 120 if n_samples < _SMALL else 1300


def n_tiles(extent: tuple[int, ...], tile_edge: int) -> int:
    """Tiles of a signal."""
    return math.prod(-(-n // tile_edge) for n in extent)


def tile_samples(n_dims: int, kind: str) -> int:
    """Samples of a whole tile."""
    return _tile_edge(n_dims, kind) ** n_dims


def _tile_edge(n_dims: int, kind: str) -> int:
    return _SURFACE_TILE_EDGE if kind in SURFACE_KINDS else _TILE_EDGE[n_dims]


def share_of_steps(extent: tuple[int, ...], n_tiles: int, on_gpu: bool) -> float:
    """What n_tiles larger tiles are of the steps that ordinary ones take: as many visits, but more on a GPU."""
    share = n_tiles / math.prod(-(-n // _TILE_EDGE[len(extent)]) for n in extent)
    return min(share * (_GPU_PATIENCE if on_gpu else 1), 1.0)


def is_patient(kind: str, n_steps: int, n_tiles: int) -> bool:
    """Whether a fit has the time for latents that start from nothing."""
    return kind == "image" and n_steps >= _PATIENT_VISITS * n_tiles


def n_steps(effort: int, n_tiles: float, kind: str, encoding: str) -> int:
    """Training steps; more tiles, of which the last may be a part, need more steps, but not in proportion: networks are
    shared, and patience is not."""
    if effort not in _STEPS:
        raise UsageError(f"choosing an effort: got {effort}, expected 1 to 9")
    is_surface = kind in SURFACE_KINDS
    share = min(_STEP_SHARE.get(part.name, 1.0) for part in parse_encoding(encoding))
    share *= _SURFACE_STEPS if is_surface else 1.0
    least = (_LEAST_SURFACE_STEPS if is_surface else 20) * (9 + effort) // 10  # more effort is never the same
    return max(least, round(_STEPS[effort] * (max(n_tiles, _LEAST_TILES) / 8) ** (1 / 3) * share))


def is_short(kind: str, n_steps: int, n_tiles: float) -> bool:
    """Whether a fit has no time for more than to stay near its start."""
    return n_steps < (_SHORT_SURFACE_FIT if kind in SURFACE_KINDS else _SHORT_FIT) * n_tiles


def recipe_of(kind: str, n_steps: int, n_tiles: int, encoding: str = "dense", lmbda: float = math.inf) -> dict[str, Any]:
    """Settings of `train.Recipe` that differ from its defaults.

    A short fit must not leave its good start: less noise, smaller steps. The large features of surfaces want small
    steps of the networks. Rows of hash tables, which start as means of what their vertices want, have a long way to go, and
    the longer in integer steps the smaller these are.
    """
    recipe: dict[str, Any] = {}
    if is_short(kind, n_steps, n_tiles):
        recipe.update(latent_rate=0.03, sigma=(0.1, 0.1), temperature=(0.2, 0.08))
    elif is_patient(kind, n_steps, n_tiles):
        recipe.update(network_rate=0.03, temperature=(0.3, 0.05))
    elif n_steps > _LONG_FIT:
        recipe.update(network_rate=0.01)
    if kind in SURFACE_KINDS:
        recipe.update(network_rate=0.005)
        if kind in _SLOPED_KINDS:
            recipe.update(slope=_SLOPE)
        if "latent_rate" in recipe:  # what a short fit starts from is further off than with lattices
            recipe.update(latent_rate=0.05)
    if [part.name for part in parse_encoding(encoding)] == ["hash"]:
        haste = (lmbda_of(50, kind) / lmbda) ** _HASTE
        recipe.update(latent_rate=recipe.get("latent_rate", _LATENT_RATE) * max(haste, 1.0))
    return recipe
