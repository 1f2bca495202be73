"""NPY, NPZ, RAW and NRRD: arrays without, and with, a header about space.

A 2-D array is a volume of 2 axes unless the caller says `kind="image"`. Channels are told by axes="zyxc" or by NRRD's kinds
field, never guessed from an axis of length 3.
"""

from __future__ import annotations

import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from nfcodec.errors import MissingExtraError, SignalError, UsageError
from nfcodec.spec import Signal

from .lattice import check_shape, new_signal, tidy, to_array
from .placement import affine_of, number, numbers, spacing_of

__all__ = [
    "choose",
    "read_npy",
    "read_npz",
    "read_nrrd",
    "read_raw",
    "write_npy",
    "write_npz",
    "write_nrrd",
    "write_raw",
]


# ---- numpy's formats


def read_npy(path: Path, format: str, axes: str | None = None) -> Signal:
    """A volume from an .npy file; nothing in it is ever unpickled."""
    # mapped, so that the shape is checked before the samples are read
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if not isinstance(array, np.ndarray):
        raise SignalError(f"reading {path.name!r}: expected one array in NPY format; rename an archive to .npz")
    check_shape(path.name, array.shape, array.dtype)
    return new_signal(path.name, format, np.array(array), axes, "volume", {})


def read_npz(path: Path, format: str, dataset: str | None = None, axes: str | None = None) -> Signal:
    """A volume from one array of an .npz archive: the one named `dataset`, else the only or largest suitable one."""
    headers = {}
    with zipfile.ZipFile(path) as archive:
        for entry in archive.namelist():
            if entry.endswith(".npy"):
                with archive.open(entry) as file:
                    headers[entry.removesuffix(".npy")] = _npy_header(file)
    name = choose(path.name, headers, dataset)
    check_shape(path.name, *headers[name])
    with np.load(path, allow_pickle=False) as archive:
        array = archive[name]
    return new_signal(path.name, format, array, axes, "volume", {"npz": name})


def _npy_header(file: Any) -> tuple[tuple[int, ...], np.dtype]:
    version = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, dtype = read_header(file)
    return shape, dtype


def choose(file: str, arrays: dict[str, tuple[tuple[int, ...], np.dtype]], name: str | None) -> str:
    """The array to read among name -> (shape, dtype): the one asked for, else the largest numeric one of 2 to 5 axes.

    Raises UsageError for a name that is not there or if several are largest, SignalError if none is suitable.
    """
    if name is not None:
        for candidate in (name, name.strip("/")):
            if candidate in arrays:
                return candidate
        raise UsageError(f"reading {file!r}: got no dataset {name!r}, expected one of {_names(arrays)}")
    sizes = {
        key: math.prod(shape) for key, (shape, dtype) in arrays.items() if dtype.kind in "biuf" and 2 <= len(shape) <= 5
    }
    if not sizes:
        raise SignalError(
            f"reading {file!r}: found no numeric array of 2 to 5 axes among {_names(arrays)}; store one or name it"
        )
    largest = [key for key, size in sizes.items() if size == max(sizes.values())]
    if len(largest) > 1:
        raise UsageError(f"reading {file!r}: several arrays are equally large; name one with dataset: {_names(largest)}")
    return largest[0]


def _names(names: Any) -> str:
    names = sorted(names)
    shown = ", ".join(repr(n) for n in names[:8])
    return (shown + (f" and {len(names) - 8} more" if len(names) > 8 else "")) or "no arrays"


def write_npy(path: Path, values: np.ndarray, meta: dict[str, Any], format: str, name: str) -> None:
    """The array as it is, the channel axis last if there is one; NPY has no place for meta."""
    np.save(path, to_array(values, meta)[0], allow_pickle=False)


def write_npz(path: Path, values: np.ndarray, meta: dict[str, Any], format: str, name: str) -> None:
    """The array under its former name ("volume" if it had none), with "spacing" beside it where known."""
    key = meta.get("npz")
    arrays = {key if isinstance(key, str) and key.isidentifier() and key != "file" else "volume": to_array(values, meta)[0]}
    spacing = spacing_of(meta, values.ndim - 1)
    if spacing and "spacing" not in arrays:
        arrays["spacing"] = np.array(spacing)
    np.savez_compressed(path, **arrays)


# ---- bare samples


