"""Eight numbers at once: a SIMD register as a number that numba can calculate with.

LLVM does not find the parallel work in loops over a handful of stages. It does not have to: the
recursion treats eight customers at once, one in each lane, and every operation here is one
instruction (or a few) on the whole register. Nothing is reordered, and a product and a sum are
rounded together only where the program says so (``multiply_add``), which IEEE 754 defines to the
last bit: each lane has the bits that the same scalar program would give, on any CPU.

``load`` and ``store`` move eight neighbours of a flat float64 array; ``gather`` and ``scatter_add``
read and add to eight places of it; ``broadcast`` copies one number to all lanes; ``+ - * /``,
``multiply_add``, ``minimum`` and ``maximum`` work lane by lane; ``exponent`` and ``mantissa`` split
positive normal numbers as ``math.frexp`` does, but with mantissas in [1, 2).
"""

import math
import operator
from collections.abc import Callable, Sequence

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, models, overload, register_model

WIDTH = 8
VECTOR = ir.VectorType(ir.DoubleType(), WIDTH)
BITS = ir.VectorType(ir.IntType(64), WIDTH)


class Register(types.Type):
    """The type of such a register."""

    def __init__(self) -> None:
        super().__init__(name=f"Register[{WIDTH}]")


REGISTER = Register()


@register_model(Register)
class _RegisterModel(models.PrimitiveModel):
    """A register is one LLVM vector."""

    def __init__(self, manager: object, kind: Register) -> None:
        super().__init__(manager, kind, VECTOR)


def _bits(value: int) -> ir.Constant:
    return ir.Constant(BITS, [value] * WIDTH)


def _address(context: object, builder: ir.IRBuilder, kind: types.Array, args: tuple) -> ir.Value:
    """Pointer to the register that begins at ``args[0][args[1]]``."""
    array = context.make_array(kind)(context, builder, args[0])
    return builder.bitcast(builder.gep(array.data, [args[1]]), VECTOR.as_pointer())


@intrinsic
def load(typing: object, array: types.Array, at: types.Integer) -> tuple:
    """Eight neighbours of a flat array."""

    def generate(
        context: object, builder: ir.IRBuilder, signature: object, args: tuple
    ) -> ir.Value:
        value = builder.load(_address(context, builder, signature.args[0], args))
        value.align = 8
        return value

    return REGISTER(array, types.int64), generate


@intrinsic
def store(typing: object, array: types.Array, at: types.Integer, value: Register) -> tuple:
    """Write eight neighbours of a flat array."""

    def generate(
        context: object, builder: ir.IRBuilder, signature: object, args: tuple
    ) -> ir.Value:
        place = builder.store(args[2], _address(context, builder, signature.args[0], args))
        place.align = 8
        return context.get_dummy_value()

    return types.void(array, types.int64, REGISTER), generate


def _places(
    context: object, builder: ir.IRBuilder, signature: object, args: tuple
) -> list[ir.Value]:
    """Pointers to eight numbers of an array; `args`: array, places, at, shift, ..."""
    data, places = (
        context.make_array(kind)(context, builder, array).data
        for kind, array in zip(signature.args[:2], args[:2], strict=True)
    )
    pointers = []
    for lane in range(WIDTH):
        here = builder.gep(places, [builder.add(args[2], ir.IntType(64)(lane))])
        pointers.append(builder.gep(data, [builder.add(builder.load(here), args[3])]))
    return pointers


@intrinsic
def gather(
    typing: object, array: types.Array, places: types.Array, at: types.Integer, shift: types.Integer
) -> tuple:
    """Eight numbers of a flat array, `shift` behind the places that stand from `at` on."""

    def generate(
        context: object, builder: ir.IRBuilder, signature: object, args: tuple
    ) -> ir.Value:
        value = ir.Constant(VECTOR, ir.Undefined)
        for lane, pointer in enumerate(_places(context, builder, signature, args)):
            value = builder.insert_element(value, builder.load(pointer), ir.IntType(32)(lane))
        return value

    return REGISTER(array, places, types.int64, types.int64), generate


@intrinsic
def scatter_add(
    typing: object, array: types.Array, places: types.Array, at: types.Integer,
    shift: types.Integer, value: Register,
) -> tuple:  # fmt: skip
    """Add the lanes to those eight numbers, one after the other: places may repeat."""

    def generate(
        context: object, builder: ir.IRBuilder, signature: object, args: tuple
    ) -> ir.Value:
        for lane, pointer in enumerate(_places(context, builder, signature, args)):
            more = builder.extract_element(args[4], ir.IntType(32)(lane))
            builder.store(builder.fadd(builder.load(pointer), more), pointer)
        return context.get_dummy_value()

    return types.void(array, places, types.int64, types.int64, REGISTER), generate


@intrinsic
def broadcast(typing: object, number: types.Float) -> tuple:
    """One number in all lanes."""

    def generate(
        context: object, builder: ir.IRBuilder, signature: object, args: tuple
    ) -> ir.Value:
        nothing, first = ir.Constant(VECTOR, ir.Undefined), ir.IntType(32)(0)
        everywhere = ir.Constant(ir.VectorType(ir.IntType(32), WIDTH), [0] * WIDTH)
        return builder.shuffle_vector(
            builder.insert_element(nothing, args[0], first), nothing, everywhere
        )

    return REGISTER(types.float64), generate


def _lane_by_lane(make: Callable[[ir.IRBuilder, ir.Value, ir.Value], ir.Value]) -> Callable:
    """Turn an LLVM instruction on two registers into a function for numba."""

    @intrinsic
    def apply(typing: object, left: Register, right: Register) -> tuple:
        def generate(context: object, builder: ir.IRBuilder, signature: object, args: tuple):
            return make(builder, args[0], args[1])

        return REGISTER(REGISTER, REGISTER), generate

    return apply


