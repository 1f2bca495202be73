"""A film as numbered images: frame-%04d.png names them, as for ffmpeg, and frames/*.png takes those that are there by
name."""

from __future__ import annotations

import glob
import os
import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from nfcodec.errors import SignalError, UsageError
from nfcodec.spec import Signal

from .film import COLOURS, USUAL_RATE
from .lattice import check_shape, new_signal
from .placement import number

__all__ = ["files_of", "is_pattern", "read", "write"]

_NUMBER = re.compile(r"%(0?)(\d*)d")
_KEPT = ("colour_space", "icc_profile", "bit_depth", "dpi")


def is_pattern(path: str | os.PathLike) -> bool:
    """Whether a path stands for numbered files."""
    name = Path(path).name
    return ("*" in name or len(_NUMBER.findall(name)) == 1) and not os.path.exists(path)


def files_of(path: str | os.PathLike) -> list[tuple[int, Path]]:
    """(number, file) of each that a pattern stands for, in ascending order; names are numbered where it has no number."""
    path = Path(path)
    number = _NUMBER.search(path.name)
    if number is None:
        found = sorted(Path(name) for name in glob.glob(os.path.join(glob.escape(path.parent), path.name)))
        return list(enumerate(found, 1))
    before, after = path.name[: number.start()], path.name[number.end() :]
    width = int(number[2] or 0)
    name = re.compile(re.escape(before) + r"(\d{%d,9})" % max(width, 1) + re.escape(after))
    folder = path.parent if path.parent.is_dir() else None
    matches = [(name.fullmatch(file.name), file) for file in (folder.iterdir() if folder else ())]
    return sorted((int(match[1]), file) for match, file in matches if match)


def read(path: Path, one: Callable[[Path], Signal], frame_rate: float | None) -> Signal:
    """A film of the images that a pattern stands for. one: reads a single one. frame_rate: None for the usual."""
    files = files_of(path)
    if not files:
        raise UsageError(f"reading {str(path)!r}: no file is named like that; check the path and the number's digits")
    first = one(files[0][1])
    if first.kind != "image":
        raise UsageError(f"reading {files[0][1].name!r} as a frame: got a {first.kind}, expected an image")
    check_shape(path.name, (len(files), *first.values.shape), first.values.dtype)
    frames = np.empty((len(files), *first.values.shape), first.values.dtype)
    for k, (_, file) in enumerate(files):
        found = one(file).values if k else first.values
        if found.shape != frames.shape[1:] or found.dtype != frames.dtype:
            raise SignalError(
                f"reading {file.name!r} as a frame: got {found.shape} of {found.dtype}, expected {frames.shape[1:]} of "
                f"{frames.dtype} as {files[0][1].name!r} has; convert it, or leave it out"
            )
        frames[k] = found
    meta: dict[str, Any] = {key: first.meta[key] for key in _KEPT if key in first.meta}
    meta |= {**COLOURS, **meta, "frame_rate": frame_rate or USUAL_RATE, "first_frame": files[0][0]}
    axes = "tyxc" if frames.shape[-1] > 1 else "tyx"
    return new_signal(path.name, "frames", frames if axes == "tyxc" else frames[..., 0], axes, "volume", meta)


def write(
    path: Path, values: np.ndarray, meta: dict[str, Any], one: Callable[[Path, np.ndarray, dict], None], overwrite: bool
) -> None:
    """Each frame of (T, H, W, C) as an image, numbered from the source's first number on. one: writes a single one.

    All are written beside their places before the first is put there.
    """
    if values.ndim != 4 or _NUMBER.search(path.name) is None:
        raise UsageError(
            f"writing {str(path)!r}: got shape {values.shape}, expected a film (time, y, x) and a name with a number such "
            "as %04d"
        )
    start = number(meta.get("first_frame"))
    start = int(start) if start is not None and 0 <= start < 10**9 - len(values) else 1
    numbers = range(start, start + len(values))
    places = [path.with_name(_NUMBER.sub(lambda m, k=k: f"{k:{m[1]}{m[2]}d}", path.name)) for k in numbers]
    taken = [place for place in places if place.exists()]
    if taken and not overwrite:
        raise UsageError(f"writing {taken[0]}: it exists already; pass --overwrite (overwrite=True) or another name")
    if not path.parent.is_dir():
        raise UsageError(f"writing {path}: the folder {path.parent} does not exist; make it first")
    plain = {key: value for key, value in meta.items() if key in _KEPT}
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".frames-") as folder:
        for place, frame in zip(places, values):
            one(Path(folder, place.name), frame, plain)
        for place in places:
            os.replace(Path(folder, place.name), place)
