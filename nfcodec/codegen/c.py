"""C99: one header without dependencies but math.h."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .dialect import PRECISE, Dialect, Parameter
from .expressions import INT, REAL, UINT
from .notes import describe
from .program import Program
from .tables import Table

_WIDTH = 116  # characters of a line of numbers
_STEP = 0.25  # vertices of the source, of differences


class C(Dialect):
    """static inline functions; coordinates are double, the rest is float as in the decoder."""

    types = {REAL: "float", PRECISE: "double", INT: "int", UINT: "uint32_t"}
    functions = {"minimum": "fmin", "maximum": "fmax", "absolute": "fabs"}

    def constant(self, type: str, name: str, value: str) -> str:
        return f"const {self.types[type]} {name} = {value};"

    def function(self, name: str, parameters: Sequence[Parameter], result: str | None = None) -> str:
        shown = ", ".join(f"{self.types[p.type]} {'*' * (p.length > 0)}{p.name}" for p in parameters)
        return f"static inline {'void' if result is None else self.types[result]} {name}({shown}) {{"

    def cast(self, type: str, text: str) -> str:
        return f"({self.types[type]})({text})"

    def real(self, value: float, type: str) -> str:
        return super().real(value, type) + "f" * (type == REAL)

    def call(self, op: str, arguments: Sequence[str], type: str) -> str:
        if type == INT:
            return f"{self.prefix}_{op}({', '.join(arguments)})"
        return f"{self.functions.get(op, op)}{'f' * (type == REAL)}({', '.join(arguments)})"

    def tables(self, tables: Sequence[Table]) -> list[str]:
        lines = []
        for table in tables:
            kind = np.dtype(table.integers.dtype).name
            head = f"static const {kind}_t {self.prefix}_{table.name}[{table.integers.size}] = {{"
            lines += [head, *_rows(table), "};"]
        return lines

    def at(self, table: Table, index: str) -> str:
        return f"{self.prefix}_{table.name}[{index}]"

    def head(self, program: Program) -> list[str]:
        p, upper, spec = self.prefix, self.prefix.upper(), program.spec
        lines = [
            f"/* {p}_sample(p, values): the values of a field at p, its coordinates in [0, 1].",
            "",
            *describe(spec),
            "Link with the library of math.h (-lm). */",
            "",
            f"#ifndef {upper}_H",
            f"#define {upper}_H",
            "",
            "#include <math.h>",
            "#include <stdint.h>",
            "",
            f"#define {upper}_DIMS {spec.n_dims}",
            f"#define {upper}_CHANNELS {spec.channels}",
            "",
        ]
        for op, sign in (("minimum", "<"), ("maximum", ">")):
            lines += [self.function(f"{p}_{op}", [Parameter("a", INT), Parameter("b", INT)], INT)]
            lines += [f"return a {sign} b ? a : b;", "}", ""]
        return lines

    def sample(self, program: Program) -> tuple[list[str], list[str]]:
        p, spec = self.prefix, program.spec
        d, channels = spec.n_dims, spec.channels
        begin = [
            f"/* p: {d} coordinates, the slowest axis first; values: {channels} */",
            f"static inline void {p}_sample(const double *p, float *values) {{",
            *([] if program.axes else ["(void)p;"]),
            *(self.constant(PRECISE, f"c{k}", f"p[{k}]") for k in program.axes),
        ]
        steps = ", ".join(repr(_STEP / n) for n in spec.extent)
        return begin, [
            "",
            f"/* derivatives by the coordinates, from differences over half a sample; slopes: {channels} x {d} */",
            f"static inline void {p}_gradient(const double *p, float *slopes) {{",
            f"static const double steps[{d}] = {{{steps}}};",
            self.loop("k", d),
            f"double q[{d}];",
            f"float low[{channels}], high[{channels}];",
            self.loop("j", d) + " q[j] = p[j]; }",
            "q[k] = p[k] - steps[k];",
            f"{p}_sample(q, low);",
            "q[k] = p[k] + steps[k];",
            f"{p}_sample(q, high);",
            self.loop("c", channels),
            f"slopes[c * {d} + k] = (high[c] - low[c]) / (float)(2.0 * steps[k]);",
            "}",
            "}",
            "}",
            "",
            "#endif",
        ]


def _rows(table: Table) -> list[str]:
    """Numbers as lines, as full as they may be."""
    lines, line = [], []
    length = 0
    for number in map(str, table.integers.tolist()):
        if length + len(number) + 1 > _WIDTH:
            lines.append(",".join(line) + ",")
            line, length = [], 0
        line.append(number)
        length += len(number) + 1
    return [*lines, ",".join(line)]
