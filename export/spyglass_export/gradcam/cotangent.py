"""The gradient of the explained scores with respect to a tensor, and arithmetic on it.

A gradient that is the same along an axis is stored once. For example, the gradient of a global pooling with
respect to its input [batch, channels, height, width] is a tensor [rows, channels, 1, 1], spread over the
axes 2 and 3. Products and sums with full tensors broadcast, so a tensor of full size exists only if a rule
needs it.

The first axis is rows: one for each explained score. There are as many rows as images. A batch of a single
image has any number of rows, and its own tensors broadcast over them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import reduce as fold

from spyglass_export.gradcam.builder import GraphBuilder
from spyglass_export.gradcam.opset_forms import reduce, squeeze
from spyglass_export.gradcam.sizes import Size, Sized, count, size_of, vector


@dataclass(frozen=True)
class Cotangent:
    """The gradient with respect to the tensor `of`: float32, of the same rank.

    Its size is 1 along the axes in `spread`, where all its numbers are the same.
    """

    name: str
    of: Sized
    spread: frozenset[int] = frozenset()


@dataclass(frozen=True)
class OneHot:
    """The gradient with respect to `of` if it is 0 except at the explained class.

    The classes of `of`, a tensor of rank 2 or more, are along `axis`. `selected` holds the class of each row,
    int64 [rows]. `value` is the gradient at that class, float32, a scalar or [rows, 1]; None stands for 1. It
    is the same along all axes but those of rows and classes.
    """

    selected: str
    of: Sized
    axis: int = 1
    value: Sized | None = None


def scale(build: GraphBuilder, gradient: Cotangent, factor: str) -> Cotangent:
    """Return the gradient times a scalar tensor."""
    return replace(gradient, name=build.add("Mul", gradient.name, factor))


def negate(build: GraphBuilder, gradient: Cotangent) -> Cotangent:
    """Return the gradient with its sign changed."""
    return replace(gradient, name=build.add("Neg", gradient.name))


def multiply(build: GraphBuilder, gradient: Cotangent, factor: Sized) -> Cotangent:
    """Return the gradient times a tensor that broadcasts to its shape."""
    name = build.add("Mul", gradient.name, factor.name)
    return replace(gradient, name=name, spread=_left_spread(gradient, factor))


def divide(build: GraphBuilder, gradient: Cotangent, divisor: Sized) -> Cotangent:
    """Return the gradient divided by a tensor that broadcasts to its shape."""
    name = build.add("Div", gradient.name, divisor.name)
    return replace(gradient, name=name, spread=_left_spread(gradient, divisor))


def keep_where(
    build: GraphBuilder, condition: Sized, gradient: Cotangent, zeros: str | None = None
) -> Cotangent:
    """Return the gradient where `condition`, a boolean tensor, is true, and 0 elsewhere.

    `condition` broadcasts to the shape of the gradient. `zeros` is a tensor of its shape that is 0
    where it is false.
    """
    name = build.add("Where", condition.name, gradient.name, zeros or build.floats(0))
    return replace(gradient, name=name, spread=_left_spread(gradient, condition))


def _left_spread(gradient: Cotangent, factor: Sized) -> frozenset[int]:
    """The axes that a gradient stays spread over after a product: those along which the factor has size 1."""
    missing = gradient.of.rank - factor.rank
    sizes = (1,) * missing + factor.dims
    return frozenset(axis for axis in gradient.spread if sizes[axis] == 1)


def total(build: GraphBuilder, gradients: Sequence[Cotangent]) -> Cotangent:
    """Return the sum of several gradients of one tensor."""
    return fold(lambda one, other: _sum(build, one, other), gradients)


def _sum(build: GraphBuilder, one: Cotangent, other: Cotangent) -> Cotangent:
    name = build.add("Add", one.name, other.name)
    return replace(one, name=name, spread=one.spread & other.spread)


def dense(build: GraphBuilder, gradient: Cotangent, axes: Iterable[int] | None = None) -> Cotangent:
    """Return the gradient at full size along `axes`, by default along all axes that it is spread over."""
    chosen = gradient.spread if axes is None else gradient.spread.intersection(axes)
    if not chosen:
        return gradient
    sizes: list[Size] = [
        size_of(build, gradient.of, axis) if axis in chosen else 1 for axis in range(gradient.of.rank)
    ]
    name = build.add("Expand", gradient.name, vector(build, sizes))
    return replace(gradient, name=name, spread=gradient.spread - chosen)


def zeros_if_constant(build: GraphBuilder, gradient: Cotangent, axes: Sequence[int]) -> Cotangent | None:
    """Return 0 if all numbers of a gradient along `axes` are the same, otherwise None.

    For operators whose output adds up to a constant along these axes, as softmax does. Their rule subtracts
    the mean gradient, which would leave rounding errors of it.
    """
    return scale(build, gradient, build.floats(0)) if gradient.spread.issuperset(axes) else None


def sum_over(build: GraphBuilder, gradient: Cotangent, axes: Sequence[int]) -> str:
    """Return the sum of a gradient along `axes`, which stay with size 1."""
    summed = [axis for axis in axes if axis not in gradient.spread and gradient.of.dims[axis] != 1]
    name = reduce(build, "ReduceSum", gradient.name, summed)
    spread = [axis for axis in axes if axis in gradient.spread]
    return build.add("Mul", name, count(build, gradient.of, spread)) if spread else name


def sum_to(build: GraphBuilder, gradient: Cotangent, operand: Sized) -> Cotangent:
    """Return the gradient of an operand that was broadcast to the shape of `gradient`."""
    leading = gradient.of.rank - operand.rank
    sizes = (1,) * leading + operand.dims
    repeated = [axis for axis, size in enumerate(sizes) if size == 1 and gradient.of.dims[axis] != 1]
    name = sum_over(build, gradient, repeated)
    if leading:
        name = squeeze(build, name, range(leading))
    spread = frozenset(axis - leading for axis in gradient.spread - set(repeated))
    return Cotangent(name, operand, spread)
