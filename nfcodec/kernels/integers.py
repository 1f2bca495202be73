"""Vectors of 16 int32 for numba, the integer kin of `simd`: loads, stores and arithmetic that wraps at 32 bits.

A lane may hold a pair of 16-bit integers, the first one in its low half. `add_products` multiplies pairs, which an x86 does
at several times the speed of whole lanes. LLVM splits vectors where registers are narrower.
"""

from __future__ import annotations

import operator

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.core.errors import TypingError
from numba.extending import intrinsic, register_model

from .simd import add_operator

__all__ = [
    "LANES", "add_products", "add_saturated", "get", "high_pairs", "load", "low_pairs", "maximum", "minimum", "put",
    "splat", "store",
]  # fmt: skip

LANES = 16
_I16, _I32 = ir.IntType(16), ir.IntType(32)
_VECTOR, _HALVES, _SHORT = ir.VectorType(_I32, LANES), ir.VectorType(_I16, 2 * LANES), ir.VectorType(_I16, LANES)


class Vector(types.Type):
    """The numba type of a vector."""

    def __init__(self):
        super().__init__(name="int32x16")


vector = Vector()


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, dmm, fe_type):
        super().__init__(dmm, fe_type, _VECTOR)


def _constant(value: int):
    return ir.Constant(_VECTOR, [value] * LANES)


def _check(array, is_written=False) -> None:
    """Only what these addresses are right for."""
    if not isinstance(array, types.Array) or array.ndim != 1 or array.layout != "C" or (is_written and not array.mutable):
        raise TypingError(f"indexing without checks: got {array}, expected a contiguous array of one axis")


def _address(context, builder, array_type, array, index):
    """Where element `index` of a contiguous int32 array of one axis lies, as a pointer to a vector."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), _VECTOR.as_pointer())


@intrinsic
def load(typingctx, array, index):
    """array[index : index + 16]."""
    _check(array)

    def generate(context, builder, sig, args):
        at = context.cast(builder, args[1], sig.args[1], types.intp)
        return builder.load(_address(context, builder, sig.args[0], args[0], at), align=4)

    return vector(array, index), generate


@intrinsic
def store(typingctx, array, index, value):
    """array[index : index + 16] = value."""
    _check(array, is_written=True)

    def generate(context, builder, sig, args):
        at = context.cast(builder, args[1], sig.args[1], types.intp)
        builder.store(args[2], _address(context, builder, sig.args[0], args[0], at), align=4)
        return context.get_dummy_value()

    return types.none(array, index, value), generate


@intrinsic
def get(typingctx, array, index):
    """array[index], where 0 <= index < len is certain: numba's own way is slower, since it looks out for negative ones."""
    _check(array)

    def generate(context, builder, sig, args):
        at = context.cast(builder, args[1], sig.args[1], types.intp)
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        return builder.load(builder.gep(data, [at]))

    return array.dtype(array, index), generate


@intrinsic
def put(typingctx, array, index, value):
    """array[index] = value, as `get`."""
    _check(array, is_written=True)

    def generate(context, builder, sig, args):
        at = context.cast(builder, args[1], sig.args[1], types.intp)
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        whole = context.cast(builder, args[2], sig.args[2], sig.args[0].dtype)
        builder.store(whole, builder.gep(data, [at]))
        return context.get_dummy_value()

    return types.none(array, index, value), generate


@intrinsic
def splat(typingctx, value):
    """An integer on all lanes."""

    def generate(context, builder, sig, args):
        whole = context.cast(builder, args[0], sig.args[0], types.int32)
        undefined = ir.Constant(_VECTOR, ir.Undefined)
        one = builder.insert_element(undefined, whole, ir.Constant(_I32, 0))
        return builder.shuffle_vector(one, undefined, _constant(0))

    return vector(value), generate


@intrinsic
def low_pairs(typingctx, a, b):
    """Pairs of the low halves of a and b."""

    def generate(context, builder, sig, args):
        low = builder.and_(args[0], _constant(0xFFFF))
        return builder.or_(low, builder.shl(args[1], _constant(16)))

    return vector(a, b), generate


@intrinsic
def high_pairs(typingctx, a, b):
    """Pairs of the high halves of a and b."""

    def generate(context, builder, sig, args):
        low = builder.lshr(args[0], _constant(16))
        return builder.or_(low, builder.and_(args[1], _constant(0xFFFF0000 - (1 << 32))))

    return vector(a, b), generate


def _widest_products(context) -> int:
    """Lanes that the machine multiplies pairs of in one instruction, 0 where LLVM has no name for such a one."""
    triple, _, features = context.codegen().magic_tuple()
    known = features.split(",")
    if not triple.startswith("x86_64"):
        return 0
    return 16 if "+avx512bw" in known else 8 if "+avx2" in known else 4


def _products(builder, a, b, width: int):
    """The sums of both products of pairs, `width` lanes at a time."""
    if width == 0:
        sums = []
        for down in (builder.shl, None):
            halves = [builder.ashr(down(x, _constant(16)) if down else x, _constant(16)) for x in (a, b)]
            sums.append(builder.mul(*halves))
        return builder.add(*sums)
    name = {4: "sse2.pmadd.wd", 8: "avx2.pmadd.wd", 16: "avx512.pmaddw.d.512"}[width]
    halves, whole = ir.VectorType(_I16, 2 * width), ir.VectorType(_I32, width)
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(whole, [halves] * 2), f"llvm.x86.{name}")
    order = ir.VectorType(_I32, width)
    parts = []
    for start in range(0, LANES, width):
        lanes = ir.Constant(order, list(range(start, start + width)))
        part = [builder.shuffle_vector(x, ir.Constant(_VECTOR, ir.Undefined), lanes) for x in (a, b)]
        parts.append(builder.call(function, [builder.bitcast(x, halves) for x in part]))
    while len(parts) > 1:
        both = ir.Constant(ir.VectorType(_I32, 2 * parts[0].type.count), list(range(2 * parts[0].type.count)))
        parts = [builder.shuffle_vector(x, y, both) for x, y in zip(parts[::2], parts[1::2])]
    return parts[0]


@intrinsic
def add_products(typingctx, total, a, b):
    """total + first of a * first of b + second of a * second of b, where lanes of a and b are pairs."""

    def generate(context, builder, sig, args):
        return builder.add(args[0], _products(builder, args[1], args[2], _widest_products(context)))

    return vector(total, a, b), generate


def _binary(name: str, doc: str):
    def typer(typingctx, a, b):
        def generate(context, builder, sig, args):
            kind = ir.FunctionType(_VECTOR, [_VECTOR] * 2)
            function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.v{LANES}i32")
            return builder.call(function, args)

        return vector(a, b), generate

    typer.__doc__ = doc
    return intrinsic(typer)


maximum = _binary("smax", "The larger of a and b, lane by lane.")
minimum = _binary("smin", "The smaller of a and b, lane by lane.")
add_saturated = _binary("sadd.sat", "a + b, at the ends of int32 where it leaves them.")


add_operator(vector, operator.add, "add")
add_operator(vector, operator.sub, "sub")
add_operator(vector, operator.mul, "mul")
add_operator(vector, operator.and_, "and_")
add_operator(vector, operator.lshift, "shl")
add_operator(vector, operator.rshift, "ashr")
