"""Elementary functions, from which exporters compose activations and norms."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from spyglass_export.gradcam.cotangent import Cotangent, divide, keep_where, negate
from spyglass_export.gradcam.registry import rule
from spyglass_export.gradcam.sizes import Sized
from spyglass_export.gradcam.step import Step

_SMALLEST_NORMAL = float(np.finfo(np.float32).tiny)


@rule("Neg")
def negative(step: Step) -> Mapping[int, Cotangent]:
    """Gradient of -x: -g."""
    return {0: negate(step.build, step.gradient)}


@rule("Abs")
def absolute(step: Step) -> Mapping[int, Cotangent]:
    """Slope of |x|: the sign of x, 0 at 0."""
    return step.times(step.build.add("Sign", step.input(0).name))


@rule("Exp")
def exponential(step: Step) -> Mapping[int, Cotangent]:
    """Slope of e^x: e^x."""
    return step.times(step.output().name)


@rule("Log")
def logarithm(step: Step) -> Mapping[int, Cotangent]:
    """Slope of ln x: 1/x, with x at least the smallest normal float32.

    Below that, 1/x is infinite. A softmax before the logarithm multiplies by x again, and infinity times 0
    is NaN.
    """
    floored = step.build.add("Max", step.input(0).name, step.build.floats(_SMALLEST_NORMAL))
    return {0: divide(step.build, step.gradient, Sized(floored, step.input(0).dims))}


@rule("Sqrt")
def square_root(step: Step) -> Mapping[int, Cotangent]:
    """Slope of y = √x: 1/(2y), and 0 where y is 0, the subgradient of a norm at 0."""
    build, y = step.build, step.output()
    slope = divide(build, step.gradient, Sized(build.add("Mul", y.name, build.floats(2)), y.dims))
    positive = Sized(build.add("Greater", y.name, build.floats(0)), y.dims)
    return {0: keep_where(build, positive, slope)}


@rule("Reciprocal")
def reciprocal(step: Step) -> Mapping[int, Cotangent]:
    """Slope of y = 1/x: -y²."""
    squared = step.build.add("Mul", step.output().name, step.output().name)
    return step.times(step.build.add("Neg", squared))


@rule("Erf")
def error_function(step: Step) -> Mapping[int, Cotangent]:
    """Slope of erf x: 2/√π · exp(-x²)."""
    build, x = step.build, step.input(0).name
    bell = build.add("Exp", build.add("Neg", build.add("Mul", x, x)))
    return step.times(build.add("Mul", bell, build.floats(2 / math.sqrt(math.pi))))
