"""Trigonometric and hyperbolic functions and their inverses."""

from __future__ import annotations

from collections.abc import Mapping

from spyglass_export.gradcam.cotangent import Cotangent
from spyglass_export.gradcam.registry import rule
from spyglass_export.gradcam.step import Step


@rule("Sin")
def sine(step: Step) -> Mapping[int, Cotangent]:
    """Slope: cos x."""
    return step.times(step.build.add("Cos", step.input(0).name))


@rule("Cos")
def cosine(step: Step) -> Mapping[int, Cotangent]:
    """Slope: -sin x."""
    return step.times(step.build.add("Neg", step.build.add("Sin", step.input(0).name)))


@rule("Tan")
def tangent(step: Step) -> Mapping[int, Cotangent]:
    """Slope of y = tan x: 1 + y²."""
    return step.times(step.build.add("Add", step.build.floats(1), _squared(step, step.output().name)))


@rule("Sinh")
def hyperbolic_sine(step: Step) -> Mapping[int, Cotangent]:
    """Slope: cosh x."""
    return step.times(step.build.add("Cosh", step.input(0).name))


@rule("Cosh")
def hyperbolic_cosine(step: Step) -> Mapping[int, Cotangent]:
    """Slope: sinh x."""
    return step.times(step.build.add("Sinh", step.input(0).name))


# The slope is ±s, with s = 1/u or 1/√u and u = a·x² + b: the sign, whether there is a root, a and b.
_INVERSES: Mapping[str, tuple[int, bool, int, int]] = {
    "Asin": (1, True, -1, 1),
    "Acos": (-1, True, -1, 1),
    "Atan": (1, False, 1, 1),
    "Asinh": (1, True, 1, 1),
    "Acosh": (1, True, 1, -1),
    "Atanh": (1, False, -1, 1),
}


@rule(*_INVERSES)
def inverse(step: Step) -> Mapping[int, Cotangent]:
    """Slopes: ±1/√(1 - x²), 1/(1 + x²), 1/√(x² + 1), 1/√(x² - 1), 1/(1 - x²)."""
    build = step.build
    sign, root, factor, offset = _INVERSES[step.node.op_type]
    below = build.add("Mul", _squared(step, step.input(0).name), build.floats(factor))
    below = build.add("Add", below, build.floats(offset))
    if root:
        below = build.add("Sqrt", below)
    return step.times(build.add("Div", build.floats(sign), below))


def _squared(step: Step, name: str) -> str:
    return step.build.add("Mul", name, name)