def read_raw(path: Path, format: str, shape: Any = None, dtype: Any = None, axes: str | None = None) -> Signal:
    """A volume from bare samples, C order: shape in the order of `axes`, dtype default uint8; the size must fit exactly."""
    if shape is None:
        raise UsageError(f"reading {path.name!r}: bare samples have no header; pass shape (such as 128x256x256) and dtype")
    try:
        shape = tuple(int(n) for n in shape)
        dtype = np.dtype(dtype if dtype is not None else np.uint8)
    except (TypeError, ValueError) as err:
        raise UsageError(
            f"reading {path.name!r}: got shape {shape!r} and dtype {dtype!r}, expected whole numbers and a numpy dtype"
        ) from err
    check_shape(path.name, shape, dtype)
    expected = math.prod(shape) * dtype.itemsize
    got = path.stat().st_size
    if got != expected:
        raise SignalError(
            f"reading {path.name!r}: the file has {got} bytes, but shape {shape} of {dtype} takes {expected}; "
            "check shape and dtype"
        )
    return new_signal(path.name, format, np.fromfile(path, dtype).reshape(shape), axes, "volume", {})


def write_raw(path: Path, values: np.ndarray, meta: dict[str, Any], format: str, name: str) -> None:
    """The samples little-endian in C order; shape and dtype are for the caller to remember."""
    array = to_array(values, meta)[0]
    np.ascontiguousarray(array, array.dtype.newbyteorder("<")).tofile(path)


# ---- NRRD (teem.sourceforge.net/nrrd/format.html); its axes are listed fastest first

_FRAMES = {
    "right-anterior-superior": "RAS",
    "left-anterior-superior": "LAS",
    "left-posterior-superior": "LPS",
}
# fields that say what spacing, origin, affine and the array itself say; the rest is kept as it is
_STRUCTURE = {
    "type", "dimension", "sizes", "encoding", "endian", "space", "space dimension", "space directions", "space origin",
    "space units", "units", "spacings", "kinds", "byte skip", "line skip", "data file", "block size", "thicknesses",
    "axis mins", "axis maxs", "centerings", "centers", "labels", "measurement frame", "old min", "old max", "number",
}  # fmt: skip


def _nrrd(what: str):
    try:
        import nrrd
    except ImportError as err:
        raise MissingExtraError.of("pynrrd", "encode", what) from err
    return nrrd


def read_nrrd(path: Path, format: str, axes: str | None = None) -> Signal:
    """A volume with the header's placement; channels where the kinds field says so."""
    nrrd = _nrrd("reading NRRD")
    with path.open("rb") as file:
        header = nrrd.read_header(file)
        sizes = tuple(int(n) for n in header["sizes"])
        if header["type"] == "block":
            raise SignalError(f"reading {path.name!r}: got NRRD blocks, expected numbers; store channels as an axis")
        check_shape(path.name, sizes, np.dtype(np.uint8))
        array = nrrd.read_data(header, file, str(path), index_order="C")
    found = _nrrd_axes(path.name, header, len(sizes))
    meta = _nrrd_meta(header, found) | {"quantity": _QUANTITIES[k] for k in header.get("kinds") or () if k in _QUANTITIES}
    return new_signal(path.name, format, array, axes or found[::-1], "volume", meta)


def _nrrd_axes(name: str, header: dict[str, Any], n: int) -> str:
    """Letters of the axes in the file's order, fastest first."""
    kinds = list(header.get("kinds") or ["???"] * n)
    directions = header.get("space directions")
    letters, space = "", iter("xyz")
    for i, kind in enumerate(kinds):
        kind = (kind or "???").lower()
        # without directions an axis is outside space only if its kind says so ("vector", "RGB-color", "list" ...)
        outside = kind not in ("domain", "space", "???", "none")
        if directions is not None:
            outside = directions[i] is None or bool(np.isnan(directions[i]).any())
        if kind == "time" or (outside and kind == "list" and i == n - 1):
            letters += "t"
        elif outside:
            letters += "c"
        else:
            letters += next(space, "t" if i == n - 1 and "t" not in letters else "?")
    if "?" in letters or letters.count("c") > 1 or not set(letters) & set("xt"):
        raise SignalError(f"reading {name!r}: got NRRD axes of kinds {kinds}, expected 1 to 3 of space, or time; pass axes")
    return letters


