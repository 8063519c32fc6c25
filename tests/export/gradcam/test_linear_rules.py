"""Gradients of matrix products, compared with finite differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

Draw = Callable[[Any], str]


def _vector(head: Any) -> str:
    return head.node("Flatten", "features", axis=1)


def _tokens(head: Any) -> str:
    """The features, [batch, channels, places]."""
    return head.node("Reshape", "features", head.integers(0, 3, 20))


def _attention(head: Any) -> str:
    tokens = _tokens(head)
    alike = head.node("MatMul", tokens, head.node("Transpose", tokens, perm=[0, 2, 1]))
    return head.node("MatMul", head.node("Softmax", alike, axis=-1), tokens)


PRODUCTS: dict[str, Draw] = {
    "Gemm": lambda h: h.node("Gemm", _vector(h), h.normal(60, 5), h.normal(5)),
    "Gemm with a turned weight": lambda h: h.node("Gemm", _vector(h), h.normal(5, 60), transB=1, alpha=0.5),
    "Gemm with turned features": lambda h: h.node("Gemm", _turned(h), h.normal(60, 5), transA=1),
    "Gemm with both turned": lambda h: h.node("Gemm", _turned(h), h.normal(5, 60), transA=1, transB=1),
    "Gemm with features on the right": lambda h: _row(h, "Gemm", h.normal(5, 60), _turned(h)),
    "Gemm with turned features on the right": lambda h: _row(
        h, "Gemm", h.normal(5, 60), _vector(h), transB=1
    ),
    "Gemm with a turned weight on the left": lambda h: _row(h, "Gemm", h.normal(60, 5), _turned(h), transA=1),
    "Gemm with all turned": lambda h: _row(h, "Gemm", h.normal(60, 5), _vector(h), transA=1, transB=1),
    "Gemm with features in its offset": lambda h: h.node(
        "Gemm", _vector(h), h.normal(60, 60), _vector(h), beta=0.5
    ),
    "MatMul": lambda h: h.node("MatMul", _vector(h), h.normal(60, 5)),
    "MatMul with a vector": lambda h: h.node("MatMul", _tokens(h), h.normal(20)),
    "MatMul with a vector on the left": lambda h: h.node("MatMul", h.normal(3), _tokens(h)),
    "MatMul of a stack": lambda h: h.node("MatMul", _tokens(h), h.normal(20, 6)),
    "MatMul with a stack of weights": lambda h: h.node("MatMul", "features", h.normal(1, 3, 5, 2)),
    "MatMul broadcast over a stack of weights": lambda h: h.node("MatMul", _stacked(h), h.normal(4, 20, 2)),
    "MatMul with features on the right": lambda h: h.node("MatMul", h.normal(6, 3), _tokens(h)),
    "attention": _attention,
}


def _turned(head: Any) -> str:
    return head.node("Transpose", _vector(head), perm=[1, 0])


def _row(head: Any, op_type: str, *inputs: str, **attributes: Any) -> str:
    """A product [5, batch] transposed to [batch, 5]."""
    return head.node("Transpose", head.node(op_type, *inputs, **attributes), perm=[1, 0])


def _stacked(head: Any) -> str:
    return head.node("Reshape", "features", head.integers(0, 1, 3, 20))


@pytest.mark.parametrize("product", PRODUCTS)
def test_the_gradient_of_a_product_is_its_finite_difference(
    product: str,
    sketch: Callable[..., Any],
    image: Callable[..., Any],
    assert_exact_gradient: Callable[..., None],
) -> None:
    head = sketch()
    assert_exact_gradient(head.classify(PRODUCTS[product](head)), image())


def _heads_of(head: Any) -> list[str]:
    """Queries, keys and values [batch, 2, 10, 3] of the features."""
    folded = head.node("Reshape", "features", head.integers(0, 2, 10, 3))
    return [head.node("MatMul", folded, head.normal(3, 3)) for _ in range(3)]


def _joined(head: Any) -> list[str]:
    """Queries [batch, 10, 6], and keys and values [batch, 5, 6] and [batch, 5, 4]."""
    folded = head.node("Reshape", "features", head.integers(0, 10, 6))
    fewer = head.node("Slice", folded, head.integers(0), head.integers(5), head.integers(1))
    products = [(folded, 6), (fewer, 6), (fewer, 4)]
    return [head.node("MatMul", tensor, head.normal(6, numbers)) for tensor, numbers in products]


ATTENTIONS: dict[str, Draw] = {
    "attention by head": lambda h: h.node("Attention", *_heads_of(h)),
    "causal attention": lambda h: h.node("Attention", *_heads_of(h), is_causal=1, scale=0.7),
    "attention with a mask": lambda h: h.node("Attention", *_heads_of(h), h.normal(10, 10)),
    "attention with a boolean mask": lambda h: h.node(
        "Attention", *_heads_of(h), h.weight(np.tri(10, 10, 3), bool)
    ),
    "attention of joined heads": lambda h: h.node("Attention", *_joined(h), q_num_heads=2, kv_num_heads=2),
}


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_the_gradient_of_an_attention_in_one_operator_is_its_finite_difference(
    attention: str,
    sketch: Callable[..., Any],
    image: Callable[..., Any],
    assert_exact_gradient: Callable[..., None],
) -> None:
    head = sketch(opset=23)
    assert_exact_gradient(head.classify(head.node("Tanh", ATTENTIONS[attention](head))), image())
