"""The gradient of a file is compared with finite differences of its score; a wrong one is found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from spyglass.v1.model_pb2 import ModelCard
from spyglass_contract.errors import CertificateError
from spyglass_contract.model.card import HeatmapMethod, read_card
from spyglass_export.gradcam import attach_gradcam
from spyglass_export.heatmap import HeatmapOptions, with_heatmap
from spyglass_export.proving.finite_differences import TOLERANCE
from spyglass_export.proving.gradient import gradient_error
from spyglass_export.proving.head_graph import gradient_record
from spyglass_export.session import open_session
from spyglass_export.write import write_proven

CHANNELS, HEIGHT, WIDTH = 8, 6, 7
Head = Callable[["_Network"], str]


class _Network:
    """A convolution makes `features`, float32 [batch, 8, 6, 7] without negative numbers; a head follows."""

    def __init__(self) -> None:
        self.random = np.random.default_rng(0)
        self.weights: list[onnx.TensorProto] = []
        self.nodes: list[onnx.NodeProto] = []
        self.add("Conv", "image", self.normal(CHANNELS, 3, 1, 1), to="convolved")
        self.add("Relu", "convolved", to="features")

    def weight(self, values: Any, dtype: Any = np.float32) -> str:
        name = f"weight{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.asarray(values, dtype), name))
        return name

    def normal(self, *dims: int, dtype: Any = np.float32) -> str:
        return self.weight(self.random.normal(size=dims), dtype)

    def add(self, op_type: str, *inputs: str, to: str = "", **attributes: Any) -> str:
        name = to or f"{op_type}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op_type, inputs, [name], **attributes))
        return name

    def mean(self, tensor: str = "features") -> str:
        return self.add("Flatten", self.add("GlobalAveragePool", tensor))

    def scores(self, numbers: str, size: int = CHANNELS, classes: int = 4) -> str:
        return self.add("MatMul", numbers, self.normal(size, classes))

    def model(self, output: str) -> onnx.ModelProto:
        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 3, HEIGHT, WIDTH])
        result = helper.make_tensor_value_info(output, TensorProto.FLOAT, None)
        graph = helper.make_graph(self.nodes, "network", [image], [result], self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _squeezed(net: _Network) -> str:
    gate = net.add(
        "Sigmoid", net.add("Conv", net.add("GlobalAveragePool", "features"), net.normal(8, 8, 1, 1))
    )
    return net.scores(net.mean(net.add("Mul", "features", gate)))


def _pooled_by_maximum(net: _Network) -> str:
    pooled = net.add("MaxPool", "features", kernel_shape=[3, 3], strides=[3, 3])
    return net.scores(net.add("Flatten", pooled), CHANNELS * 4)


def _rectified_twice(net: _Network) -> str:
    return net.scores(net.mean(net.add("Relu", net.add("Mul", "features", net.normal(1, CHANNELS, 1, 1)))))


def _root_mean_square(net: _Network) -> str:
    return net.scores(net.add("Sqrt", net.mean(net.add("Sqrt", "features"))))


def _in_float16(net: _Network) -> str:
    net.nodes.append(helper.make_node("Cast", ["features"], ["halves"], to=TensorProto.FLOAT16))
    product = net.add("MatMul", net.mean("halves"), net.normal(CHANNELS, 4, dtype=np.float16))
    net.nodes.append(helper.make_node("Cast", [product], ["scores"], to=TensorProto.FLOAT))
    return "scores"


def _quantised_inside(net: _Network) -> str:
    scale, zero = net.weight(0.05), net.weight(100, np.uint8)
    mean = net.add("Add", net.mean(net.add("Tanh", "features")), net.weight(0.1))
    packed = net.add("QuantizeLinear", mean, scale, zero)
    numbers = net.add("DequantizeLinear", packed, scale, zero)
    weight = net.weight(net.random.integers(-120, 120, (CHANNELS, 4)), np.int8)
    unpacked = net.add("DequantizeLinear", weight, net.weight(0.01), net.weight(0, np.int8))
    return net.add("MatMul", net.add("Sigmoid", numbers), unpacked)


def _of_two_classes(net: _Network) -> str:
    probability = net.add("Sigmoid", net.scores(net.mean(net.add("Tanh", "features")), classes=1))
    rest = net.add("Sub", net.weight(1.0), probability)
    return net.add("Concat", rest, probability, axis=1)


def _channels_last(net: _Network) -> str:
    turned = net.add("Transpose", "features", perm=[0, 2, 3, 1])
    normal = net.add("LayerNormalization", turned, net.normal(CHANNELS), net.normal(CHANNELS))
    pooled = net.add("ReduceMean", net.add("Elu", normal), axes=[1, 2], keepdims=0)
    return net.scores(pooled)


def _attended(net: _Network) -> str:
    """The gradient is that of a softmax over the places, whose sum cancels for the softmax alone."""
    flat = net.add("Reshape", "features", net.weight([0, CHANNELS, -1], np.int64))
    product = net.add("Mul", net.add("Softmax", flat, axis=2), net.weight(np.linspace(-1, 2, HEIGHT * WIDTH)))
    return net.scores(net.add("ReduceSum", product, net.weight([2], np.int64), keepdims=0))


def _heads_in_the_batch(net: _Network) -> str:
    """The file computes the gradient in a loop over the classes: the first axis is not the batch."""
    heads = net.add("Reshape", "features", net.weight([-1, 4, HEIGHT * WIDTH], np.int64))
    products = net.add("MatMul", net.add("Transpose", heads, perm=[0, 2, 1]), heads)
    attended = net.add("MatMul", heads, net.add("Softmax", products, axis=-1))
    joined = net.add("Reshape", attended, net.weight([-1, CHANNELS, HEIGHT * WIDTH], np.int64))
    return net.scores(net.add("ReduceMean", joined, axes=[2], keepdims=0))


def _constant(net: _Network) -> str:
    """The scores do not change with the features."""
    return net.scores(net.mean(net.add("Mul", "features", net.weight(0.0))))


HEADS: dict[str, Head] = {
    head.__name__.strip("_"): head
    for head in (
        _squeezed,
        _pooled_by_maximum,
        _rectified_twice,
        _root_mean_square,
        _in_float16,
        _quantised_inside,
        _of_two_classes,
        _channels_last,
        _attended,
        _heads_in_the_batch,
        _constant,
    )
}


def _attached(head: Head, method: HeatmapMethod = "gradcam") -> onnx.ModelProto:
    net = _Network()
    output = head(net)
    return attach_gradcam(net.model(output), feature_map="features", method=method).model


def _images() -> list[Any]:
    random = np.random.default_rng(7)
    return [random.normal(size=(1, 3, HEIGHT, WIDTH)).astype(np.float32) for _ in range(2)]


def _branch(model: onnx.ModelProto) -> onnx.GraphProto:
    choice = next(node for node in model.graph.node if node.op_type == "If")
    return next(each.g for each in choice.attribute if each.name == "then_branch")


def _spoil(model: onnx.ModelProto, op_type: str, values: Any) -> onnx.ModelProto:
    """Put a product or sum with `values` behind the gradient of a file."""
    record = gradient_record(model)
    assert record is not None
    return _spoil_tensor(model, record.gradient, op_type, values)


def _spoil_tensor(model: onnx.ModelProto, tensor: str, op_type: str, values: Any) -> onnx.ModelProto:
    branch = _branch(model)
    for node in branch.node:
        node.output[:] = ["right" if name == tensor else name for name in node.output]
    index = next(index for index, node in enumerate(branch.node) if "right" in node.output)
    branch.initializer.append(numpy_helper.from_array(np.asarray(values, np.float32), "error"))
    branch.node.insert(index + 1, helper.make_node(op_type, ["right", "error"], [tensor]))
    return model


@pytest.mark.parametrize("method", ["gradcam", "gradcam++", "layercam"])
@pytest.mark.parametrize("head", HEADS)
def test_a_right_gradient_agrees(head: str, method: HeatmapMethod) -> None:
    error = gradient_error(_attached(HEADS[head], method), "image", _images())
    assert error is not None and error < TOLERANCE / 10


def _one_channel(shape: Sequence[int], value: float) -> Any:
    values = np.ones(shape)
    values[:, 2] = value
    return values


WRONG: dict[str, tuple[str, Any]] = {
    "5 % larger": ("Mul", 1.05),
    "of the other sign": ("Mul", -1.0),
    "without one channel": ("Mul", 0.0),
    "twice in one channel": ("Mul", 2.0),
}


@pytest.mark.parametrize("method", ["gradcam", "layercam"])
@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("head", ["squeezed", "quantised_inside"])
def test_a_wrong_gradient_differs(head: str, wrong: str, method: HeatmapMethod) -> None:
    model = _attached(HEADS[head], method)
    op_type, value = WRONG[wrong]
    if "channel" in wrong:
        value = _one_channel([1, CHANNELS] + ([1, 1] if method == "layercam" else []), value)
    error = gradient_error(_spoil(model, op_type, value), "image", _images())
    assert error is not None and error > 2 * TOLERANCE


def _two_sizes(net: _Network) -> str:
    """Two maps without a common one behind the image: 6 x 7 places, and 3 x 4 of a coarser one."""
    kernel = net.normal(5, 3, 3, 3)
    coarse = net.add("Relu", net.add("Conv", "image", kernel, pads=[1] * 4, strides=[2, 2]))
    return net.scores(net.add("Concat", net.mean(), net.mean(coarse), axis=1), CHANNELS + 5)


def _attached_to_two_sizes(method: HeatmapMethod) -> onnx.ModelProto:
    net = _Network()
    output = _two_sizes(net)
    model = attach_gradcam(net.model(output), method=method).model
    record = gradient_record(model)
    assert record is not None and len(record.parts) == 2
    return model


@pytest.mark.parametrize("method", ["gradcam", "gradcam++", "layercam"])
def test_the_gradients_of_maps_of_two_sizes_agree(method: HeatmapMethod) -> None:
    error = gradient_error(_attached_to_two_sizes(method), "image", _images())
    assert error is not None and error < TOLERANCE / 10


@pytest.mark.parametrize("part", [0, 1])
def test_a_wrong_gradient_of_one_of_two_maps_differs(part: int) -> None:
    model = _attached_to_two_sizes("gradcam")
    record = gradient_record(model)
    assert record is not None
    _spoil_tensor(model, record.parts[part][1], "Mul", 1.05)
    error = gradient_error(model, "image", _images())
    assert error is not None and error > 2 * TOLERANCE


@pytest.mark.parametrize("method", ["eigencam", "scorecam"])
def test_a_method_without_gradient_is_not_checked(method: HeatmapMethod) -> None:
    assert gradient_error(_attached(_squeezed, method), "image", _images()) is None


@pytest.fixture
def card(make_card: Callable[..., ModelCard]) -> ModelCard:
    return make_card()


def test_the_certificate_holds_the_error_of_the_gradient(
    make_model: Callable[..., Path], card: ModelCard, tmp_path: Path
) -> None:
    model = with_heatmap(onnx.load(make_model()), card, HeatmapOptions("floats"))
    write_proven(model, card, tmp_path / "model.onnx")
    certificate = read_card(open_session(tmp_path / "model.onnx")).certificate
    assert certificate.HasField("gradient_error") and certificate.gradient_error < 1e-4


def test_a_file_with_a_wrong_gradient_is_not_written(
    make_model: Callable[..., Path], card: ModelCard, tmp_path: Path
) -> None:
    model = with_heatmap(onnx.load(make_model()), card, HeatmapOptions("floats", "layercam"))
    _spoil(model, "Mul", 1.1)
    with pytest.raises(CertificateError, match=r"finite differences of the score by 0\.0\d+ of its size"):
        write_proven(model, card, tmp_path / "new/model.onnx")
    assert not (tmp_path / "new").exists()


def test_a_file_without_a_gradient_has_no_error(
    make_model: Callable[..., Path], card: ModelCard, tmp_path: Path
) -> None:
    model = with_heatmap(onnx.load(make_model()), card, HeatmapOptions("floats", "eigencam"))
    card.certificate.gradient_error = 1
    write_proven(model, card, tmp_path / "model.onnx")
    assert not card.certificate.HasField("gradient_error")
