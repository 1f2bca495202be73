"""Arithmetic as a tree, traced from numpy code: an `Expr` in place of an array makes a function of `activations`,
`encodings` or `interpolate` say what it computes. So what is exported is what the decoder runs, in another language.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import UsageError

__all__ = ["Expr", "fetch", "name"]

REAL, INT, UINT, BOOL = "real", "int", "uint", "bool"
_KINDS = {"f": REAL, "i": INT, "u": UINT}  # of a dtype


class Expr:
    """An operation and its arguments: other expressions and numbers.

    op: "name" (args: its name), "fetch" (a table, an index), "cast", or one of those below. type: REAL, INT, UINT, BOOL.
    """

    __slots__ = ("op", "args", "type")

    def __init__(self, op: str, args: tuple, type: str):
        self.op, self.args, self.type = op, args, type

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **options: Any) -> Expr:
        known = _UFUNCS.get(ufunc.__name__)
        if known is None or method != "__call__" or options:
            return NotImplemented
        return known(*map(_plain, inputs))

    def __array_function__(self, function: Callable, types: Any, args: tuple, options: dict[str, Any]) -> Expr:
        if function is np.where:
            return _node("where", *map(_plain, args), type=_joint(*args[1:]))
        if function is np.clip:
            return _minimum(_maximum(*map(_plain, args[:2])), _plain(args[2]))
        if function is np.ones_like:
            return np.float64(1)
        return NotImplemented

    def astype(self, dtype: Any, **options: Any) -> Expr:
        """Another type; all reals are one."""
        kind = _KINDS[np.dtype(dtype).kind]
        return self if kind == self.type else Expr("cast", (self,), kind)

    def tables(self) -> list[Any]:
        """Those that it fetches from, each once."""
        own = [self.args[0]] if self.op == "fetch" else []
        below = [table for arg in self.args if isinstance(arg, Expr) for table in arg.tables()]
        return list(dict.fromkeys([*own, *below]))

    def renamed(self, new: str) -> Expr:
        """With another name for its one variable."""
        if self.op == "name":
            return name(new, self.type)
        return Expr(self.op, tuple(arg.renamed(new) if isinstance(arg, Expr) else arg for arg in self.args), self.type)

    def _operator(name: str, swapped: bool = False):  # noqa: N805
        def method(self, other):
            other = _plain(other)
            return _UFUNCS[name](other, self) if swapped else _UFUNCS[name](self, other)

        return method

    __add__, __radd__ = _operator("add"), _operator("add", True)
    __sub__, __rsub__ = _operator("subtract"), _operator("subtract", True)
    __mul__, __rmul__ = _operator("multiply"), _operator("multiply", True)
    __truediv__, __rtruediv__ = _operator("divide"), _operator("divide", True)
    __mod__, __floordiv__ = _operator("remainder"), _operator("floor_divide")
    __and__, __xor__ = _operator("bitwise_and"), _operator("bitwise_xor")
    __lt__, __le__, __gt__, __ge__ = map(_operator, ("less", "less_equal", "greater", "greater_equal"))

    def __neg__(self) -> Expr:
        return _node("negative", self)

    def __abs__(self) -> Expr:
        return _node("absolute", self)


def _function(op: str):
    """What numpy calls of an element of an array of objects: np.sin(array) is [x.sin() for x in array]."""
    return lambda self: _node(op, self)


for _op in ("sin", "cos", "exp", "tanh", "sinh", "sqrt", "rint", "log"):
    setattr(Expr, _op, _function(_op))


def name(text: str, type: str = REAL) -> Expr:
    """A variable."""
    return Expr("name", (text,), type)


def fetch(table: Any, index: Expr | int) -> Expr:
    """The integer of a `tables.Table` at an index."""
    return Expr("fetch", (table, index), INT)


def _plain(value: Any) -> Any:
    """Numbers as Python's own; a float32 as the number that it is."""
    if isinstance(value, Expr):
        return value
    array = np.asarray(value)
    if array.ndim or array.dtype.kind not in "biuf":
        raise UsageError(f"exporting: got {type(value).__name__} in a formula, which has no counterpart; decode instead")
    return array.item()


def _joint(*args: Any) -> str:
    types = {arg.type for arg in args if isinstance(arg, Expr)}
    if not types:
        return REAL if any(isinstance(arg, float) for arg in args) else INT
    return REAL if REAL in types else types.pop()


def _node(op: str, *args: Any, type: str | None = None) -> Expr:
    return Expr(op, args, _joint(*args) if type is None else type)


def _add(a: Any, b: Any) -> Any:
    if _is(a, 0) or _is(b, 0):
        return b if _is(a, 0) else a
    return _node("add", a, b)


def _subtract(a: Any, b: Any) -> Any:
    return a if _is(b, 0) else _node("subtract", a, b)


def _multiply(a: Any, b: Any) -> Any:
    if _is(a, 0) or _is(b, 0):
        return 0.0 if _joint(a, b) == REAL else 0
    if _is(a, 1) or _is(b, 1):
        return b if _is(a, 1) else a
    return _node("multiply", a, b)


def _square(a: Expr) -> Expr:
    return _multiply(a, a)


def _minimum(a: Any, b: Any) -> Expr:
    return _node("minimum", a, b)


def _maximum(a: Any, b: Any) -> Expr:
    return _node("maximum", a, b)


def _logaddexp(a: Any, b: Any) -> Expr:
    return _maximum(a, b) + _node("log", 1.0 + _node("exp", -abs(a - b)))


def _is(value: Any, number: int) -> bool:
    return not isinstance(value, Expr) and value == number


def _comparison(op: str):
    return lambda a, b: _node(op, a, b, type=BOOL)


_PLAIN = (
    "divide", "negative", "absolute", "sin", "cos", "exp", "tanh", "sinh", "sqrt", "rint", "log", "floor", "remainder",
    "floor_divide", "bitwise_and", "bitwise_xor",
)  # fmt: skip
_UFUNCS: dict[str, Callable] = {
    **{op: (lambda op: lambda *args: _node(op, *args))(op) for op in _PLAIN},
    **{op: _comparison(op) for op in ("less", "less_equal", "greater", "greater_equal")},
    "add": _add, "subtract": _subtract, "multiply": _multiply, "square": _square, "minimum": _minimum,
    "maximum": _maximum, "logaddexp": _logaddexp,
}  # fmt: skip
