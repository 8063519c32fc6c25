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
