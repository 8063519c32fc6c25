"""Gradients of the last layers: a one-hot gradient selects a row of a weight without a product.

The gradient of a class score stays one-hot through everything that keeps the classes apart: changes of
shape, an offset, a factor, a mean over the places of class maps. The layer with the weights then needs one
row of them, not a product of [rows, classes] with all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from spyglass_export.gradcam.cotangent import Cotangent, OneHot
from spyglass_export.gradcam.quantised_range import starts_at_0
from spyglass_export.gradcam.rules.window import window_of
from spyglass_export.gradcam.selection import class_axis
from spyglass_export.gradcam.sizes import Sized, count, reshape, size_of
from spyglass_export.gradcam.step import Step
from spyglass_export.gradcam.weights import picked_as_float32

_Gradients = Mapping[int, Cotangent | OneHot]


def one_hot_gradients(step: Step, gradient: OneHot) -> _Gradients | None:
    """Return the gradients of a node's inputs, or None if the one-hot gradient must become a tensor first."""
    writer = _WRITERS.get(step.node.op_type)
    return None if writer is None else writer(step, gradient)


def _retyped(step: Step, gradient: OneHot) -> _Gradients:
    return {0: replace(gradient, of=step.shape_of(0))}


def _rounded(step: Step, gradient: OneHot) -> _Gradients | None:
    """The gradient through a quantiser that is not a ReLU as well."""
    return None if starts_at_0(step.view, step.node) else _retyped(step, gradient)


def _summand(step: Step, gradient: OneHot) -> _Gradients | None:
    """The gradient of each summand, if all have the shape of the sum."""
    inputs = {index: step.shape_of(index) for index in step.required}
    if not all(_alike(tensor, gradient.of) for tensor in inputs.values()):
        return None
    return {index: replace(gradient, of=tensor) for index, tensor in inputs.items()}


def _minuend(step: Step, gradient: OneHot) -> _Gradients | None:
    return _summand(step, gradient) if step.required == [0] else None


def _opposite(step: Step, gradient: OneHot) -> _Gradients:
    value = _combined(step, "Mul", gradient.value, Sized(step.build.floats(-1), ()))
    return {0: replace(gradient, of=step.shape_of(0), value=value)}


def _product(step: Step, gradient: OneHot) -> _Gradients | None:
    """The gradient of the factor x in x·y or x/y, if y is a number for each image or for each class."""
    if len(step.required) != 1 or (step.node.op_type == "Div" and step.required == [1]):
        return None
    (index,) = step.required
    source, factor = step.shape_of(index), _at_class(step, gradient, 1 - index)
    if not _alike(source, gradient.of) or factor is None:
        return None
    value = _combined(step, step.node.op_type, gradient.value, factor)
    return {index: replace(gradient, of=source, value=value)}


def _at_class(step: Step, gradient: OneHot, index: int) -> Sized | None:
    """An operand's number for the class of each row, a scalar or [rows, 1]; None if it varies otherwise."""
    operand = step.input(index)
    dims = (1,) * (gradient.of.rank - operand.rank) + operand.dims
    above = [axis for axis, size in enumerate(dims) if axis > 0 and size != 1]
    if len(dims) > gradient.of.rank or above not in ([], [gradient.axis]):
        return None
    if not above:
        return _folded(step, operand, () if dims[0] == 1 else (-1, 1))
    if dims[0] != 1:
        return None
    numbers = _folded(step, operand, (-1, 1))
    return Sized(step.build.add("Gather", numbers.name, gradient.selected, axis=0), numbers.dims)


def _folded(step: Step, operand: Sized, sizes: tuple[int, ...]) -> Sized:
    name = step.build.add("Reshape", operand.name, step.build.integers(list(sizes)))
    return Sized(name, tuple(None if size == -1 else size for size in sizes))


def _refolded(step: Step, gradient: OneHot) -> _Gradients | None:
    """The gradient of another shape of the scores: [batch, classes] and further axes of size 1."""
    before, after = step.shape_of(0), gradient.of
    axis, later = class_axis(before.dims), class_axis(after.dims)
    if axis is None or later is None or before.dims[axis] != after.dims[later]:
        return None
    # With as many classes for each image there are as many images.
    if before.dims[axis] is None:
        return None
    return {0: replace(gradient, of=before, axis=axis)}


def _transposed(step: Step, gradient: OneHot) -> _Gradients | None:
    before = step.shape_of(0)
    perm = list(step.node.attribute("perm", range(before.rank)[::-1]))
    if perm[0] != 0:
        return None
    return {0: replace(gradient, of=before, axis=perm[gradient.axis])}


def _averaged(step: Step, gradient: OneHot) -> _Gradients | None:
    """The gradient of class maps from that of their means over some axes."""
    before, axes = step.shape_of(0), _averaged_axes(step)
    if axes is None or 0 in axes:
        return None
    kept = [axis for axis in range(before.rank) if axis not in axes]
    axis = gradient.axis if gradient.of.rank == before.rank else kept[gradient.axis]
    if axis in axes:
        return None
    number = Sized(count(step.build, before, axes), ())
    value = _combined(step, "Div", gradient.value, number)
    return {0: OneHot(gradient.selected, before, axis, value)}


