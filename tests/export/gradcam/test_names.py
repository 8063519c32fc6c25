"""Networks whose own tensors have names of the heatmap's inputs and outputs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from spyglass_export.gradcam import attach_gradcam
from spyglass_export.simplifying.names import rename

DIMS = (4, 5, 6)
NAMES = ("class_index", "heatmap", "heatmap_features", "heatmap_scores")
Array = np.ndarray[Any, Any]


def _classifier(head: Any, name: str, place: str) -> onnx.ModelProto:
    """A classifier with a tensor called `name`: its input, its features or its scores."""
    model = head.classify(head.node("Tanh", "features"))
    names = {"input": "image", "features": "features", "logits": head.nodes[-1].output[0]}
    rename(model.graph, {names[place]: name})
    return model


@pytest.mark.parametrize("place", ["input", "features", "logits"])
@pytest.mark.parametrize("name", NAMES)
def test_a_tensor_with_a_name_of_the_heatmap_is_renamed(
    name: str, place: str, sketch: Callable[..., Any], session_of: Callable[..., Any]
) -> None:
    expected = attach_gradcam(_classifier(sketch(DIMS), "other", place)).model
    found = attach_gradcam(_classifier(sketch(DIMS), name, place)).model
    image = np.random.default_rng(1).uniform(-1, 1, (2, *DIMS)).astype(np.float32)
    maps = []
    for model in (expected, found):
        session = session_of(model)
        fed = session.get_inputs()[0].name
        maps.append(session.run(["heatmap"], {fed: image, "class_index": np.array([1])})[0])
    np.testing.assert_array_equal(*maps)
    assert maps[0].max() == 1


def test_the_choices_take_the_names_of_the_model_itself(
    sketch: Callable[..., Any], session_of: Callable[..., Any]
) -> None:
    model = _classifier(sketch(DIMS), "heatmap", "features")
    logits = model.graph.output[0].name
    rename(model.graph, {logits: "heatmap_scores"})
    attached = attach_gradcam(model, feature_map="heatmap", scores="heatmap_scores", method="layercam")
    assert attached.layer == "network/heatmap"
    assert {value.name for value in session_of(attached.model).get_outputs()} == {
        "heatmap",
        "network/heatmap_scores",
    }


def test_a_branch_that_reads_a_renamed_tensor_still_finds_it(
    sketch: Callable[..., Any], session_of: Callable[..., Any]
) -> None:
    """The branches of the If read `heatmap` of the graph around them."""
    head = sketch(DIMS)
    head.nodes.append(helper.make_node("Tanh", ["features"], ["heatmap"]))
    branches = {
        key: helper.make_graph(
            [helper.make_node(operator, ["heatmap"], [key])],
            key,
            [],
            [helper.make_tensor_value_info(key, TensorProto.FLOAT, None)],
        )
        for key, operator in (("then_branch", "Neg"), ("else_branch", "Exp"))
    }
    total = head.node("ReduceSum", "image", keepdims=0)
    chosen = head.node("If", head.node("Greater", total, head.weight(0.0)), **branches)
    flat = head.node("Flatten", head.node("GlobalAveragePool", "heatmap"))
    logits = head.node("MatMul", flat, head.normal(4, 3))
    side = head.node("ReduceMean", chosen, axes=[1, 2, 3], keepdims=0)
    model = head.model(head.node("Add", logits, head.node("Unsqueeze", side, head.integers(1))))
    attached = attach_gradcam(model, feature_map="heatmap", method="eigencam").model
    image = np.random.default_rng(2).uniform(-1, 1, (2, *DIMS)).astype(np.float32)
    output = model.graph.output[0].name
    for sign in (1, -1):
        expected = session_of(model).run([output], {"image": sign * image})[0]
        found = session_of(attached).run([output], {"image": sign * image})[0]
        np.testing.assert_array_equal(found, expected)
