"""The tensors that every path from the image to the scores passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx
from onnx import TensorProto, helper

from spyglass_export.gradcam.finding.dominators import dominators
from spyglass_export.gradcam.finding.flow import Flow
from spyglass_export.gradcam.graph_view import GraphView

DIMS = (4, 6, 6)


def _dominators(model: onnx.ModelProto) -> list[str]:
    view = GraphView(model)
    view.settle(view.nodes)
    return dominators(Flow(view), model.graph.output[0].name)


def test_a_chain_has_every_tensor_on_its_path(sketch: Callable[..., Any]) -> None:
    head = sketch(DIMS)
    bent = head.node("Tanh", "features")
    mean = head.node("GlobalAveragePool", bent)
    assert _dominators(head.model(mean)) == [mean, bent, "features", "image"]


def test_a_branch_has_paths_around_its_tensors(sketch: Callable[..., Any]) -> None:
    head = sketch(DIMS)
    gate = head.node("Sigmoid", head.node("GlobalAveragePool", "features"))
    product = head.node("Mul", "features", gate)
    assert _dominators(head.model(product)) == [product, "features", "image"]


def test_a_long_path_around_a_tensor_counts(sketch: Callable[..., Any]) -> None:
    head = sketch(DIMS)
    one = head.node("Tanh", "features")
    two = head.node("Relu", one)
    total = head.node("Add", head.node("Neg", two), one)
    assert _dominators(head.model(total)) == [total, one, "features", "image"]


def test_sizes_indices_and_comparisons_make_no_path(sketch: Callable[..., Any]) -> None:
    head = sketch(DIMS)
    bent = head.node("Tanh", "features")
    size = head.node("Cast", head.node("Size", "image"), to=TensorProto.FLOAT)
    mask = head.node("Cast", head.node("Greater", "image", head.weight(0.0)), to=TensorProto.FLOAT)
    best = head.node("Cast", head.node("ArgMax", "image", axis=1), to=TensorProto.FLOAT)
    product = head.node("Mul", head.node("Mul", head.node("Div", bent, size), mask), best)
    assert _dominators(head.model(product))[-3:] == [bent, "features", "image"]


def test_the_bytes_of_an_image_are_on_the_path() -> None:
    nodes = [
        helper.make_node("Transpose", ["image"], ["first"], perm=[0, 3, 1, 2]),
        helper.make_node("Cast", ["first"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("GlobalAveragePool", ["numbers"], ["mean"]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", 4, 4, 3])
    mean = helper.make_tensor_value_info("mean", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "bytes", [image], [mean])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    assert _dominators(model) == ["mean", "numbers", "first", "image"]


def test_a_tensor_without_a_path_has_no_dominators(sketch: Callable[..., Any]) -> None:
    head = sketch(DIMS)
    view = GraphView(head.model(head.node("Shape", "features")))
    assert dominators(Flow(view), "Shape1_0") == []
