"""The levels of a grid: as many, as fine and with as many features as somebody asked for, else as suits the signal."""

from __future__ import annotations

import bisect
import itertools
import math
from dataclasses import dataclass

from ..encodings import load
from ..errors import UsageError
from ..header import halved
from ..limits import MAX_GRID_INTEGERS, MAX_LEVELS, MAX_LOG2_POINTS, MAX_LOG2_VERTICES
from ..spec import SURFACE_KINDS, GridSpec, InputSpec
from .source import Source

__all__ = ["Levels", "check", "choose_levels", "coarser", "halves", "whole_resolution"]

_COARSEST = {1: 16, 2: 12, 3: 6, 4: 4}  # vertices along the longest axis, at which levels no longer halve
_COARSEST_OF_SMALL = {1: 32, 2: 16, 3: 8, 4: 4}
_FINEST_MESH = 16  # vertices of a lattice along its longest axis that a mesh's vertices lie at
# levels and features of each of encodings of factors, of which more would be 0 for most signals
FACTORED = {"triplane": (4, 4), "kplanes": (4, 4), "cp": (3, 16), "vm": (2, 8)}
_N_LUMA = 2  # finest levels of a picture without colour; of a film one, whose next has an eighth of the samples
_COLOUR_PAYS = 5e-5  # lmbda from which colour has less detail
_SHORT_AXIS = 8
_DETAIL = 0.5  # bits a sample that what half the resolution leaves may weigh in a volume, before it gets all of it


@dataclass(frozen=True)
class Levels:
    """Of a grid. resolutions, n_features, log2_size: as in `GridSpec`. octaves: by how many halvings its finest level is
    coarser than it would be if nobody had asked for another. most: points or vertices of a level, if somebody asked."""

    resolutions: tuple[tuple[int, ...], ...]
    n_features: tuple[int, ...]
    log2_size: int
    octaves: float
    most: int | None


def whole_resolution(source: Source, lmbda: float) -> tuple[int, ...]:
    """Vertices of the finest level, unless somebody asks for others."""
    extent = source.extent
    if len(extent) >= 3 and (source.kind in SURFACE_KINDS or source.detail < _DETAIL * lmbda):
        # of few samples, such as the frames of a short film, each counts
        return tuple(n if n < _SHORT_AXIS else half for n, half in zip(extent, halved(extent)))
    return extent


def choose_levels(source: Source, lmbda: float, encoding: str, numbers: dict[str, float], is_small: bool) -> Levels:
    """The levels of an encoding of grids for a source and a weight of bits. numbers: as of `choice.Choice`, within their
    limits. is_small: of few samples. UsageError."""
    whole, d, numbers = whole_resolution(source, lmbda), len(source.extent), {k: int(x) for k, x in numbers.items()}
    if encoding == "mesh":
        while max(whole) > _FINEST_MESH:
            whole = halved(whole)
    usual_levels, usual_features = FACTORED.get(encoding, (None, None))
    coarsest = (_COARSEST_OF_SMALL if is_small else _COARSEST)[d]
    resolutions = _resolutions(whole, coarsest, usual_levels, numbers, encoding)
    if "n_features" in numbers or usual_features or encoding == "mesh":
        n_features = [numbers.get("n_features", usual_features or source.channels)] * len(resolutions)
    else:
        n_features = _usual_features(source, lmbda, resolutions, whole)
    most = numbers.get("n_points", numbers.get("n_vertices"))
    usual_sizes = {"hash": 14 if d == 2 else 16, "codebook": 6, "points": MAX_LOG2_POINTS, "mesh": MAX_LOG2_VERTICES}
    log2_size = numbers.get("log2_size", usual_sizes.get(encoding, 0)) if most is None else (most - 1).bit_length()
    octaves = math.log2(max(whole) / max(resolutions[-1]))
    return Levels(tuple(resolutions), tuple(n_features), log2_size, octaves, most)


