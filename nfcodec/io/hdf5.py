"""HDF5 through h5py: one dataset, chosen or named, with its attributes."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from nfcodec.errors import MissingExtraError, SignalError
from nfcodec.spec import Signal

from .lattice import DEFAULT_AXES, axes_of, check_shape, new_signal, tidy, to_array
from .placement import affine_of, number, numbers, spacing_of
from .volume import choose

__all__ = ["read", "write"]

MAX_ATTRIBUTE_VALUES = 64


def _h5py(what: str):
    try:
        import h5py
    except ImportError as err:
        raise MissingExtraError.of("h5py", "encode", what) from err
    return h5py


def read(path: Path, format: str, dataset: str | None = None, axes: str | None = None) -> Signal:
    """A volume from the dataset named, else the only or largest numeric one of 2 to 5 axes.

    Spacing is taken from an attribute spacing_zyx, spacing_xyz, spacing (array order) or element_size_um; origin_zyx,
    units, affine, space, axes, time_step likewise. All JSON-able attributes are kept.
    """
    h5py = _h5py("reading HDF5")
    with h5py.File(path, "r") as file:
        found: dict[str, tuple[tuple[int, ...], np.dtype]] = {}

        def note(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset) and item.shape is not None:
                found[name] = (item.shape, item.dtype)

        file.visititems(note)
        name = choose(path.name, found, dataset)
        check_shape(path.name, *found[name])
        if found[name][1].kind not in "biufc":
            raise SignalError(
                f"reading {path.name!r}: dataset {name!r} is of type {found[name][1]}, expected numbers; name another"
            )
        attrs = _plain_attributes(file[name].attrs)
        array = file[name][()]
    if axes is None and isinstance(attrs.get("axes"), str) and len(attrs["axes"]) == array.ndim:
        axes = attrs["axes"]
    known = axes or DEFAULT_AXES.get(array.ndim, "")
    meta = {"hdf5": {"dataset": name, "attrs": attrs}, **_placement(attrs, known.lower().replace("t", "").replace("c", ""))}
    return new_signal(path.name, format, array, axes, "volume", meta)


def _plain_attributes(attrs: Any) -> dict[str, Any]:
    """The attributes that JSON can hold: texts, finite numbers and small arrays of them."""
    plain = {}
    for key in attrs:
        try:
            value = attrs[key]
        except (OSError, TypeError, ValueError):
            continue  # a type that h5py cannot show; it is no reason to refuse the samples
        if isinstance(value, bytes):
            value = value.decode("utf-8", "replace")
        if isinstance(value, np.generic):
            value = value.item()
        if isinstance(value, np.ndarray) and value.dtype.kind in "biuf" and value.size <= MAX_ATTRIBUTE_VALUES:
            value = value.tolist() if np.isfinite(value).all() else None
        if isinstance(value, (bool, int, str, list)) or (isinstance(value, float) and math.isfinite(value)):
            plain[key] = value
    return plain


def _placement(attrs: dict[str, Any], space: str) -> dict[str, Any]:
    """spacing, origin, units ... of attributes; space: letters of the spatial axes as stored."""
    meta: dict[str, Any] = {}
    order = [letter for letter in "zyx" if letter in space]
    for quantity, keys in (("spacing", ("spacing", "element_size_um")), ("origin", ("origin",))):
        for key in (f"{quantity}_{''.join(order)}", f"{quantity}_{''.join(order[::-1])}", *keys):
            values = numbers(attrs.get(key), len(order))
            if values and (quantity == "origin" or min(values) > 0):
                stored = key.partition("_")[2] if key.startswith(f"{quantity}_") else space
                if key == "element_size_um":  # z, y, x by its convention
                    stored, meta["units"] = "".join(order), "um"
                meta[quantity] = [tidy(values[stored.index(letter)]) for letter in order]
                break
    for key in ("units", "time_units", "space", "affine"):
        if key in attrs:
            meta[key] = attrs[key]
    for key in ("time_step", "time_origin"):
        if number(attrs.get(key)) is not None:
            meta[key] = attrs[key]
    return meta


def write(path: Path, values: np.ndarray, meta: dict[str, Any], format: str, name: str) -> None:
    """One gzipped dataset under its former name ("volume" if it had none), its attributes brought up to date."""
    h5py = _h5py("writing HDF5")
    array, axes = to_array(values, meta)
    stored = meta.get("hdf5") if isinstance(meta.get("hdf5"), dict) else {}
    dataset = stored.get("dataset")
    if not isinstance(dataset, str) or not dataset.strip("/.") or "\0" in dataset:
        dataset = "volume"
    attrs = dict(stored["attrs"]) if isinstance(stored.get("attrs"), dict) else {}
    n_dims = values.ndim - 1
    space = axes_of(meta, n_dims).replace("t", "")
    # what described the source's own lattice is stated anew under canonical names
    for key in list(attrs):
        if key == "element_size_um" or key.partition("_")[0] in ("spacing", "origin"):
            del attrs[key]
    spacing = spacing_of(meta, n_dims)
    origin = numbers(meta.get("origin"), len(space))
    current = {
        f"spacing_{space}": spacing,
        f"origin_{space}": origin,
        "axes": axes if axes != DEFAULT_AXES.get(array.ndim) else None,
        "affine": affine_of(meta, n_dims) if "affine" in meta else None,
        **{key: meta[key] for key in ("units", "time_units", "space") if isinstance(meta.get(key), str)},
        **{key: number(meta.get(key)) for key in ("time_step", "time_origin")},
    }
    for key, value in current.items():
        if value is None:
            attrs.pop(key, None)
        else:
            attrs[key] = value
    with h5py.File(path, "w") as file:
        item = file.create_dataset(dataset, data=array, compression="gzip", shuffle=True)
        for key, value in attrs.items():
            try:
                item.attrs[key] = value
            except (TypeError, ValueError):
                continue  # meta of a damaged file may hold what no attribute can; the samples matter more
