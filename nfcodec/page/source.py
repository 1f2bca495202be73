"""A source as what the viewer can show beside the field: a PNG for images, bytes that are deflated for the other kinds."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from ..errors import MissingExtraError, UsageError
from ..field import Field
from ..spec import Signal

__all__ = ["packed_source"]


def packed_source(field: Field, signal: Signal) -> tuple[dict[str, Any], bytes]:
    """What the page says of the source, and its bytes. UsageError where the signal cannot be that of the field."""
    return _picture(field, signal.values), _png(field, signal.values)


def _picture(field: Field, values: np.ndarray) -> dict[str, Any]:
    return {"type": "image/png", "shape": list(values.shape[:-1])}


def shown(field: Field, values: np.ndarray) -> np.ndarray:
    """Values of a picture as bytes of a screen, (.., 1 to 4) uint8: what nfcodec/view/viewer/display.js does."""
    spec = field.spec
    scale = {"u1": 255.0, "u2": 65535.0, "b1": 1.0}.get(spec.dtype)
    offset, size = (0.0, scale) if scale else (spec.value_offset[0], spec.value_scale[0])
    low, high = min(offset, offset + size), max(offset, offset + size)
    values = values.astype(np.float64)
    parts = (values - low) / ((high - low) or 1.0)
    if spec.knee:
        n_colours = 3 if values.shape[-1] >= 3 else 1
        light = np.maximum(values[..., :n_colours], 0.0)
        parts[..., :n_colours] = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
        parts[..., n_colours:] = values[..., n_colours:]
    if values.shape[-1] > 4:
        parts = parts[..., :3]
    return np.rint(255 * np.clip(parts, 0.0, 1.0)).astype(np.uint8)


def _png(field: Field, values: np.ndarray) -> bytes:
    try:
        from PIL import Image
    except ImportError as err:
        raise MissingExtraError.of("pillow", "encode", "writing the source into the page") from err
    pixels = shown(field, values)
    out = io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels).save(out, "PNG")
    return out.getvalue()
