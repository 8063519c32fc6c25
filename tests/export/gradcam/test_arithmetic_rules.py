"""Gradients of operators of several operands and elementary functions, compared with finite differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

Draw = Callable[[Any], str]


def _positive(head: Any) -> str:
    return head.node("Add", "features", head.weight(3.0))


def _gate(head: Any) -> str:
    return head.node("Sigmoid", head.node("GlobalAveragePool", "features"))


def _per_channel(head: Any) -> str:
    return head.normal(3, 1, 1)


def _gelu_by_hand(head: Any) -> str:
    root = head.node("Erf", head.node("Div", "features", head.weight(np.sqrt(2))))
    return head.node(
        "Mul", head.node("Mul", "features", head.node("Add", root, head.weight(1))), head.weight(0.5)
    )


def _half(head: Any) -> str:
    """The features in (-0.9, 0.9)."""
    return head.node("Mul", "features", head.weight(0.45))


def _norm_by_signs(head: Any) -> str:
    """The 2-norm of each window as torch writes F.lp_pool2d: √(sign(m)·relu(|m|)·places) of a mean m."""
    mean = head.node("AveragePool", head.node("Mul", "features", "features"), kernel_shape=[2, 2])
    size = head.node("Mul", head.node("Sign", mean), head.node("Relu", head.node("Abs", mean)))
    return head.node("Pow", head.node("Mul", size, head.weight(4)), head.weight(0.5))


def _remainder_by_floor(head: Any) -> str:
    """x - floor(x/0.8765)·0.8765: the slope of the floor is 0."""
    floor = head.node("Floor", head.node("Div", "features", head.weight(0.8765)))
    return head.node("Sub", "features", head.node("Mul", floor, head.weight(0.8765)))


def _dynamic_choice(head: Any) -> str:
    condition = head.node("Greater", "features", head.weight(0.13))
    return head.node("Where", condition, head.node("Exp", "features"), head.node("Neg", "features"))


EXPRESSIONS: dict[str, Draw] = {
    "sum with a broadcast constant": lambda h: h.node("Add", "features", _per_channel(h)),
    "sum with its own mean": lambda h: h.node("Add", "features", _gate(h)),
    "sum of three": lambda h: h.node("Sum", "features", _gate(h), "features"),
    "mean of three": lambda h: h.node("Mean", "features", _gate(h), _per_channel(h)),
    "difference": lambda h: h.node("Sub", "features", _gate(h)),
    "difference from a constant": lambda h: h.node("Sub", _per_channel(h), "features"),
    "product with a constant": lambda h: h.node("Mul", _per_channel(h), "features"),
    "product with itself": lambda h: h.node("Mul", "features", "features"),
    "SiLU": lambda h: h.node("Mul", "features", h.node("Sigmoid", "features")),
    "squeeze and excite": lambda h: h.node("Mul", "features", _gate(h)),
    "quotient by a constant": lambda h: h.node("Div", "features", _per_channel(h)),
    "constant by a quotient": lambda h: h.node("Div", _per_channel(h), _positive(h)),
    "quotient of branches": lambda h: h.node("Div", "features", h.node("Exp", _gate(h))),
    "power": lambda h: h.node("Pow", "features", h.weight(3.0)),
    "whole power": lambda h: h.node("Pow", "features", h.weight(2, np.int64)),
    "root": lambda h: h.node("Sqrt", _positive(h)),
    "logarithm": lambda h: h.node("Log", _positive(h)),
    "reciprocal": lambda h: h.node("Reciprocal", _positive(h)),
    "maximum with a number": lambda h: h.node("Max", "features", h.weight(0.27)),
    "minimum of three": lambda h: h.node("Min", "features", _gate(h), h.weight(-0.33)),
    "power of a constant": lambda h: h.node("Pow", h.weight(1.7), "features"),
    "power of itself": lambda h: h.node("Pow", _positive(h), "features"),
    "remainder": lambda h: h.node("Mod", "features", h.weight(0.8765), fmod=1),
    "sine": lambda h: h.node("Sin", "features"),
    "cosine": lambda h: h.node("Cos", "features"),
    "tangent": lambda h: h.node("Tan", _half(h)),
    "arcsine": lambda h: h.node("Asin", _half(h)),
    "arccosine": lambda h: h.node("Acos", _half(h)),
    "arctangent": lambda h: h.node("Atan", "features"),
    "hyperbolic sine": lambda h: h.node("Sinh", "features"),
    "hyperbolic cosine": lambda h: h.node("Cosh", "features"),
    "hyperbolic arcsine": lambda h: h.node("Asinh", "features"),
    "hyperbolic arccosine": lambda h: h.node("Acosh", h.node("Add", "features", h.weight(3.5))),
    "hyperbolic arctangent": lambda h: h.node("Atanh", _half(h)),
    "pooling by signs": _norm_by_signs,
    "remainder by its floor": _remainder_by_floor,
    "clip": lambda h: h.node("Clip", "features", h.weight(-0.73), h.weight(0.93)),
    "clip below": lambda h: h.node("Clip", "features", h.weight(-0.73)),
    "clip above": lambda h: h.node("Clip", "features", "", h.weight(0.93)),
    "learned slope": lambda h: h.node("PRelu", "features", _per_channel(h)),
    "GELU by hand": _gelu_by_hand,
    "choice": _dynamic_choice,
    "softmax": lambda h: h.node("Softmax", "features", axis=1),
    "softmax of places": lambda h: h.node("Softmax", "features", axis=-1),
    "log softmax": lambda h: h.node("LogSoftmax", "features", axis=1),
}


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_the_gradient_of_an_expression_is_its_finite_difference(
    expression: str,
    sketch: Callable[..., Any],
    image: Callable[..., Any],
    assert_exact_gradient: Callable[..., None],
) -> None:
    head = sketch()
    assert_exact_gradient(head.classify(EXPRESSIONS[expression](head)), image())


def test_before_opset_13_a_softmax_covers_all_axes_from_its_own_on(
    sketch: Callable[..., Any], image: Callable[..., Any], assert_exact_gradient: Callable[..., None]
) -> None:
    head = sketch(opset=12)
    assert_exact_gradient(head.classify(head.node("Softmax", "features", axis=1)), image())


@pytest.mark.parametrize("op_type", ["Max", "Min"])
def test_equal_operands_share_the_gradient(
    op_type: str,
    sketch: Callable[..., Any],
    image: Callable[..., Any],
    assert_exact_gradient: Callable[..., None],
) -> None:
    head = sketch()
    assert_exact_gradient(head.classify(head.node(op_type, "features", "features")), image())
