"""What a language of the C family calls things: the few words in which C, GLSL and WGSL differ."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .expressions import BOOL, INT, REAL, UINT, Expr
from .program import Program
from .tables import Table

__all__ = ["PRECISE", "Dialect", "Parameter"]

PRECISE = "precise"  # a real for coordinates, which where there is a choice has more digits
_INFIX = {
    "add": "+", "subtract": "-", "multiply": "*", "divide": "/", "floor_divide": "/", "bitwise_and": "&",
    "bitwise_xor": "^", "less": "<", "less_equal": "<=", "greater": ">", "greater_equal": ">=",
}  # fmt: skip


_BINDING = {"add": 1, "subtract": 1, "multiply": 2, "divide": 2, "floor_divide": 2}  # others are always in brackets


@dataclass(frozen=True)
class Parameter:
    """Of a function: a number, or with `length` an array that the function changes."""

    name: str
    type: str
    length: int = 0


class Dialect(ABC):
    """A subclass has the words of its language; `prefix` begins every name that it defines."""

    types: dict[str, str]  # of REAL, PRECISE, INT, UINT
    functions: dict[str, str] = {}  # names of operations that have another one here
    most_unrolled = 0  # weights of a network that is written out as sums of products, instead of loops over tables

    def __init__(self, prefix: str):
        self.prefix = prefix

    # ---- statements, which most languages write as C does

    def constant(self, type: str, name: str, value: str) -> str:
        """A name for a value."""
        return self.variable(type, name, value)

    def variable(self, type: str, name: str, value: str) -> str:
        """A name whose value changes."""
        return f"{self.types[type]} {name} = {value};"

    def array(self, type: str, name: str, length: int) -> str:
        """So many of them, of any values."""
        return f"{self.types[type]} {name}[{length}];"

    def loop(self, name: str, length: int | str) -> str:
        """The beginning of a block in which an index runs from 0; length: a number, or the name of one."""
        return f"for (int {name} = 0; {name} < {length}; {name}++) {{"

    @abstractmethod
    def function(self, name: str, parameters: Sequence[Parameter], result: str | None = None) -> str:
        """The beginning of a function's body."""

    def element(self, name: str, index: str) -> str:
        """Of an array that came as a parameter."""
        return f"{name}[{index}]"

    def handed(self, name: str) -> str:
        """An array as an argument, for the function to change it."""
        return name

    # ---- tables

    @abstractmethod
    def tables(self, tables: Sequence[Table]) -> list[str]:
        """The lines that hold them; called before `at`."""

    @abstractmethod
    def at(self, table: Table, index: str) -> str:
        """An integer of a table."""

    def beside(self) -> bytes:
        """The bytes that a program has to be given, of tables that are not in its text."""
        return b""

    # ---- whole

    @abstractmethod
    def head(self, program: Program) -> list[str]:
        """What comes first, helpers of the others among it."""

    @abstractmethod
    def sample(self, program: Program) -> tuple[list[str], list[str]]:
        """The lines that begin the function of all values, coordinates c0 .. named; and those after it. In between `values`
        is filled, an array that came as a parameter."""

    # ---- expressions

    def real(self, value: float, type: str) -> str:
        """A number with a point or an exponent."""
        text = repr(float(value)) if type == PRECISE else str(np.float32(value))
        return text if "." in text or "e" in text else f"{text}.0"

    def cast(self, type: str, text: str) -> str:
        return f"{self.types[type]}({text})"

    def select(self, condition: str, yes: str, no: str) -> str:
        return f"({condition} ? {yes} : {no})"

    def call(self, op: str, arguments: Sequence[str], type: str) -> str:
        """A function of numbers of a type."""
        return f"{self.functions.get(op, op)}({', '.join(arguments)})"

    def text(self, value: Expr | float, type: str | None = None) -> str:
        """An expression; reals of it, and numbers, are of a type: REAL or PRECISE, or as they are."""
        if not isinstance(value, Expr):
            if type in (None, INT):
                return str(int(value))
            if type == UINT:
                return f"{int(value)}u"
            shown = self.real(value, type)
            return f"({shown})" if shown.startswith("-") else shown
        own = (type or REAL) if value.type == REAL else value.type
        if value.op == "name":
            return value.args[0]
        if value.op == "fetch":
            return self.at(value.args[0], self.text(value.args[1]))
        if value.op == "cast":
            return self.cast(own, self.text(value.args[0], type))
        if value.op == "where":
            condition, *ends = value.args
            ends = [_bracketed(self.text(end, own), end) for end in ends]
            return self.select(f"({self.text(condition, type)})", *ends)
        if value.type == BOOL:  # compares numbers of one type
            own = next(arg.type for arg in value.args if isinstance(arg, Expr))
            own = (type or REAL) if own == REAL else own
        arguments = [self.text(arg, own) for arg in value.args]
        if value.op in _INFIX:
            a, b = (_bracketed(text, arg, value.op, k) for k, (text, arg) in enumerate(zip(arguments, value.args)))
            return f"{a} {_INFIX[value.op]} {b}"
        if value.op in ("remainder", "negative"):
            a, *rest = (_bracketed(text, arg) for text, arg in zip(arguments, value.args))
            # of what is above -4 n, since languages differ below 0
            return f"(({a} + 4 * {rest[0]}) % {rest[0]})" if rest else f"(-{a})"
        return self.call(value.op, arguments, own)


def _bracketed(text: str, arg: Expr | float, op: str = "", place: int = 0) -> str:
    """An argument of an operator, in brackets where it is one itself that might bind less."""
    inner = getattr(arg, "op", "")
    if inner not in _INFIX:
        return text
    binds = _BINDING.get(inner, 0), _BINDING.get(op, 0)
    return text if 0 < binds[1] < binds[0] + (place == 0 and inner != "floor_divide") else f"({text})"
