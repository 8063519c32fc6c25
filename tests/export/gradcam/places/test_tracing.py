"""What the trace does with operators and inputs that it does not know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from spyglass_export.gradcam.graph_view import GraphView
from spyglass_export.gradcam.places import Placement, Places
from spyglass_export.gradcam.places.tracing import trace

Place = Callable[[onnx.ModelProto, str], Placement | None]


def _foreign(net: Any, tensor: str, dims: list[int | str] | None) -> tuple[onnx.ModelProto, str, str]:
    """A model with an operator of another domain, whose result has `dims`, and its sum with a map behind."""
    net.nodes.append(helper.make_node("Strange", [tensor], ["strange"], domain="com.microsoft"))
    total = net.node("Add", "strange", tensor)
    model = net.model(total)
    if dims is not None:
        model.graph.value_info.append(helper.make_tensor_value_info("strange", TensorProto.FLOAT, dims))
    output = helper.make_tensor_value_info(total, TensorProto.FLOAT, ["batch", 5, 4, 3])
    model.graph.output[0].CopyFrom(output)
    return model, "strange", total


@pytest.mark.parametrize("dims", [["batch", 5, 4, 3], None])
def test_a_foreign_operator_has_no_places(sketch: Any, dims: list[int | str] | None) -> None:
    net = sketch((3, 8, 6))
    patches = net.node("Conv", "image", net.normal(5, 3, 2, 2), strides=[2, 2])
    model, strange, total = _foreign(net, patches, dims)
    places = Places(GraphView(model))
    assert places.placement(patches) is not None
    assert places.placement(strange) is None
    # Without a shape the trace ends; with one the sum finds the places again.
    assert (places.placement(total) is None) == (dims is None)


def test_an_input_that_is_no_image_has_no_places(sketch: Any, place: Place) -> None:
    net = sketch((3, 8, 6))
    model = net.model(net.node("Relu", "image"))
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 144]))
    del model.graph.value_info[:]
    assert Places(GraphView(model)).placement(model.graph.node[-1].output[0]) is None


@pytest.mark.parametrize("channels", [1, 12])
def test_images_of_any_number_of_channels(sketch: Any, place: Place, channels: int) -> None:
    net = sketch((channels, 8, 6))
    patches = net.node("Conv", "image", net.normal(5, channels, 2, 2), strides=[2, 2])
    placement = place(net.model(patches), patches)
    assert placement is not None
    assert (placement.height, placement.width) == (4, 3)


def test_a_value_that_cannot_be_computed_ends_only_its_own_path(sketch: Any, place: Place) -> None:
    net = sketch((3, 8, 6))
    patches = net.node("Conv", "image", net.normal(5, 3, 2, 2), strides=[2, 2])
    division = net.node("Div", net.weight(4, np.int64), net.weight(0, np.int64))
    lost = net.node("Gather", patches, division, axis=2)
    model = net.model(net.node("Relu", patches))
    view = GraphView(model)
    found = trace(view)
    assert Places(view).placement(model.graph.node[-1].output[0]) is not None
    assert lost not in found.tensors or found.tensors[lost].places.grid is None


def test_weights_are_not_computed(sketch: Any) -> None:
    """A quantised weight is neither an index nor a scale: its numbers do not matter."""
    net = sketch((3, 8, 6))
    weight = net.weight(np.ones((512, 3, 2, 2)), np.int8)
    scale, zero = net.weight(0.1), net.weight(0, np.int8)
    unpacked = net.node("DequantizeLinear", weight, scale, zero)
    model = net.model(net.node("Conv", "image", unpacked, strides=[2, 2]))
    found = trace(GraphView(model))
    assert found.tensors[unpacked].value is None
    assert found.tensors[model.graph.node[-1].output[0]].places.grid is not None
