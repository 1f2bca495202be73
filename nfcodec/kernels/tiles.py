"""Vectors of 16 from four rows of four, for interpolation: 16 vertices are weighed at once, 16 sums are taken together.

Interpolation reads a few neighbours from places that the data decide. Rows of 4 neighbours that lie side by side are
loaded whole; a gather of 16 single numbers would take several times as long.
"""

from __future__ import annotations

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .simd import LANES, vector

__all__ = ["load_rows", "locate", "splat_at", "sums_of_rows", "sums_of_vectors"]

_F32, _I32, _F64 = ir.FloatType(), ir.IntType(32), ir.DoubleType()
_ROW, _VECTOR, _INTEGERS = (ir.VectorType(_F32, 4), ir.VectorType(_F32, LANES), ir.VectorType(_I32, LANES))
_DOUBLES = ir.VectorType(_F64, LANES)


def _pointer(context, builder, array_type, array, index, kind):
    """Where element `index` of a contiguous array of one axis lies, as a pointer to `kind`."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), kind.as_pointer())


def _mixed(builder, a, b, order):
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(_I32, len(order)), order))


def _splat(builder, value, kind):
    one = builder.insert_element(ir.Constant(kind, ir.Undefined), value, ir.Constant(_I32, 0))
    return builder.shuffle_vector(one, ir.Constant(kind, ir.Undefined), ir.Constant(_INTEGERS, [0] * LANES))


@intrinsic
def load_rows(typingctx, array, a, b, c, d):
    """Lanes 0..3 are array[a : a + 4], lanes 4..7 array[b : b + 4], and so on."""

    def generate(context, builder, sig, args):
        rows = []
        for k in range(1, 5):
            at = context.cast(builder, args[k], sig.args[k], types.intp)
            rows.append(builder.load(_pointer(context, builder, sig.args[0], args[0], at, _ROW), align=4))
        halves = [_mixed(builder, *pair, list(range(8))) for pair in (rows[:2], rows[2:])]
        return _mixed(builder, *halves, list(range(16)))

    return vector(array, a, b, c, d), generate


@intrinsic
def splat_at(typingctx, array, index):
    """array[index] on all lanes; the index is not negative."""

    def generate(context, builder, sig, args):
        at = context.cast(builder, args[1], sig.args[1], types.intp)
        return _splat(builder, builder.load(_pointer(context, builder, sig.args[0], args[0], at, _F32)), _VECTOR)

    return vector(array, index), generate


@intrinsic
def sums_of_rows(typingctx, a, b, c, d):
    """Lane 4 r + k is the sum of row r (of 4 lanes) of the k-th of the four vectors."""

    def generate(context, builder, sig, args):
        def folded(x, y, low, high):
            orders = [[4 * r + k % 4 + k // 4 * LANES for r in range(4) for k in part] for part in (low, high)]
            return builder.fadd(*(_mixed(builder, x, y, order) for order in orders))

        first = folded(args[0], args[1], (0, 1, 4, 5), (2, 3, 6, 7))
        second = folded(args[2], args[3], (0, 1, 4, 5), (2, 3, 6, 7))
        return folded(first, second, (0, 2, 4, 6), (1, 3, 5, 7))

    return vector(a, b, c, d), generate


@intrinsic
def sums_of_vectors(typingctx, array, index):
    """Lane k is the sum of array[index + 16 k : index + 16 k + 16]."""

    def generate(context, builder, sig, args):
        at = context.cast(builder, args[1], sig.args[1], types.intp)
        first = _pointer(context, builder, sig.args[0], args[0], at, _VECTOR)
        # folding pairs leaves the sums in the order of reversed bits
        reversed_bits = [int(f"{k:04b}"[::-1], 2) for k in range(LANES)]
        values = [builder.load(builder.gep(first, [ir.Constant(_I32, k)]), align=4) for k in reversed_bits]
        width = LANES // 2
        while len(values) > 1:
            low = [k // width // 2 * 2 * width + k % width + (k // width % 2) * LANES for k in range(LANES)]
            high = [k + width for k in low]
            values = [
                builder.fadd(_mixed(builder, a, b, low), _mixed(builder, a, b, high))
                for a, b in zip(values[::2], values[1::2])
            ]
            width //= 2
        return values[0]

    return vector(array, index), generate


@intrinsic
def locate(typingctx, coords, at, n, shift, stride, places, fractions, to):
    """For 16 coordinates x in [0, 1], float64, on an axis of n vertices: with u = n x - 1/2 + shift, adds stride * floor(u)
    to places[:16] (int32), and leaves u - floor(u) in fractions[to : to + 16] (float32)."""

    def generate(context, builder, sig, args):
        index, to = (context.cast(builder, args[k], sig.args[k], types.intp) for k in (1, 7))
        x = builder.load(_pointer(context, builder, sig.args[0], args[0], index, _DOUBLES), align=8)
        factor = _splat(builder, context.cast(builder, args[2], sig.args[2], types.float64), _DOUBLES)
        half = ir.Constant(_DOUBLES, [ir.Constant(_F64, -0.5)] * LANES)
        moved = _splat(builder, context.cast(builder, args[3], sig.args[3], types.float64), _DOUBLES)
        u = builder.fadd(builder.fadd(builder.fmul(x, factor), half), moved)
        kind = ir.FunctionType(_DOUBLES, [_DOUBLES])
        floor = builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.floor.v{LANES}f64"), [u])
        fraction = builder.fptrunc(builder.fsub(u, floor), _VECTOR)
        builder.store(fraction, _pointer(context, builder, sig.args[6], args[6], to, _VECTOR), align=4)
        step = _splat(builder, context.cast(builder, args[4], sig.args[4], types.int32), _INTEGERS)
        place = _pointer(context, builder, sig.args[5], args[5], ir.Constant(to.type, 0), _INTEGERS)
        steps = builder.mul(builder.fptosi(floor, _INTEGERS), step)
        builder.store(builder.add(builder.load(place, align=4), steps), place, align=4)
        return context.get_dummy_value()

    return types.none(coords, at, n, shift, stride, places, fractions, to), generate
