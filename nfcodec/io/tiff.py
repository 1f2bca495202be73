"""TIFF through tifffile: one page is an image (any dtype, 1 to 16 channels), several pages are a volume.

Axes come from ImageJ or tifffile metadata where there is any; pages without a word about them are z. Colour models
other than grey, RGB and palette (CMYK, YCbCr) are converted by pillow. Alpha comes out straight whatever the file holds.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from nfcodec.errors import MissingExtraError, SignalError, UsageError
from nfcodec.spec import Signal

from . import geotiff
from .image import apply_orientation, colour_meta, icc_profile_of, read_with_pillow, scale_bits, straight_colours
from .lattice import check_shape, new_signal, tidy, to_array
from .placement import number, numbers, spacing_of

__all__ = ["read", "write"]

_MINISWHITE, _MINISBLACK, _RGB, _PALETTE = 0, 1, 2, 3
_ASSOCIATED = 1
_ALPHA_SAMPLES = (_ASSOCIATED, 2)  # and unassociated
_PER_UNIT = {2: "inch", 3: "cm"}  # of the tag ResolutionUnit


def _tifffile(what: str):
    try:
        import tifffile
    except ImportError as err:
        raise MissingExtraError.of("tifffile", "encode", what) from err
    return tifffile


def read(path: Path, format: str) -> Signal:
    """A signal of kind "image" for one page, "volume" for a stack; values in the file's dtype."""
    tifffile = _tifffile("reading TIFF")
    with _complaints() as complaints, tifffile.TiffFile(path) as file:
        series = file.series[0]
        lost = [text for text in complaints if "invalid page offset" in text or "corrupted" in text]
        if lost:
            raise SignalError(
                f"reading {path.name!r}: pages are missing or damaged ({lost[0][:120]}); copy or export the file again"
            )
        if len(file.series) > 1:
            warnings.warn(f"{path.name}: only the first of {len(file.series)} image series is read", stacklevel=2)
        page = series.keyframe
        if int(page.photometric) not in (_MINISWHITE, _MINISBLACK, _RGB, _PALETTE):
            if series.dtype != np.uint8:
                raise SignalError(
                    f"reading {path.name!r}: got {page.photometric.name} of {series.dtype}, expected grey or RGB at this "
                    "depth; convert it to RGB"
                )
            return read_with_pillow(path, format)
        if series.dtype is None:
            raise SignalError(
                f"reading {path.name!r}: got a TIFF sample type that numpy has not; convert it to 8, 16 or 32 bits"
            )
        check_shape(path.name, tuple(series.shape), series.dtype)
        array, axes = _named_axes(series.asarray(), series.axes)
        stack = "z" in axes or "t" in axes
        meta = _resolution(file, page, stack)
        array, axes = _plain_colours(path.name, array, axes, page, meta, stack)
        geo = {} if stack else geotiff.read_tags(page, path.name)
    if stack:
        return new_signal(path.name, format, array, axes, "volume", meta)
    orientation = _tag(page, "Orientation") or 1
    if orientation in range(2, 9):
        if axes == "cyx":
            array, axes = np.moveaxis(array, 0, -1), "yxc"
        array = apply_orientation(array, orientation)
        meta["orientation"] = int(orientation)
        if orientation >= 5 and "dpi" in meta:
            meta["dpi"] = meta["dpi"][::-1]
    if geo:
        array, axes = _georeferenced(array, axes, geo, int(page.photometric) == _RGB, meta)
    return new_signal(path.name, format, array, axes, "image", meta)


def _georeferenced(
    array: np.ndarray, axes: str, geo: dict[str, Any], is_rgb: bool, meta: dict[str, Any]
) -> tuple[np.ndarray, str]:
    """A raster of the earth: its holes as alpha, its tags in meta. What is not RGB, and of more than 8 bits or has holes,
    is no picture."""
    meta["geotiff"] = geo
    if axes == "cyx":
        array, axes = np.moveaxis(array, 0, -1), "yxc"
    if not is_rgb and (array.dtype != np.uint8 or "nodata" in geo):
        meta["quantity"] = "measurement"
        meta.pop("colour_space", None)
    if meta.get("alpha") is not True:
        white = float(np.iinfo(array.dtype).max) if array.dtype.kind in "iu" else 1.0
        found = geotiff.find_holes(array, geo, None if "quantity" in meta else white)
        if found is not None:
            (array, meta["opaque"]), axes, meta["alpha"] = found, "yxc", True
    return array, axes