def _nrrd_meta(header: dict[str, Any], letters: str) -> dict[str, Any]:
    """spacing, origin, affine and what else the header holds; letters: axes in the file's order."""
    meta: dict[str, Any] = {}
    space = [i for i, letter in enumerate(letters) if letter in "xyz"]
    directions, origin = header.get("space directions"), header.get("space origin")
    spacings = header.get("spacings")
    if directions is not None:
        vectors = [np.asarray(directions[i], dtype=np.float64) for i in space]
        meta["spacing"] = [tidy(np.linalg.norm(v)) for v in reversed(vectors)]
        size = len(vectors[0])
        if size == 3 and origin is not None and np.isfinite(origin).all():
            affine = np.eye(4)
            affine[:3, : len(vectors)] = np.stack(vectors, axis=1)
            affine[:3, 3] = origin
            meta["affine"] = [[tidy(v) for v in row] for row in affine]
        elif origin is not None and size == len(space) and np.isfinite(origin).all():
            meta["origin"] = [tidy(v) for v in reversed(origin)]
    elif spacings is not None:
        steps = [number(spacings[i]) for i in space]
        if all(step is not None and step > 0 for step in steps):
            meta["spacing"] = [tidy(step) for step in reversed(steps)]
        mins = header.get("axis mins")
        if mins is not None and all(number(mins[i]) is not None for i in space):
            meta["origin"] = [tidy(mins[i]) for i in reversed(space)]
    if "t" in letters and spacings is not None and number(spacings[letters.index("t")]):
        meta["time_step"] = tidy(spacings[letters.index("t")])
    if header.get("space"):
        meta["space"] = _FRAMES.get(header["space"], header["space"])
    units = header.get("space units") or [header["units"][i] for i in space if header.get("units")]
    if units and units[0]:
        meta["units"] = str(units[0])
    rest = {key: value for key, value in header.items() if key not in _STRUCTURE and isinstance(value, (str, int, float))}
    return {**meta, **({"nrrd": rest} if rest else {})}


def write_nrrd(path: Path, values: np.ndarray, meta: dict[str, Any], format: str, name: str) -> None:
    """The array, gzipped, with directions and origin where meta has an affine or origin, else with spacings."""
    nrrd = _nrrd("writing NRRD")
    array, axes = to_array(values, meta)
    if array.dtype == np.bool_:
        array = array.astype(np.uint8)
    if array.dtype == np.float16:
        array = array.astype(np.float32)  # NRRD has no half floats
    letters = axes[::-1]
    rest = meta.get("nrrd")
    header = {
        key: value
        for key, value in (rest if isinstance(rest, dict) else {}).items()
        if isinstance(value, (str, int, float)) and key not in _STRUCTURE and ":" not in key and "\n" not in f"{key}{value}"
    }
    header["encoding"] = "gzip"
    n_space = len(axes.replace("t", "").replace("c", ""))
    spacing = spacing_of(meta, values.ndim - 1)
    affine = affine_of(meta, values.ndim - 1)
    units = meta.get("units") if isinstance(meta.get("units"), str) and '"' not in meta["units"] else None
    if affine is not None and ("affine" in meta or numbers(meta.get("origin"), n_space)):
        size = 3 if "affine" in meta else n_space
        frame = {short: long for long, short in _FRAMES.items()}.get(meta.get("space"), meta.get("space"))
        if size == 3 and frame in _NRRD_SPACES:
            header["space"] = frame
        else:
            header["space dimension"] = size
        header["space directions"] = np.array(
            [affine[:size, "xyz".index(letter)] if letter in "xyz" else [np.nan] * size for letter in letters]
        )
        header["space origin"] = affine[:size, 3]
        if "t" in letters and number(meta.get("time_step")):
            header["spacings"] = [meta["time_step"] if letter == "t" else math.nan for letter in letters]
        if units:
            header["space units"] = [units] * size
    elif spacing or ("t" in letters and number(meta.get("time_step"))):
        by_letter = {**dict(zip("xyz", reversed(spacing or []))), "t": number(meta.get("time_step")) or math.nan}
        header["spacings"] = [by_letter.get(letter, math.nan) for letter in letters]
        if units and spacing:
            header["units"] = [units if letter in "xyz" else "" for letter in letters]
    if "c" in letters or "t" in letters:
        channels = {"vectors": f"{values.shape[-1]}-vector", "normals": "3-normal"}.get(str(meta.get("quantity")), "vector")
        channels = channels if channels in _QUANTITIES else "vector"
        header["kinds"] = [{"c": channels, "t": "time"}.get(letter, "domain") for letter in letters]
    nrrd.write(str(path), array, header, index_order="C", compression_level=6)


_QUANTITIES = {"2-vector": "vectors", "3-vector": "vectors", "3-gradient": "vectors", "3-normal": "normals"}
_NRRD_SPACES = (*_FRAMES, "scanner-xyz", "3D-right-handed", "3D-left-handed")
