"""A field as a program in another language: a C99 header, a shader function in GLSL or WGSL, or an ONNX graph.

`program.py` makes a field a short list of operations, whose formulas are traced from the decoder's own numpy
(`expressions.py`) and whose tables hold the file's integers (`tables.py`). `emit.py` writes it in a language of the C
family, of which `c.py`, `glsl.py` and `wgsl.py` are the words; `graph.py` makes it a graph.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from ..atomic import check_output, write_atomic
from ..errors import UsageError
from ..field import Field
from .program import program_of

__all__ = ["LANGUAGES", "Code", "generate", "write"]

LANGUAGES = {"c": ".h", "glsl": ".glsl", "wgsl": ".wgsl", "onnx": ".onnx"}
MAX_INTEGERS = 1 << 24  # of a program in text
_BESIDE = ".bin"  # added to the name of a shader, for its data
_NAME = re.compile(r"[A-Za-z](_?[A-Za-z0-9])*_?")  # two underscores are for compilers
_MAX_NAME = 40


@dataclass(frozen=True)
class Code:
    """text: the program, of ONNX the model's bytes. data: what a shader has to be given beside it, b"" for none."""

    text: bytes
    data: bytes = b""


def generate(field: Field, language: str, level: int | None = None, name: str = "nfld") -> Code:
    """A field as a program.

    language: a key of LANGUAGES. level: as in `Field.sample`. name: what all that it defines begins with, not for ONNX.
    Values agree with `Field.sample` within the tolerance of spec/format.md where coordinates do; a residual is left out.
    C has coordinates of double, the others of float, which is a thousandth of a sample off in a field of 8192 samples.
    Raises UsageError for another language or name, for scenes, for the encoding "mesh", of ONNX also for "points", and for
    more than MAX_INTEGERS integers in text; MissingExtraError without onnx.
    """
    if language not in LANGUAGES:
        raise UsageError(f"exporting: got the language {language!r}, expected one of {', '.join(LANGUAGES)}")
    if not _NAME.fullmatch(name) or len(name) > _MAX_NAME or name.startswith("gl_"):
        raise UsageError(
            f"exporting: got the name {name!r}, expected letters, digits and single underscores, {_MAX_NAME} at most"
        )
    if not isinstance(field, Field):
        raise UsageError("exporting: got a scene of several fields, expected one; decode it, or export one of Scene.fields")
    program = program_of(field, field._levels(level))
    if language == "onnx":
        from .graph import graph_of

        return Code(graph_of(program))
    n_integers = sum(table.integers.size for table in program.tables)
    if n_integers > MAX_INTEGERS:
        raise UsageError(
            f"exporting to {language}: got {n_integers} integers, expected at most {MAX_INTEGERS}; "
            "choose a coarser level, or ONNX"
        )
    from .c import C
    from .emit import emit
    from .glsl import GLSL
    from .wgsl import WGSL

    dialect = {"c": C, "glsl": GLSL, "wgsl": WGSL}[language](name)
    return Code(emit(program, dialect).encode(), dialect.beside())


def write(
    field: Field, path: str | os.PathLike, language: str | None = None, level: int | None = None, name: str = "nfld",
    overwrite: bool = False,
) -> list[Path]:  # fmt: skip
    """Writes a program as `generate` makes it; returns the files: the second, of shaders, has their data, and ".bin" added
    to its name.

    language: that of the path's suffix if None. Raises UsageError as `generate` does, and for files that exist already.
    """
    path = Path(path)
    if language is None:
        language = {suffix: language for language, suffix in LANGUAGES.items()}.get(path.suffix.lower())
    if language is None:
        expected = " ".join(LANGUAGES.values())
        raise UsageError(f"exporting to {path}: got the suffix {path.suffix!r}, expected one of {expected}")
    check_output(path, overwrite)
    code = generate(field, language, level, name)
    parts = [(path, code.text)]
    if code.data:
        # data first, so that there is no program without them
        beside = path.with_name(path.name + _BESIDE)
        check_output(beside, overwrite)
        parts.insert(0, (beside, code.data))
    for place, content in parts:
        write_atomic(place, content, overwrite)
    return [place for place, _ in reversed(parts)]