@contextmanager
def _complaints() -> Iterator[list[str]]:
    """Collects what tifffile logs: of a file cut short it returns the pages that are left and only logs the loss."""
    texts: list[str] = []
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: texts.append(record.getMessage())
    logger = logging.getLogger("tifffile")
    propagate, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield texts
    finally:
        logger.removeHandler(handler)
        logger.propagate = propagate


def _named_axes(array: np.ndarray, axes: str) -> tuple[np.ndarray, str]:
    """tifffile's letters to ours: S and C are channels, T is time, any other becomes the first of z, t that is free."""
    names: list[str] = []
    for i in reversed(range(array.ndim)):
        letter = axes[i].lower()
        if letter == "s":
            letter = "c"
        if letter not in "tzyxc" or letter in names:
            # an axis of one sample carries nothing but its name
            if array.shape[i] == 1:
                array = array.squeeze(i)
                continue
            letter = next((free for free in "zt" if free not in names and free.upper() not in axes), "?")
        names.append(letter)
    return array, "".join(reversed(names))


def _plain_colours(
    name: str, array: np.ndarray, axes: str, page: Any, meta: dict[str, Any], stack: bool
) -> tuple[np.ndarray, str]:
    """Palette, inverted and odd-depth samples as plain ones; notes what was done in meta."""
    photometric = int(page.photometric)
    bits = page.bitspersample if isinstance(page.bitspersample, int) else page.bitspersample[0]
    if photometric == _PALETTE and page.colormap is not None:
        colours = (np.asarray(page.colormap) >> 8).astype(np.uint8).T  # (entries, 3); TIFF 6.0 states 16 bits
        array, axes = colours[array], axes + "c"
        meta["palette"] = True
    elif array.dtype.kind == "b" and not stack:
        array = array.astype(np.uint8) * np.uint8(255)
        meta["bit_depth"] = 1
    elif array.dtype.kind == "u" and not stack and bits < 8 * array.dtype.itemsize:
        array = scale_bits(array, bits, array.dtype.type)
        meta["bit_depth"] = int(bits)
    if photometric == _MINISWHITE and array.dtype.kind in "bu":
        array = ~array
    if not stack:
        channels = array.shape[axes.index("c")] if "c" in axes else 1
        if channels in (2, 4):
            samples = [int(sample) for sample in page.extrasamples]
            meta["alpha"] = any(sample in _ALPHA_SAMPLES for sample in samples)
            if _ASSOCIATED in samples:
                array = np.moveaxis(straight_colours(np.moveaxis(array, axes.index("c"), -1)), -1, axes.index("c"))
                meta["premultiplied"] = True
        profile = _tag(page, "InterColorProfile")
        if profile or array.dtype in (np.uint8, np.uint16):
            # floats and other integers without a profile are measurements as often as colours: nothing is claimed
            meta.update(colour_meta(profile, name))
    return array, axes


def _tag(page: Any, name: str) -> Any:
    tag = page.tags.get(name)
    return None if tag is None else tag.value


