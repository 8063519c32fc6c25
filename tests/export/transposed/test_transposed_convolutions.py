"""Rewritten transposed convolutions give the outputs of ONNX Runtime's own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static

from spyglass_contract.errors import ModelError
from spyglass_export.transposed import rewrite_transposed

Array = NDArray[np.float32]
# The fewest channels for which a rewrite is faster.
CHANNELS = 16


def weights(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def network(
    nodes: Sequence[onnx.NodeProto],
    initializers: dict[str, Array],
    sizes: Sequence[int | str] = (5, 6),
    *,
    channels: int = 3,
    opset: int = 17,
) -> onnx.ModelProto:
    """A network from `image` [batch, channels, *sizes] to the output of the last node, all float32."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", channels, *sizes])
    output = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, ["batch", "c", "h", "w"])
    tensors = [numpy_helper.from_array(value, name) for name, value in initializers.items()]
    graph = helper.make_graph(nodes, "network", [image], [output], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    onnx.checker.check_model(model)
    return model


def run(model: onnx.ModelProto, image: Array) -> list[Array]:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return session.run(None, {"image": image})


def operators(model: onnx.ModelProto) -> set[str]:
    return {node.op_type for node in model.graph.node}


def rewritten(model: onnx.ModelProto, sizes: Sequence[int] = (5, 6), *, channels: int = 3) -> set[str]:
    """Rewrite `model`, compare its outputs before and after for two batch sizes, and return its operators."""
    images = [weights(batch, channels, *sizes, seed=batch) for batch in (1, 3)]
    expected = [run(model, image) for image in images]
    rewrite_transposed(model)
    onnx.checker.check_model(model, full_check=True)
    for image, outputs in zip(images, expected, strict=True):
        for found, output in zip(run(model, image), outputs, strict=True):
            assert found.shape == output.shape
            scale = max(1.0, float(np.abs(output).max()))
            np.testing.assert_allclose(found / scale, output / scale, rtol=0, atol=1e-5)
    return operators(model)


@st.composite
def paddings(draw: st.DrawFn, kernel: Sequence[int], stride: int, sizes: Sequence[int]) -> dict[str, Any]:
    """Attributes for padding, in each form that ONNX has."""
    attributes: dict[str, Any] = {}
    if draw(st.booleans()):
        attributes["output_padding"] = [draw(st.integers(0, stride - 1)) for _ in kernel]
    way = draw(st.sampled_from(["nothing", "pads", "VALID", "SAME_UPPER", "SAME_LOWER", "output_shape"]))
    if way == "pads":
        attributes["pads"] = [draw(st.integers(0, 4)) for _ in range(4)]
    elif way == "output_shape":
        added = attributes.get("output_padding", [0, 0])
        unpadded = [
            stride * (size - 1) + width + more for size, width, more in zip(sizes, kernel, added, strict=True)
        ]
        attributes["output_shape"] = [max(1, size - draw(st.integers(0, 5))) for size in unpadded]
        attributes["auto_pad"] = draw(st.sampled_from(["NOTSET", "SAME_UPPER", "SAME_LOWER"]))
    elif way != "nothing":
        attributes["auto_pad"] = way
    return attributes


@st.composite
def layers(draw: st.DrawFn) -> tuple[list[int], list[int], dict[str, Any]]:
    """Kernel, sizes of the input, and attributes of a ConvTranspose."""
    kernel = [draw(st.integers(1, 6)), draw(st.integers(1, 6))]
    sizes = [draw(st.integers(1, 7)), draw(st.integers(1, 7))]
    stride = draw(st.integers(1, 4))
    return kernel, sizes, {"strides": [stride, stride], **draw(paddings(kernel, stride, sizes))}


def is_valid(model: onnx.ModelProto, sizes: Sequence[int]) -> bool:
    """Return whether ONNX and ONNX Runtime accept the layer, and its output is not empty."""
    try:
        onnx.checker.check_model(model, full_check=True)
        (output,) = run(model, weights(1, 3, *sizes))
    except Exception:
        return False
    return output.size > 0


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(layers(), st.sampled_from([CHANNELS, CHANNELS + 3]), st.booleans(), st.integers(11, 21))
def test_any_kernel_stride_and_padding_gives_the_same_numbers(
    layer: tuple[list[int], list[int], dict[str, Any]], channels: int, with_bias: bool, opset: int
) -> None:
    kernel, sizes, attributes = layer
    inputs = ["image", "weight", *(["bias"] if with_bias else [])]
    tensors = {"weight": weights(3, channels, *kernel), "bias": weights(channels, seed=1)}
    node = helper.make_node("ConvTranspose", inputs, ["map"], **attributes)
    model = network([node], {name: tensors[name] for name in inputs[1:]}, sizes, opset=opset)
    assume(is_valid(model, sizes))
    stride = attributes["strides"][0]
    worth_it = stride == 1 or max(kernel) > stride
    assert ("ConvTranspose" in rewritten(model, sizes)) is not worth_it


@st.composite
def heads(draw: st.DrawFn) -> tuple[list[int], list[int]]:
    """Kernel and padding of a convolution that keeps height and width."""
    kernel = [draw(st.integers(1, 5)), draw(st.integers(1, 5))]
    begin = [draw(st.integers(0, size - 1)) for size in kernel]
    return kernel, [*begin, *(size - 1 - start for size, start in zip(kernel, begin, strict=True))]


@pytest.mark.slow
@settings(max_examples=100, deadline=None)
@given(
    stride=st.integers(2, 4),
    overlap=st.integers(0, 4),
    start=st.integers(0, 2),
    head=heads(),
    activation=st.sampled_from(["", "Relu", "LeakyRelu", "Tanh"]),
    with_bias=st.booleans(),
)
def test_a_head_of_few_channels_is_computed_before_the_phases_are_joined(
    stride: int,
    overlap: int,
    start: int,
    head: tuple[list[int], list[int]],
    activation: str,
    with_bias: bool,
) -> None:
    start = min(start, overlap)
    (height, width), pads = head
    ending = ["bias"] if with_bias else []
    before = [start, start, overlap - start, overlap - start]
    nodes = [
        helper.make_node(
            "ConvTranspose", ["image", "weight"], ["map"], strides=[stride, stride], pads=before
        ),
        *([helper.make_node(activation, ["map"], ["active"])] if activation else []),
        helper.make_node("Conv", ["active" if activation else "map", "head", *ending], ["scores"], pads=pads),
    ]
    classes = CHANNELS // stride**2
    tensors = {
        "weight": weights(3, 5, stride + overlap, stride + overlap),
        "head": weights(classes, 5, height, width, seed=1),
        "bias": weights(classes, seed=2),
    }
    model = network(nodes, {name: tensors[name] for name in ("weight", "head", *ending)})
    assert "ConvTranspose" not in rewritten(model)
    # One for each phase of the layer, and one from each phase to the scores.
    assert [node.op_type for node in model.graph.node].count("Conv") == 2 * stride**2
    assert [output.name for output in model.graph.output] == ["scores"]


@pytest.mark.parametrize(
    "attributes",
    [
        {"strides": [2, 2], "group": 2},
        {"strides": [2, 2], "dilations": [2, 1]},
        {"strides": [1, 2]},
    ],
    ids=["groups", "dilations", "strides that differ"],
)
def test_unsupported_layers_are_not_changed(attributes: dict[str, Any]) -> None:
    node = helper.make_node("ConvTranspose", ["image", "weight"], ["map"], **attributes)
    model = network([node], {"weight": weights(4, CHANNELS, 3, 3)}, channels=4)
    before = model.SerializeToString()
    assert rewritten(model, channels=4) == {"ConvTranspose"}
    assert model.SerializeToString() == before


def test_an_unknown_auto_pad_is_rejected() -> None:
    node = helper.make_node("ConvTranspose", ["image", "weight"], ["map"], name="up")
    model = network([node], {"weight": weights(3, CHANNELS, 3, 3)})
    model.graph.node[0].attribute.append(helper.make_attribute("auto_pad", "FULL"))
    with pytest.raises(ModelError, match=r"'up': auto_pad must be one of NOTSET, .*, not FULL"):
        rewrite_transposed(model)


def test_a_layer_of_few_channels_is_not_changed() -> None:
    node = helper.make_node("ConvTranspose", ["image", "weight"], ["map"])
    assert rewritten(network([node], {"weight": weights(3, CHANNELS - 1, 3, 3)})) == {"ConvTranspose"}


def test_a_layer_with_computed_weights_is_not_changed() -> None:
    nodes = [
        helper.make_node("Relu", ["weight"], ["positive"]),
        helper.make_node("ConvTranspose", ["image", "positive"], ["map"]),
    ]
    assert "ConvTranspose" in rewritten(network(nodes, {"weight": weights(3, CHANNELS, 3, 3)}))


def test_a_layer_of_unknown_size_is_not_changed() -> None:
    node = helper.make_node("ConvTranspose", ["image", "weight"], ["map"], strides=[2, 2])
    model = network([node], {"weight": weights(3, CHANNELS, 3, 3)}, ("height", 6))
    assert rewritten(model) == {"ConvTranspose"}


def test_a_layer_with_weights_that_a_caller_can_override_is_not_changed() -> None:
    node = helper.make_node("ConvTranspose", ["image", "weight"], ["map"])
    model = network([node], {"weight": weights(3, CHANNELS, 3, 3)})
    shape = [3, CHANNELS, 3, 3]
    model.graph.input.append(helper.make_tensor_value_info("weight", TensorProto.FLOAT, shape))
    assert rewritten(model) == {"ConvTranspose"}


def test_a_layer_over_one_axis_is_not_changed() -> None:
    node = helper.make_node("ConvTranspose", ["line", "weight"], ["map"])
    line = helper.make_tensor_value_info("line", TensorProto.FLOAT, ["batch", 3, 5])
    output = helper.make_tensor_value_info("map", TensorProto.FLOAT, ["batch", CHANNELS, 7])
    tensors = [numpy_helper.from_array(weights(3, CHANNELS, 3), "weight")]
    model = helper.make_model(helper.make_graph([node], "line", [line], [output], tensors))
    rewrite_transposed(model)
    assert operators(model) == {"ConvTranspose"}


def test_weights_of_two_rewritten_layers_are_removed() -> None:
    layer = {"strides": [2, 2], "pads": [1, 1, 1, 1]}
    nodes = [
        helper.make_node("ConvTranspose", ["image", "weight", "bias"], ["one"], **layer),
        helper.make_node("Relu", ["image"], ["positive"]),
        helper.make_node("ConvTranspose", ["positive", "weight", "bias"], ["other"], **layer),
        helper.make_node("Sub", ["one", "other"], ["difference"]),
    ]
    tensors = {"weight": weights(3, CHANNELS, 3, 3), "bias": weights(CHANNELS)}
    model = network(nodes, tensors)
    assert "ConvTranspose" not in rewritten(model)
    stored = {tensor.name: tuple(tensor.dims) for tensor in model.graph.initializer}
    assert "weight" not in stored
    assert sum(int(np.prod(shape)) for shape in stored.values() if len(shape) == 4) == 3 * CHANNELS * 9


def test_weights_that_another_node_reads_stay() -> None:
    nodes = [
        helper.make_node("ConvTranspose", ["image", "weight"], ["map"], pads=[1, 1, 1, 1]),
        helper.make_node("ConvTranspose", ["image", "weight"], ["wide"], dilations=[2, 2], pads=[2, 2, 2, 2]),
        helper.make_node("Add", ["map", "wide"], ["sum"]),
    ]
    model = network(nodes, {"weight": weights(3, CHANNELS, 3, 3)})
    assert {"Conv", "ConvTranspose"} < rewritten(model)


def test_weights_in_constant_nodes_are_rewritten_and_removed() -> None:
    nodes = [
        helper.make_node("Constant", [], ["weight"], value=numpy_helper.from_array(weights(3, 16, 4, 4))),
        helper.make_node("ConvTranspose", ["image", "weight"], ["map"], strides=[2, 2], pads=[1, 1, 1, 1]),
    ]
    assert not {"Constant", "ConvTranspose"} & rewritten(network(nodes, {}))


def test_a_map_that_is_also_an_output_keeps_its_name_and_numbers() -> None:
    nodes = [
        helper.make_node("ConvTranspose", ["image", "weight"], ["map"], strides=[2, 2]),
        helper.make_node("Relu", ["map"], ["active"]),
        helper.make_node("Conv", ["active", "head"], ["scores"], pads=[1, 1, 1, 1]),
    ]
    tensors = {"weight": weights(3, CHANNELS, 3, 3), "head": weights(3, CHANNELS, 3, 3, seed=1)}
    model = network(nodes, tensors)
    for name in ("map", "active"):
        model.graph.output.append(
            helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", CHANNELS, "h", "w"])
        )
    assert "ConvTranspose" not in rewritten(model)


def test_a_map_that_a_branch_reads_stays() -> None:
    output = helper.make_tensor_value_info("chosen", TensorProto.FLOAT, ["batch", CHANNELS, "h", "w"])
    branches = [
        helper.make_graph([helper.make_node(function, ["map"], ["chosen"])], function, [], [output])
        for function in ("Neg", "Exp")
    ]
    nodes = [
        helper.make_node("ConvTranspose", ["image", "weight"], ["map"], strides=[2, 2]),
        helper.make_node("Relu", ["map"], ["active"]),
        helper.make_node("ReduceMax", ["image"], ["largest"], keepdims=0),
        helper.make_node("Cast", ["largest"], ["positive"], to=TensorProto.BOOL),
        helper.make_node("If", ["positive"], ["either"], then_branch=branches[0], else_branch=branches[1]),
        helper.make_node("Add", ["active", "either"], ["sum"]),
    ]
    assert "ConvTranspose" not in rewritten(network(nodes, {"weight": weights(3, CHANNELS, 3, 3)}))


class Calibration(CalibrationDataReader):
    """A few images to measure value ranges."""

    def __init__(self) -> None:
        self._images = iter([weights(1, CHANNELS, 5, 6, seed=seed) for seed in range(4)])

    def get_next(self) -> dict[str, Array]:
        image = next(self._images, None)
        return {} if image is None else {"image": image}


def test_a_quantised_layer_is_computed_in_integers_only_after_the_rewrite(tmp_path: Path) -> None:
    held = {"w": weights(CHANNELS, CHANNELS, 3, 3)}
    node = helper.make_node("ConvTranspose", ["image", "w"], ["map"], strides=[2, 2], pads=[0, 0, 1, 1])
    model = network([node], held, channels=CHANNELS)
    before = operators_when_quantised(model, tmp_path)
    assert "ConvTranspose" in before and "QLinearConv" not in before
    rewrite_transposed(model)
    after = operators_when_quantised(model, tmp_path)
    assert "QLinearConv" in after and "Conv" not in after


def operators_when_quantised(model: onnx.ModelProto, folder: Path) -> set[str]:
    """Return the operators that ONNX Runtime runs after it quantised the model."""
    onnx.save(model, folder / "before.onnx")
    quantize_static(
        folder / "before.onnx",
        folder / "after.onnx",
        Calibration(),
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
    )
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(folder / "running.onnx")
    ort.InferenceSession(folder / "after.onnx", options, ["CPUExecutionProvider"])
    return operators(onnx.load(folder / "running.onnx"))
