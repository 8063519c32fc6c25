"""Each method, compared with its formula in numpy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest

from spyglass_export.gradcam import attach_gradcam

DIMS = (5, 6, 7)


def _scaled(raw: Any) -> Any:
    positive = np.maximum(raw, 0)
    return positive / np.maximum(positive.max((1, 2), keepdims=True), 1e-12)


def _gradcam(features: Any, gradient: Any) -> Any:
    return (features * gradient.mean((2, 3), keepdims=True)).mean(1)


def _layercam(features: Any, gradient: Any) -> Any:
    return (features * np.maximum(gradient, 0)).sum(1)


def _gradcam_plus_plus(features: Any, gradient: Any) -> Any:
    positive = np.maximum(gradient, 0)
    whole = np.maximum(features.sum((2, 3), keepdims=True), 0)
    return (features * (positive / (2 + whole * positive)).sum((2, 3), keepdims=True)).sum(1)


# Opsets in which the operators of the heatmap have another form.
OPSETS = [11, 13, 18, 21]
FORMULAS = {"gradcam": _gradcam, "gradcam++": _gradcam_plus_plus, "layercam": _layercam}


def _pooled_by_maximum(head: Any) -> onnx.ModelProto:
    pooled = head.node("MaxPool", "features", kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    return head.classify(head.node("AveragePool", pooled, kernel_shape=[2, 2]))


def _with_two_ways(head: Any) -> onnx.ModelProto:
    """The maximum and the mean of each channel, concatenated, and a gate over all of them."""
    both = [head.node(op_type, "features") for op_type in ("GlobalMaxPool", "GlobalAveragePool")]
    gated = head.node("Mul", "features", head.node("Sigmoid", both[1]))
    return head.classify(head.node("Concat", *both, head.node("GlobalMaxPool", gated), axis=1))


def _with_counted_margins(head: Any) -> onnx.ModelProto:
    """Border places have a smaller weight here, so the sum of the gradient changes."""
    window = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
    return head.classify(head.node("AveragePool", "features", **window, count_include_pad=1))


def _turned(head: Any) -> onnx.ModelProto:
    """Pooling after a change of layout and back, as converters write it."""
    turned = head.node("Transpose", "features", perm=[0, 2, 3, 1])
    again = head.node("Transpose", head.node("Identity", turned), perm=[0, 3, 1, 2])
    return head.classify(head.node("MaxPool", again, kernel_shape=[2, 2], strides=[2, 2]))


def _dense_on_channels_last(head: Any) -> onnx.ModelProto:
    """Flattened as in Keras, and multiplied as in torch."""
    turned = head.node("Transpose", "features", perm=[0, 2, 3, 1])
    flat = head.node("Dropout", head.node("Reshape", turned, head.integers(-1, 210)))
    hidden = head.node("Gemm", flat, head.normal(8, 210), head.normal(8), transB=1, alpha=0.5)
    return head.classify(head.node("Relu", hidden))


def _dense_with_a_way_around(head: Any) -> onnx.ModelProto:
    """A product and another node read the flattened map."""
    pooled = head.node("AveragePool", "features", kernel_shape=[2, 2], strides=[2, 2])
    flat = head.node("Flatten", pooled, axis=1)
    hidden = head.node("Tanh", head.node("MatMul", flat, head.normal(45, 45)))
    return head.classify(head.node("Add", head.node("Relu", flat), hidden))


HEADS = [
    _pooled_by_maximum,
    _with_two_ways,
    _with_counted_margins,
    _turned,
    _dense_on_channels_last,
    _dense_with_a_way_around,
]


@pytest.mark.parametrize("method", FORMULAS)
@pytest.mark.parametrize("draw", HEADS)
def test_each_method_follows_its_formula(
    method: Any,
    draw: Callable[[Any], onnx.ModelProto],
    sketch: Callable[..., Any],
    session_of: Callable[..., Any],
    gradient_session: Callable[..., Any],
) -> None:
    model = draw(sketch(DIMS))
    image = np.random.default_rng(3).normal(0.3, 1, (2, *DIMS)).astype(np.float32)
    feeds = {"image": image, "class_index": np.array([2, 0])}
    gradient = gradient_session(model).run(None, feeds)[-1]
    found = session_of(attach_gradcam(model, feature_map="features", method=method).model).run(
        ["heatmap"], feeds
    )[0]
    np.testing.assert_allclose(found, _scaled(FORMULAS[method](image, gradient)), atol=1e-5)


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("dims", [(4, 6, 7), (40, 3, 4)], ids=["fewer channels", "fewer places"])
@pytest.mark.parametrize("channels_last", [False, True])
def test_eigencam_is_the_projection_on_the_first_singular_vector(
    channels_last: bool,
    dims: tuple[int, ...],
    opset: int,
    sketch: Callable[..., Any],
    session_of: Callable[..., Any],
) -> None:
    head, name = sketch(dims, opset), "features"
    if channels_last:
        name = head.node("Relu", head.node("Transpose", "features", perm=[0, 2, 3, 1]))
    model = head.classify(name)
    session = session_of(attach_gradcam(model, feature_map=name, method="eigencam").model)
    images = np.random.default_rng(5).uniform(0, 1, (2, *dims)).astype(np.float32)
    found = session.run(["heatmap"], {"image": images})[0]
    for image, heatmap in zip(images, found, strict=True):
        places = image.reshape(dims[0], -1).T
        projection = places @ np.linalg.svd(places)[2][0]
        raw = (projection * np.sign(projection.sum())).reshape(1, *dims[1:])
        np.testing.assert_allclose(heatmap, _scaled(raw)[0], atol=1e-4)


@pytest.mark.parametrize("opset", OPSETS)
def test_eigencam_explains_a_network_without_a_gradient(
    opset: int, sketch: Callable[..., Any], session_of: Callable[..., Any]
) -> None:
    head = sketch(DIMS, opset)
    rounded = head.node("Round", head.node("GlobalAveragePool", "features"))
    model = head.classify(rounded)
    image = np.zeros((1, *DIMS), np.float32)
    image[0, :, 2, 3] = 1
    found = session_of(attach_gradcam(model, method="eigencam").model).run(["heatmap"], {"image": image})[0]
    assert np.argwhere(found[0]).tolist() == [[2, 3]]


def test_the_gradient_of_the_probability_is_that_of_the_softmax(
    sketch: Callable[..., Any], session_of: Callable[..., Any]
) -> None:
    head = sketch(DIMS)
    weight = head.random.normal(size=(5, 3)).astype("f")
    mean = head.node("Flatten", head.node("GlobalAveragePool", "features"))
    output = head.node("Softmax", head.node("MatMul", mean, head.weight(weight)), axis=1)
    session = session_of(attach_gradcam(head.model(output), gradient_of="probability").model)
    image = np.random.default_rng(0).normal(size=(2, *DIMS)).astype("f")
    probabilities, found = session.run(None, {"image": image, "class_index": np.array([1])})
    slope = probabilities[:, 1:2] * (weight[:, 1] - probabilities @ weight.T)
    raw = np.einsum("bkhw,bk->bhw", image, slope / (6 * 7 * 5))
    np.testing.assert_allclose(found, _scaled(raw), atol=1e-5)


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("channels_last", [False, True])
def test_a_graph_for_scorecam_returns_feature_map_and_logits(
    channels_last: bool, opset: int, sketch: Callable[..., Any], session_of: Callable[..., Any]
) -> None:
    head = sketch(DIMS, opset)
    name = "features"
    if channels_last:
        name = head.node("Relu", head.node("Transpose", "features", perm=[0, 2, 3, 1]))
    pooled = head.with_axes("ReduceMean", name, [1, 2] if channels_last else [2, 3], 18, keepdims=0)
    weight = head.random.normal(size=(5, 3)).astype("f")
    output = head.node("Softmax", head.node("MatMul", pooled, head.weight(weight)), axis=1)
    session = session_of(attach_gradcam(head.model(output), feature_map=name, method="scorecam").model)
    image = np.random.default_rng(0).uniform(size=(2, *DIMS)).astype("f")
    features, scores = session.run(["heatmap_features", "heatmap_scores"], {"image": image})
    np.testing.assert_allclose(features, image, atol=1e-6)
    np.testing.assert_allclose(scores, image.mean((2, 3)) @ weight, atol=1e-5)


@pytest.mark.parametrize("opset", OPSETS)
@pytest.mark.parametrize("logit_of", [0, 1])
def test_scorecam_turns_a_single_logit_into_scores_of_two_classes(
    logit_of: int, opset: int, sketch: Callable[..., Any], session_of: Callable[..., Any]
) -> None:
    head = sketch(DIMS, opset)
    mean = head.node("Flatten", head.node("GlobalAveragePool", "features"))
    logit = head.node("MatMul", mean, head.normal(5, 1))
    probability = head.node("Sigmoid", logit)
    rest = head.node("Sub", head.weight(1.0), probability)
    both = (rest, probability) if logit_of == 1 else (probability, rest)
    session = session_of(
        attach_gradcam(head.model(head.node("Concat", *both, axis=1)), method="scorecam").model
    )
    image = np.random.default_rng(0).normal(size=(2, *DIMS)).astype("f")
    probabilities, _, scores = session.run(None, {"image": image})
    np.testing.assert_allclose(1 / (1 + np.exp(-scores)), probabilities, atol=1e-6)
