"""What callers of a field may ask for, checked: coordinates, levels, regions and shapes; UsageError for others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .casting import short
from .errors import UsageError
from .regions import Region
from .spec import FieldSpec

__all__ = ["axes", "coordinates", "n_levels", "region_of", "shape_of", "world_points"]


def coordinates(coords: Any, n_dims: int) -> np.ndarray:
    """Coordinates (N, d), float64."""
    coords = _finite(coords, 2, "sampling", f"(N, {n_dims})")
    if coords.shape[1] != n_dims:
        raise UsageError(f"sampling: got coordinates of shape {coords.shape}, expected (N, {n_dims})")
    return coords


def axes(found: Sequence[Any], n_dims: int) -> list[np.ndarray]:
    """Coordinates (M,) along each axis of a lattice, float64."""
    if len(found) != n_dims:
        raise UsageError(f"sampling a lattice: got {len(found)} axes, expected {n_dims}")
    return [_finite(axis, 1, "sampling", "(M,) for each axis") for axis in found]


def world_points(points: Any, what: str) -> np.ndarray:
    """World points (N, 3), float64. what: is done with them."""
    array = _finite(points, 2, what, "(N, 3)")
    if array.shape[1] != 3:
        raise UsageError(f"{what}: got points of shape {array.shape}, expected (N, 3)")
    return array


def _finite(numbers: Any, n_axes: int, what: str, expected: str) -> np.ndarray:
    try:
        array = np.asarray(numbers)
        sound = array.dtype.kind in "biuf" and array.ndim == n_axes
    except ValueError:  # lists of uneven lengths
        sound = False
    if not sound:
        raise UsageError(f"{what}: got {short(numbers)}, expected real coordinates of shape {expected}")
    array = array.astype(np.float64, copy=False)
    if not np.isfinite(array).all():
        raise UsageError(f"{what}: got coordinates that are not finite, expected numbers")
    return array


def n_levels(level: int | None, n_present: int) -> int:
    """How many levels are those up to `level`, all that are present without one."""
    if level is None:
        return n_present
    if not _is_integer(level) or not 0 <= level < n_present:
        raise UsageError(f"choosing a level: got {level}, expected 0 (coarsest) to {n_present - 1}")
    return int(level) + 1


def region_of(region: Region | None, n_dims: int) -> list[tuple[float, float]]:
    """Fractions (start, stop) of each axis, the whole without a region."""
    if region is None:
        return [(0.0, 1.0)] * n_dims
    try:
        pairs = [tuple(map(float, pair)) for pair in region]
    except (TypeError, ValueError):
        pairs = []
    if len(pairs) != n_dims or any(len(p) != 2 or not 0 <= p[0] < p[1] <= 1 for p in pairs):
        raise UsageError(f"choosing a region: got {region}, expected {n_dims} pairs of start < stop in [0, 1]")
    return pairs


def shape_of(spec: FieldSpec, shape, scale, resolution, region: list[tuple[float, float]]) -> tuple[int, ...]:
    """Samples along each axis of a lattice over a region, from the one of the three that is given: see `Field.decode`."""
    n_dims, longest = spec.n_dims, max(spec.extent)
    if sum(x is not None for x in (shape, scale, resolution)) > 1:
        raise UsageError("decoding: got more than one of shape, scale and resolution, expected one at most")
    if shape is not None:
        out = tuple(shape) if np.iterable(shape) else (shape,)
        if len(out) != n_dims or not all(_is_integer(n) and n >= 1 for n in out):
            raise UsageError(f"decoding: got shape {short(shape)}, expected {n_dims} positive integers")
        return tuple(map(int, out))
    try:
        one = 1.0 if scale is None else scale
        factors = [float(x) for x in (one if np.iterable(one) else [one] * n_dims)]
        if resolution is not None:
            factors = [float(resolution) / longest] * n_dims
    except (TypeError, ValueError):
        raise UsageError(f"decoding: got scale {scale}, resolution {resolution}, expected a number") from None
    if len(factors) != n_dims:
        raise UsageError(f"decoding: got {len(factors)} scales, expected one or {n_dims}, an axis each")
    if not all(0 < x and x * longest < 1 << 53 for x in factors):
        expected = "a positive number, and what fits memory"
        raise UsageError(f"decoding: got a scale of {scale or factors[0]}, expected {expected}")
    return tuple(max(1, round(n * (b - a) * x)) for n, (a, b), x in zip(spec.extent, region, factors))


def _is_integer(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)