def _averaged_axes(step: Step) -> list[int] | None:
    rank = step.shape_of(0).rank
    if step.node.op_type == "GlobalAveragePool":
        return list(range(2, rank))
    axes = step.node.attribute("axes")
    if axes is None and step.has_input(1):
        axes = step.view.constant(step.node.inputs[1])
    return None if axes is None or len(axes) == 0 else sorted(int(axis) % rank for axis in axes)


def _row_of_gemm(step: Step, gradient: OneHot) -> _Gradients | None:
    if step.required != [0] or step.node.attribute("transA", 0):
        return None
    alpha = step.node.attribute("alpha", 1.0)
    if alpha != 1:
        factor = Sized(step.build.floats(alpha), ())
        gradient = replace(gradient, value=_combined(step, "Mul", gradient.value, factor))
    return {0: _row(step, gradient, 0 if step.node.attribute("transB", 0) else 1)}


def _row_of_product(step: Step, gradient: OneHot) -> _Gradients | None:
    of_last_axis = gradient.axis == gradient.of.rank - 1 == step.shape_of(0).rank - 1
    if step.required != [0] or step.shape_of(1).rank != 2 or not of_last_axis:
        return None
    return {0: _row(step, gradient, 1)}


def _row(step: Step, gradient: OneHot, classes: int) -> Cotangent:
    """The weights of each row's class, float32 [rows, …, features]; `classes` is their axis in the weight."""
    weights = picked_as_float32(step.view, step.build, step.node.inputs[1], gradient.selected, classes)
    if classes == 1:
        weights = step.build.add("Transpose", weights, perm=[1, 0])
    if gradient.value is not None:
        weights = step.build.add("Mul", weights, gradient.value.name)
    before = step.shape_of(0)
    if before.rank > 2:
        features = size_of(step.build, before, before.rank - 1)
        weights = reshape(step.build, weights, [-1, *[1] * (before.rank - 2), features])
    return _spread(before, weights, range(1, before.rank - 1))


def _row_of_convolution(step: Step, gradient: OneHot) -> _Gradients | None:
    """The filter of each row's class: of one place, or of the whole map."""
    before, weight = step.shape_of(0), step.shape_of(1)
    kernel = [size for size in weight.dims[2:] if size is not None]
    several = step.required != [0] or gradient.axis != 1 or step.node.attribute("group", 1) != 1
    if several or len(kernel) != before.rank - 2:
        return None
    window = window_of(step, kernel)
    pointwise = window.is_pointwise()
    whole = tuple(kernel) == before.dims[2:] and not any(window.before + window.after)
    if not pointwise and not whole:
        return None
    weights = picked_as_float32(step.view, step.build, step.node.inputs[1], gradient.selected, 0)
    if gradient.value is not None:
        factor = gradient.value
        if factor.rank:
            factor = Sized(reshape(step.build, factor.name, [-1] + [1] * (before.rank - 1)), before.dims)
        weights = step.build.add("Mul", weights, factor.name)
    return {0: _spread(before, weights, range(2, before.rank) if pointwise else ())}


def _spread(of: Sized, name: str, axes: Iterable[int]) -> Cotangent:
    """A gradient that is the same along `axes` and has size 1 there."""
    return Cotangent(name, of, frozenset(axis for axis in axes if of.dims[axis] != 1))


def _combined(step: Step, op_type: str, value: Sized | None, factor: Sized) -> Sized:
    """The value of a one-hot gradient times a factor, or divided by it."""
    if value is None and op_type == "Mul":
        return factor
    name = step.build.floats(1) if value is None else value.name
    dims = factor.dims if value is None or value.rank == 0 else value.dims
    return Sized(step.build.add(op_type, name, factor.name), dims)


def _alike(tensor: Sized, other: Sized) -> bool:
    """Return whether two tensors have the same sizes for each image, all of them known."""
    return None not in tensor.dims[1:] and tensor.dims[1:] == other.dims[1:]


_Writer = Callable[[Step, OneHot], _Gradients | None]
_WRITERS: Mapping[str, _Writer] = {
    **dict.fromkeys(("Cast", "DequantizeLinear", "Dropout", "Identity"), _retyped),
    **dict.fromkeys(("Add", "Sum"), _summand),
    **dict.fromkeys(("Div", "Mul"), _product),
    **dict.fromkeys(("Flatten", "Reshape", "Squeeze", "Unsqueeze"), _refolded),
    **dict.fromkeys(("GlobalAveragePool", "ReduceMean"), _averaged),
    "Conv": _row_of_convolution,
    "Gemm": _row_of_gemm,
    "MatMul": _row_of_product,
    "Neg": _opposite,
    "QuantizeLinear": _rounded,
    "Sub": _minuend,
    "Transpose": _transposed,
}
