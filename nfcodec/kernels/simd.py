"""Vectors of 16 float32 for numba: loads, stores and arithmetic that LLVM turns into the machine's widest instructions.

numba vectorises plain loops when LLVM sees that their arrays do not overlap, which it seldom does, and by default at half
the width of AVX-512. A kernel that is written in these vectors is fast by construction (tools/bench_speed.py) and
still portable: LLVM splits a vector where registers are narrower. `LANES` is the number of lanes.
"""

from __future__ import annotations

import math
import operator

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, register_model

__all__ = [
    "LANES", "absolute", "add_operator", "add_pairs", "add_totals", "copysign", "exp2", "floor", "fma", "load",
    "load_pairs", "log2", "maximum", "minimum", "rint", "select_positive", "splat", "sqrt", "store", "total", "where_less",
]  # fmt: skip

LANES = 16
_F32, _I32 = ir.FloatType(), ir.IntType(32)
_VECTOR, _INTEGERS, _HALF = ir.VectorType(_F32, LANES), ir.VectorType(_I32, LANES), ir.VectorType(_F32, LANES // 2)


class Vector(types.Type):
    """The numba type of a vector."""

    def __init__(self):
        super().__init__(name="float32x16")


vector = Vector()


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, _VECTOR)


def _splat(builder, value, kind=_VECTOR):
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(_I32, 0))
    return builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), ir.Constant(_INTEGERS, [0] * LANES))


def _constant(value: float):
    return ir.Constant(_VECTOR, [ir.Constant(_F32, value)] * LANES)


def _integer(value: int):
    return ir.Constant(_INTEGERS, [value] * LANES)


def _call(builder, name: str, *arguments):
    """An LLVM intrinsic on vectors, such as llvm.fma."""
    kind = ir.FunctionType(_VECTOR, [_VECTOR] * len(arguments))
    function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.v{LANES}f32")
    return builder.call(function, arguments)


def _address(context, builder, array_type, array, index):
    """Where element `index` of a contiguous float32 array of one axis lies, as a pointer to a vector."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), _VECTOR.as_pointer())


@intrinsic
def load(typingctx, array, index):
    """array[index : index + 16]."""

    def generate(context, builder, sig, args):
        at = context.cast(builder, args[1], sig.args[1], types.intp)
        return builder.load(_address(context, builder, sig.args[0], args[0], at), align=4)

    return vector(array, index), generate


@intrinsic
def store(typingctx, array, index, value):
    """array[index : index + 16] = value."""

    def generate(context, builder, sig, args):
        at = context.cast(builder, args[1], sig.args[1], types.intp)
        builder.store(args[2], _address(context, builder, sig.args[0], args[0], at), align=4)
        return context.get_dummy_value()

    return types.none(array, index, value), generate


def _half_address(context, builder, array_type, array, index):
    """As `_address`, to a vector of 8."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), _HALF.as_pointer())


