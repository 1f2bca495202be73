"""Fields of vectors: what their values become on a lattice, and their derivatives in world units.

Components are along x, y and z, in this order, whereas axes are in array order. Without a word about spacing a world unit
is a sample of the source.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .errors import UsageError

if TYPE_CHECKING:
    from .field import Field

__all__ = ["curl", "directions", "divergence", "finished", "jacobian"]


def directions(normals: np.ndarray) -> np.ndarray:
    """Normals (..., C) as vectors float64: floats as they are; of integers 0 is -1 and the largest number 1, half way 0."""
    if normals.dtype.kind == "u":
        return normals / np.float64(np.iinfo(normals.dtype).max) * 2 - 1
    if normals.dtype.kind == "i":
        return normals / np.float64(np.iinfo(normals.dtype).max)
    return normals.astype(np.float64)


def finished(values: np.ndarray, quantity: Any, steps: tuple[float, ...]) -> np.ndarray:
    """Values (*extent, C) of a lattice as a file has them: normals of length 1, flow in samples of that lattice.

    steps: an axis what a sample of it is in samples of the source. Other quantities, and channels after the vector's, stay.
    """
    n = len(steps)
    if quantity == "normals" and values.shape[-1] >= 3 and values.dtype.kind in "uif":
        found = directions(values[..., :3])
        length = np.linalg.norm(found, axis=-1, keepdims=True)
        found = np.divide(found, length, out=found, where=length > 0)
        out = values.copy()
        if values.dtype.kind == "f":
            out[..., :3] = found
        else:
            top = np.iinfo(values.dtype).max
            out[..., :3] = np.rint((found + 1) / 2 * top if values.dtype.kind == "u" else found * top)
        return out
    if quantity == "flow" and values.dtype.kind == "f" and set(steps) != {1.0}:
        out = values.copy()
        for k in range(min(n, values.shape[-1])):
            out[..., k] /= steps[n - 1 - k]
        return out
    return values


def jacobian(field: Field, coords: np.ndarray, level: int | None) -> np.ndarray:
    """(N, n, n) float64: of component c by world axis w, both in the order x, y, z, of the field's n axes of space.

    UsageError for fields without a component for each of 2 or 3 such axes.
    """
    spec, axes = field.spec, field.meta.get("axes")
    has_time = isinstance(axes, str) and axes.startswith("t")
    n = spec.n_dims - has_time
    if field.is_surface or n not in (2, 3) or spec.channels < n:
        raise UsageError(
            f"differentiating vectors: got a {field.kind} of {spec.n_dims} axes and {spec.channels} channels, expected one "
            "of 2 or 3 axes of space and as many components"
        )
    slopes = field.gradient(coords, level)[:, :n, has_time:].astype(np.float64) / np.array(spec.extent[has_time:])
    return slopes[:, :, ::-1] @ np.linalg.inv(_steps(field.meta, n))


def divergence(field: Field, coords: np.ndarray, level: int | None) -> np.ndarray:
    """See `Field.divergence`."""
    return np.trace(jacobian(field, coords, level), axis1=1, axis2=2)


def curl(field: Field, coords: np.ndarray, level: int | None) -> np.ndarray:
    """See `Field.curl`."""
    j = jacobian(field, coords, level)
    if j.shape[1] == 2:
        return (j[:, 1, 0] - j[:, 0, 1])[:, None]
    return np.stack([j[:, 2, 1] - j[:, 1, 2], j[:, 0, 2] - j[:, 2, 0], j[:, 1, 0] - j[:, 0, 1]], 1)


def _steps(meta: dict[str, Any], n: int) -> np.ndarray:
    """(n, n) world offsets, columns, of one sample along x, y, z: of the affine, or the spacing, or 1."""
    for key, shape in (("affine", (4, 4)), ("spacing", (n,))):
        try:
            found = np.array(meta[key], np.float64)
        except (KeyError, TypeError, ValueError):
            continue
        if found.shape == shape and np.isfinite(found).all():
            steps = found[:n, :n] if key == "affine" else np.diag(found[::-1])
            if abs(np.linalg.det(steps)) > 0:
                return steps
    return np.eye(n)
