"""Prints a .nfld file as a hex dump with the meaning of every byte, for the specification and for debugging.

    python tools/annotate.py spec/golden/tiny.nfld

spec/format.md, section 13, holds the dump of tiny.nfld; tests/test_spec.py compares the two.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from nfcodec import container, header, layout  # noqa: E402
from nfcodec import spec as s  # noqa: E402
from nfcodec.binary import Reader  # noqa: E402
from nfcodec.container import CTXN, DNET, FHDR, FULL, GRID, RESI, TYPE_NAMES  # noqa: E402
from nfcodec.encodings import load  # noqa: E402
from nfcodec.encodings.coordinates import CoordinateEncoding  # noqa: E402
from nfcodec.entropy.context import n_inputs  # noqa: E402

BYTES_A_LINE = 12
Row = tuple[int, bytes, str]  # offset in the file, bytes, meaning


class Notes:
    """Reads like `Reader` and keeps a row for everything that was read."""

    def __init__(self, data: bytes, base: int = 0):
        self.reader = Reader(data)
        self.base = base
        self.rows: list[Row] = []

    def read(self, method: str, meaning: str | Callable[[Any], str], *arguments: Any) -> Any:
        """Calls a method of `Reader`; "{}" in the meaning becomes the value."""
        start = self.reader.position
        value = getattr(self.reader, method)(*arguments)
        text = meaning(value) if callable(meaning) else meaning.format(value)
        self.rows.append((self.base + start, self.reader.data[start : self.reader.position], text))
        return value

    def rest(self, meaning: str) -> None:
        self.read("bytes", meaning, self.reader.left)


def annotate(data: bytes) -> str:
    """The dump of a sound file, one line for each 12 bytes, ending in a line break."""
    lines = []
    for offset, stored, meaning in rows(data):
        for k in range(0, max(len(stored), 1), BYTES_A_LINE):
            part = stored[k : k + BYTES_A_LINE].hex(" ").upper()
            lines.append(f"{offset + k:04X}  {part:<{3 * BYTES_A_LINE}} {meaning if k == 0 else ''}".rstrip())
    return "\n".join(lines) + "\n"


def rows(data: bytes) -> list[Row]:
    """All rows of a file, which together hold every byte once and in order."""
    chunks = container.read(data).chunks
    first = chunks[0]
    spec = header.read_spec(Reader(first.data)) if first.type == FULL else header.unpack_spec(first.data)
    notes = Notes(data)
    notes.read("bytes", "signature", 8)
    notes.read("u8", "major {}")
    notes.read("u8", "minor {}: the draft")
    notes.read("u16", "required_features {}")
    notes.read("varint", "n_chunks {}")
    notes.read("varint", "file_length {}")
    for _ in chunks:
        notes.read("u8", lambda value: f"table: type {TYPE_NAMES.get(value, value)}")
        notes.read("varint", "       key {}")
        notes.read("u8", "       codec {}")
        notes.read("varint", "       stored_length {}")
        notes.read("u32", "       checksum")
    notes.read("u32", "checksum of all bytes before")
    previous = -1
    for chunk in chunks:
        inner = Notes(chunk.data, notes.base + notes.reader.position)
        if chunk.type == FHDR:
            _field_header(inner)
            assert inner.reader.left == 0, "the field header ends its chunk"
        elif chunk.type == FULL:
            _field_header(inner)
            inner.rest("FULL: stream of networks and levels")
        elif chunk.type == DNET:
            for k, shape in enumerate(header.mlp_shapes(spec.mlp)):
                inner.read("u8", f"DNET: shift of tensor {k} {_times(shape)}: {{}}")
            _tensors(inner, "DNET", len(header.mlp_shapes(spec.mlp)))
        elif chunk.type == CTXN:
            _context_network(inner)
        elif chunk.type == GRID:
            for level in range(previous + 1, chunk.key + 1):
                length = inner.read("varint", f"GRID: bytes of level {level}: {{}}")
                part = spec.grid if len(spec.grid.parts) == 1 else spec.grid.parts[spec.grid.place(level)[0]]
                _level(inner, part.encoding, length)
            previous = chunk.key
        elif chunk.type == RESI:
            _residual(inner, spec.dtype)
        else:
            inner.rest(f"{TYPE_NAMES.get(chunk.type, 'unknown')}: content")
        notes.rows += inner.rows
        notes.reader.bytes(len(chunk.data))
    return notes.rows


def _field_header(notes: Notes) -> None:
    notes.read("u8", lambda value: f"FHDR: kind {_name(s.KINDS, value)}")
    flags = notes.read("u8", "flags {:#04x}")
    d = notes.read("u8", "{} axes")
    channels = notes.read("u8", "{} channels")
    notes.read("u8", lambda value: f"dtype {_name(s.DTYPES, value)}")
    for axis in range(d):
        notes.read("varint", f"extent of axis {axis}: {{}}")
    n_ranges = 0 if flags & header.FLAG_FULL_RANGE else 1 if flags & header.FLAG_ONE_RANGE else channels
    for _ in range(n_ranges):
        notes.read("f32", "value_offset {:g}")
        notes.read("f32", "value_scale {:g}")
    if flags & header.FLAG_PLACED:
        for axis in range(d):
            notes.read("f64", f"origin of axis {axis}: {{:g}}")
        notes.read("f64", "cell {:g}")
    if flags & header.FLAG_TRUNCATED:
        notes.read("f32", "truncation {:g}")
    if flags & header.FLAG_KNEE:
        notes.read("f32", "knee {:g}")
    for channel in range(1, channels if flags & header.FLAG_PLACED else 0):
        notes.read("u8", lambda value, channel=channel: f"channel {channel}: {_name(s.ROLES, value)}")
    code = layout.MORE
    while code & layout.MORE:
        code = notes.read("u8", lambda value: f"encoding {_name(s.ENCODINGS, value & ~layout.MORE)}")
        encoding = load(_name(s.ENCODINGS, code & ~layout.MORE))
        if issubclass(encoding, CoordinateEncoding):
            for parameter in encoding.parameters:
                notes.read("varint" if parameter.is_integer else "f32", f"{parameter.name} {{:g}}")
        else:
            _grid(notes, encoding.name, flags, d)
    notes.read("u8", lambda value: f"activation {_name(s.ACTIVATIONS, value)}")
    if notes.read("u8", "{} hidden layers"):
        notes.read("varint", "{} neurons")


def _grid(notes: Notes, encoding: str, flags: int, d: int) -> None:
    code = notes.read("u8", lambda value: f"interpolation {_name(s.INTERPOLATIONS, value & ~layout.BOUNDED)}")
    interpolation = code & ~layout.BOUNDED
    if code & layout.BOUNDED:
        notes.read("u8", lambda value: f"boundaries {', '.join(layout.boundary_of(value, d))}")
    if encoding == "triplane":
        notes.read("u8", lambda value: f"joining {_name(s.JOININGS, value)}")
    notes.read("u8", "log2_size {}")
    n_levels = notes.read("u8", "{} levels")
    for level in [n_levels - 1] if flags & header.FLAG_HALVING else range(n_levels):
        for axis in range(d):
            notes.read("varint", f"resolution of level {level}, axis {axis}: {{}}")
    if flags & header.FLAG_SHARED_FEATURES:
        notes.read("u8", f"features of levels 0 to {n_levels - 2}: {{}}")
    for level in [n_levels - 1] if flags & header.FLAG_SHARED_FEATURES else range(n_levels):
        notes.read("u8", f"features of level {level}: {{}}")
    for level in range(n_levels):
        notes.read("u16", lambda value, level=level: f"step of level {level}: {header.step_value(value):.4g}")
    for level in range(n_levels if interpolation == s.INTERPOLATIONS["mitchell"] else 0):
        for name in "bc":
            notes.read("i8", lambda value, name=name, level=level: f"{name} of level {level}: {value / s.SHAPE_PARTS:g}")
    if interpolation == s.INTERPOLATIONS["mitchell"]:
        notes.read("u8", "{} surrounded levels")


def _context_network(notes: Notes) -> None:
    d = notes.read("u8", "CTXN: {} axes")
    multi = notes.read("u8", "multi {}")
    neurons = notes.read("u8", "{} neurons")
    layers = notes.read("u8", "{} hidden layers")
    for k in range(layers + 1):
        notes.read("u8", f"shift of layer {k}: {{}}")
    notes.read("u8", "shift of the skip: {}")
    widths = [n_inputs(d, bool(multi)), *[neurons] * layers, 2]
    _tensors(notes, f"CTXN ({' -> '.join(map(str, widths))})", 2 * layers + 3)


def _residual(notes: Notes, dtype: str) -> None:
    flags = notes.read("u8", "RESI: flags {:#04x}")
    notes.read("u8", "lead {}")
    if dtype[0] == "f":
        notes.read("f32", "step {:g}")
        notes.read("f64", "bound {:g}")
    else:
        notes.read("varint", "step {}")
    notes.read("u8", "detail shift {}")
    length = notes.read("varint", "RESI: bytes of the context network {}")
    inner = Notes(notes.reader.bytes(length), notes.base + notes.reader.position - length)
    _context_network(inner)
    notes.rows += inner.rows
    for _ in range(2 if flags & 2 else 1):
        _level(notes, "dense", notes.read("varint", "RESI: bytes of the planes {}"))


def _tensors(notes: Notes, name: str, n: int) -> None:
    notes.read("bytes", f"{name}: scales of {n} tensors", n)
    notes.rest(f"{name}: stream of all tensors")


def _level(notes: Notes, encoding: str, length: int) -> None:
    if encoding != "dense":
        notes.read("bytes", f"level: {encoding}", length)
        return
    start = notes.reader.position
    if notes.read("u8", "level: flags {}"):
        notes.read("bytes", "level: mask", notes.read("varint", "level: bytes of the mask {}"))
    notes.read("bytes", "level: stream of its values", length - (notes.reader.position - start))


def _name(table: dict[str, int], value: int) -> str:
    return next(name for name, number in table.items() if number == value)


def _times(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: annotate.py FILE.nfld")
    sys.stdout.write(annotate(Path(sys.argv[1]).read_bytes()))
