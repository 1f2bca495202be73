"""GLSL ES 3.00, the language of WebGL 2; desktop GLSL from 4.30 on takes it too."""

from __future__ import annotations

from collections.abc import Sequence

from .dialect import PRECISE, Parameter
from .expressions import INT, REAL, UINT
from .notes import describe
from .program import Program
from .shader import Shader
from .tables import Table

__all__ = ["GLSL", "texture_size"]

_WRITTEN = 4096  # integers, up to which there is no texture but constant arrays


def texture_size(n: int) -> tuple[int, int]:
    """Columns and rows of a texture of n bytes: as narrow as WebGL 2 must support, where it is not higher than wide."""
    width = 2048
    while width * width < n:
        width *= 2
    return width, -(-n // width)


class GLSL(Shader):
    """Data go to a texture of bytes, row after row; where there are few they are constant arrays."""

    types = {REAL: "float", PRECISE: "float", INT: "int", UINT: "uint"}
    functions = {**Shader.functions, "rint": "roundEven"}

    def function(self, name: str, parameters: Sequence[Parameter], result: str | None = None) -> str:
        shown = [
            f"inout {self.types[p.type]} {p.name}[{p.length}]" if p.length else f"{self.types[p.type]} {p.name}"
            for p in parameters
        ]
        return f"{'void' if result is None else self.types[result]} {name}({', '.join(shown)}) {{"

    def tables(self, tables: Sequence[Table]) -> list[str]:
        is_small = sum(table.integers.size for table in tables) <= _WRITTEN
        self._written = set(tables) if is_small else set()
        super().tables([] if is_small else tables)
        lines = []
        for table in tables if is_small else ():
            numbers, n = table.integers.tolist(), table.integers.size
            lines.append(f"const int {self.prefix}_{table.name}[{n}] = int[{n}]({','.join(map(str, numbers))});")
        return lines

    def at(self, table: Table, index: str) -> str:
        return f"{self.prefix}_{table.name}[{index}]" if table in self._written else super().at(table, index)

    def beside(self) -> bytes:
        width, height = texture_size(len(self.data))
        return self.data + bytes(width * height - len(self.data))

    def head(self, program: Program) -> list[str]:
        p = self.prefix
        lines = [f"// {line}" for line in [*self.about(program), *describe(program.spec)]]
        texture = []
        if self.data:
            width, height = texture_size(len(self.data))
            lines += [f"// {p}_data: a texture R8I of {width} x {height}: the bytes beside this file, filtered NEAREST."]
            texture += [
                f"uniform highp isampler2D {p}_data;",
                *self._at(8, f"texelFetch({p}_data, ivec2(i % {width}, i / {width}), 0).r"),
            ]
        for bits in (16, 32):
            if bits <= max(self.bits, default=0):  # of two halves, of which the upper one has the sign
                low, high = (f"{p}_at{bits // 2}(2 * i{k})" for k in ("", " + 1"))
                texture += self._at(bits, f"({low} & {(1 << bits // 2) - 1}) | ({high} << {bits // 2})")
        return [*lines, "", "precision highp float;", "precision highp int;", *texture, ""]

    def _at(self, bits: int, value: str) -> list[str]:
        """The function that reads an integer of the data."""
        return [self.function(f"{self.prefix}_at{bits}", [Parameter("i", INT)], INT), f"return {value};", "}"]

    def sample(self, program: Program) -> tuple[list[str], list[str]]:
        p, spec = self.prefix, program.spec
        vector = "float" if spec.n_dims == 1 else f"vec{spec.n_dims}"
        names = [self.constant(PRECISE, f"c{k}", part) for k, part in self.components(program)]
        return [f"void {p}_sample({vector} p, out float values[{spec.channels}]) {{", *names], [
            "",
            f"vec4 {p}({vector} p) {{",
            self.array(REAL, "v", spec.channels),
            f"{p}_sample(p, v);",
            f"return vec4({self.vector(program)});",
            "}",
        ]
