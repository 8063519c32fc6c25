"""Gradients of elementwise operators, compared with finite differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

ACTIVATIONS: list[tuple[str, dict[str, Any], int]] = [
    ("Relu", {}, 17),
    ("LeakyRelu", {"alpha": 0.2}, 17),
    ("LeakyRelu", {"alpha": -0.2}, 17),
    ("ThresholdedRelu", {"alpha": 0.5}, 17),
    ("Elu", {"alpha": 0.7}, 17),
    ("Celu", {"alpha": 0.7}, 17),
    ("Selu", {}, 17),
    ("HardSigmoid", {"alpha": 0.4, "beta": 0.3}, 17),
    ("HardSwish", {}, 17),
    ("Sigmoid", {}, 17),
    ("Tanh", {}, 17),
    ("Softplus", {}, 17),
    ("Softsign", {}, 17),
    ("Mish", {}, 18),
    ("Gelu", {}, 20),
    ("Gelu", {"approximate": "tanh"}, 20),
    ("Neg", {}, 17),
    ("Abs", {}, 17),
    ("Exp", {}, 17),
    ("Erf", {}, 17),
    ("Identity", {}, 17),
    ("Dropout", {}, 17),
    ("Shrink", {"lambd": 0.6, "bias": 0.2}, 17),
]


@pytest.mark.parametrize(("op_type", "attributes", "opset"), ACTIVATIONS)
def test_the_gradient_of_an_activation_is_its_finite_difference(
    op_type: str,
    attributes: dict[str, Any],
    opset: int,
    sketch: Callable[..., Any],
    image: Callable[..., Any],
    assert_exact_gradient: Callable[..., None],
) -> None:
    head = sketch(opset=opset)
    wide = head.node("Mul", "features", head.weight(1.9))
    assert_exact_gradient(head.classify(head.node(op_type, wide, **attributes)), image())
