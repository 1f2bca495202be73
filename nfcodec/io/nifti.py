"""NIfTI-1 and -2 through nibabel: (x, y, z[, t[, c]]) in the file, (z, y, x), (t, z, y, x) or (..., C) here.

Samples are read as stored: slope and intercept are kept in meta["nifti"] for the writer and not applied, so that integers
stay integers.
"""

from __future__ import annotations

import gzip
import math
from pathlib import Path
from typing import Any

import numpy as np

from nfcodec.errors import MissingExtraError, SignalError, UsageError
from nfcodec.spec import Signal

from .lattice import check_shape, new_signal, tidy, to_array
from .placement import affine_of, affine_ras, number, spacing_of

__all__ = ["read", "write"]

_SPACE_UNITS = {"mm": "mm", "micron": "um", "meter": "m"}
_TIME_UNITS = {"sec": "s", "msec": "ms", "usec": "us"}
# descriptive header fields that survive where they are set; the rest follows from the array and the affine
_KEPT = (
    "data_type", "db_name", "dim_info", "intent_p1", "intent_p2", "intent_p3", "slice_start", "slice_end", "slice_code",
    "slice_duration", "cal_max", "cal_min", "descrip", "aux_file", "intent_name",
)  # fmt: skip
_MAX_AXIS_NIFTI1 = 32767


def _nibabel(what: str):
    try:
        import nibabel
    except ImportError as err:
        raise MissingExtraError.of("nibabel", "encode", what) from err
    return nibabel


def read(path: Path, format: str) -> Signal:
    """A volume with the header's spacing, affine (world frame RAS), units, codes and texts."""
    nibabel = _nibabel("reading NIfTI")
    image = nibabel.load(path)
    if not isinstance(image, (nibabel.Nifti1Image, nibabel.Nifti2Image)):
        raise SignalError(f"reading {path.name!r}: got {type(image).__name__}, expected NIfTI; convert it to .nii.gz")
    header = image.header
    shape, dtype = image.shape, header.get_data_dtype()
    check_shape(path.name, shape, dtype)
    array = np.asanyarray(image.dataobj.get_unscaled())
    axes = "xyztc"[: array.ndim]
    if dtype.names and set(dtype.names) <= set("RGBA"):
        array = np.stack([array[letter] for letter in dtype.names], axis=-1)
        axes += "c"
    while array.ndim > 5 and array.shape[-1] == 1:
        array = array[..., 0]
    if array.ndim != len(axes):
        raise SignalError(f"reading {path.name!r}: got shape {shape}, expected x, y, z, time and one axis of channels")
    if axes == "xyztc" and array.shape[3] == 1:  # one moment only: no axis of time
        array, axes = array[:, :, :, 0], "xyzc"
    return new_signal(path.name, format, array, axes, "volume", _meta(image, axes))


def _meta(image: Any, axes: str) -> dict[str, Any]:
    header = image.header
    zooms = [float(z) for z in header.get_zooms()]
    space = min(3, len(image.shape))
    meta: dict[str, Any] = {"space": "RAS", "affine": [[tidy(v) for v in row] for row in image.affine]}
    spacing = [tidy(z) for z in reversed(zooms[:space])]
    if all(math.isfinite(z) and z > 0 for z in spacing):
        meta["spacing"] = spacing
    if "t" in axes and len(zooms) > 3 and math.isfinite(zooms[3]) and zooms[3] > 0:
        meta["time_step"] = tidy(zooms[3])
    if "t" in axes and math.isfinite(float(header["toffset"])) and float(header["toffset"]):
        meta["time_origin"] = tidy(header["toffset"])
    space_units, time_units = header.get_xyzt_units()
    if space_units in _SPACE_UNITS:
        meta["units"] = _SPACE_UNITS[space_units]
    if time_units in _TIME_UNITS and "t" in axes:
        meta["time_units"] = _TIME_UNITS[time_units]
    fields: dict[str, Any] = {}
    # nibabel moves them from the header to the array, and gives 1 and 0 where the header asks for no scaling
    slope, intercept = float(image.dataobj.slope), float(image.dataobj.inter)
    if (slope, intercept) != (1.0, 0.0):
        fields.update(slope=tidy(slope), intercept=tidy(intercept))
    for name in ("sform", "qform"):
        code = int(header[f"{name}_code"])
        if code:
            fields[f"{name}_code"] = code
    for key in _KEPT:
        value = header[key].item()
        if isinstance(value, bytes):
            value = value.decode("latin-1").rstrip("\0")
        if value and (isinstance(value, str) or number(value) is not None):
            fields[key] = tidy(value) if isinstance(value, float) else value
    return {**meta, "nifti": fields}


