"""GeoTIFF: where a raster lies on the earth, and which of its samples hold nothing.

The tags of OGC 19-008r4 (GeoTIFF 1.1) are kept as they are, and their raster positions follow a change of the lattice. What
they mean, which projection, datum and units, is for GDAL and its kind. meta["geotiff"] has, where the file has them:

    keys            GeoKeyDirectory, integers; doubles, ascii: GeoDoubleParams, GeoAsciiParams, which it points into
    scale           ModelPixelScale: x, y, z of a sample
    tiepoints       ModelTiepoint: i, j, k of the raster, x, y, z of the model, and so on
    transformation  ModelTransformation: 4 rows of 4
    nodata          GDAL_NODATA, text; metadata: GDAL_METADATA, XML

Samples that hold nothing, NaN or of the value `nodata`, become 0 in a last channel of alpha, which is else `opaque`: all
that is done for pictures with holes is done for them.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

__all__ = ["find_holes", "make_holes", "read_tags", "rescaled", "tags_of"]

_CODES = {
    "keys": 34735, "doubles": 34736, "ascii": 34737, "scale": 33550, "tiepoints": 33922, "transformation": 34264,
    "nodata": 42113, "metadata": 42112,
}  # fmt: skip
_DOUBLES = {"doubles": 1, "scale": 3, "tiepoints": 6, "transformation": 16}  # of so many numbers each, or multiples
_DOUBLE, _SHORT, _ASCII = 12, 3, 2  # types of TIFF 6.0, section 2
_RPC = 50844
MAX_TEXT = 1 << 16
_RASTER_TYPE, _POINT = 1025, 2  # the GeoKey GTRasterType and its value RasterPixelIsPoint


def read_tags(page: Any, name: str) -> dict[str, Any]:
    """Of a page of tifffile what a GeoTIFF says, {} for other files."""
    found = {}
    for key, code in _CODES.items():
        tag = page.tags.get(code)
        value = None if tag is None else tag.value
        if key == "keys" and isinstance(value, tuple):
            found[key] = [int(v) for v in value]
        elif key in _DOUBLES and isinstance(value, (tuple, float)):
            found[key] = [float(v) for v in np.atleast_1d(value)]
        elif key in ("ascii", "nodata", "metadata") and isinstance(value, str):
            if len(value) > MAX_TEXT:
                text = f"its {key} of {len(value)} characters are not kept, the limit is {MAX_TEXT}"
                warnings.warn(f"{name}: {text}", stacklevel=2)
                continue
            found[key] = value.rstrip("\0")
    sound = {key: value for key, value in found.items() if key not in _DOUBLES or _doubles(found, key)}
    for key in found.keys() - sound.keys():
        warnings.warn(f"{name}: its GeoTIFF tag {key} is malformed and not kept", stacklevel=2)
    if sound and page.tags.get(_RPC) is not None:
        warnings.warn(f"{name}: its rational polynomial coefficients are not kept", stacklevel=2)
    return sound


def tags_of(meta: dict[str, Any]) -> list[tuple]:
    """As `extratags` of tifffile what meta["geotiff"] holds; it may come from a file that nobody vouches for."""
    geo = meta.get("geotiff") if isinstance(meta.get("geotiff"), dict) else {}
    tags = []
    for key, code in _CODES.items():
        value = geo.get(key)
        if key in _DOUBLES and (numbers := _doubles(geo, key)):
            tags.append((code, _DOUBLE, len(numbers), tuple(numbers), True))
        elif key == "keys" and _keys(geo):
            tags.append((code, _SHORT, len(value), tuple(value), True))
        elif key in ("ascii", "nodata", "metadata") and isinstance(value, str) and value.isascii() and "\0" not in value:
            tags.append((code, _ASCII, len(value) + 1, value, True))
    return tags


def rescaled(geo: Any, start: tuple[float, float], step: tuple[float, float]) -> Any:
    """meta["geotiff"] of a lattice whose sample edges at (column, row) q are at start + step * q of the former lattice.

    start, step: of the columns and of the rows. Raster positions count from the first sample's corner, or, with
    RasterPixelIsPoint, from its centre (OGC 19-008r4, section 7.1.5).
    """
    if not isinstance(geo, dict):
        return geo
    geo = dict(geo)
    if _is_point(geo):
        start = tuple(a + s / 2 - 0.5 for a, s in zip(start, step))
    scale, points, matrix = (_doubles(geo, key) for key in ("scale", "tiepoints", "transformation"))
    if scale:
        geo["scale"] = [scale[0] * step[0], scale[1] * step[1], scale[2]]
    if points:
        moved = np.array(points).reshape(-1, 6)
        for k in range(2):
            if scale:  # the point stays at its place of the raster, which is somewhere else now
                sign = 1 if k == 0 else -1
                moved[:, 3 + k] += sign * scale[k] * (start[k] + step[k] * moved[:, k] - moved[:, k])
            else:  # ground control points stay where they are in the world
                moved[:, k] = (moved[:, k] - start[k]) / step[k]
        geo["tiepoints"] = moved.ravel().tolist()
    if matrix:
        index = np.diag([*step, 1.0, 1.0])
        index[:2, 3] = start
        geo["transformation"] = (np.array(matrix).reshape(4, 4) @ index).ravel().tolist()
    return geo


def find_holes(array: np.ndarray, geo: dict[str, Any], white: float | None) -> tuple[np.ndarray, float] | None:
    """array (H, W) or (H, W, C) -> the same with holes filled and a last channel of alpha, 0 in holes and `opaque`
    elsewhere; None without holes. A hole is where all channels are NaN or `nodata`.

    opaque: `white`, or without it the range of the values, so that a guaranteed error below half of it keeps every hole.
    """
    bands = array if array.ndim == 3 else array[..., None]
    nodata = _nodata(geo)
    holes = np.zeros(bands.shape[:2], bool)
    if bands.dtype.kind == "f":
        holes |= np.isnan(bands).all(-1)
    if nodata is not None and not math.isnan(nodata):
        holes |= (bands == nodata).all(-1)
    if not holes.any() or holes.all():
        return None
    known = bands[~holes]
    low, high = float(known.min()), float(known.max())
    if not (math.isfinite(low) and math.isfinite(high)):
        return None
    opaque = max(high - low, 1.0) if white is None else white
    if bands.dtype.kind in "iu":
        opaque = float(min(math.ceil(opaque), np.iinfo(bands.dtype).max))
    filled = np.where(holes[..., None], np.median(known, axis=0).astype(bands.dtype), bands)
    alpha = np.where(holes, 0, opaque).astype(bands.dtype)
    return np.concatenate([filled, alpha[..., None]], -1), opaque


def make_holes(values: np.ndarray, meta: dict[str, Any], opaque: float) -> tuple[np.ndarray, dict[str, Any]]:
    """(H, W, C + 1) with alpha -> (H, W, C) with what stands for nothing where alpha is below half of `opaque`, and the
    meta of that. Where the dtype has no such value its least one does, or NaN."""
    bands, holes = values[..., :-1].copy(), values[..., -1].astype(np.float64) < opaque / 2
    geo = dict(meta.get("geotiff") or {})
    nodata = _nodata(geo)
    if bands.dtype.kind == "f":
        nothing = math.nan if nodata is None else nodata
    else:
        limits = np.iinfo(bands.dtype)
        fits = nodata is not None and nodata.is_integer() and limits.min <= nodata <= limits.max
        nothing = int(nodata) if fits else int(limits.min)
        if not fits:
            geo["nodata"] = str(nothing)
        # a sample that is there must not say that it is not
        equal = (bands == nothing).all(-1) & ~holes
        bands[equal] = nothing + 1 if nothing < limits.max else nothing - 1
    bands[holes] = nothing
    axes = str(meta.get("axes", "")).removesuffix("c") if bands.shape[-1] == 1 else meta.get("axes")
    return bands, {**meta, "geotiff": geo, "axes": axes, "alpha": False}


def _nodata(geo: dict[str, Any]) -> float | None:
    """The value that stands for nothing, NaN among them."""
    try:
        value = float(geo["nodata"])
    except (KeyError, TypeError, ValueError):
        return None
    return None if math.isinf(value) else value


def _doubles(geo: dict[str, Any], key: str) -> list[float] | None:
    """Finite numbers, as many as their tag has."""
    value = geo.get(key)
    if not isinstance(value, list) or not value or len(value) % _DOUBLES[key] or len(value) > MAX_TEXT:
        return None
    if key in ("scale", "transformation") and len(value) != _DOUBLES[key]:
        return None
    good = all(isinstance(v, (int, float)) and not isinstance(v, bool) and math.isfinite(v) for v in value)
    return [float(v) for v in value] if good else None


def _keys(geo: dict[str, Any]) -> list[int] | None:
    """The GeoKeyDirectory: 4 shorts of a header, 4 of each key."""
    value = geo.get("keys")
    good = isinstance(value, list) and 4 <= len(value) <= MAX_TEXT and len(value) % 4 == 0
    return value if good and all(type(v) is int and 0 <= v < 1 << 16 for v in value) else None


def _is_point(geo: dict[str, Any]) -> bool:
    """Whether samples are points, not areas."""
    keys = _keys(geo) or []
    return any(keys[k : k + 4] == [_RASTER_TYPE, 0, 1, _POINT] for k in range(4, len(keys), 4))
