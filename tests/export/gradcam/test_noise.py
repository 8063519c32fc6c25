"""A map of which only rounding errors are left is 0 everywhere; any other map is not changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto

from spyglass_export.gradcam import attach_gradcam


def _softmax_pooled(head: Any, channels: int, side: int, *, half: bool = False) -> str:
    """Expected coordinates under a softmax over all places: the gradient of each channel sums to 0."""
    flat = head.node("Reshape", "features", head.integers(0, channels, -1))
    coordinates = head.weight(np.linspace(-1, 2, side * side), np.float16 if half else np.float32)
    if half:
        flat = head.node("Cast", flat, to=TensorProto.FLOAT16)
    product = head.node("Mul", head.node("Softmax", flat, axis=2), coordinates)
    if half:
        product = head.node("Cast", product, to=TensorProto.FLOAT)
    return head.with_axes("ReduceSum", product, [2], 13, keepdims=0)


def _maps(session: Any, image: Any, classes: int = 3) -> Any:
    feeds = {"image": image, "class_index": np.arange(classes)}
    return np.concatenate([session.run(["heatmap"], feeds | {"image": each[None]})[0] for each in image])


def _images(channels: int, side: int) -> Any:
    return np.random.default_rng(3).normal(size=(6, channels, side, side)).astype(np.float32) * 2


@pytest.mark.parametrize("half", [False, True])
@pytest.mark.parametrize("opset", [13, 18])
@pytest.mark.parametrize(("channels", "side"), [(1, 7), (1, 56), (16, 7), (16, 28)])
def test_a_softmax_over_all_places_leaves_a_map_of_zeros(
    channels: int,
    side: int,
    opset: int,
    half: bool,
    sketch: Callable[..., Any],
    session_of: Callable[..., Any],
) -> None:
    head = sketch((channels, side, side), opset)
    pooled = _softmax_pooled(head, channels, side, half=half)
    model = head.model(head.node("MatMul", pooled, head.normal(channels, 3)))
    session = session_of(attach_gradcam(model, feature_map="features").model)
    assert not _maps(session, _images(channels, side)).any()


def test_evidence_beside_the_softmax_is_shown(
    sketch: Callable[..., Any], session_of: Callable[..., Any], pooled_heatmap: Callable[..., Any]
) -> None:
    """The softmax adds only noise to the weights of the mean."""
    head = sketch((8, 7, 7))
    mean = head.node("Flatten", head.node("GlobalAveragePool", "features"), axis=1)
    both = head.node("Add", mean, _softmax_pooled(head, 8, 7))
    weight = np.random.default_rng(5).normal(size=(8, 3)).astype(np.float32)
    model = head.model(head.node("MatMul", both, head.weight(weight)))
    images = _images(8, 7)
    found = _maps(session_of(attach_gradcam(model, feature_map="features").model), images)
    expected = [pooled_heatmap(image[None].repeat(3, 0), weight, [0, 1, 2]) for image in images]
    np.testing.assert_allclose(found, np.concatenate(expected), atol=1e-4)


@pytest.mark.parametrize("method", ["gradcam", "layercam"])
@pytest.mark.parametrize(("difference", "shown"), [(1e-7, False), (1e-3, True)])
def test_two_channels_that_cancel_to_rounding_leave_a_map_of_zeros(
    difference: float,
    shown: bool,
    method: Any,
    sketch: Callable[..., Any],
    session_of: Callable[..., Any],
) -> None:
    """Both weights are positive, and the second channel is the first one with its sign changed."""
    head = sketch((2, 5, 4))
    weight = head.weight([[0.7], [0.7]])
    features = head.node("Mul", "features", head.weight(np.ones((1, 2, 5, 4))))
    if method == "layercam":
        features = head.node("Mul", features, head.weight(np.linspace(1, 2, 20).reshape(1, 1, 5, 4)))
    mean = head.node("Flatten", head.node("GlobalAveragePool", features), axis=1)
    model = head.model(head.node("MatMul", mean, head.node("Concat", weight, weight, weight, axis=1)))
    one = np.random.default_rng(8).uniform(1, 2, (5, 4))
    other = -one * (1 + np.random.default_rng(9).uniform(-difference, difference, (5, 4)))
    image = np.stack([one, other])[None].astype(np.float32)
    (found,) = session_of(attach_gradcam(model, feature_map="features", method=method).model).run(
        ["heatmap"], {"image": image, "class_index": np.array([1])}
    )[0]
    if not shown:
        assert not found.any()
        return
    weights = np.linspace(1, 2, 20).reshape(5, 4) if method == "layercam" else 1
    raw = np.maximum((image[0].astype(np.float64) * weights).sum(0), 0)
    np.testing.assert_allclose(found, raw / raw.max(), atol=1e-3)


def _summed_softmax(head: Any) -> str:
    flat = head.node("Reshape", "features", head.integers(0, 4, -1))
    return head.with_axes("ReduceSum", head.node("Softmax", flat, axis=2), [2], 13, keepdims=0)


def _mean_of_standardised(head: Any) -> str:
    standard = head.node("InstanceNormalization", "features", head.normal(4), head.normal(4))
    return head.node("Flatten", head.node("GlobalAveragePool", standard), axis=1)


@pytest.mark.parametrize("method", ["gradcam", "gradcam++", "layercam"])
@pytest.mark.parametrize("pooled", [_summed_softmax, _mean_of_standardised])
def test_a_sum_that_the_features_do_not_change_leaves_a_map_of_zeros(
    pooled: Callable[[Any], str], method: Any, sketch: Callable[..., Any], session_of: Callable[..., Any]
) -> None:
    """Each number of the gradient is 0, and not only their sum."""
    head = sketch((4, 7, 7))
    model = head.model(head.node("MatMul", pooled(head), head.normal(4, 3)))
    session = session_of(attach_gradcam(model, feature_map="features", method=method).model)
    assert not _maps(session, _images(4, 7)).any()


@pytest.mark.parametrize(
    ("positive", "negative", "shown"),
    [
        # The negative place shows that the weights are no noise, so a small positive place is evidence.
        (1e-5, 1.0, True),
        (1e-5, 0.0, False),
        # As small as the rounding errors of its own sum.
        (1e-7, 1.0, False),
        (1e-3, 0.0, True),
    ],
)
def test_a_positive_place_counts_beside_strong_evidence_against(
    positive: float,
    negative: float,
    shown: bool,
    sketch: Callable[..., Any],
    session_of: Callable[..., Any],
) -> None:
    head = sketch((2, 2, 2))
    mean = head.node("Flatten", head.node("GlobalAveragePool", "features"), axis=1)
    model = head.model(head.node("MatMul", mean, head.weight([[1, 0], [-1, 0]])))
    image = np.zeros((1, 2, 2, 2), np.float32)
    # The map of class 0 is the difference of the two channels.
    image[0, :, 0, 0] = 1 + positive, 1
    image[0, :, 1, 1] = 1, 1 + negative
    session = session_of(attach_gradcam(model).model)
    (found,) = _maps(session, image, classes=1)
    assert found.tolist() == [[float(shown), 0], [0, 0]]
