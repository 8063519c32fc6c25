"""Reductions over axes, including the global poolings over height and width."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from onnx import TensorProto

from spyglass_export.gradcam.cotangent import Cotangent, divide, keep_where, multiply, scale
from spyglass_export.gradcam.opset_forms import reduce
from spyglass_export.gradcam.registry import rule
from spyglass_export.gradcam.rules.reduced import (
    axes_of,
    in_rank_of_input,
    kept_dims,
    output_in_rank_of_input,
    spread_back,
)
from spyglass_export.gradcam.sizes import Sized, count
from spyglass_export.gradcam.step import Step


@rule("ReduceSum")
def sum_up(step: Step) -> Mapping[int, Cotangent]:
    """Return the gradient, spread over the summed axes."""
    return {0: spread_back(step, step.gradient)}


@rule("ReduceMean", "GlobalAveragePool")
def average(step: Step) -> Mapping[int, Cotangent]:
    """Return g/n, spread over the n averaged elements."""
    number = count(step.build, step.input(0), axes_of(step))
    shared = replace(step.gradient, name=step.build.add("Div", step.gradient.name, number))
    return {0: spread_back(step, shared)}


@rule("ReduceMax", "ReduceMin", "GlobalMaxPool")
def extreme(step: Step) -> Mapping[int, Cotangent]:
    """Divide the gradient evenly among the elements that equal the result, as torch.amax does."""
    build, x = step.build, step.input(0)
    reached = build.add("Equal", x.name, in_rank_of_input(step, step.output().name))
    chosen = build.add("Cast", reached, to=TensorProto.FLOAT)
    number = Sized(reduce(build, "ReduceSum", chosen, axes_of(step)), kept_dims(step))
    share = divide(build, spread_back(step, step.gradient), number)
    return {0: multiply(build, share, Sized(chosen, x.dims))}


@rule("ReduceL2")
def norm(step: Step) -> Mapping[int, Cotangent]:
    """Slope of y = √Σx²: x/y, and 0 where y is 0, the subgradient that torch uses."""
    build, length = step.build, output_in_rank_of_input(step)
    share = divide(build, spread_back(step, step.gradient), length)
    positive = Sized(build.add("Greater", length.name, build.floats(0)), length.dims)
    return {0: multiply(build, keep_where(build, positive, share), step.input(0))}


@rule("ReduceSumSquare")
def sum_of_squares(step: Step) -> Mapping[int, Cotangent]:
    """Slope of Σx²: 2x."""
    doubled = scale(step.build, spread_back(step, step.gradient), step.build.floats(2))
    return {0: multiply(step.build, doubled, step.input(0))}


@rule("ReduceL1")
def sum_of_sizes(step: Step) -> Mapping[int, Cotangent]:
    """Slope of Σ|x|: the sign of x, 0 at 0."""
    x = step.input(0)
    signs = Sized(step.build.add("Sign", x.name), x.dims)
    return {0: multiply(step.build, spread_back(step, step.gradient), signs)}


@rule("ReduceLogSum")
def logarithm_of_sum(step: Step) -> Mapping[int, Cotangent]:
    """Slope of ln Σx: 1/Σx, the same for every element."""
    build = step.build
    whole = Sized(reduce(build, "ReduceSum", step.input(0).name, axes_of(step)), kept_dims(step))
    return {0: divide(build, spread_back(step, step.gradient), whole)}


@rule("ReduceLogSumExp")
def logarithm_of_sum_of_powers(step: Step) -> Mapping[int, Cotangent]:
    """Slope of y = ln Σe^x: the softmax e^(x - y)."""
    build, x = step.build, step.input(0)
    share = build.add("Exp", build.add("Sub", x.name, output_in_rank_of_input(step).name))
    return {0: multiply(build, spread_back(step, step.gradient), Sized(share, x.dims))}


@rule("ReduceProd")
def multiply_up(step: Step) -> Mapping[int, Cotangent]:
    """Slope of Πx for an element: the product of all the others.

    It is Πx/x if no element is 0. If a single element is 0, its slope is the product of the others, and
    theirs is 0. If several are 0, every slope is 0.
    """
    build, x, axes = step.build, step.input(0), axes_of(step)
    zero = build.add("Equal", x.name, build.floats(0))
    zeros = reduce(build, "ReduceSum", build.add("Cast", zero, to=TensorProto.FLOAT), axes)
    filled = build.add("Where", zero, build.floats(1), x.name)
    product = reduce(build, "ReduceProd", filled, axes)
    of_others = build.add("Div", product, filled)
    alone = build.add("And", zero, build.add("Equal", zeros, build.floats(1)))
    none = build.add("Equal", zeros, build.floats(0))
    slope = build.add("Where", build.add("Or", none, alone), of_others, build.floats(0))
    return {0: multiply(build, spread_back(step, step.gradient), Sized(slope, x.dims))}
