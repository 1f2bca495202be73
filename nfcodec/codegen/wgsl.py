"""WGSL, the language of WebGPU."""

from __future__ import annotations

from collections.abc import Sequence

from .dialect import PRECISE, Parameter
from .expressions import INT, REAL, UINT
from .notes import describe
from .program import Program
from .shader import Shader

__all__ = ["WGSL"]


class WGSL(Shader):
    """Data go to a storage buffer, also few of them: compilers copy constant arrays that are indexed."""

    types = {REAL: "f32", PRECISE: "f32", INT: "i32", UINT: "u32"}
    functions = {**Shader.functions, "rint": "round"}

    def constant(self, type: str, name: str, value: str) -> str:
        return f"let {name}: {self.types[type]} = {value};"

    def variable(self, type: str, name: str, value: str) -> str:
        return f"var {name}: {self.types[type]} = {value};"

    def array(self, type: str, name: str, length: int) -> str:
        return f"var {name}: array<{self.types[type]}, {length}>;"

    def loop(self, name: str, length: int | str) -> str:
        return f"for (var {name} = 0; {name} < {length}; {name}++) {{"

    def function(self, name: str, parameters: Sequence[Parameter], result: str | None = None) -> str:
        shown = []
        for p in parameters:
            type = self.types[p.type]
            shown.append(f"{p.name}: {f'ptr<function, array<{type}, {p.length}>>' if p.length else type}")
        return f"fn {name}({', '.join(shown)}){'' if result is None else f' -> {self.types[result]}'} {{"

    def element(self, name: str, index: str) -> str:
        return f"(*{name})[{index}]"

    def handed(self, name: str) -> str:
        return f"&{name}"

    def select(self, condition: str, yes: str, no: str) -> str:
        return f"select({no}, {yes}, {condition})"

    def beside(self) -> bytes:
        return self.data + bytes(-len(self.data) % 4)

    def head(self, program: Program) -> list[str]:
        p = self.prefix
        lines = [f"// {line}" for line in [*self.about(program), *describe(program.spec)]]
        if self.data:
            lines += [f"// {p}_data: the bytes beside this file.", ""]
            lines += [f"@group(0) @binding(0) var<storage, read> {p}_data: array<i32>;"]
        for bits in self.bits:
            n = 32 // bits  # integers of a word
            word = f"{p}_data[i / {n}]"
            value = word if n == 1 else f"extractBits({word}, u32(i % {n}) * {bits}u, {bits}u)"
            lines += [self.function(f"{p}_at{bits}", [Parameter("i", INT)], INT), f"return {value};", "}"]
        return [*lines, ""]

    def sample(self, program: Program) -> tuple[list[str], list[str]]:
        p, spec = self.prefix, program.spec
        vector = "f32" if spec.n_dims == 1 else f"vec{spec.n_dims}<f32>"
        names = [self.constant(PRECISE, f"c{k}", part) for k, part in self.components(program)]
        return [f"fn {p}_sample(p: {vector}, values: ptr<function, array<f32, {spec.channels}>>) {{", *names], [
            "",
            f"fn {p}(p: {vector}) -> vec4<f32> {{",
            self.array(REAL, "v", spec.channels),
            f"{p}_sample(p, &v);",
            f"return vec4<f32>({self.vector(program)});",
            "}",
        ]
