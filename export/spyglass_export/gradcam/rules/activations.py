"""Activations: elementwise operators."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from spyglass_export.gradcam.cotangent import Cotangent, keep_where, scale
from spyglass_export.gradcam.registry import rule
from spyglass_export.gradcam.sizes import Sized
from spyglass_export.gradcam.step import Step

# Shrink keeps only numbers beyond its bound, and 3 itself is outside.
_BELOW_3 = float(np.nextafter(np.float32(3), np.float32(0)))


@rule("Relu")
def relu(step: Step) -> Mapping[int, Cotangent]:
    """Return the gradient where the output is above 0, and 0 elsewhere: the output itself is 0 there.

    ONNX Runtime chooses between tensors of one shape in half the time that it needs for a scalar.
    """
    output = step.output().name
    return {0: keep_where(step.build, _above(step, output, 0), step.gradient, zeros=output)}


@rule("LeakyRelu")
def leaky_relu(step: Step) -> Mapping[int, Cotangent]:
    """Slope: 1 above 0, alpha below. If alpha is above 0, the output has the sign of the input."""
    alpha = step.node.attribute("alpha", 0.01)
    sign_of = step.output() if alpha > 0 else step.input(0)
    return _either(step, _above(step, sign_of.name, 0), 1, step.build.floats(alpha))


@rule("PRelu")
def parametric_relu(step: Step) -> Mapping[int, Cotangent]:
    """Slope: 1 above 0, the learned slope below."""
    return _either(step, _above(step, step.input(0).name, 0), 1, step.input(1).name)


@rule("Shrink")
def shrink(step: Step) -> Mapping[int, Cotangent]:
    """Return the gradient where the input is below -lambd or above lambd, and 0 elsewhere."""
    distance = step.build.add("Abs", step.input(0).name)
    far = _above(step, distance, step.node.attribute("lambd", 0.5))
    return {0: keep_where(step.build, far, step.gradient)}


@rule("Swish")
def swish(step: Step) -> Mapping[int, Cotangent]:
    """Slope of y = x·s with s = sigmoid(αx): s + αy(1 - s)."""
    build, alpha = step.build, step.build.floats(step.node.attribute("alpha", 1.0))
    s = build.add("Sigmoid", build.add("Mul", step.input(0).name, alpha))
    bend = build.add("Mul", build.add("Mul", step.output().name, alpha), build.add("Sub", build.floats(1), s))
    return step.times(build.add("Add", s, bend))


@rule("ThresholdedRelu")
def thresholded_relu(step: Step) -> Mapping[int, Cotangent]:
    """Return the gradient where the input is above alpha, and 0 elsewhere."""
    above = _above(step, step.input(0).name, step.node.attribute("alpha", 1.0))
    return {0: keep_where(step.build, above, step.gradient)}


@rule("Elu", "Celu", "Selu")
def exponential_linear(step: Step) -> Mapping[int, Cotangent]:
    """Slope: the gain above 0; below 0, with y = height·(e^(x/width) - 1), (y + height)/width."""
    gain, height, width = _exponential_constants(step)
    build, y = step.build, step.output().name
    below = build.add("Div", build.add("Add", y, build.floats(height)), build.floats(width))
    return _either(step, _above(step, y, 0), gain, below)


def _exponential_constants(step: Step) -> tuple[float, float, float]:
    attribute = step.node.attribute
    if step.node.op_type == "Selu":
        gain, alpha = attribute("gamma", 1.0507009873554805), attribute("alpha", 1.6732632423543772)
        return gain, gain * alpha, 1.0
    alpha = attribute("alpha", 1.0)
    return 1.0, alpha, alpha if step.node.op_type == "Celu" else 1.0


@rule("Clip")
def clip(step: Step) -> Mapping[int, Cotangent]:
    """Return the gradient strictly between the bounds, as TensorFlow does for relu6, and 0 elsewhere."""
    build, inside = step.build, step.output().name
    gradient = step.gradient
    for index, op_type in ((1, "Greater"), (2, "Less")):
        if step.has_input(index):
            within = build.add(op_type, inside, step.input(index).name)
            gradient = keep_where(build, Sized(within, step.output().dims), gradient)
    return {0: gradient}


@rule("HardSigmoid")
def hard_sigmoid(step: Step) -> Mapping[int, Cotangent]:
    """Slope: alpha where the output is strictly between 0 and 1."""
    build, y = step.build, step.output()
    within = build.add("And", _above(step, y.name, 0).name, build.add("Less", y.name, build.floats(1)))
    kept = keep_where(build, Sized(within, y.dims), step.gradient)
    return {0: scale(build, kept, build.floats(step.node.attribute("alpha", 0.2)))}


@rule("HardSwish")
def hard_swish(step: Step) -> Mapping[int, Cotangent]:
    """Slope of x·s with s = max(0, min(1, x/6 + 1/2)): s + x/6 between -3 and 3, s elsewhere.

    Shrink is 0 between these bounds and x elsewhere. ONNX Runtime computes this faster than with Where.
    """
    build, x = step.build, step.input(0).name
    s = build.add("HardSigmoid", x, alpha=1 / 6, beta=0.5)
    inside = build.add("Sub", x, build.add("Shrink", x, lambd=_BELOW_3))
    return step.times(build.add("Add", s, build.add("Mul", inside, build.floats(1 / 6))))


@rule("Sigmoid")
def sigmoid(step: Step) -> Mapping[int, Cotangent]:
    """Slope: y(1 - y)."""
    y = step.output().name
    rest = step.build.add("Sub", step.build.floats(1), y)
    return step.times(step.build.add("Mul", y, rest))


@rule("Tanh")
def tanh(step: Step) -> Mapping[int, Cotangent]:
    """Slope: 1 - y²."""
    y = step.output().name
    return step.times(step.build.add("Sub", step.build.floats(1), step.build.add("Mul", y, y)))


@rule("Softplus")
def softplus(step: Step) -> Mapping[int, Cotangent]:
    """Slope of ln(1 + e^x): the sigmoid of x."""
    return step.times(step.build.add("Sigmoid", step.input(0).name))


@rule("Softsign")
def softsign(step: Step) -> Mapping[int, Cotangent]:
    """Slope of x/(1 + |x|): (1 - |y|)²."""
    rest = step.build.add("Sub", step.build.floats(1), step.build.add("Abs", step.output().name))
    return step.times(step.build.add("Mul", rest, rest))


@rule("Mish")
def mish(step: Step) -> Mapping[int, Cotangent]:
    """Slope of x·t with t = tanh(softplus(x)): t + x·sigmoid(x)·(1 - t²)."""
    build, x = step.build, step.input(0).name
    t = build.add("Tanh", build.add("Softplus", x))
    bend = build.add("Sub", build.floats(1), build.add("Mul", t, t))
    bend = build.add("Mul", bend, build.add("Mul", x, build.add("Sigmoid", x)))
    return step.times(build.add("Add", t, bend))


@rule("Gelu")
def gelu(step: Step) -> Mapping[int, Cotangent]:
    """Slope of x·Φ(x), exact or by the tanh approximation (Hendrycks and Gimpel 2016)."""
    form = step.node.attribute("approximate", "none")
    if form not in _GELU_SLOPES:
        raise step.unsupported(f"its approximation must be none or tanh, not {form}")
    return step.times(_GELU_SLOPES[form](step))


def _exact_gelu_slope(step: Step) -> str:
    """Φ(x) + x·φ(x)."""
    build, x = step.build, step.input(0).name
    root = build.add("Erf", build.add("Mul", x, build.floats(math.sqrt(0.5))))
    distribution = build.add("Mul", build.add("Add", root, build.floats(1)), build.floats(0.5))
    exponent = build.add("Mul", build.add("Mul", x, x), build.floats(-0.5))
    density = build.add("Mul", build.add("Exp", exponent), build.floats(1 / math.sqrt(2 * math.pi)))
    return build.add("Add", distribution, build.add("Mul", x, density))


def _tanh_gelu_slope(step: Step) -> str:
    """(1 + t)/2 + x·(1 - t²)/2·u' with t = tanh(u), u = √(2/π)·(x + 0.044715·x³)."""
    build, x = step.build, step.input(0).name
    root, cubic = math.sqrt(2 / math.pi), 0.044715
    square = build.add("Mul", x, x)
    bent = build.add("Add", build.floats(root), build.add("Mul", square, build.floats(root * cubic)))
    t = build.add("Tanh", build.add("Mul", x, bent))
    rate = build.add(
        "Add", build.floats(root / 2), build.add("Mul", square, build.floats(1.5 * root * cubic))
    )
    steepness = build.add("Mul", build.add("Sub", build.floats(1), build.add("Mul", t, t)), rate)
    half = build.add("Mul", build.add("Add", t, build.floats(1)), build.floats(0.5))
    return build.add("Add", half, build.add("Mul", x, steepness))


_GELU_SLOPES: Mapping[str, Callable[[Step], str]] = {"none": _exact_gelu_slope, "tanh": _tanh_gelu_slope}


def _above(step: Step, tensor: str, bound: float) -> Sized:
    return Sized(step.build.add("Greater", tensor, step.build.floats(bound)), step.output().dims)


def _either(step: Step, condition: Sized, slope_if: float, slope_else: str) -> Mapping[int, Cotangent]:
    """The gradient times `slope_if` where the condition is true, and times `slope_else` elsewhere."""
    slope = step.build.add("Where", condition.name, step.build.floats(slope_if), slope_else)
    return step.times(slope)
