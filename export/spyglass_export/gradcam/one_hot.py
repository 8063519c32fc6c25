"""Gradients of the last layers: a one-hot gradient selects a row of a weight without a product."""

from __future__ import annotations

from collections.abc import Mapping

from spyglass_export.gradcam.cotangent import Cotangent, OneHot
from spyglass_export.gradcam.step import Step
from spyglass_export.gradcam.weights import picked_as_float32

_PASSING = frozenset({"Cast", "DequantizeLinear", "Dropout", "Identity", "QuantizeLinear"})


def one_hot_gradients(step: Step, gradient: OneHot) -> Mapping[int, Cotangent | OneHot] | None:
    """Return the gradients of a node's inputs, or None if the one-hot gradient must become a tensor first."""
    op_type = step.node.op_type
    if op_type in _PASSING or (op_type == "Sub" and step.required == [0]) or op_type == "Add":
        return _unchanged(step, gradient)
    if step.required == [0] and op_type == "Gemm" and not step.node.attribute("transA", 0):
        return _row_of_gemm(step, gradient)
    if step.required == [0] and op_type == "MatMul" and step.shape_of(1).rank == step.shape_of(0).rank == 2:
        return {0: _row(step, gradient, 1)}
    return None


def _unchanged(step: Step, gradient: OneHot) -> Mapping[int, OneHot] | None:
    inputs = {index: step.shape_of(index) for index in step.required}
    if any(tensor.dims[1:] != gradient.of.dims[1:] for tensor in inputs.values()):
        return None
    return {index: OneHot(gradient.selected, tensor) for index, tensor in inputs.items()}


def _row_of_gemm(step: Step, gradient: OneHot) -> Mapping[int, Cotangent]:
    row = _row(step, gradient, 0 if step.node.attribute("transB", 0) else 1)
    alpha = step.node.attribute("alpha", 1.0)
    if alpha == 1:
        return {0: row}
    return {0: Cotangent(step.build.add("Mul", row.name, step.build.floats(alpha)), row.of)}


def _row(step: Step, gradient: OneHot, class_axis: int) -> Cotangent:
    """The weights of each row's class: float32 [rows, features]."""
    weights = picked_as_float32(step.view, step.build, step.node.inputs[1], gradient.selected, class_axis)
    if class_axis == 1:
        weights = step.build.add("Transpose", weights, perm=[1, 0])
    return Cotangent(weights, step.shape_of(0))
