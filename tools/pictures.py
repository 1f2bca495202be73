"""Pictures for benchmarks: files, or `skimage:NAME` for those that ship with scikit-image (camera, astronaut ...)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

__all__ = ["load", "middle", "name_of"]

_OWN = "skimage:"


def name_of(source: str) -> str:
    """As rows have it."""
    return source if source.startswith(_OWN) else Path(source).name


def load(source: str, grey: bool) -> Image.Image:
    """The picture, grey or RGB. SystemExit where scikit-image has none of that name."""
    if not source.startswith(_OWN):
        return Image.open(source).convert("L" if grey else "RGB")
    import skimage

    found = sorted((Path(skimage.__file__).parent / "data").glob(f"{source.removeprefix(_OWN)}.*"))
    if not found:
        raise SystemExit(f"{source}: scikit-image {skimage.__version__} ships no picture of that name")
    return Image.open(found[0]).convert("L" if grey else "RGB")


def middle(picture: Image.Image, size: int, shrink: bool = False) -> np.ndarray:
    """A square of size x size from the middle, (size, size, C) uint8. shrink: of the largest square there, made smaller
    by a filter as wide as its pixels then are. SystemExit for pictures that are too small."""
    edge = min(picture.size) if shrink else size
    left, top = ((n - edge) // 2 for n in picture.size)
    if min(picture.size) < size:
        raise SystemExit(f"a picture of {picture.size[1]}x{picture.size[0]} pixels: expected at least {size} along each axis")
    square = picture.crop((left, top, left + edge, top + edge))
    if edge != size:
        square = square.resize((size, size), Image.Resampling.BILINEAR)
    return np.ascontiguousarray(np.asarray(square).reshape(size, size, -1))