def _resolution(file: Any, page: Any, stack: bool) -> dict[str, Any]:
    """dpi of an image, or spacing, units and time step of a stack as far as they are stated."""
    per_unit = []
    for name in ("YResolution", "XResolution"):
        value = _tag(page, name)
        is_ratio = isinstance(value, tuple) and len(value) == 2 and value[0] and value[1]
        per_unit.append(value[0] / value[1] if is_ratio else 0.0)
    unit = _PER_UNIT.get(int(_tag(page, "ResolutionUnit") or 1))
    if not stack:
        if unit is None or not all(per_unit):
            return {}
        factor = 2.54 if unit == "cm" else 1.0
        return {"dpi": [round(per_unit[1] * factor, 3), round(per_unit[0] * factor, 3)]}

    described = file.imagej_metadata or (file.shaped_metadata or ({},))[0] or {}
    meta: dict[str, Any] = {}
    if file.is_imagej:
        depth = number(described.get("spacing"))
        if all(per_unit) and (depth or described.get("unit")):
            meta["spacing"] = [depth or 1.0, *(round(1 / n, 9) for n in per_unit)]
        if number(described.get("finterval")):
            meta["time_step"] = described["finterval"]
    else:
        spacing = numbers(described.get("spacing"), 3)
        if spacing:
            meta["spacing"] = [tidy(step) for step in spacing]
        if number(described.get("time_step")):
            meta["time_step"] = described["time_step"]
    if isinstance(described.get("unit"), str) and described["unit"] not in ("", "pixel", "null"):
        # ImageJ writes the micrometre sign escaped
        meta["units"] = "um" if described["unit"] in ("\\u00B5m", "\u00b5m", "micron") else described["unit"]
    return meta


def write(path: Path, values: np.ndarray, meta: dict[str, Any], format: str, name: str) -> None:
    """Write (H, W, C) as one deflated page, (Z, Y, X, C) and (T, Z, Y, X, C) as a stack; `name` is for messages."""
    tifffile = _tifffile("writing TIFF")
    n_dims = values.ndim - 1
    if n_dims == 1:
        raise UsageError(f"writing {name!r}: TIFF holds 2 axes and more, got shape {values.shape[:-1]}; write .npy")
    opaque = number(meta.get("opaque"))
    if n_dims == 2 and values.shape[-1] > 1 and opaque:
        values, meta = geotiff.make_holes(values, meta, opaque)
    channels = values.shape[-1]
    array, axes = to_array(values, meta)
    is_measurement = meta.get("quantity") == "measurement"
    colours = channels in (3, 4) and not is_measurement and array.dtype.kind in "uf" and (n_dims == 2 or channels == 3)
    options: dict[str, Any] = {"photometric": "rgb" if colours else "minisblack", "metadata": None}
    n_extra = channels - (3 if colours else 1)
    if n_extra > 0:
        alpha = meta.get("alpha", n_dims == 2 and channels in (2, 4)) is True
        options["extrasamples"] = ["unassalpha"] if alpha and n_extra == 1 else ["unspecified"] * n_extra
    if channels > 1 or axes.endswith("c"):
        options["planarconfig"] = "contig"
    if n_dims == 2:
        options["compression"] = "zlib"
        dpi = numbers(meta.get("dpi"), 2)
        if dpi and min(dpi) > 0:
            options.update(resolution=(dpi[0], dpi[1]), resolutionunit="inch")
        profile = icc_profile_of(meta)
        if profile:
            options["iccprofile"] = profile
        options["extratags"] = geotiff.tags_of(meta)
    else:
        options.update(_stack_options(array, axes, meta, n_dims))
    tifffile.imwrite(path, array, **options)


def _stack_options(array: np.ndarray, axes: str, meta: dict[str, Any], n_dims: int) -> dict[str, Any]:
    """Spacing and axes, as ImageJ understands them where it holds the dtype, else as tifffile's own description."""
    spacing = spacing_of(meta, n_dims)
    described: dict[str, Any] = {"axes": axes.upper().replace("C", "S")}
    if isinstance(meta.get("units"), str) and meta["units"].isascii():
        described["unit"] = meta["units"]
    if array.dtype in (np.uint8, np.uint16, np.float32) and not axes.endswith("c"):
        options: dict[str, Any] = {"imagej": True, "metadata": described}
        if spacing:
            described["spacing"] = spacing[0]
            options["resolution"] = (1 / spacing[-1], 1 / spacing[-2])
            described.setdefault("unit", "pixel")
        if number(meta.get("time_step")):
            described["finterval"] = meta["time_step"]
        return options
    if spacing:
        described["spacing"] = spacing
    if number(meta.get("time_step")):
        described["time_step"] = meta["time_step"]
    return {"metadata": described}
