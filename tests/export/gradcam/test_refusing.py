"""What cannot be explained is said, with the node in the way and what to choose instead."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import helper

from spyglass_contract.errors import ModelError
from spyglass_export.gradcam import HeatmapError, UnsupportedHead, attach_gradcam

DIMS = (4, 6, 6)


def _rounded(head: Any) -> str:
    return head.node("Round", "features")


def _kernel_of_features(head: Any) -> str:
    kernel = head.node("Reshape", "features", head.integers(1, 4, 6, 6))
    return head.node("Conv", "features", kernel)


def _slope_of_features(head: Any) -> str:
    return head.node("PRelu", "features", head.node("Sigmoid", "features"))


def _mean_of_batch(head: Any) -> str:
    return head.node("Sub", "features", head.with_axes("ReduceMean", "features", [0], 18))


def _training(head: Any) -> str:
    numbers = [head.normal(4) for _ in range(4)]
    return head.many("BatchNormalization", ["features", *numbers], 3, training_mode=1)[0]


def _moving_slice(head: Any) -> str:
    start = head.node("ArgMax", head.node("Flatten", "image", axis=1), axis=1, keepdims=0)
    indices = head.node("Mod", head.node("ReduceMin", start), head.weight(2, np.int64))
    return head.node("Slice", "features", indices, head.integers(5), head.integers(2))


def _second_output(head: Any) -> str:
    return head.many("LayerNormalization", ["features", head.normal(6), head.normal(6)], 2)[1]


def _repeated_indices(head: Any) -> str:
    return head.node("Gather", "features", head.weight([[0, 1], [1, 0]], np.int64), axis=3)


HEADS: dict[str, tuple[str, Callable[[Any], str], str]] = {
    "no rule": ("Round", _rounded, "not among those with a rule"),
    "a kernel that moves": ("Conv", _kernel_of_features, "depends on the feature map too"),
    "a slope that moves": ("PRelu", _slope_of_features, "depends on the feature map too"),
    "mixed images": ("ReduceMean", _mean_of_batch, "mixes the images of a batch"),
    "training": ("BatchNormalization", _training, "training mode"),
    "bounds that move": ("Slice", _moving_slice, "computed when the model runs"),
    "another output": ("LayerNormalization", _second_output, "more than its first output"),
    "a table of indices": ("Gather", _repeated_indices, "more than a list"),
}


@pytest.mark.parametrize("case", HEADS)
def test_a_node_without_a_gradient_is_named_with_what_to_choose_instead(
    case: str, sketch: Callable[..., Any]
) -> None:
    op_type, draw, reason = HEADS[case]
    head = sketch(DIMS)
    model = head.classify(head.node("Tanh", draw(head)))
    with pytest.raises(UnsupportedHead, match=reason) as caught:
        attach_gradcam(model, feature_map="features")
    assert caught.value.op_type == op_type
    assert caught.value.node in {node.name for node in head.nodes if node.op_type == op_type}
    assert caught.value.node in caught.value.message
    for choice in ("feature_map=", "scores=", "method='eigencam'"):
        assert choice in caught.value.message
    assert isinstance(caught.value, ModelError)


def test_an_operator_of_another_domain_is_called_by_it(sketch: Callable[..., Any]) -> None:
    head = sketch(DIMS)
    head.nodes.append(helper.make_node("QuickGelu", ["features"], ["bent"], "bend", domain="com.microsoft"))
    mean = head.node("GlobalAveragePool", head.node("Relu", "bent"))
    model = head.model(head.node("MatMul", head.node("Flatten", mean), head.normal(4, 3)))
    with pytest.raises(UnsupportedHead, match=r"com\.microsoft\.QuickGelu node 'bend'"):
        attach_gradcam(model, feature_map="features")


def test_an_older_opset_is_refused_with_the_way_to_a_newer_one(sketch: Callable[..., Any]) -> None:
    head = sketch(DIMS, opset=10)
    with pytest.raises(HeatmapError, match=r"of opset 10, older than 11; .*convert_version"):
        attach_gradcam(head.model("features"))


def test_a_method_that_is_not_there_is_answered_with_those_there_are(sketch: Callable[..., Any]) -> None:
    with pytest.raises(
        HeatmapError, match=r"'smoothgrad'; it is one of gradcam, gradcam\+\+, layercam, eigencam, scorecam"
    ):
        attach_gradcam(sketch(DIMS).classify("features"), method="smoothgrad")


def test_a_second_heatmap_is_refused(sketch: Callable[..., Any]) -> None:
    head = sketch(DIMS)
    once = attach_gradcam(head.classify(head.node("GlobalAveragePool", "features"))).model
    with pytest.raises(HeatmapError, match="has a tensor 'heatmap' already"):
        attach_gradcam(once)