def _resolutions(
    whole: tuple[int, ...], coarsest: int, n_levels: int | None, numbers: dict[str, int], encoding: str
) -> list[tuple[int, ...]]:
    """Coarse first: they halve, but where the coarsest one is asked for grow by equal factors from there. whole, coarsest:
    of the finest level and of the coarsest one along its longest axis, usually; n_levels: None for as many as there are
    between them."""
    where = f"choosing the encoding {encoding}"
    finest = _scaled(whole, numbers.get("finest", max(whole)))
    first = numbers.get("coarsest", coarsest)
    if "coarsest" in numbers and first > max(finest):
        raise UsageError(f"{where}: got coarsest {first}, expected at most the finest, which is {max(finest)}")
    halving = [finest]
    n_asked = numbers.get("n_levels")
    while max(halving[0]) > (first if n_asked is None or "coarsest" in numbers else 1):
        halving.insert(0, halved(halving[0]))
    if "coarsest" not in numbers:
        if n_asked is not None and n_asked > len(halving):
            raise UsageError(
                f"{where}: got n_levels {n_asked}, expected 1 to {len(halving)}, as levels halve from {max(finest)} "
                "vertices to one; more of them with coarsest, from which they grow by a smaller factor"
            )
        return halving[-(n_asked or n_levels or len(halving)) :]
    n = n_asked or min(n_levels or len(halving), len(halving))
    if n == 1 and first < max(finest):
        raise UsageError(f"{where}: got coarsest {first} for a single level, expected 2 levels or more, or finest alone")
    return _growing(first, finest, n)


def _growing(coarsest: int, finest: tuple[int, ...], n_levels: int) -> list[tuple[int, ...]]:
    """Resolutions whose longest axis has floor(coarsest * b^l) vertices on level l, to `finest` on the last (Mueller et al.
    2022, equations 2 and 3); by integers, which no rounding moves."""
    last, most = n_levels - 1, max(finest)
    found = []
    for level in range(last):
        power = coarsest ** (last - level) * most**level  # the size to the power of `last`
        found.append(_scaled(finest, bisect.bisect_right(range(most + 1), power, key=lambda n: n**last) - 1))
    return [*found, finest]


def _scaled(resolution: tuple[int, ...], longest: int) -> tuple[int, ...]:
    """A resolution with so many vertices along its longest axis, and along the others in proportion."""
    most = max(resolution)
    return tuple(max((2 * n * longest + most) // (2 * most), 1) for n in resolution)


def _usual_features(
    source: Source, lmbda: float, resolutions: list[tuple[int, ...]], whole: tuple[int, ...]
) -> list[int]:
    n_features = [source.channels] * len(resolutions)
    if len(resolutions) == 1:
        return n_features
    if source.roles:
        # a rim needs less detail than the surface, and so does colour beside its luma
        n_features[-1] = 2 if source.is_color else 1
    elif source.is_color and lmbda > _COLOUR_PAYS:
        # luma (and alpha) alone on the finest levels: colour is kept at a quarter of the resolution, in films at half
        colour = whole
        for _ in range(_N_LUMA if len(whole) < 3 else 1):
            colour = halved(colour)
        n_luma = min(sum(max(r) > max(colour) for r in resolutions), len(resolutions) - 1)
        n_features[len(n_features) - n_luma :] = [source.channels - 2] * n_luma
    return n_features


def halves(grid: GridSpec) -> bool:
    """Whether each level has half the vertices of the next, as `prior` knows them."""
    return all(coarse == halved(fine) for coarse, fine in itertools.pairwise(grid.resolutions))


def coarser(grid: GridSpec) -> list[float]:
    """By how many halvings each level is coarser than the finest."""
    found = [0.0]
    for coarse, fine in reversed(list(itertools.pairwise(grid.resolutions))):
        step = 1.0 if coarse == halved(fine) else math.log2(math.prod(fine) / math.prod(coarse)) / grid.n_dims
        found.insert(0, found[0] + step)
    return found


def check(sees: InputSpec) -> None:
    """UsageError where a file or the fit cannot hold what somebody asked for."""
    if sees.n_levels > MAX_LEVELS:
        raise UsageError(
            f"choosing the encoding {sees.encoding}: got {sees.n_levels} levels of all, expected at most {MAX_LEVELS}"
        )
    for part in sees.parts:
        if not isinstance(part, GridSpec):
            continue
        kind = load(part.encoding)
        held = sum(math.prod(shape) for k in range(part.n_levels) for shape in kind.level_shapes(part, k).values())
        # where a fit starts from is as large as the lattices
        laid_out = sum(math.prod(r) * f for r, f in zip(part.resolutions, part.n_features))
        if max(held, laid_out) > MAX_GRID_INTEGERS:
            raise UsageError(
                f"choosing the encoding {part.encoding}: got {max(held, laid_out):,} features over all levels, expected at "
                f"most {MAX_GRID_INTEGERS:,}: lower finest, n_levels or n_features"
            )
