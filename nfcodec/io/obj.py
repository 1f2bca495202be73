"""OBJ files: what of their materials is read, and objects or groups as parts."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np

from .source import Source, SourceNode

__all__ = ["load"]


def load(trimesh: Any, path: Path, data: bytes, by_object: bool) -> Source:
    """The file's triangles as one node; by_object: as one for each object (`o`), or each group (`g`) of a file
    that names no two objects, where there are several. Those that share vertices are one: they are regions of a surface."""
    library = _material_library(data)
    # materials that are not there say nothing about the surface
    with_materials = library is not None and (path.parent / library).is_file()
    options = {"resolver": trimesh.resolvers.FilePathResolver(str(path))} if with_materials else {"skip_materials": True}
    names = None
    if by_object:
        data, names = _numbered(data)
    options["split_objects"] = names is not None
    scene = trimesh.load_scene(io.BytesIO(data), file_type="obj", process=False, **options)
    source = Source.of(scene)
    if names is None:  # materials are no parts
        whole = [body for node in source.nodes for body in node.bodies]
        return Source([SourceNode("", None, np.eye(4), whole)], source.units)
    bodies: dict[int, list[Any]] = {number: [] for number in range(len(names))}
    for node in source.nodes:
        bodies[int(re.match(r"\d+", node.name)[0])] += node.bodies
    nodes = [SourceNode(name, None, np.eye(4), some) for name, some in zip(names, bodies.values()) if some]
    return Source(nodes, source.units)


def _material_library(data: bytes) -> str | None:
    """The name of the file of materials that an OBJ file mentions."""
    at = 0 if data.startswith(b"mtllib ") else data.find(b"\nmtllib ") + 1
    if at == 0 and not data.startswith(b"mtllib "):
        return None
    return data[at : at + 1024].split(b"\n")[0][7:].strip().decode("utf-8", "replace")


def _numbered(data: bytes) -> tuple[bytes, list[str] | None]:
    """The text with its parts as objects whose names are their numbers, and the parts' names; as it is, and None, where it
    has fewer than two."""
    for word in (b"o", b"g"):
        if len(set(re.findall(rb"^%s(?=[ \t])[^\n]*" % word, data, re.MULTILINE))) > 1:
            lines, of_lines, names = _labelled(data, word)
            if len(set(of_lines.values())) > 1:
                return _renamed(lines, of_lines), names
    return data, None


def _labelled(data: bytes, word: bytes) -> tuple[list[bytes], dict[int, int], list[str]]:
    """The lines, the part of each line with a face, and the parts' names."""
    lines = data.replace(b"\r\n", b"\n").replace(b"\\\n", b"").split(b"\n")
    labels: list[bytes] = []
    known: dict[bytes, int] = {}
    of_lines: dict[int, int] = {}
    owner: dict[int, int] = {}  # of each vertex the first part that used it
    joined: list[int] = []
    n_vertices, label = 0, b""
    for number, line in enumerate(lines):
        words = line.split(None, 1)
        if not words:
            continue
        if words[0] == b"v":
            n_vertices += 1
        elif words[0] == word:
            label = words[1].strip() if len(words) > 1 else b""
        elif words[0] == b"f" and len(words) > 1:
            if label not in known:
                known[label] = len(labels)
                labels.append(label)
                joined.append(len(joined))
            part = of_lines[number] = known[label]
            for corner in words[1].split():
                vertex = int(corner.split(b"/", 1)[0])
                other = owner.setdefault(vertex - 1 if vertex > 0 else n_vertices + vertex, part)
                if other != part:
                    a, b = sorted((_root(joined, other), _root(joined, part)))
                    joined[b] = a
    roots = [_root(joined, k) for k in range(len(joined))]
    kept = sorted(set(roots))
    of_lines = {line: kept.index(roots[part]) for line, part in of_lines.items()}
    return lines, of_lines, [labels[k].decode("utf-8", "replace") for k in kept]


def _root(joined: list[int], part: int) -> int:
    while joined[part] != part:
        part = joined[part]
    return part


def _renamed(lines: list[bytes], of_lines: dict[int, int]) -> bytes:
    """The text in which a line before each run of faces of a part names it."""
    out: list[bytes] = []
    last = None
    for number, line in enumerate(lines):
        if line[:2].strip() in (b"o", b"g"):
            continue
        part = of_lines.get(number)
        if part is not None and part != last:
            out.append(b"o %d" % part)
            last = part
        out.append(line)
    return b"\n".join(out)
