"""A heatmap is finite everywhere, even if a derivative is infinite."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import numpy_helper

from spyglass_export.gradcam import attach_gradcam

DIMS = (4, 3, 5)


def _mean(head: Any, tensor: str = "features") -> str:
    return head.node("Flatten", head.node("GlobalAveragePool", tensor), axis=1)


def _unit_length(head: Any, smallest: float) -> str:
    """As in torch.nn.functional.normalize, with a smallest length of 1e-12."""
    mean = _mean(head)
    length = head.with_axes("ReduceL2", mean, [1], 18)
    return head.node("Div", mean, head.node("Max", length, head.weight(smallest)))


def _square_root(head: Any, squared: str) -> str:
    return head.node("Sqrt", squared)


def _power(head: Any, squared: str) -> str:
    return head.node("Pow", squared, head.weight(0.5))


def _half_dark() -> Any:
    """Two images; the first has no features."""
    image = np.random.default_rng(4).uniform(0.1, 1, (1, *DIMS))
    return np.concatenate([np.zeros_like(image), image]).astype(np.float32)


@pytest.mark.parametrize("opset", [11, 13, 18, 21])
@pytest.mark.parametrize("smallest", [1e-12, 0.0])
@pytest.mark.parametrize("method", ["gradcam", "gradcam++", "layercam", "eigencam"])
def test_features_of_length_0_have_a_map_of_zeros(
    method: Any, smallest: float, opset: int, sketch: Callable[..., Any], session_of: Callable[..., Any]
) -> None:
    """Without a smallest length the scores are NaN, but the map is still finite."""
    head = sketch(DIMS, opset)
    model = head.model(head.node("MatMul", _unit_length(head, smallest), head.normal(4, 3)))
    session = session_of(attach_gradcam(model, method=method).model)
    for class_index in range(3):
        feeds = {"image": _half_dark(), "class_index": np.array([class_index])}
        dark, lit = session.run(["heatmap"], feeds)[0]
        (alone,) = session.run(["heatmap"], feeds | {"image": _half_dark()[1:]})[0]
        np.testing.assert_array_equal(dark, np.zeros(DIMS[1:]))
        np.testing.assert_allclose(lit, alone, atol=1e-6)
        assert np.isfinite(lit).all()


def test_at_length_0_the_gradient_of_a_norm_is_0(
    sketch: Callable[..., Any], gradient_session: Callable[..., Any]
) -> None:
    head = sketch(DIMS)
    length = head.with_axes("ReduceL2", "features", [1], 18)
    session = gradient_session(head.classify(length))
    feeds = {"image": _half_dark(), "class_index": np.array([0])}
    dark, lit = session.run(None, feeds)[-1]
    np.testing.assert_array_equal(dark, np.zeros(DIMS))
    assert np.isfinite(lit).all() and np.abs(lit).min() > 0


@pytest.mark.parametrize("root", [_square_root, _power])
def test_a_channel_of_zeros_under_a_root_adds_nothing_to_the_map(
    root: Callable[[Any, str], str], sketch: Callable[..., Any], session_of: Callable[..., Any]
) -> None:
    """The root mean square y of each channel x has the slope x/(n·y)."""
    head = sketch(DIMS)
    deviations = root(head, _mean(head, head.node("Mul", "features", "features")))
    model = head.model(head.node("MatMul", deviations, head.normal(4, 3)))
    weight = numpy_helper.to_array(head.weights[-1])
    image = _half_dark()[1:]
    image[:, 2] = 0
    root_of_mean = np.sqrt((image**2).mean((2, 3)))
    means = image.mean((2, 3)) / np.where(root_of_mean > 0, root_of_mean, 1)
    session = session_of(attach_gradcam(model, feature_map="features").model)
    for class_index in range(3):
        found = session.run(["heatmap"], {"image": image, "class_index": np.array([class_index])})[0]
        raw = np.maximum(np.einsum("bkhw,bk->bhw", image, means * weight[:, class_index]), 0)
        np.testing.assert_allclose(found, raw / np.maximum(raw.max(), 1e-12), atol=1e-5)


@pytest.mark.parametrize("method", ["gradcam", "gradcam++", "layercam"])
def test_the_logarithm_of_a_certain_softmax_has_a_finite_gradient(
    method: Any, sketch: Callable[..., Any], session_of: Callable[..., Any]
) -> None:
    head = sketch(DIMS)
    certain = head.node("Softmax", head.node("MatMul", _mean(head), head.normal(4, 6)), axis=1)
    again = head.node("MatMul", head.node("Log", certain), head.normal(6, 3))
    image = _half_dark() * 2000
    session = session_of(attach_gradcam(head.model(again), method=method).model)
    for class_index in range(3):
        found = session.run(["heatmap"], {"image": image, "class_index": np.array([class_index])})[0]
        assert np.isfinite(found).all()
        assert found.max() in (0, 1)


def test_the_logarithm_of_a_softmax_keeps_its_gradient_at_a_small_probability(
    sketch: Callable[..., Any], session_of: Callable[..., Any], pooled_heatmap: Callable[..., Any]
) -> None:
    """At a probability below e⁻⁶⁰. The slope of the logarithm is the weight minus the mean weight."""
    head = sketch(DIMS)
    weight = np.random.default_rng(2).normal(size=(4, 3)).astype(np.float32)
    weight[:, 1] += 30
    output = head.node("Softmax", head.node("MatMul", _mean(head), head.weight(weight)), axis=1)
    model = head.model(head.node("Log", output))
    image = _half_dark()[1:]
    scores, found = session_of(attach_gradcam(model, gradient_of="probability").model).run(
        None, {"image": image, "class_index": np.array([0])}
    )
    assert -80 < scores[0, 0] < -60
    slope = weight - (weight @ np.exp(scores[0]))[:, np.newaxis]
    np.testing.assert_allclose(found, pooled_heatmap(image, slope, [0]), atol=1e-4)


@pytest.mark.parametrize("worth", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("method", ["gradcam", "gradcam++", "layercam", "eigencam"])
def test_features_with_nan_or_infinity_have_a_map_of_zeros(
    method: Any, worth: float, pooled: Callable[..., Any], session_of: Callable[..., Any]
) -> None:
    image = np.random.default_rng(6).uniform(size=(2, 6, 5, 4)).astype(np.float32)
    image[0, 1, 2, 3] = worth
    feeds = {"image": image, "class_index": np.array([1])}
    broken, whole = session_of(attach_gradcam(pooled()[0], method=method).model).run(["heatmap"], feeds)[0]
    np.testing.assert_array_equal(broken, np.zeros((5, 4)))
    assert np.isfinite(whole).all()
