"""Gradients of convolutions and poolings, compared with finite differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

CONVOLUTIONS: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((4, 3, 1, 1), {}),
    ((4, 3, 3, 3), {}),
    ((4, 3, 3, 3), {"pads": [1, 1, 1, 1]}),
    ((4, 3, 3, 2), {"pads": [1, 0, 2, 1], "strides": [2, 3]}),
    ((4, 3, 3, 3), {"dilations": [2, 3], "pads": [1, 2, 1, 2]}),
    ((6, 1, 3, 3), {"group": 3}),
    ((4, 3, 3, 3), {"auto_pad": "SAME_UPPER", "strides": [2, 2]}),
    ((4, 3, 2, 2), {"auto_pad": "SAME_LOWER"}),
    ((4, 3, 3, 3), {"auto_pad": "VALID", "strides": [2, 2]}),
]


@pytest.mark.parametrize(("weight", "attributes"), CONVOLUTIONS)
def test_the_gradient_of_a_convolution_is_its_finite_difference(
    weight: tuple[int, ...],
    attributes: dict[str, Any],
    sketch: Callable[..., Any],
    image: Callable[..., Any],
    assert_exact_gradient: Callable[..., None],
) -> None:
    head = sketch(dims=(3, 7, 8))
    convolved = head.node("Conv", "features", head.normal(*weight), head.normal(weight[0]), **attributes)
    assert_exact_gradient(head.classify(head.node("Tanh", convolved)), image((3, 7, 8)))


POOLINGS: list[dict[str, Any]] = [
    {"kernel_shape": [2, 2], "strides": [2, 2]},
    {"kernel_shape": [3, 3], "strides": [2, 2]},
    {"kernel_shape": [3, 2]},
    {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
    {"kernel_shape": [3, 3], "strides": [2, 3], "pads": [1, 0, 0, 1]},
    {"kernel_shape": [2, 2], "strides": [2, 2], "ceil_mode": 1},
    {"kernel_shape": [3, 3], "strides": [3, 3], "pads": [1, 1, 1, 1], "ceil_mode": 1},
    {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"},
    {"kernel_shape": [2, 3], "strides": [2, 2], "auto_pad": "SAME_LOWER"},
    {"kernel_shape": [2, 2], "strides": [3, 3], "auto_pad": "VALID"},
]


@pytest.mark.parametrize("window", POOLINGS)
@pytest.mark.parametrize("kind", ["MaxPool", "AveragePool", "AveragePool with margins"])
def test_the_gradient_of_a_pooling_is_its_finite_difference(
    kind: str,
    window: dict[str, Any],
    sketch: Callable[..., Any],
    image: Callable[..., Any],
    assert_exact_gradient: Callable[..., None],
) -> None:
    head = sketch(dims=(2, 7, 9), opset=19)
    counting = {"count_include_pad": 1} if kind.endswith("margins") else {}
    pooled = head.node(kind.split()[0], "features", **window, **counting)
    assert_exact_gradient(head.classify(pooled), image((2, 7, 9)))


@pytest.mark.parametrize(("op_type", "opset"), [("MaxPool", 11), ("MaxPool", 21), ("AveragePool", 19)])
def test_a_pooling_may_have_a_dilated_window(
    op_type: str,
    opset: int,
    sketch: Callable[..., Any],
    image: Callable[..., Any],
    assert_exact_gradient: Callable[..., None],
) -> None:
    head = sketch(dims=(2, 7, 9), opset=opset)
    gaps = {"kernel_shape": [2, 3], "dilations": [2, 3], "strides": [2, 1], "pads": [1, 1, 0, 1]}
    assert_exact_gradient(head.classify(head.node(op_type, "features", **gaps)), image((2, 7, 9)))


def test_the_first_of_several_maxima_in_a_window_gets_its_gradient(
    sketch: Callable[..., Any], gradient_session: Callable[..., Any]
) -> None:
    head = sketch(dims=(1, 2, 4))
    model = head.classify(head.node("MaxPool", "features", kernel_shape=[2, 2], strides=[2, 2]))
    flat = np.zeros((1, 1, 2, 4), np.float32)
    gradient = gradient_session(model).run(None, {"image": flat, "class_index": np.array([0])})[-1]
    assert np.argwhere(gradient[0, 0]).tolist() == [[0, 0], [0, 2]]


def test_a_window_has_its_gradient_for_free_height_and_width(
    sketch: Callable[..., Any], image: Callable[..., Any], assert_exact_gradient: Callable[..., None]
) -> None:
    head = sketch(dims=(3, "height", "width"))
    pooled = head.node("MaxPool", "features", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    convolved = head.node("Conv", pooled, head.normal(4, 3, 2, 2), strides=[2, 2])
    averaged = head.node("AveragePool", convolved, kernel_shape=[2, 2], pads=[1, 1, 0, 0])
    scores = head.node("Flatten", head.node("GlobalMaxPool", averaged), axis=1)
    model = head.model(head.node("MatMul", scores, head.normal(4, 3)))
    assert_exact_gradient(model, image((3, 9, 8)))


@pytest.mark.parametrize("p", [1, 2, 3])
@pytest.mark.parametrize("op_type", ["LpPool", "GlobalLpPool"])
def test_the_gradient_of_a_norm_of_each_window_is_its_finite_difference(
    p: int,
    op_type: str,
    sketch: Callable[..., Any],
    image: Callable[..., Any],
    assert_exact_gradient: Callable[..., None],
) -> None:
    head = sketch(dims=(2, 7, 8))
    window = {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1, 0, 1, 0]} if op_type == "LpPool" else {}
    assert_exact_gradient(head.classify(head.node(op_type, "features", p=p, **window)), image((2, 7, 8)))


TRANSPOSED: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((3, 4, 2, 2), {"strides": [2, 2]}),
    ((3, 4, 3, 3), {"strides": [2, 3], "pads": [1, 0, 1, 2], "output_padding": [1, 0]}),
    ((3, 1, 3, 2), {"group": 3, "dilations": [2, 1]}),
]


@pytest.mark.parametrize(("weight", "attributes"), TRANSPOSED)
def test_the_gradient_of_a_transposed_convolution_is_its_finite_difference(
    weight: tuple[int, ...],
    attributes: dict[str, Any],
    sketch: Callable[..., Any],
    image: Callable[..., Any],
    assert_exact_gradient: Callable[..., None],
) -> None:
    head = sketch()
    enlarged = head.node("ConvTranspose", "features", head.normal(*weight), **attributes)
    assert_exact_gradient(head.classify(head.node("Tanh", enlarged)), image())
