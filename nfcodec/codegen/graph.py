"""A program as an ONNX graph: coords (N, d) float32 -> values (N, C) float32."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from .. import __version__
from ..errors import MissingExtraError, UsageError
from .expressions import BOOL, INT, REAL, UINT, Expr, name
from .notes import describe
from .program import Formula, Layer, Program, Read
from .tables import Table

try:
    import onnx
    from onnx import TensorProto, helper, numpy_helper
except ImportError as error:
    raise MissingExtraError.of("onnx", "export", "writing ONNX") from error

__all__ = ["graph_of"]

_OPSET, _IR = 18, 9  # the first with bitwise operators, for hash grids
_OPERATORS = {
    "add": "Add", "subtract": "Sub", "multiply": "Mul", "divide": "Div", "floor_divide": "Div", "remainder": "Mod",
    "minimum": "Min", "maximum": "Max", "absolute": "Abs", "negative": "Neg", "sqrt": "Sqrt", "exp": "Exp", "log": "Log",
    "sin": "Sin", "cos": "Cos", "tanh": "Tanh", "sinh": "Sinh", "floor": "Floor", "rint": "Round", "where": "Where",
    "less": "Less", "less_equal": "LessOrEqual", "greater": "Greater", "greater_equal": "GreaterOrEqual",
    "bitwise_and": "BitwiseAnd", "bitwise_xor": "BitwiseXor",
}  # fmt: skip
# unsigned products need all 64 bits: those of a hash are below 2^52
_DTYPES = {REAL: np.float32, INT: np.int64, UINT: np.int64, BOOL: np.bool_}


def graph_of(program: Program) -> bytes:
    """The model as a file's bytes; integers stay integers, gathered and scaled when it runs."""
    spec, build = program.spec, _Builder()
    x = build.inputs(program, {f"c{k}": part for k, part in enumerate(build.split("coords", spec.n_dims))})
    below = x
    for layer in program.layers[:-1]:
        below = build.expression(layer.activation, {"v": build.layer(layer, below)})
    skipped = build.product(x, program.skip, program.skip_scale, spec.channels)
    y = build.split(build.node("Add", build.layer(program.layers[-1], below), skipped), spec.channels)
    values = [build.expression(value, {"y": channel}) for value, channel in zip(program.values, y)]
    build.node("Concat", *values, outputs=["values"], axis=1)
    shapes = {"coords": spec.n_dims, "values": spec.channels}
    ends = [helper.make_tensor_value_info(label, TensorProto.FLOAT, ["N", n]) for label, n in shapes.items()]
    text = " ".join(describe(spec))
    graph = helper.make_graph(build.nodes, "nfld", ends[:1], ends[1:], build.constants, doc_string=text)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR, producer_name="nfcodec",
        producer_version=__version__,
    )  # fmt: skip
    onnx.checker.check_model(model)
    return model.SerializeToString()


