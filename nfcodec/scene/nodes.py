"""Nodes of a scene <-> the bytes of the chunk SCNE; spec/scene.md, section 2.

A node's parent comes before it, so that a cycle cannot be written down.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..binary import Reader, Writer
from ..errors import FormatError, LimitError, UsageError
from ..limits import (
    MAX_NAME_BYTES,
    MAX_SCENE_DEPTH,
    MAX_SCENE_FIELDS,
    MAX_SCENE_NODES,
    MAX_SCENE_SCALE,
    MAX_SCENE_TRANSLATION,
)  # fmt: skip
from .placement import Quaternion, Similarity, square

__all__ = ["Node", "is_unit", "pack_nodes", "unpack_nodes", "worlds"]

FLAG_TRANSLATION, FLAG_ROTATION, FLAG_SCALE = 1, 2, 4
_ROUNDED = 1e-6  # how far from 1 the square of a quaternion's length may be


@dataclass(frozen=True)
class Node:
    """One node. name: any text, "" for none. parent: the number of an earlier node, None for the world. field: the number
    of the field that the node places, None for none. placement: in the parent."""

    name: str = ""
    parent: int | None = None
    field: int | None = None
    placement: Similarity = Similarity()


def pack_nodes(nodes: list[Node], n_fields: int) -> bytes:
    """The content of SCNE. UsageError for what `unpack_nodes` would refuse."""
    writer = Writer().varint(n_fields).varint(len(nodes))
    for node in nodes:
        place = node.placement
        flags = FLAG_TRANSLATION * (place.translation != (0, 0, 0)) + FLAG_ROTATION * (place.rotation != (0, 0, 0, 1))
        flags += FLAG_SCALE * (place.scale != 1)
        writer.varint(0 if node.parent is None else node.parent + 1).varint(0 if node.field is None else node.field + 1)
        writer.u8(flags)
        for flag, numbers in (
            (FLAG_TRANSLATION, place.translation), (FLAG_ROTATION, place.rotation), (FLAG_SCALE, (place.scale,)),
        ):  # fmt: skip
            for number in numbers if flags & flag else ():
                writer.f64(number)
        name = node.name.encode("utf-8", "replace")
        writer.varint(len(name)).bytes(name)
    data = writer.getvalue()
    try:
        unpack_nodes(data)
    except FormatError as error:
        raise UsageError(f"writing a scene: {error}") from error
    return data


def unpack_nodes(data: bytes) -> tuple[list[Node], int]:
    """(nodes, number of fields). Raises FormatError and its kin."""
    reader = Reader(data, "the nodes of a scene")
    n_fields = reader.varint()
    if not 1 <= n_fields <= MAX_SCENE_FIELDS:
        raise LimitError(f"reading a scene: got {n_fields} fields, expected 1 to {MAX_SCENE_FIELDS}", "limit-scene-fields")
    n_nodes = reader.varint()
    if not 1 <= n_nodes <= MAX_SCENE_NODES:
        raise LimitError(f"reading a scene: got {n_nodes} nodes, expected 1 to {MAX_SCENE_NODES}", "limit-scene-nodes")
    nodes: list[Node] = []
    depths: list[int] = []
    for number in range(n_nodes):
        parent = reader.varint() - 1
        if parent >= number:
            raise FormatError(f"reading node {number}: got the parent {parent}, expected an earlier node", "node-parent")
        depths.append(1 if parent < 0 else depths[parent] + 1)
        if depths[-1] > MAX_SCENE_DEPTH:
            raise LimitError(
                f"reading node {number}: got {depths[-1]} nodes one below another, expected up to {MAX_SCENE_DEPTH}",
                "limit-scene-depth",
            )
        field = reader.varint() - 1
        if field >= n_fields:
            raise FormatError(f"reading node {number}: got the field {field}, expected one of {n_fields}", "node-field")
        placement = _placement(reader, number)
        nodes.append(Node(_name(reader, number), None if parent < 0 else parent, None if field < 0 else field, placement))
    reader.done()
    return nodes, n_fields


def is_unit(rotation: Quaternion) -> bool:
    """Whether a quaternion is near enough to length 1 to be stored."""
    return abs(square(rotation) - 1) <= _ROUNDED


def worlds(nodes: list[Node]) -> list[Similarity]:
    """Where each node lies in the world."""
    out: list[Similarity] = []
    for node in nodes:
        out.append(node.placement if node.parent is None else out[node.parent].after(node.placement))
    return out


def _placement(reader: Reader, number: int) -> Similarity:
    flags = reader.u8()
    if flags & ~(FLAG_TRANSLATION | FLAG_ROTATION | FLAG_SCALE):
        raise FormatError(f"reading node {number}: got flags {flags:#x}, expected three bits", "node-flags")
    translation, rotation, scale = (0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0), 1.0
    if flags & FLAG_TRANSLATION:
        translation = tuple(reader.f64() for _ in range(3))
        if max(map(abs, translation)) > MAX_SCENE_TRANSLATION:
            raise FormatError(
                f"reading node {number}: got a translation by {translation}, expected up to {MAX_SCENE_TRANSLATION:g}",
                "node-translation",
            )
    if flags & FLAG_ROTATION:
        rotation = tuple(reader.f64() for _ in range(4))
        if not is_unit(rotation):
            length = math.sqrt(square(rotation))
            raise FormatError(f"reading node {number}: got a quaternion of length {length:g}, expected 1", "node-rotation")
    if flags & FLAG_SCALE:
        scale = reader.f64()
        if not 1 / MAX_SCENE_SCALE <= abs(scale) <= MAX_SCENE_SCALE:
            raise FormatError(
                f"reading node {number}: got a scale of {scale:g}, expected 1/{MAX_SCENE_SCALE:g} to {MAX_SCENE_SCALE:g}",
                "node-scale",
            )
    return Similarity(translation, rotation, scale)


def _name(reader: Reader, number: int) -> str:
    length = reader.varint()
    if length > MAX_NAME_BYTES:
        raise LimitError(
            f"reading node {number}: got a name of {length} bytes, expected up to {MAX_NAME_BYTES}", "limit-name"
        )
    try:
        return reader.bytes(length).decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError(f"reading node {number}: got a name that is not UTF-8 ({error.reason})", "node-name") from None
