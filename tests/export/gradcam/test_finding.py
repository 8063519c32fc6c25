"""Choice of the explained tensor and of the class scores."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from spyglass_export.gradcam import FeatureMapError, ScoresError, attach_gradcam

DIMS = (4, 6, 6)


def _pool_twice(head: Any) -> tuple[str, str]:
    features = head.node("Relu", head.node("Conv", "features", head.normal(4, 4, 3, 3)))
    pooled = head.node("MaxPool", features, kernel_shape=[2, 2])
    return features, head.node("AveragePool", head.node("Dropout", pooled), kernel_shape=[2, 2])


def _residual(head: Any) -> tuple[str, str]:
    convolved = head.node("Conv", "features", head.normal(4, 4, 1, 1))
    total = head.node("Add", "features", convolved)
    return total, head.node("GlobalAveragePool", head.node("Identity", total))


def _swish(head: Any) -> tuple[str, str]:
    product = head.node("Mul", "features", head.node("Sigmoid", "features"))
    return product, head.node("GlobalAveragePool", product)


def _excited(head: Any) -> tuple[str, str]:
    gate = head.node("Sigmoid", head.node("GlobalAveragePool", "features"))
    product = head.node("Mul", "features", gate)
    return product, head.node("GlobalMaxPool", product)


def _turned(head: Any) -> tuple[str, str]:
    turned = head.node("Transpose", head.node("Tanh", "features"), perm=[0, 2, 3, 1])
    return head.nodes[-2].output[0], head.node("Reshape", turned, head.integers(0, -1))


def _padded(head: Any) -> tuple[str, str]:
    bent = head.node("Tanh", "features")
    padded = head.node("Pad", bent, head.integers(0, 0, 1, 1, 0, 0, 1, 1))
    return bent, head.node("GlobalAveragePool", head.node("Cast", padded, to=TensorProto.FLOAT))


def _joined(head: Any) -> tuple[str, str]:
    joined = head.node("Concat", "features", head.node("Neg", "features"), axis=1)
    return joined, head.node("GlobalAveragePool", joined)


def _averaged_by_channels_last(head: Any) -> tuple[str, str]:
    turned = head.node("Relu", head.node("Transpose", "features", perm=[0, 2, 3, 1]))
    return turned, head.with_axes("ReduceMean", turned, [1, 2], 18)


def _quantised(head: Any) -> tuple[str, str]:
    """A quantised network: quantisers of the outputs of the convolution and the pooling."""
    grid = (head.weight(0.01), head.weight(0, np.uint8))

    def rounded(tensor: str) -> str:
        return head.node("DequantizeLinear", head.node("QuantizeLinear", tensor, *grid), *grid)

    read_again = rounded(head.node("Relu", "features"))
    pooled = head.node("MaxPool", read_again, kernel_shape=[2, 2])
    return read_again, rounded(head.node("AveragePool", rounded(pooled), kernel_shape=[2, 2]))


HEADS = [
    _quantised,
    _pool_twice,
    _residual,
    _swish,
    _excited,
    _turned,
    _padded,
    _joined,
    _averaged_by_channels_last,
]


@pytest.mark.parametrize("draw", HEADS)
def test_the_default_layer_is_the_last_spatial_tensor_that_repeats_no_other(
    draw: Callable[[Any], tuple[str, str]], sketch: Callable[..., Any]
) -> None:
    head = sketch(DIMS)
    expected, pooled = draw(head)
    assert attach_gradcam(head.classify(pooled)).layer == expected


def test_a_feature_map_can_be_named_by_its_tensor_or_its_node(sketch: Callable[..., Any]) -> None:
    head = sketch(DIMS)
    bent = head.node("Tanh", "features")
    head.nodes[-1].name = "first bend"
    model = head.classify(head.node("GlobalAveragePool", head.node("Relu", bent)))
    assert attach_gradcam(model, feature_map=bent).layer == bent
    assert attach_gradcam(model, feature_map="first bend").layer == bent


def test_the_error_for_an_unknown_name_lists_similar_names(sketch: Callable[..., Any]) -> None:
    model = sketch(DIMS).classify("features")
    with pytest.raises(FeatureMapError, match=r"'feature'.*similar names are.*'features'"):
        attach_gradcam(model, feature_map="feature")
    with pytest.raises(FeatureMapError, match=r"no tensor or node 'Ω'$"):
        attach_gradcam(model, feature_map="Ω")


@pytest.mark.parametrize("op_type", ["GlobalAveragePool", "Flatten"])
def test_a_feature_map_must_be_spatial(op_type: str, sketch: Callable[..., Any]) -> None:
    head = sketch(DIMS)
    small = head.node(op_type, "features")
    with pytest.raises(
        FeatureMapError,
        match=r"must hold numbers for several heights and widths .* choose, for example, 'features'",
    ):
        attach_gradcam(head.classify(small), feature_map=small)


def test_scores_that_do_not_depend_on_the_feature_map_are_rejected(sketch: Callable[..., Any]) -> None:
    head = sketch(DIMS)
    other = head.node("Relu", "features")
    with pytest.raises(FeatureMapError, match="do not depend on the feature map"):
        attach_gradcam(head.classify("features"), feature_map=other)


def test_scores_that_depend_only_on_the_shape_of_the_feature_map_are_rejected(
    sketch: Callable[..., Any],
) -> None:
    head = sketch(DIMS)
    size = head.node("Cast", head.node("Shape", head.node("Tanh", "features")), to=TensorProto.FLOAT)
    by_shape = head.node("Mul", head.node("GlobalAveragePool", "image"), head.node("ReduceMax", size))
    with pytest.raises(FeatureMapError, match="do not depend on the feature map"):
        attach_gradcam(head.classify(by_shape), feature_map="Tanh1_0")


def test_a_classifier_without_height_and_width_is_rejected() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Softmax", ["y"], ["z"])]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 8]) for name in "xz"]
    graph = helper.make_graph(nodes, "flat", values[:1], values[1:])
    with pytest.raises(FeatureMapError, match="not computed from any feature map"):
        attach_gradcam(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]))


def test_ambiguous_axes_are_not_guessed() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Flatten", ["y"], ["z"])]
    values = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 4, 5]),
        helper.make_tensor_value_info("z", TensorProto.FLOAT, ["batch", 60]),
    ]
    graph = helper.make_graph(nodes, "unclear", values[:1], values[1:])
    with pytest.raises(FeatureMapError, match="not computed from any feature map"):
        attach_gradcam(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]))


def _two_outputs(sketch: Callable[..., Any]) -> onnx.ModelProto:
    head = sketch(DIMS)
    flat = head.node("Flatten", head.node("GlobalAveragePool", "features"))
    model = head.model(head.node("MatMul", flat, head.normal(4, 3)))
    model.graph.output.append(helper.make_tensor_value_info(flat, TensorProto.FLOAT, None))
    return model


def test_the_scores_must_be_named_if_there_are_several_outputs(sketch: Callable[..., Any]) -> None:
    model = _two_outputs(sketch)
    with pytest.raises(ScoresError, match="name the tensor of class scores with scores="):
        attach_gradcam(model)
    assert attach_gradcam(model, scores=model.graph.output[1].name).layer == "features"
    with pytest.raises(ScoresError, match="no node of the model computes the tensor 'logits'"):
        attach_gradcam(model, scores="logits")


def test_a_mask_is_not_mistaken_for_scores(sketch: Callable[..., Any]) -> None:
    head = sketch(DIMS)
    mask = head.node("Sigmoid", "features")
    with pytest.raises(ScoresError):
        attach_gradcam(head.model(mask))
    with pytest.raises(ScoresError, match="must hold one number for each class"):
        attach_gradcam(head.model(mask), scores=mask)


@pytest.mark.parametrize("final", ["Softmax", "LogSoftmax", "Sigmoid"])
def test_the_gradient_of_the_logit_is_used_for_certain_predictions_too(
    final: str, sketch: Callable[..., Any], session_of: Callable[..., Any]
) -> None:
    head = sketch(DIMS)
    flat = head.node("Flatten", head.node("GlobalAveragePool", "features"))
    logits = head.node("MatMul", flat, head.weight(np.linspace(-300, 500, 12).reshape(4, 3)))
    model = head.model(head.node("Identity", head.node(final, logits)))
    plain, stripped = (
        session_of(attach_gradcam(model, scores=scores).model).run(
            ["heatmap"], {"image": np.ones((1, *DIMS), "f")}
        )[0]
        for scores in (logits, None)
    )
    assert stripped.max() == 1
    np.testing.assert_array_equal(stripped, plain)
