"""Files of other shapes, types and versions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from spyglass_export.gradcam import attach_gradcam

CLASSES = 4
DIMS = (6, 5, 4)


def _images(batch: int) -> Any:
    return np.random.default_rng(batch).normal(size=(batch, *DIMS)).astype(np.float32)


def test_scores_may_have_further_axes_of_size_1(
    sketch: Callable[..., Any], session_of: Callable[..., Any], pooled_heatmap: Callable[..., Any]
) -> None:
    """As in SqueezeNet: a channel for each class, averaged, and a softmax of [batch, classes, 1, 1]."""
    head = sketch(DIMS)
    weight = head.normal(CLASSES, 6, 1, 1)
    mean = head.node("GlobalAveragePool", head.node("Conv", "features", weight))
    model = head.model(head.node("Reshape", head.node("Softmax", mean, axis=1), head.integers(0, -1)))
    session = session_of(attach_gradcam(model, feature_map="features").model)
    matrix = numpy_helper.to_array(head.weights[1])[:, :, 0, 0].T
    feeds = {"image": _images(2), "class_index": np.array([3, 1])}
    found = session.run(["heatmap"], feeds)[0]
    np.testing.assert_allclose(found, pooled_heatmap(_images(2), matrix, [3, 1]), atol=1e-5)


def test_a_classifier_in_half_precision_has_a_heatmap_in_float32(
    sketch: Callable[..., Any], session_of: Callable[..., Any], pooled_heatmap: Callable[..., Any]
) -> None:
    head = sketch(DIMS)
    half = head.node("Cast", "features", to=TensorProto.FLOAT16)
    mean = head.node("Flatten", head.node("GlobalAveragePool", head.node("Relu", half)))
    weight = head.weight(head.random.normal(size=(6, CLASSES)), np.float16)
    hidden = head.node("Add", head.node("MatMul", mean, weight), head.weight([0.5] * CLASSES, np.float16))
    second = head.weight(head.random.normal(size=(CLASSES, CLASSES)), np.float16)
    model = head.model(head.node("Cast", head.node("MatMul", hidden, second), to=TensorProto.FLOAT))
    found = session_of(attach_gradcam(model).model).run(
        ["heatmap"], {"image": _images(2), "class_index": np.array([1, 2])}
    )
    first, last = (numpy_helper.to_array(head.weights[index]).astype("f") for index in (1, 3))
    features = np.maximum(_images(2).astype(np.float16), 0).astype("f")
    np.testing.assert_allclose(found[0], pooled_heatmap(features, first @ last, [1, 2]), atol=2e-4)


def test_weights_of_a_file_of_ir_version_3_become_constants(
    pooled: Callable[..., Any], session_of: Callable[..., Any], pooled_heatmap: Callable[..., Any]
) -> None:
    """As in older files of the ONNX Model Zoo, in which each weight is also an input."""
    model, weight = pooled(11)
    model.ir_version = 3
    for tensor in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    attached = attach_gradcam(model).model
    assert [value.name for value in attached.graph.input] == ["image", "class_index"]
    found = session_of(attached).run(["heatmap"], {"image": _images(1), "class_index": np.array([1])})[0]
    np.testing.assert_allclose(found, pooled_heatmap(_images(1), weight, [1]), atol=1e-5)


def test_functions_of_the_file_are_inlined(
    pooled: Callable[..., Any], session_of: Callable[..., Any], pooled_heatmap: Callable[..., Any]
) -> None:
    model, weight = pooled(18)
    opsets = [helper.make_opsetid("", 18)]
    body = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Neg", ["y"], ["z"])]
    model.functions.append(helper.make_function("own", "Bend", ["x"], ["z"], body, opsets))
    model.opset_import.append(helper.make_opsetid("own", 1))
    pooling = next(node for node in model.graph.node if node.op_type == "GlobalAveragePool")
    pooling.input[0] = "bent"
    model.graph.node.insert(1, helper.make_node("Bend", ["features"], ["bent"], domain="own"))
    found = session_of(attach_gradcam(model).model).run(
        ["heatmap"], {"image": _images(1), "class_index": np.array([1])}
    )
    expected = pooled_heatmap(-np.maximum(_images(1), 0), weight, [1])
    np.testing.assert_allclose(found[0], expected, atol=1e-5)


def test_an_attribute_may_hold_bytes_that_are_not_text(pooled: Callable[..., Any]) -> None:
    """As in a node with a network compiled for an accelerator; here it does not influence the scores."""
    model, _ = pooled()
    packed = helper.make_node("EPContext", ["image"], ["compiled"], domain="com.microsoft")
    packed.attribute.append(helper.make_attribute("ep_cache_context", b"\xff\xfe\x00engine"))
    model.graph.node.append(packed)
    attached = attach_gradcam(model).model
    (kept,) = [node for node in attached.graph.node if node.op_type == "EPContext"]
    assert kept.attribute[0].s == b"\xff\xfe\x00engine"


def test_a_map_has_free_height_and_width_if_the_input_has(
    sketch: Callable[..., Any], session_of: Callable[..., Any], pooled_heatmap: Callable[..., Any]
) -> None:
    head = sketch((6, "height", "width"))
    weight = head.normal(6, CLASSES)
    mean = head.node("Flatten", head.node("GlobalAveragePool", "features"))
    model = head.model(head.node("MatMul", mean, weight))
    matrix = numpy_helper.to_array(head.weights[1])
    for method in ("gradcam", "gradcam++", "layercam", "eigencam"):
        session = session_of(attach_gradcam(model, method=method).model)
        for side in (3, 7):
            image = np.random.default_rng(side).normal(size=(2, 6, side, side + 1)).astype("f")
            found = session.run(["heatmap"], {"image": image, "class_index": np.array([0, 1])})[0]
            assert found.shape == (2, side, side + 1)
            if method == "gradcam":
                np.testing.assert_allclose(found, pooled_heatmap(image, matrix, [0, 1]), atol=1e-5)


def test_a_file_with_a_fixed_batch_of_one_keeps_it(
    pooled: Callable[..., Any], session_of: Callable[..., Any], pooled_heatmap: Callable[..., Any]
) -> None:
    model, weight = pooled()
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    feeds = {"image": _images(1), "class_index": np.array([2, 0])}
    found = session_of(attach_gradcam(model).model).run(["heatmap"], feeds)[0]
    expected = pooled_heatmap(np.repeat(_images(1), 2, 0), weight, [2, 0])
    np.testing.assert_allclose(found, expected, atol=1e-5)
