"""What a reader of an exported program has to know of its field, as lines of a comment."""

from __future__ import annotations

from ..spec import FieldSpec

__all__ = ["describe"]


def describe(spec: FieldSpec) -> list[str]:
    """Kind, axes, units and where surfaces lie."""
    axes = "tzyx"[-spec.n_dims :]
    extent = " x ".join(map(str, spec.extent))
    lines = [
        f"Kind {spec.kind}, {extent} samples of {spec.channels} channels along {', '.join(axes)};",
        f"sample i of n lies at (i + 0.5) / n. Values are in the units of the source{_unit(spec)}.",
    ]
    if spec.origin is not None:
        size = [n * spec.cell for n in spec.extent]
        lines += [
            f"World x, y, z = origin + size * coordinate: origin {_triple(spec.origin)}, size {_triple(size)}.",
            f"Channels: {', '.join(spec.roles)}. The surface is at {'0.5' if spec.kind == 'occupancy' else '0'}.",
        ]
    return lines


def _unit(spec: FieldSpec) -> str:
    if spec.dtype in ("u1", "u2") and spec.kind == "image":
        return f", 0 to {255 if spec.dtype == 'u1' else 65535}"
    return ", distances in world units" if spec.kind in ("sdf", "tsdf", "udf") else ""


def _triple(numbers) -> str:
    return " ".join(f"{v:.17g}" for v in tuple(numbers)[::-1])
