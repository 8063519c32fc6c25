"""What a file with a heatmap does when it is run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from spyglass_export.gradcam import attach_gradcam

Run = Callable[[Any], Any]
CLASSES = 4
DIMS = (6, 5, 4)


@pytest.fixture
def pooled(sketch: Callable[..., Any]) -> Callable[..., tuple[onnx.ModelProto, Any]]:
    """A classifier of global average pooling and one product, and the weight [features, classes] of that."""

    def draw(opset: int = 17, dims: Any = DIMS, channels_last: bool = False) -> tuple[onnx.ModelProto, Any]:
        head = sketch(dims, opset)
        mean = head.node("GlobalAveragePool", "features")
        if channels_last:
            turned = head.node("Transpose", "features", perm=[0, 2, 3, 1])
            mean = head.with_axes("ReduceMean", head.node("Tanh", turned), [1, 2], 18, keepdims=0)
        weight = head.normal(dims[0], CLASSES)
        logits = head.node("MatMul", head.node("Flatten", mean, axis=1), weight)
        head.nodes.append(helper.make_node("Softmax", [logits], ["probabilities"], axis=1))
        return head.model("probabilities"), numpy_helper.to_array(head.weights[-1])

    return draw


def _expected(features: Any, weight: Any, classes: Any) -> Any:
    """Grad-CAM of a pooled classifier: the gradient of a mean is its weight over the number of places."""
    places = features.shape[2] * features.shape[3]
    raw = np.einsum("bkhw,kb->bhw", features, weight[:, classes]) / (places * features.shape[1])
    positive = np.maximum(raw, 0)
    return positive / np.maximum(positive.max((1, 2), keepdims=True), 1e-12)


def _pictures(batch: int) -> Any:
    return np.random.default_rng(batch).normal(size=(batch, *DIMS)).astype(np.float32)


@pytest.mark.parametrize("opset", range(11, 22))
@pytest.mark.parametrize("batch", [1, 5])
def test_at_every_opset_a_pooled_classifier_is_explained_by_its_weights(
    opset: int, batch: int, pooled: Callable[..., Any], session_of: Callable[..., Any]
) -> None:
    model, weight = pooled(opset)
    attached = attach_gradcam(model)
    onnx.checker.check_model(attached, full_check=True)
    session = session_of(attached)
    for class_index in range(CLASSES):
        classes = np.full(batch, class_index)
        found = session.run(["heatmap"], {"image": _pictures(batch), "class_index": classes})[0]
        np.testing.assert_allclose(found, _expected(_pictures(batch), weight, classes), atol=1e-5)


@pytest.mark.parametrize("opset", [11, 18])
def test_a_feature_map_may_have_its_channels_last(
    opset: int, pooled: Callable[..., Any], session_of: Callable[..., Any]
) -> None:
    model, weight = pooled(opset, channels_last=True)
    found = session_of(attach_gradcam(model)).run(
        ["heatmap"], {"image": _pictures(2), "class_index": np.array([3, 0])}
    )[0]
    expected = _expected(np.tanh(_pictures(2)), weight, [3, 0])
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_without_an_index_or_with_a_negative_one_the_predicted_class_is_explained(
    pooled: Callable[..., Any], session_of: Callable[..., Any]
) -> None:
    session, image = session_of(attach_gradcam(pooled()[0])), _pictures(5)
    probabilities, default = session.run(["probabilities", "heatmap"], {"image": image})
    predicted = probabilities.argmax(1)
    assert len(set(predicted.tolist())) > 1
    asked = session.run(["heatmap"], {"image": image, "class_index": predicted})[0]
    partly = session.run(
        ["heatmap"], {"image": image, "class_index": np.where(predicted > 1, -1, predicted)}
    )[0]
    np.testing.assert_array_equal(default, asked)
    np.testing.assert_array_equal(partly, asked)


def test_one_index_serves_a_whole_batch(pooled: Callable[..., Any], session_of: Callable[..., Any]) -> None:
    model, weight = pooled()
    feeds = {"image": _pictures(5), "class_index": np.array([2])}
    found = session_of(attach_gradcam(model)).run(["heatmap"], feeds)[0]
    np.testing.assert_allclose(found, _expected(_pictures(5), weight, [2] * 5), atol=1e-5)


@pytest.mark.parametrize("method", ["gradcam", "gradcam++", "layercam", "eigencam"])
def test_any_number_of_classes_of_one_picture_comes_from_one_run(
    method: Any, sketch: Callable[..., Any], session_of: Callable[..., Any]
) -> None:
    head = sketch(DIMS)
    excited = head.node("Mul", "features", head.node("Sigmoid", head.node("GlobalAveragePool", "features")))
    convolved = head.node("Conv", excited, head.normal(3, 6, 2, 2), strides=[2, 1])
    model = head.classify(head.node("MaxPool", convolved, kernel_shape=[2, 2]), CLASSES)
    session = session_of(attach_gradcam(model, feature_map="features", method=method))
    together = session.run(["heatmap"], {"image": _pictures(1), "class_index": np.arange(CLASSES)})[0]
    for class_index in range(CLASSES):
        feeds = {"image": _pictures(1), "class_index": np.array([class_index])}
        np.testing.assert_allclose(together[class_index], session.run(["heatmap"], feeds)[0][0], atol=1e-6)


def test_with_no_index_at_all_there_is_no_map_and_nothing_of_it_is_run(
    pooled: Callable[..., Any], tmp_path: Path
) -> None:
    none = {"image": _pictures(3), "class_index": np.empty(0, np.int64)}
    for feeds, rows in ((none, 0), ({"image": _pictures(3)}, 3)):
        options = onnxruntime.SessionOptions()
        options.enable_profiling, options.profile_file_prefix = True, str(tmp_path / f"asked_{rows}")
        options.log_severity_level = 3
        model = attach_gradcam(pooled()[0]).SerializeToString()
        session = onnxruntime.InferenceSession(model, options, ["CPUExecutionProvider"])
        probabilities, heatmap = session.run(["probabilities", "heatmap"], feeds)
        assert heatmap.shape == (rows, *DIMS[1:])
        assert probabilities.shape == (3, CLASSES)
        events = json.loads(Path(session.end_profiling()).read_text())
        run = {event["args"].get("op_name") for event in events if event["cat"] == "Node"}
        assert ("ArgMax" in run) is (rows > 0)


def test_a_class_that_the_model_does_not_have_is_refused(
    pooled: Callable[..., Any], session_of: Callable[..., Any]
) -> None:
    session = session_of(attach_gradcam(pooled()[0]))
    with pytest.raises(Exception, match="indices element out of data bounds"):
        session.run(["heatmap"], {"image": _pictures(1), "class_index": np.array([CLASSES])})


def test_the_classifier_s_own_answers_stay_as_they_are(
    pooled: Callable[..., Any], session_of: Callable[..., Any]
) -> None:
    model, _ = pooled()
    before, after = (
        session_of(each).run(["probabilities"], {"image": _pictures(3)})[0]
        for each in (model, attach_gradcam(model))
    )
    np.testing.assert_array_equal(before, after)


def test_the_model_that_was_given_is_not_changed(pooled: Callable[..., Any]) -> None:
    model, _ = pooled()
    before = model.SerializeToString()
    attach_gradcam(model)
    assert model.SerializeToString() == before


def test_no_weight_is_copied(sketch: Callable[..., Any]) -> None:
    head = sketch((16, 8, 8))
    hidden = head.node("MatMul", head.node("Flatten", "features"), head.normal(1024, 256))
    logits = head.node("Gemm", head.node("Relu", hidden), head.normal(100, 256), head.normal(100), transB=1)
    model = head.model(logits)
    attached = attach_gradcam(model)
    assert model.ByteSize() > 1_000_000
    assert attached.ByteSize() - model.ByteSize() < 4_000


def test_a_picture_in_which_nothing_speaks_for_the_class_has_a_map_of_zeros(
    sketch: Callable[..., Any], session_of: Callable[..., Any]
) -> None:
    head = sketch(DIMS)
    pooled = head.node("Flatten", head.node("GlobalAveragePool", head.node("Sigmoid", "features")))
    model = head.model(head.node("MatMul", pooled, head.weight(np.full((6, 2), -1))))
    found = session_of(attach_gradcam(model)).run(["heatmap"], {"image": _pictures(2)})[0]
    np.testing.assert_array_equal(found, np.zeros((2, 5, 4)))


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("stacked", [False, True])
def test_two_classes_of_one_sigmoid_have_opposite_gradients(
    reverse: bool, stacked: bool, sketch: Callable[..., Any], session_of: Callable[..., Any]
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
    session = session_of(attach_gradcam(model))
    column = numpy_helper.to_array(head.weights[1]).reshape(6, 1)
    both = np.hstack([column, -column] if reverse else [-column, column])
    for class_index in (0, 1):
        feeds = {"image": _pictures(3), "class_index": np.full(3, class_index)}
        expected = _expected(_pictures(3), both, [class_index] * 3)
        np.testing.assert_allclose(session.run(["heatmap"], feeds)[0], expected, atol=1e-5)
    answers, predicted = session.run(None, {"image": _pictures(3)})
    expected = _expected(_pictures(3), both, answers.argmax(1))
    np.testing.assert_allclose(predicted, expected, atol=1e-5)


def test_scores_may_stand_in_a_tensor_with_axes_of_size_1(
    sketch: Callable[..., Any], session_of: Callable[..., Any]
) -> None:
    """As SqueezeNet has them: a channel for each class, averaged, a softmax of [batch, classes, 1, 1]."""
    head = sketch(DIMS)
    weight = head.normal(CLASSES, 6, 1, 1)
    mean = head.node("GlobalAveragePool", head.node("Conv", "features", weight))
    model = head.model(head.node("Reshape", head.node("Softmax", mean, axis=1), head.integers(0, -1)))
    session = session_of(attach_gradcam(model, feature_map="features"))
    matrix = numpy_helper.to_array(head.weights[1])[:, :, 0, 0].T
    feeds = {"image": _pictures(2), "class_index": np.array([3, 1])}
    found = session.run(["heatmap"], feeds)[0]
    np.testing.assert_allclose(found, _expected(_pictures(2), matrix, [3, 1]), atol=1e-5)


def test_a_classifier_in_half_precision_has_its_heatmap_in_float32(
    sketch: Callable[..., Any], session_of: Callable[..., Any]
) -> None:
    head = sketch(DIMS)
    half = head.node("Cast", "features", to=TensorProto.FLOAT16)
    mean = head.node("Flatten", head.node("GlobalAveragePool", head.node("Relu", half)))
    weight = head.weight(head.random.normal(size=(6, CLASSES)), np.float16)
    hidden = head.node("Add", head.node("MatMul", mean, weight), head.weight([0.5] * CLASSES, np.float16))
    second = head.weight(head.random.normal(size=(CLASSES, CLASSES)), np.float16)
    model = head.model(head.node("Cast", head.node("MatMul", hidden, second), to=TensorProto.FLOAT))
    found = session_of(attach_gradcam(model)).run(
        ["heatmap"], {"image": _pictures(2), "class_index": np.array([1, 2])}
    )
    first, last = (numpy_helper.to_array(head.weights[index]).astype("f") for index in (1, 3))
    features = np.maximum(_pictures(2).astype(np.float16), 0).astype("f")
    np.testing.assert_allclose(found[0], _expected(features, first @ last, [1, 2]), atol=2e-4)


def test_in_a_file_of_the_third_version_weights_become_constants(
    pooled: Callable[..., Any], session_of: Callable[..., Any]
) -> None:
    """As in the older files of the ONNX Model Zoo, where each weight is an input too."""
    model, weight = pooled(11)
    model.ir_version = 3
    for tensor in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    attached = attach_gradcam(model)
    assert [value.name for value in attached.graph.input] == ["image", "class_index"]
    found = session_of(attached).run(["heatmap"], {"image": _pictures(1), "class_index": np.array([1])})[0]
    np.testing.assert_allclose(found, _expected(_pictures(1), weight, [1]), atol=1e-5)


def test_functions_of_the_file_are_looked_into(
    pooled: Callable[..., Any], session_of: Callable[..., Any]
) -> None:
    model, weight = pooled(18)
    opsets = [helper.make_opsetid("", 18)]
    body = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Neg", ["y"], ["z"])]
    model.functions.append(helper.make_function("own", "Bend", ["x"], ["z"], body, opsets))
    model.opset_import.append(helper.make_opsetid("own", 1))
    pooling = next(node for node in model.graph.node if node.op_type == "GlobalAveragePool")
    pooling.input[0] = "bent"
    model.graph.node.insert(1, helper.make_node("Bend", ["features"], ["bent"], domain="own"))
    found = session_of(attach_gradcam(model)).run(
        ["heatmap"], {"image": _pictures(1), "class_index": np.array([1])}
    )
    expected = _expected(-np.maximum(_pictures(1), 0), weight, [1])
    np.testing.assert_allclose(found[0], expected, atol=1e-5)


def test_where_height_and_width_are_free_so_are_the_map_s(
    sketch: Callable[..., Any], session_of: Callable[..., Any]
) -> None:
    head = sketch((6, "height", "width"))
    weight = head.normal(6, CLASSES)
    mean = head.node("Flatten", head.node("GlobalAveragePool", "features"))
    model = head.model(head.node("MatMul", mean, weight))
    matrix = numpy_helper.to_array(head.weights[1])
    for method in ("gradcam", "gradcam++", "layercam", "eigencam"):
        session = session_of(attach_gradcam(model, method=method))
        for side in (3, 7):
            image = np.random.default_rng(side).normal(size=(2, 6, side, side + 1)).astype("f")
            found = session.run(["heatmap"], {"image": image, "class_index": np.array([0, 1])})[0]
            assert found.shape == (2, side, side + 1)
            if method == "gradcam":
                np.testing.assert_allclose(found, _expected(image, matrix, [0, 1]), atol=1e-5)


def test_a_file_for_one_picture_at_a_time_stays_one(
    pooled: Callable[..., Any], session_of: Callable[..., Any]
) -> None:
    model, weight = pooled()
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    feeds = {"image": _pictures(1), "class_index": np.array([2, 0])}
    found = session_of(attach_gradcam(model)).run(["heatmap"], feeds)[0]
    expected = _expected(np.repeat(_pictures(1), 2, 0), weight, [2, 0])
    np.testing.assert_allclose(found, expected, atol=1e-5)
