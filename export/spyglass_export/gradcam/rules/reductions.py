"""Reductions over axes, including the global poolings over height and width."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from onnx import TensorProto

from spyglass_export.gradcam.cotangent import Cotangent, divide, keep_where, multiply, scale
from spyglass_export.gradcam.opset_forms import reduce, unsqueeze
from spyglass_export.gradcam.registry import rule
from spyglass_export.gradcam.sizes import Sized, count
from spyglass_export.gradcam.step import Step


@rule("ReduceSum")
def sum_up(step: Step) -> Mapping[int, Cotangent]:
    """Return the gradient, spread over the summed axes."""
    return {0: _spread(step, step.gradient)}


@rule("ReduceMean", "GlobalAveragePool")
def average(step: Step) -> Mapping[int, Cotangent]:
    """Return g/n, spread over the n averaged elements."""
    number = count(step.build, step.input(0), _axes(step))
    shared = replace(step.gradient, name=step.build.add("Div", step.gradient.name, number))
    return {0: _spread(step, shared)}


@rule("ReduceMax", "ReduceMin", "GlobalMaxPool")
def extreme(step: Step) -> Mapping[int, Cotangent]:
    """Divide the gradient evenly among the elements that equal the result, as torch.amax does."""
    build, x = step.build, step.input(0)
    reached = build.add("Equal", x.name, _kept(step, step.output().name))
    chosen = build.add("Cast", reached, to=TensorProto.FLOAT)
    number = Sized(reduce(build, "ReduceSum", chosen, _axes(step)), _kept_dims(step))
    share = divide(build, _spread(step, step.gradient), number)
    return {0: multiply(build, share, Sized(chosen, x.dims))}


@rule("ReduceL2")
def norm(step: Step) -> Mapping[int, Cotangent]:
    """Slope of y = √Σx²: x/y, and 0 where y is 0, the subgradient that torch uses."""
    build, length = step.build, Sized(_kept(step, step.output().name), _kept_dims(step))
    share = divide(build, _spread(step, step.gradient), length)
    positive = Sized(build.add("Greater", length.name, build.floats(0)), length.dims)
    return {0: multiply(build, keep_where(build, positive, share), step.input(0))}


@rule("ReduceSumSquare")
def sum_of_squares(step: Step) -> Mapping[int, Cotangent]:
    """Slope of Σx²: 2x."""
    doubled = scale(step.build, _spread(step, step.gradient), step.build.floats(2))
    return {0: multiply(step.build, doubled, step.input(0))}


def _spread(step: Step, gradient: Cotangent) -> Cotangent:
    """The gradient of the reduced tensor as a gradient of the input, spread over the reduced axes."""
    axes = _axes(step)
    kept = [axis for axis in range(step.input(0).rank) if axis not in axes]
    name = _kept(step, gradient.name)
    old = gradient.spread if _keeps_dims(step) else {kept[axis] for axis in gradient.spread}
    return Cotangent(name, step.input(0), frozenset(old) | frozenset(axes))


def _kept(step: Step, reduced: str) -> str:
    """A tensor of the reduced shape, with the reduced axes kept as axes of size 1."""
    return reduced if _keeps_dims(step) else unsqueeze(step.build, reduced, _axes(step))


def _kept_dims(step: Step) -> tuple[int | None, ...]:
    axes = _axes(step)
    return tuple(1 if axis in axes else size for axis, size in enumerate(step.input(0).dims))


def _keeps_dims(step: Step) -> bool:
    return bool(step.node.attribute("keepdims", 1)) or step.node.op_type.startswith("Global")


def _axes(step: Step) -> list[int]:
    rank = step.input(0).rank
    if step.node.op_type.startswith("Global"):
        return list(range(2, rank))
    given = step.node.attribute("axes")
    if step.has_input(1):
        given = step.constant(1, "axes").tolist()
    if not given:
        return [] if step.node.attribute("noop_with_empty_axes", 0) else list(range(rank))
    axes = sorted(axis % rank for axis in given)
    if axes[0] == 0:
        raise step.unsupported("it mixes the images of a batch")
    return axes