minimum = _lane_by_lane(lambda b, x, y: b.select(b.fcmp_ordered("<", x, y), x, y))
maximum = _lane_by_lane(lambda b, x, y: b.select(b.fcmp_ordered(">", x, y), x, y))
_add = _lane_by_lane(lambda b, x, y: b.fadd(x, y))
_subtract = _lane_by_lane(lambda b, x, y: b.fsub(x, y))
_multiply = _lane_by_lane(lambda b, x, y: b.fmul(x, y))
_divide = _lane_by_lane(lambda b, x, y: b.fdiv(x, y))


def _fma(builder: ir.IRBuilder, x: ir.Value, y: ir.Value, z: ir.Value) -> ir.Value:
    """``x * y + z``, rounded once."""
    name = f"llvm.fma.v{WIDTH}f64"
    function = builder.module.globals.get(name)
    if function is None:
        function = ir.Function(builder.module, ir.FunctionType(VECTOR, [VECTOR] * 3), name)
    return builder.call(function, [x, y, z])


@intrinsic
def multiply_add(typing: object, left: Register, right: Register, more: Register) -> tuple:
    """``left * right + more``, rounded once."""

    def generate(
        context: object, builder: ir.IRBuilder, signature: object, args: tuple
    ) -> ir.Value:
        return _fma(builder, *args)

    return REGISTER(REGISTER, REGISTER, REGISTER), generate


@overload(operator.add)
def _registers_add(left, right):
    if isinstance(left, Register) and isinstance(right, Register):
        return lambda left, right: _add(left, right)


@overload(operator.sub)
def _registers_subtract(left, right):
    if isinstance(left, Register) and isinstance(right, Register):
        return lambda left, right: _subtract(left, right)


@overload(operator.mul)
def _registers_multiply(left, right):
    if isinstance(left, Register) and isinstance(right, Register):
        return lambda left, right: _multiply(left, right)


@overload(operator.truediv)
def _registers_divide(left, right):
    if isinstance(left, Register) and isinstance(right, Register):
        return lambda left, right: _divide(left, right)


@intrinsic
def exponent(typing: object, value: Register) -> tuple:
    """Binary exponent of positive normal numbers, as floats."""

    def generate(
        context: object, builder: ir.IRBuilder, signature: object, args: tuple
    ) -> ir.Value:
        shifted = builder.lshr(builder.bitcast(args[0], BITS), _bits(52))
        return builder.sitofp(builder.sub(shifted, _bits(1023)), VECTOR)

    return REGISTER(REGISTER), generate


@intrinsic
def mantissa(typing: object, value: Register) -> tuple:
    """Mantissa of positive normal numbers, in [1, 2)."""

    def generate(
        context: object, builder: ir.IRBuilder, signature: object, args: tuple
    ) -> ir.Value:
        fraction = builder.and_(builder.bitcast(args[0], BITS), _bits((1 << 52) - 1))
        return builder.bitcast(builder.or_(fraction, _bits(1023 << 52)), VECTOR)

    return REGISTER(REGISTER), generate


_LOG2_E, _LN2_HIGH, _LN2_LOW = (
    1.4426950408889634,
    6.93147180369123816490e-01,
    1.90821492927058770e-10,
)
_ROUND = 6755399441055744.0  # adding 1.5 * 2**52 leaves the nearest integer in the low bits
_TERMS = tuple(1.0 / math.factorial(k) for k in range(14))
_SURELY_ZERO = -700.0


def _number(value: float) -> ir.Constant:
    return ir.Constant(VECTOR, [value] * WIDTH)


def _polynomial(builder: ir.IRBuilder, terms: Sequence[float], x: ir.Value) -> ir.Value:
    """Horner's rule."""
    value = _number(terms[-1])
    for term in reversed(terms[:-1]):
        value = _fma(builder, value, x, _number(term))
    return value


@intrinsic
def exponential(typing: object, value: Register) -> tuple:
    """``exp(x)`` for x of at most 0, to two units in the last place; exactly 0 below -700.

    ``exp(x) = 2**n exp(r)`` with ``n`` the integer nearest to ``x / ln 2``; ``|r|`` is at most
    ``ln(2) / 2``, where thirteen powers of the exponential series are enough (the standard way;
    Muller et al. 2018, *Handbook of Floating-Point Arithmetic*, from memory). Even and odd powers
    are added up apart, so that one sum need not wait for the other.
    """

    def generate(
        context: object, builder: ir.IRBuilder, signature: object, args: tuple
    ) -> ir.Value:
        vanishes = builder.fcmp_ordered("<", args[0], _number(_SURELY_ZERO))
        x = builder.select(vanishes, _number(0.0), args[0])
        shifted = _fma(builder, x, _number(_LOG2_E), _number(_ROUND))
        n = builder.fsub(shifted, _number(_ROUND))
        r = _fma(builder, n, _number(-_LN2_HIGH), x)
        r = _fma(builder, n, _number(-_LN2_LOW), r)
        square = builder.fmul(r, r)
        even, odd = (_polynomial(builder, _TERMS[k::2], square) for k in (0, 1))
        series = _fma(builder, odd, r, even)
        exponents = builder.add(builder.bitcast(shifted, BITS), _bits(1023))
        power = builder.bitcast(builder.shl(exponents, _bits(52)), VECTOR)
        return builder.select(vanishes, _number(0.0), builder.fmul(series, power))

    return REGISTER(REGISTER), generate
