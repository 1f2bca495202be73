"""Placements in few binary digits: what compresses well, where nobody can see the difference.

Numbers of a similarity have 53 digits, most of them what its maker's arithmetic left there. Translations and rotations are
rounded to multiples of a power of two, scales to as many digits, with as few as keep all placed geometry where it was.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from .nodes import Node, is_unit, worlds
from .placement import Similarity

__all__ = ["rounded_nodes"]

_MOVED = 1e-6  # of its diagonal: how far a geometry may move; as near as two geometries are to be one (`io.scene`)
_DIGITS = range(16, 53)


def rounded_nodes(nodes: list[Node], corners: Sequence[np.ndarray]) -> list[Node]:
    """The same scene with placements of as few digits as keep each placed geometry within 1e-6 of its diagonal; the nodes
    themselves where none do. nodes: such as a file may have. corners: for each field the least and the largest corner
    (2, 3) of its geometry."""
    boxes = [np.stack(np.meshgrid(*pair.T, indexing="ij"), -1).reshape(8, 3) for pair in corners]
    sizes = [math.dist(box[0], box[7]) for box in boxes]
    wanted = worlds(nodes)
    least = min((sizes[k.field] * abs(world.scale) for k, world in zip(nodes, wanted) if k.field is not None), default=0.0)
    if not 0 < least < math.inf:
        return nodes

    def moved(node: Node, here: Similarity, there: Similarity) -> bool:
        """Whether a placed geometry is too far away. An affine map moves no point of a box further than its corners."""
        box, allowed = boxes[node.field], _MOVED * sizes[node.field] * abs(there.scale)
        return not np.abs(here.to_world(box) - there.to_world(box)).max() <= allowed

    for digits in _DIGITS:
        unit = 2.0 ** (math.floor(math.log2(least)) - digits)
        found = [replace(node, placement=_rounded(node.placement, digits, unit)) for node in nodes]
        if all(is_unit(node.placement.rotation) for node in found) and not any(
            node.field is not None and moved(node, here, there) for node, here, there in zip(found, worlds(found), wanted)
        ):
            return found
    return nodes


def _rounded(place: Similarity, digits: int, unit: float) -> Similarity:
    fraction, exponent = math.frexp(place.scale)
    return Similarity(
        tuple(_multiple(x, unit) for x in place.translation),
        tuple(_multiple(x, 2.0**-digits) for x in place.rotation),
        math.ldexp(_multiple(fraction, 2.0**-digits), exponent),
    )


def _multiple(x: float, unit: float) -> float:
    """The multiple of a power of two that is next to x; 0 without a sign."""
    return round(x / unit) * unit + 0.0
