"""Tensors with names that a model file needs, and nodes in any order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from plain_softmax import softmax
from spyglass_export.simplifying.names import all_names, rename
from spyglass_export.simplifying.node_order import in_order, keep_needed

Array = np.ndarray[Any, Any]
NAMES = (
    "image",
    "probabilities",
    "class_index",
    "heatmap",
    "heatmap_features",
    "heatmap_scores",
    "before/Cast",
)


@pytest.mark.parametrize(
    ("tensor", "name"), [*(("features", name) for name in NAMES), ("x", "class_index"), ("y", "heatmap")]
)
def test_a_tensor_with_the_name_of_another_keeps_its_numbers(
    classifier: Any,
    tensor: str,
    name: str,
    attach: Callable[..., int],
    written: Callable[[], Any],
    tmp_path: Path,
) -> None:
    theirs = classifier()
    model = onnx.load(theirs.write(tmp_path / "theirs.onnx"))
    rename(model.graph, {tensor: name, "convolved": f"network/{name}"})
    for node in model.graph.node[:1]:
        node.name = name
    onnx.save(model, tmp_path / "theirs.onnx")
    chosen = name if tensor == "features" else "features"
    assert attach(tmp_path / "theirs.onnx", "--scale", "1/255", "--feature-map", chosen) == 0
    _, pixels, found, heatmaps = written()
    images = pixels.transpose(0, 3, 1, 2) / 255
    np.testing.assert_allclose(found, softmax(theirs.logits(images)), atol=1e-5)
    np.testing.assert_allclose(heatmaps, theirs.heatmaps(images, 1), atol=1e-4)


def test_nodes_in_reverse_order_are_sorted(
    classifier: Any, attach: Callable[..., int], written: Callable[[], Any], tmp_path: Path
) -> None:
    theirs = classifier()
    model = onnx.load(theirs.write(tmp_path / "theirs.onnx"))
    nodes = [*model.graph.node][::-1]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, tmp_path / "theirs.onnx")
    assert attach(tmp_path / "theirs.onnx", "--scale", "1/255") == 0
    _, pixels, found, _ = written()
    images = pixels.transpose(0, 3, 1, 2) / 255
    np.testing.assert_allclose(found, softmax(theirs.logits(images)), atol=1e-5)


def test_nodes_that_read_each_other_are_rejected(
    classifier: Any, attach: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = onnx.load(classifier().write(tmp_path / "theirs.onnx"))
    model.graph.node[0].input[0] = "features"
    onnx.save(model, tmp_path / "theirs.onnx")
    assert attach(tmp_path / "theirs.onnx") == 1
    assert "the network's nodes read each other in a circle: Conv, last_relu" in capsys.readouterr().err


def branching() -> onnx.ModelProto:
    """A graph whose If reads the outer tensor `twice` only inside its branches, and comes before it."""
    branches = [
        helper.make_graph(
            [
                helper.make_node("Neg", [f"{name}/abs"], [f"{name}/out"]),
                helper.make_node("Abs", ["twice"], [f"{name}/abs"]),
            ],
            name,
            [],
            [helper.make_tensor_value_info(f"{name}/out", TensorProto.FLOAT, [2])],
        )
        for name in ("then", "else")
    ]
    nodes = [
        helper.make_node("If", ["yes"], ["y"], then_branch=branches[0], else_branch=branches[1]),
        helper.make_node("Exp", ["x"], ["unused"]),
        helper.make_node("Add", ["x", "x"], ["twice"]),
    ]
    graph = helper.make_graph(
        nodes,
        "branching",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])],
        [
            helper.make_tensor("yes", TensorProto.BOOL, [], [True]),
            helper.make_tensor("idle", TensorProto.FLOAT, [1], [0.0]),
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_inner_graphs_are_sorted_and_their_outer_tensors_are_kept() -> None:
    model = in_order(branching())
    keep_needed(model.graph, "y")
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node] == ["Add", "If"]
    assert [tensor.name for tensor in model.graph.initializer] == ["yes"]
    for attribute in model.graph.node[1].attribute:
        assert [node.op_type for node in attribute.g.node] == ["Abs", "Neg"]


def test_names_in_inner_graphs_are_found_and_changed() -> None:
    model = in_order(branching())
    rename(model.graph, {"twice": "double", "then/abs": "size"})
    onnx.checker.check_model(model, full_check=True)
    names = set(all_names(model.graph))
    assert {"double", "size"} <= names and not {"twice", "then/abs"} & names
