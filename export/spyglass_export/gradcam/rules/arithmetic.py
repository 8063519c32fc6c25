"""Operators of several operands, with broadcasting."""

from __future__ import annotations

from collections.abc import Mapping

from onnx import TensorProto

from spyglass_export.gradcam.cotangent import (
    Cotangent,
    divide,
    keep_where,
    multiply,
    negate,
    scale,
    sum_to,
)
from spyglass_export.gradcam.registry import rule
from spyglass_export.gradcam.sizes import Sized
from spyglass_export.gradcam.step import Step


@rule("Add", "Sum")
def add(step: Step) -> Mapping[int, Cotangent]:
    """Return the unchanged gradient for each summand."""
    return {index: sum_to(step.build, step.gradient, step.input(index)) for index in step.required}


@rule("Sub")
def subtract(step: Step) -> Mapping[int, Cotangent]:
    """Gradients of x - y: g for x, -g for y."""
    signed = {0: step.gradient}
    if 1 in step.required:
        signed[1] = negate(step.build, step.gradient)
    return {index: sum_to(step.build, signed[index], step.input(index)) for index in step.required}


@rule("Mean")
def mean(step: Step) -> Mapping[int, Cotangent]:
    """Gradients of the mean of n operands: g/n for each."""
    shared = scale(step.build, step.gradient, step.build.floats(1 / len(step.node.inputs)))
    return {index: sum_to(step.build, shared, step.input(index)) for index in step.required}


@rule("Mul")
def multiply_operands(step: Step) -> Mapping[int, Cotangent]:
    """Gradients of x·y: g·y for x, g·x for y."""
    return {
        index: sum_to(
            step.build, multiply(step.build, step.gradient, step.input(1 - index)), step.input(index)
        )
        for index in step.required
    }


@rule("Div")
def divide_operands(step: Step) -> Mapping[int, Cotangent]:
    """Gradients of x/y: g/y for x, and -(g/y)·(x/y) for y."""
    share = divide(step.build, step.gradient, step.input(1))
    gradients = {}
    if 0 in step.required:
        gradients[0] = sum_to(step.build, share, step.input(0))
    if 1 in step.required:
        down = negate(step.build, multiply(step.build, share, step.output()))
        gradients[1] = sum_to(step.build, down, step.input(1))
    return gradients


@rule("Pow")
def power(step: Step) -> Mapping[int, Cotangent]:
    """Gradients of x^n: g·n·x^(n-1) for x, and 0 where x is 0 and n is below 1, as for a square root.

    For n it is g·x^n·ln x, and 0 where x is 0, as in torch.
    """
    gradients = {}
    if 0 in step.required:
        gradients[0] = _of_base(step)
    if 1 in step.required:
        gradients[1] = _of_exponent(step)
    return gradients


def _of_exponent(step: Step) -> Cotangent:
    build, base = step.build, step.input(0)
    slope = build.add("Mul", step.output().name, build.add("Log", base.name))
    zero = build.add("Equal", base.name, build.floats(0))
    slope = build.add("Where", zero, build.floats(0), slope)
    return sum_to(build, multiply(build, step.gradient, Sized(slope, step.output().dims)), step.input(1))


def _of_base(step: Step) -> Cotangent:
    build, base, exponent = step.build, step.input(0), step.input(1)
    lowered = build.add("Pow", base.name, build.add("Sub", exponent.name, build.floats(1)))
    infinite = build.add(
        "And",
        build.add("Equal", base.name, build.floats(0)),
        build.add("Less", exponent.name, build.floats(1)),
    )
    lowered = build.add("Where", infinite, build.floats(0), lowered)
    slope = Sized(build.add("Mul", exponent.name, lowered), step.output().dims)
    return sum_to(build, multiply(build, step.gradient, slope), base)


@rule("Mod")
def remainder(step: Step) -> Mapping[int, Cotangent]:
    """Return the unchanged gradient for the dividend; the divisor must not depend on the feature map."""
    return {0: sum_to(step.build, step.gradient, step.input(0))}


@rule("Where")
def choose(step: Step) -> Mapping[int, Cotangent]:
    """Return for each operand the gradient where the node selects it, and 0 elsewhere."""
    build = step.build
    chosen = Sized(step.node.inputs[0], step.view.dims(step.node.inputs[0]))
    conditions = {1: chosen}
    if 2 in step.required:
        conditions[2] = Sized(build.add("Not", chosen.name), chosen.dims)
    return {
        index: sum_to(build, keep_where(build, conditions[index], step.gradient), step.input(index))
        for index in step.required
    }


@rule("Max", "Min")
def extreme(step: Step) -> Mapping[int, Cotangent]:
    """Divide the gradient evenly among the operands that equal the result, as torch.amax does."""
    build, result = step.build, step.output()
    reaching = {
        index: _reaches(step, step.input(index).name, result.name) for index in range(len(step.node.inputs))
    }
    number = Sized(build.add("Sum", *reaching.values()), result.dims)
    share = divide(build, step.gradient, number)
    return {
        index: sum_to(build, multiply(build, share, Sized(reaching[index], result.dims)), step.input(index))
        for index in step.required
    }


def _reaches(step: Step, operand: str, result: str) -> str:
    equal = step.build.add("Equal", operand, result)
    return step.build.add("Cast", equal, to=TensorProto.FLOAT)