class _Builder:
    """Nodes and constants, and the names of what they make."""

    def __init__(self):
        self.nodes, self.constants, self._n = [], [], 0
        self._known: dict[Any, str] = {}

    def _new(self) -> str:
        self._n += 1
        return f"t{self._n}"

    def node(self, op: str, *inputs: str, outputs: list[str] | None = None, **attributes: Any) -> str:
        outputs = [self._new()] if outputs is None else outputs
        self.nodes.append(helper.make_node(op, list(inputs), outputs, **attributes))
        return outputs[0]

    def constant(self, array: np.ndarray, key: Any = None) -> str:
        """key: under which it is kept once."""
        key = (array.dtype.str, array.shape, array.tobytes()) if key is None else key
        if key not in self._known:
            self._known[key] = self._new()
            self.constants.append(numpy_helper.from_array(np.ascontiguousarray(array), self._known[key]))
        return self._known[key]

    def number(self, value: float, type: str) -> str:
        return self.constant(np.array(value, _DTYPES[type]))

    def split(self, x: str, n: int) -> list[str]:
        """Columns (N, 1)."""
        if n == 1:
            return [x]
        names = [self._new() for _ in range(n)]
        self.node("Split", x, outputs=names, axis=1, num_outputs=n)
        return names

    def reshaped(self, x: str, *shape: int) -> str:
        return self.node("Reshape", x, self.constant(np.array(shape, np.int64)))

    def cast(self, x: str, type: str) -> str:
        return self.node("Cast", x, to=helper.np_dtype_to_tensor_dtype(np.dtype(_DTYPES[type])))

    def table(self, table: Table, shape: tuple[int, ...] = (-1,)) -> str:
        return self.constant(table.integers.reshape(shape), (table, shape))

    # ---- expressions

    def expression(self, value: Expr | float, names: dict[str, str], type: str | None = None) -> str:
        """What an expression makes of named tensors, which are broadcast to each other."""
        if not isinstance(value, Expr):
            return self.number(value, type or REAL)
        if value.op == "name":
            return names[value.args[0]]
        if value.op == "fetch":
            table, index = value.args
            return self.cast(self.node("Gather", self.table(table), self.expression(index, names, INT)), INT)
        arguments = list(value.args)
        if value.op == "cast":
            own = arguments[0].type
            x = self.expression(arguments[0], names)
            return x if {own, value.type} == {INT, UINT} else self.cast(x, value.type)
        own = next((arg.type for arg in arguments if isinstance(arg, Expr)), REAL) if value.type == BOOL else value.type
        found = [self.expression(arg, names, own) for arg in arguments]
        return self.node(_OPERATORS[value.op], *found)

    def column(self, value: Expr | float, names: dict[str, str], like: str) -> str:
        """As `expression`; a number as often as there are rows in `like`."""
        x = self.expression(value, names)
        return x if isinstance(value, Expr) else self.node("Add", x, self.node("Mul", like, self.number(0.0, REAL)))

    # ---- operations

    def inputs(self, program: Program, names: dict[str, str]) -> str:
        """All that the network sees, (N, inputs)."""
        if program.clouds:
            raise UsageError("exporting to onnx: got a cloud of points, whose loops have no graph; choose C, GLSL or WGSL")
        n, places = program.spec.grid.n_inputs, {}
        for op in program.inputs:
            if isinstance(op, Read):
                x = self.read(op, names)
                key = (op.first, op.level.n_features)
                if key in places:
                    x = self.node("Mul" if op.multiplies else "Add", places[key], x)
                places[key] = x
            else:
                places[op.first, len(op.features)] = self.formula(op, names)
        parts, end = [], 0
        zero = self.node("Mul", names["c0"], self.number(0.0, REAL))
        for (first, length), x in [*sorted(places.items()), ((n, 0), None)]:
            if first > end:  # levels that are not there
                parts.append(self.node("Add", zero, self.constant(np.zeros((1, first - end), np.float32))))
            parts += [x] * (length > 0)
            end = first + length
        return self.node("Concat", *parts, axis=1)

    def formula(self, op: Formula, names: dict[str, str]) -> str:
        names = dict(names)
        for label, value in op.names:
            names[label] = self.expression(value, names)
        return self.node("Concat", *(self.column(feature, names, names["c0"]) for feature in op.features), axis=1)

    def read(self, op: Read, names: dict[str, str]) -> str:
        """Taps along axis k are axis k + 1 of what is gathered; (N, F)."""
        level, d = op.level, len(op.axes)
        vertex, weights = [], []
        for k, axis in enumerate(op.axes):
            known = {"c": names[f"c{axis}"]}
            known["u"] = self.expression(level.place(k, name("c"), op.shifts[k]), known)
            known["i"] = self.expression(level.first(name("u")), known)
            known["f"] = self.expression(name("u") - name("i"), known)
            shape = (-1, *(level.n_taps if j == k else 1 for j in range(d)))
            taps = [self.expression(level.vertex(k, name("i"), t), known) for t in range(level.n_taps)]
            vertex.append(self.reshaped(self.node("Concat", *taps, axis=1), *shape))
            found = [self.column(w, known, known["f"]) for w in level.weights(name("f"))]
            weights.append(self.reshaped(self.node("Concat", *found, axis=1), *shape, 1))
        row = level.row([name(f"j{k}", INT) for k in range(d)])
        index = self.expression(row, {f"j{k}": x for k, x in enumerate(vertex)})
        rows = self.cast(self.node("Gather", self.table(level.rows, (-1, level.n_features)), index), REAL)
        total = functools.reduce(functools.partial(self.node, "Mul"), [rows, *weights, self.number(level.step, REAL)])
        return self.node("ReduceSum", total, self.constant(np.arange(1, d + 1)), keepdims=0)

    def product(self, x: str, table: Table, scale: float, n_outputs: int) -> str:
        """x W^T."""
        weights = table.integers.reshape(n_outputs, -1).T.astype(np.float32) * np.float32(scale)
        return self.node("MatMul", x, self.constant(weights))

    def layer(self, layer: Layer, below: str) -> str:
        biases = self.constant(layer.biases.integers.astype(np.float32) * np.float32(layer.bias_scale))
        if layer.n_inputs == 0:
            return biases
        return self.node("Add", self.product(below, layer.weights, layer.weight_scale, layer.n_outputs), biases)