def write(path: Path, values: np.ndarray, meta: dict[str, Any], format: str, name: str) -> None:
    """The array as (x, y, z, t, c), channels as RGB where they are 3 or 4 bytes; gzipped if the name ends in .gz."""
    nibabel = _nibabel("writing NIfTI")
    n_dims = values.ndim - 1
    if n_dims == 1:
        raise UsageError(
            f"writing {name!r}: NIfTI holds 2 axes and more, got shape {values.shape[:-1]}; write .nrrd or .npy"
        )
    array, axes = to_array(values, meta)
    if array.dtype == np.bool_:
        array = array.astype(np.uint8)
    if array.dtype == np.float16:
        array = array.astype(np.float32)  # NIfTI has no half floats
    for letter in "tz":  # every axis up to the last one used has to be there
        if letter not in axes and ("c" in axes and array.dtype != np.uint8 or (letter == "z" and "t" in axes)):
            array, axes = array[None], letter + axes
    if "c" in axes:
        channels = array.shape[-1]
        if array.dtype == np.uint8 and channels in (3, 4):
            rgb = np.dtype([(letter, "u1") for letter in "RGBA"[:channels]])
            array, axes = np.ascontiguousarray(array).view(rgb)[..., 0], axes[:-1]
        elif len(axes) < 5:
            array = array.reshape((1,) * (5 - len(axes)) + array.shape)
            axes = "tzyxc"
    order = "".join(letter for letter in "xyztc" if letter in axes)
    array = array.transpose([axes.index(letter) for letter in order])

    fields = meta.get("nifti") if isinstance(meta.get("nifti"), dict) else {}
    affine = affine_of(meta, n_dims)
    affine = np.eye(4) if affine is None else affine_ras(affine, meta.get("space"))
    big = max(array.shape) > _MAX_AXIS_NIFTI1
    image = (nibabel.Nifti2Image if big else nibabel.Nifti1Image)(array, affine, dtype=array.dtype)
    _fill_header(image, affine, fields, meta, order, spacing_of(meta, n_dims))
    data = _with_fields(image.to_bytes(), type(image.header), fields)
    path.write_bytes(gzip.compress(data, 6, mtime=0) if path.name.lower().endswith(".gz") else data)


def _fill_header(
    image: Any, affine: np.ndarray, fields: dict[str, Any], meta: dict[str, Any], order: str, spacing: list[float] | None
) -> None:
    """Transforms, spacing and units of the new image."""
    header = image.header
    sform, qform = (fields.get(f"{name}_code") for name in ("sform", "qform"))
    if not any(isinstance(code, int) and code > 0 for code in (sform, qform)):
        sform = 2 if meta.get("affine") else 1  # "aligned" where the source had a world, "scanner" by default
    image.set_sform(affine, _code(sform))
    image.set_qform(affine, _code(qform))
    zooms = list(header.get_zooms())
    steps = dict(zip("xyz", reversed(spacing))) if spacing else {}
    for i, letter in enumerate(order):
        if letter == "t":
            zooms[i] = number(meta.get("time_step")) or 1.0
        elif letter in steps:
            zooms[i] = steps[letter]
        elif letter in "xyz":
            zooms[i] = float(np.linalg.norm(affine[:3, "xyz".index(letter)]))
    header.set_zooms(zooms)
    units = {ours: theirs for theirs, ours in {**_SPACE_UNITS, **_TIME_UNITS}.items()}
    header.set_xyzt_units(_known(units, meta.get("units")), _known(units, meta.get("time_units")))
    header["toffset"] = number(meta.get("time_origin")) or 0.0
    if order.endswith("c"):
        header.set_intent("vector")


def _code(value: Any) -> int:
    return value if isinstance(value, int) and 0 <= value <= 5 else 0


def _known(table: dict[str, str], key: Any) -> str | None:
    return table.get(key) if isinstance(key, str) else None


def _with_fields(data: bytes, header_type: Any, fields: dict[str, Any]) -> bytes:
    """The file's bytes with the kept header fields and the slope put in; nibabel would apply the slope to the samples."""
    size = header_type.template_dtype.itemsize
    header = header_type(data[:size], check=False)
    for key in _KEPT:
        value = fields.get(key)
        try:
            if isinstance(value, str):
                header[key] = value.encode("latin-1")
            elif number(value) is not None:
                header[key] = value
        except (UnicodeEncodeError, OverflowError, ValueError, KeyError):
            continue  # a value that the field cannot hold was not read from a NIfTI header
    if number(fields.get("slope")) and number(fields.get("intercept")) is not None:
        header["scl_slope"], header["scl_inter"] = fields["slope"], fields["intercept"]
    return header.binaryblock + data[size:]