@intrinsic
def load_pairs(typingctx, array, even, odd):
    """Lane 2k is array[even + k], lane 2k + 1 array[odd + k]."""

    def generate(context, builder, sig, args):
        halves = []
        for k in (1, 2):
            at = context.cast(builder, args[k], sig.args[k], types.intp)
            halves.append(builder.load(_half_address(context, builder, sig.args[0], args[0], at), align=4))
        order = [k // 2 + (k % 2) * (LANES // 2) for k in range(LANES)]
        return builder.shuffle_vector(*halves, ir.Constant(_INTEGERS, order))

    return vector(array, even, odd), generate


@intrinsic
def add_pairs(typingctx, array, even, odd, value):
    """The reverse of `load_pairs`: adds the lanes to where they came from."""

    def generate(context, builder, sig, args):
        undefined = ir.Constant(_VECTOR, ir.Undefined)
        for k in (1, 2):
            at = context.cast(builder, args[k], sig.args[k], types.intp)
            address = _half_address(context, builder, sig.args[0], args[0], at)
            order = ir.Constant(ir.VectorType(_I32, LANES // 2), list(range(k - 1, LANES, 2)))
            part = builder.shuffle_vector(args[3], undefined, order)
            builder.store(builder.fadd(builder.load(address, align=4), part), address, align=4)
        return context.get_dummy_value()

    return types.none(array, even, odd, value), generate


@intrinsic
def splat(typingctx, value):
    """A float on all lanes."""

    def generate(context, builder, sig, args):
        return _splat(builder, context.cast(builder, args[0], sig.args[0], types.float32))

    return vector(value), generate


@intrinsic
def fma(typingctx, a, b, c):
    """a * b + c."""

    def generate(context, builder, sig, args):
        return _call(builder, "fma", *args)

    return vector(a, b, c), generate


@intrinsic
def total(typingctx, a):
    """The sum of all lanes, float32, in pairs."""

    def generate(context, builder, sig, args):
        value, width = args[0], LANES
        undefined = ir.Constant(_VECTOR, ir.Undefined)
        while width > 1:
            width //= 2
            order = ir.Constant(_INTEGERS, [(k + width) % LANES for k in range(LANES)])
            value = builder.fadd(value, builder.shuffle_vector(value, undefined, order))
        return builder.extract_element(value, ir.Constant(_I32, 0))

    return types.float32(a), generate


@intrinsic
def add_totals(typingctx, array, index, stride, *parts):
    """array[index + r * stride + c] += the sum of the lanes of parts[4 r + c], for 4 rows r of 4 vectors."""

    def generate(context, builder, sig, args):
        values = cgutils.unpack_tuple(builder, args[3])
        undefined = ir.Constant(_VECTOR, ir.Undefined)
        width = LANES // 2
        # pairs of vectors are folded into one until all 16 sums lie side by side
        while len(values) > 1:
            low = [k // width // 2 * 2 * width + k % width + (k // width % 2) * LANES for k in range(LANES)]
            high = [k + width for k in low]
            folded = []
            for a, b in zip(values[::2], values[1::2]):
                first, second = (builder.shuffle_vector(a, b, ir.Constant(_INTEGERS, order)) for order in (low, high))
                folded.append(builder.fadd(first, second))
            values, width = folded, width // 2
        # lane k now holds the sum of the vector whose index has the bits of k reversed
        at, stride = (context.cast(builder, args[k], sig.args[k], types.intp) for k in (1, 2))
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        quarter = ir.VectorType(_F32, 4)
        for row in range(4):
            order = [int(f"{4 * row + c:04b}"[::-1], 2) for c in range(4)]
            sums = builder.shuffle_vector(values[0], undefined, ir.Constant(ir.VectorType(_I32, 4), order))
            address = builder.bitcast(builder.gep(data, [at]), quarter.as_pointer())
            builder.store(builder.fadd(builder.load(address, align=4), sums), address, align=4)
            at = builder.add(at, stride)
        return context.get_dummy_value()

    return types.none(array, index, stride, types.StarArgTuple(parts)), generate


def _unary(name: str, doc: str):
    def typer(typingctx, a):
        def generate(context, builder, sig, args):
            return _call(builder, name, *args)

        return vector(a), generate

    typer.__doc__ = doc
    return intrinsic(typer)


def _binary(name: str, doc: str):
    def typer(typingctx, a, b):
        def generate(context, builder, sig, args):
            return _call(builder, name, *args)

        return vector(a, b), generate

    typer.__doc__ = doc
    return intrinsic(typer)


absolute = _unary("fabs", "|a|.")
floor = _unary("floor", "The largest integers below or at a.")
rint = _unary("rint", "The nearest integers; halves go to the even one.")
sqrt = _unary("sqrt", "The square root of a >= 0.")
maximum = _binary("maxnum", "The larger of a and b, lane by lane.")
minimum = _binary("minnum", "The smaller of a and b, lane by lane.")
copysign = _binary("copysign", "|a| with the signs of b.")


@intrinsic
def where_less(typingctx, a, b, yes, no):
    """yes where a < b, else no."""

    def generate(context, builder, sig, args):
        return builder.select(builder.fcmp_ordered("<", args[0], args[1]), args[2], args[3])

    return vector(a, b, yes, no), generate


@intrinsic
def select_positive(typingctx, a, value):
    """value where a > 0, else 0: the gradient of max(a, 0)."""

    def generate(context, builder, sig, args):
        return builder.select(builder.fcmp_ordered(">", args[0], _constant(0.0)), args[1], _constant(0.0))

    return vector(a, value), generate


def _polynomial(builder, x, coefficients):
    """Horner's rule, highest power first."""
    value = _constant(coefficients[0])
    for c in coefficients[1:]:
        value = _call(builder, "fma", value, x, _constant(c))
    return value


# 2^f on [-1/2, 1/2]: Taylor of exp(f ln 2), error below one unit in the last place of float32
_EXP2 = [math.log(2.0) ** k / math.factorial(k) for k in range(7, -1, -1)]
# log2(m) / (m - 1) for m in [0.75, 1.5] as a series in s = (m - 1) / (m + 1): 2 / ln 2 (s + s^3/3 + ..)
_LOG2 = [2 / math.log(2.0) / k for k in (9, 7, 5, 3, 1)]


@intrinsic
def exp2(typingctx, a):
    """2**a; a is clamped to [-126, 126]."""

    def generate(context, builder, sig, args):
        x = _call(builder, "maxnum", _call(builder, "minnum", args[0], _constant(126.0)), _constant(-126.0))
        whole = _call(builder, "floor", builder.fadd(x, _constant(0.5)))
        part = _polynomial(builder, builder.fsub(x, whole), _EXP2)
        exponent = builder.add(builder.fptosi(whole, _INTEGERS), _integer(127))
        return builder.fmul(part, builder.bitcast(builder.shl(exponent, _integer(23)), _VECTOR))

    return vector(a), generate


@intrinsic
def log2(typingctx, a):
    """log2(a) of normal a > 0, to about 1e-6 absolutely."""

    def generate(context, builder, sig, args):
        bits = builder.bitcast(args[0], _INTEGERS)
        # the exponent that leaves the mantissa in [0.75, 1.5)
        exponent = builder.ashr(builder.sub(bits, _integer(0x3F400000)), _integer(23))
        mantissa = builder.bitcast(builder.sub(bits, builder.shl(exponent, _integer(23))), _VECTOR)
        one = _constant(1.0)
        s = builder.fdiv(builder.fsub(mantissa, one), builder.fadd(mantissa, one))
        series = builder.fmul(s, _polynomial(builder, builder.fmul(s, s), _LOG2))
        return builder.fadd(builder.sitofp(exponent, _VECTOR), series)

    return vector(a), generate


def add_operator(kind: types.Type, function, method: str) -> None:
    """Has numba translate an operator between two vectors of a kind to an instruction of LLVM's builder."""

    @infer_global(function)
    class _Template(AbstractTemplate):
        def generic(self, args, kws):
            return signature(kind, kind, kind) if len(args) == 2 and all(a == kind for a in args) else None

    @lower_builtin(function, type(kind), type(kind))
    def _lower(context, builder, sig, args):
        return getattr(builder, method)(args[0], args[1])


add_operator(vector, operator.add, "fadd")
add_operator(vector, operator.sub, "fsub")
add_operator(vector, operator.mul, "fmul")
add_operator(vector, operator.truediv, "fdiv")
add_operator(vector, operator.iadd, "fadd")
