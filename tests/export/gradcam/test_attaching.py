"""Runs of a file with a heatmap."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from spyglass_export.gradcam import attach_gradcam
from spyglass_export.session_options import session_options

CLASSES = 4
DIMS = (6, 5, 4)


def _images(batch: int) -> Any:
    return np.random.default_rng(batch).normal(size=(batch, *DIMS)).astype(np.float32)


@pytest.mark.parametrize("opset", range(11, 22))
@pytest.mark.parametrize("batch", [1, 5])
def test_at_every_opset_a_pooled_classifier_is_explained_by_its_weights(
    opset: int,
    batch: int,
    pooled: Callable[..., Any],
    session_of: Callable[..., Any],
    pooled_heatmap: Callable[..., Any],
) -> None:
    model, weight = pooled(opset)
    attached = attach_gradcam(model).model
    onnx.checker.check_model(attached, full_check=True)
    session = session_of(attached)
    for class_index in range(CLASSES):
        classes = np.full(batch, class_index)
        found = session.run(["heatmap"], {"image": _images(batch), "class_index": classes})[0]
        np.testing.assert_allclose(found, pooled_heatmap(_images(batch), weight, classes), atol=1e-5)


@pytest.mark.parametrize("opset", [11, 18])
def test_a_feature_map_may_have_its_channels_last(
    opset: int, pooled: Callable[..., Any], session_of: Callable[..., Any], pooled_heatmap: Callable[..., Any]
) -> None:
    model, weight = pooled(opset, channels_last=True)
    found = session_of(attach_gradcam(model).model).run(
        ["heatmap"], {"image": _images(2), "class_index": np.array([3, 0])}
    )[0]
    expected = pooled_heatmap(np.tanh(_images(2)), weight, [3, 0])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_a_missing_or_negative_index_explains_the_predicted_class(
    pooled: Callable[..., Any], session_of: Callable[..., Any]
) -> None:
    session, image = session_of(attach_gradcam(pooled()[0]).model), _images(5)
    probabilities, default = session.run(["probabilities", "heatmap"], {"image": image})
    predicted = probabilities.argmax(1)
    assert len(set(predicted.tolist())) > 1
    explicit = session.run(["heatmap"], {"image": image, "class_index": predicted})[0]
    partly = session.run(
        ["heatmap"], {"image": image, "class_index": np.where(predicted > 1, -1, predicted)}
    )[0]
    np.testing.assert_array_equal(default, explicit)
    np.testing.assert_array_equal(partly, explicit)


def test_one_index_applies_to_a_whole_batch(
    pooled: Callable[..., Any], session_of: Callable[..., Any], pooled_heatmap: Callable[..., Any]
) -> None:
    model, weight = pooled()
    feeds = {"image": _images(5), "class_index": np.array([2])}
    found = session_of(attach_gradcam(model).model).run(["heatmap"], feeds)[0]
    np.testing.assert_allclose(found, pooled_heatmap(_images(5), weight, [2] * 5), atol=1e-5)


@pytest.mark.parametrize("method", ["gradcam", "gradcam++", "layercam", "eigencam"])
def test_one_run_explains_any_number_of_classes_of_one_image(
    method: Any, sketch: Callable[..., Any], session_of: Callable[..., Any]
) -> None:
    head = sketch(DIMS)
    excited = head.node("Mul", "features", head.node("Sigmoid", head.node("GlobalAveragePool", "features")))
    convolved = head.node("Conv", excited, head.normal(3, 6, 2, 2), strides=[2, 1])
    model = head.classify(head.node("MaxPool", convolved, kernel_shape=[2, 2]), CLASSES)
    session = session_of(attach_gradcam(model, feature_map="features", method=method).model)
    together = session.run(["heatmap"], {"image": _images(1), "class_index": np.arange(CLASSES)})[0]
    # Eigen-CAM has the same map for every class.
    assert len(np.unique(together, axis=0)) == (1 if method == "eigencam" else CLASSES)
    for class_index in range(CLASSES):
        feeds = {"image": _images(1), "class_index": np.array([class_index])}
        np.testing.assert_allclose(together[class_index], session.run(["heatmap"], feeds)[0][0], atol=1e-6)


def test_an_empty_index_gives_no_map_and_runs_no_node_of_the_heatmap(
    pooled: Callable[..., Any], tmp_path: Path
) -> None:
    none = {"image": _images(3), "class_index": np.empty(0, np.int64)}
    for feeds, rows in ((none, 0), ({"image": _images(3)}, 3)):
        options = session_options()
        options.enable_profiling, options.profile_file_prefix = True, str(tmp_path / f"rows_{rows}")
        model = attach_gradcam(pooled()[0]).model.SerializeToString()
        session = onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
        probabilities, heatmap = session.run(["probabilities", "heatmap"], feeds)
        assert heatmap.shape == (rows, *DIMS[1:])
        assert probabilities.shape == (3, CLASSES)
        events = json.loads(Path(session.end_profiling()).read_text())
        added = [event for event in events if event["cat"] == "Node" and event["name"].startswith("heatmap/")]
        operators = {event["args"].get("op_name") for event in added} - {None}
        # Only these three decide whether the branch runs.
        assert operators == {"Size", "Cast", "If"} if rows == 0 else "ArgMax" in operators


def test_an_index_that_is_not_a_class_is_rejected(
    pooled: Callable[..., Any], session_of: Callable[..., Any]
) -> None:
    session = session_of(attach_gradcam(pooled()[0]).model)
    with pytest.raises(Exception, match="indices element out of data bounds"):
        session.run(["heatmap"], {"image": _images(1), "class_index": np.array([CLASSES])})


def test_the_probabilities_of_the_classifier_do_not_change(
    pooled: Callable[..., Any], session_of: Callable[..., Any]
) -> None:
    model, _ = pooled()
    before, after = (
        session_of(each).run(["probabilities"], {"image": _images(3)})[0]
        for each in (model, attach_gradcam(model).model)
    )
    np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize(
    ("options", "score"),
    [
        ({}, "logit"),
        ({"gradient_of": "probability"}, "probability"),
        ({"method": "scorecam"}, "logit"),
        ({"method": "eigencam", "gradient_of": "probability"}, ""),
    ],
)
def test_the_result_names_the_explained_layer_and_the_score(
    options: dict[str, Any], score: str, pooled: Callable[..., Any]
) -> None:
    attached = attach_gradcam(pooled()[0], **options)
    assert (attached.layer, attached.score) == ("features", score)


def test_the_given_model_is_not_changed(pooled: Callable[..., Any]) -> None:
    model, _ = pooled()
    before = model.SerializeToString()
    attach_gradcam(model)
    assert model.SerializeToString() == before


def test_no_weight_is_copied(sketch: Callable[..., Any]) -> None:
    head = sketch((16, 8, 8))
    hidden = head.node("MatMul", head.node("Flatten", "features"), head.normal(1024, 256))
    logits = head.node("Gemm", head.node("Relu", hidden), head.normal(100, 256), head.normal(100), transB=1)
    model = head.model(logits)
    attached = attach_gradcam(model).model
    assert model.ByteSize() > 1_000_000
    assert attached.ByteSize() - model.ByteSize() < 4_000


def test_a_class_without_positive_evidence_has_a_map_of_zeros(
    sketch: Callable[..., Any], session_of: Callable[..., Any]
) -> None:
    head = sketch(DIMS)
    pooled = head.node("Flatten", head.node("GlobalAveragePool", head.node("Sigmoid", "features")))
    model = head.model(head.node("MatMul", pooled, head.weight(np.full((6, 2), -1))))
    found = session_of(attach_gradcam(model).model).run(["heatmap"], {"image": _images(2)})[0]
    np.testing.assert_array_equal(found, np.zeros((2, 5, 4)))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("stacked", [False, True])
def test_two_classes_of_one_sigmoid_have_opposite_gradients(
    reverse: bool,
    stacked: bool,
    sketch: Callable[..., Any],
    session_of: Callable[..., Any],
    pooled_heatmap: Callable[..., Any],
) -> None:
    head = sketch(DIMS)
    weight = head.normal(6) if stacked else head.normal(6, 1)
    mean = head.node("Flatten", head.node("GlobalAveragePool", "features"))
    yes = head.node("Sigmoid", head.node("MatMul", mean, weight))
    no = head.node("Sub", head.weight(1.0), yes)
    parts = [yes, no] if reverse else [no, yes]
    if stacked:
        parts = [head.with_axes("Unsqueeze", part, [1], 13) for part in parts]
    model = head.model(head.node("Concat", *parts, axis=1))
    session = session_of(attach_gradcam(model).model)
    column = numpy_helper.to_array(head.weights[1]).reshape(6, 1)
    both = np.hstack([column, -column] if reverse else [-column, column])
    for class_index in (0, 1):
        feeds = {"image": _images(3), "class_index": np.full(3, class_index)}
        expected = pooled_heatmap(_images(3), both, [class_index] * 3)
        np.testing.assert_allclose(session.run(["heatmap"], feeds)[0], expected, atol=1e-5)
    probabilities, predicted = session.run(None, {"image": _images(3)})
    expected = pooled_heatmap(_images(3), both, probabilities.argmax(1))
    np.testing.assert_allclose(predicted, expected, atol=1e-5)
