"""Files that ONNX Runtime runs, though they are unusual or not quite valid."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from spyglass_export.simplifying.names import rename

Array = np.ndarray[Any, Any]


def _free_channels(model: onnx.ModelProto) -> None:
    """Height and width are fixed, as in exports of a part of a network."""
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_param = "channels"


def _one_name_for_all_sizes(model: onnx.ModelProto) -> None:
    for size in model.graph.input[0].type.tensor_type.shape.dim:
        size.dim_param = "n"


def _all_sizes_minus_1(model: onnx.ModelProto) -> None:
    for size in model.graph.input[0].type.tensor_type.shape.dim:
        size.dim_value = -1


def _no_shape(model: onnx.ModelProto) -> None:
    model.graph.input[0].type.tensor_type.ClearField("shape")


def _unread_switch(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("training", TensorProto.BOOL, []))


def _input_with_a_default(model: onnx.ModelProto) -> None:
    model.graph.input.insert(0, helper.make_tensor_value_info("temperature", TensorProto.FLOAT, []))
    model.graph.initializer.append(helper.make_tensor("temperature", TensorProto.FLOAT, [], [1.0]))
    model.graph.node[-1].output[0] = "cold"
    model.graph.node.append(helper.make_node("Mul", ["cold", "temperature"], ["y"]))


def _dropout_with_a_default_ratio(model: onnx.ModelProto) -> None:
    model.graph.input.append(helper.make_tensor_value_info("ratio", TensorProto.FLOAT, []))
    model.graph.initializer.append(helper.make_tensor("ratio", TensorProto.FLOAT, [], [0.5]))
    model.graph.node[-1].input[0] = "dropped"
    model.graph.node.insert(4, helper.make_node("Dropout", ["mean", "ratio"], ["dropped"]))


def _sparse(model: onnx.ModelProto, coordinates: bool) -> None:
    weight = next(tensor for tensor in model.graph.initializer if tensor.name == "weight")
    dense = numpy_helper.to_array(weight)
    model.graph.initializer.remove(weight)
    places = np.argwhere(dense).astype(np.int64) if coordinates else np.flatnonzero(dense).astype(np.int64)
    values = numpy_helper.from_array(dense[dense != 0], "weight")
    sparse = helper.make_sparse_tensor(values, numpy_helper.from_array(places, "places"), list(dense.shape))
    model.graph.sparse_initializer.append(sparse)


def _names_of_other_alphabets(model: onnx.ModelProto) -> None:
    rename(model.graph, {"x": "изображение", "features": "特征/Relu é:0", "y": "結果 🙂"})
    for index, node in enumerate(model.graph.node):
        node.name = f"узел {index}"


def _nested_functions(model: onnx.ModelProto) -> None:
    act = helper.make_function(
        "theirs", "Act", ["a"], ["b"], [helper.make_node("Relu", ["a"], ["b"])], [helper.make_opsetid("", 13)]
    )
    inner = [
        helper.make_node("Conv", ["a", "w"], ["k"]),
        helper.make_node("Act", ["k"], ["c"], domain="theirs"),
    ]
    opsets = [helper.make_opsetid("", 13), helper.make_opsetid("theirs", 1)]
    # A function may come before the one that it calls.
    model.functions.extend([helper.make_function("theirs", "Block", ["a", "w"], ["c"], inner, opsets), act])
    model.opset_import.append(helper.make_opsetid("theirs", 1))
    del model.graph.node[:2]
    model.graph.node.insert(0, helper.make_node("Block", ["x", "filters"], ["features"], domain="theirs"))


def _no_graph_name(model: onnx.ModelProto) -> None:
    model.graph.name = ""


def _spelled_out_domain(model: onnx.ModelProto) -> None:
    model.graph.node[1].domain = "ai.onnx"


def _weights_that_are_no_inputs(model: onnx.ModelProto) -> None:
    model.ir_version, model.opset_import[0].version = 3, 8


def _wrong_declarations(model: onnx.ModelProto) -> None:
    model.graph.value_info.append(
        helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 4, 99, 99])
    )
    model.graph.output[0].type.tensor_type.shape.dim[1].dim_value = 7


CHANGES: dict[str, Callable[[onnx.ModelProto], None]] = {
    "free channels": _free_channels,
    "one name for all sizes": _one_name_for_all_sizes,
    "all sizes -1": _all_sizes_minus_1,
    "no shape": _no_shape,
    "a switch that no node reads": _unread_switch,
    "an input with a default": _input_with_a_default,
    "a ratio with a default": _dropout_with_a_default_ratio,
    "sparse weights by index": lambda model: _sparse(model, False),
    "sparse weights by coordinates": lambda model: _sparse(model, True),
    "other alphabets": _names_of_other_alphabets,
    "nested functions": _nested_functions,
    "no graph name": _no_graph_name,
    "domain spelled out": _spelled_out_domain,
    "weights that are no inputs": _weights_that_are_no_inputs,
    "wrong declarations": _wrong_declarations,
}


FAST = ("an input with a default", "domain spelled out", "nested functions", "sparse weights by coordinates")


@pytest.mark.parametrize(
    "change", [pytest.param(each, marks=() if each in FAST else pytest.mark.slow) for each in CHANGES]
)
def test_it_is_adopted_with_exact_heatmaps(
    change: str,
    classifier: Any,
    attach: Callable[..., int],
    written: Callable[[], Any],
    tmp_path: Path,
) -> None:
    theirs = classifier()
    theirs.weight = np.abs(theirs.weight)
    theirs.weight[1, 2] = 0
    model = onnx.load(theirs.write(tmp_path / "theirs.onnx"))
    CHANGES[change](model)
    onnx.save(model, tmp_path / "theirs.onnx")
    assert attach(tmp_path / "theirs.onnx", "--scale", "1/255") == 0
    _, pixels, found, heatmaps = written()
    images = pixels.transpose(0, 3, 1, 2) / 255
    exponentials = np.exp(theirs.logits(images))
    np.testing.assert_allclose(found, exponentials / exponentials.sum(1, keepdims=True), atol=1e-5)
    np.testing.assert_allclose(heatmaps, theirs.heatmaps(images, 1), atol=1e-4)
    assert heatmaps.max() == 1


@pytest.mark.slow
@pytest.mark.parametrize("opset", [7, 9, 11, 13, 15, 18, 21, 23])
def test_every_opset_is_adopted(
    opset: int, classifier: Any, attach: Callable[..., int], written: Callable[[], Any], tmp_path: Path
) -> None:
    theirs = classifier()
    model = onnx.load(theirs.write(tmp_path / "theirs.onnx"))
    model.opset_import[0].version, model.ir_version = opset, 4 if opset < 11 else 10
    onnx.save(model, tmp_path / "theirs.onnx")
    assert attach(tmp_path / "theirs.onnx", "--scale", "1/255") == 0
    _, pixels, _, heatmaps = written()
    np.testing.assert_allclose(heatmaps, theirs.heatmaps(pixels.transpose(0, 3, 1, 2) / 255, 1), atol=1e-4)
