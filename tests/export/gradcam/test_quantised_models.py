"""Heatmaps of int8 classifiers written by ONNX Runtime's quantiser."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from spyglass_export.gradcam import attach_gradcam
from spyglass_export.proving.gradient import gradient_error
from spyglass_export.session_options import session_options

DIMS = (3, 12, 12)


class Images(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self) -> None:
        self.waiting = iter([{"image": image[None]} for image in _images(16)])

    def get_next(self) -> Any:
        return next(self.waiting, None)


def _images(number: int) -> Any:
    return np.random.default_rng(number).uniform(-1, 1, (number, *DIMS)).astype(np.float32)


def _pooled(head: Any, features: str) -> str:
    weight = (head.normal(4, 16), head.normal(4))
    mean = head.node("Flatten", head.node("GlobalAveragePool", features))
    return head.node("Gemm", mean, *weight, transB=1)


def _flattened(head: Any, features: str) -> str:
    pooled = head.node("MaxPool", features, kernel_shape=[2, 2], strides=[2, 2])
    hidden = head.node("MatMul", head.node("Flatten", pooled), head.normal(16 * 25, 8))
    squashed = head.node("Sigmoid", head.node("Mul", hidden, head.weight(0.02)))
    return head.node("MatMul", squashed, head.normal(8, 4))


def _two_products(head: Any, features: str) -> str:
    """Two Gemm with transB, as PyTorch writes them: the reverse pass needs the whole first weight."""
    mean = head.node("Flatten", head.node("GlobalAveragePool", features))
    hidden = head.node("Sigmoid", head.node("Gemm", mean, head.normal(12, 16), head.normal(12), transB=1))
    return head.node("Gemm", hidden, head.normal(4, 12), head.normal(4), transB=1)


def _with_relu(head: Any, features: str) -> str:
    """The quantiser leaves out the Relu: its range starts at 0."""
    mean = head.node("Flatten", head.node("GlobalAveragePool", features))
    hidden = head.node("Relu", head.node("Gemm", mean, head.normal(12, 16), head.normal(12), transB=1))
    return head.node("Gemm", hidden, head.normal(4, 12), head.normal(4), transB=1)


def _with_relu6(head: Any, features: str) -> str:
    """Half of the numbers are below 0, and many above 6."""
    mean = head.node("Flatten", head.node("GlobalAveragePool", features))
    hidden = head.node("Gemm", mean, head.weight(head.random.normal(size=(12, 16)) * 6), transB=1)
    bounded = head.node("Clip", hidden, head.weight(0.0), head.weight(6.0))
    return head.node("Gemm", bounded, head.normal(4, 12), head.normal(4), transB=1)


@pytest.fixture(params=[_pooled, _flattened, _two_products, _with_relu, _with_relu6])
def classifier(request: pytest.FixtureRequest, sketch: Callable[..., Any]) -> onnx.ModelProto:
    head = sketch(DIMS)
    features = head.node("Relu", head.node("Conv", "features", head.normal(16, 3, 3, 3)))
    return head.model(head.node("Softmax", request.param(head, features), axis=1))


def _quantised(
    model: onnx.ModelProto,
    folder: Path,
    per_channel: bool,
    activations: QuantType = QuantType.QUInt8,
    weights: QuantType = QuantType.QInt8,
) -> onnx.ModelProto:
    source, target = folder / "float.onnx", folder / "int8.onnx"
    onnx.save(model, source)
    types = {"activation_type": activations, "weight_type": weights}
    quantize_static(source, target, Images(), QuantFormat.QDQ, per_channel=per_channel, **types)
    return onnx.load(target)


# QInt8 is the default of `quantize_static`.
@pytest.mark.parametrize("activations", [QuantType.QUInt8, QuantType.QInt8])
@pytest.mark.parametrize("per_channel", [False, True])
def test_an_int8_classifier_has_nearly_the_heatmap_of_the_float_classifier(
    per_channel: bool,
    activations: QuantType,
    classifier: onnx.ModelProto,
    session_of: Callable[..., Any],
    tmp_path: Path,
) -> None:
    quantised = _quantised(classifier, tmp_path, per_channel, activations)
    attached = [attach_gradcam(model) for model in (classifier, quantised)]
    assert attached[1].layer.startswith(attached[0].layer)
    expected, found = (session_of(each.model) for each in attached)
    for class_index in range(4):
        feeds = {"image": _images(2), "class_index": np.array([class_index])}
        maps = [session.run(["heatmap"], feeds)[0] for session in (expected, found)]
        assert np.abs(maps[0] - maps[1]).mean() < 0.015
        assert maps[0].max() == 1


def test_an_int8_classifier_without_requested_classes_runs_as_before(
    classifier: onnx.ModelProto, tmp_path: Path
) -> None:
    quantised = _quantised(classifier, tmp_path, per_channel=True)
    alone = _operators(quantised, {"image": _images(1)}, tmp_path)
    feeds = {"image": _images(1), "class_index": np.empty(0, np.int64)}
    attached = _operators(attach_gradcam(quantised).model, feeds, tmp_path)
    assert alone.count("QLinearConv") == attached.count("QLinearConv") > 0
    whole = [operators.count("QGemm") + operators.count("MatMulInteger") for operators in (alone, attached)]
    assert whole[0] == whole[1]


def test_an_activation_that_the_quantiser_left_out_is_not_in_the_file(
    classifier: onnx.ModelProto, tmp_path: Path
) -> None:
    operators = {node.op_type for node in _quantised(classifier, tmp_path, per_channel=False).graph.node}
    assert not operators & {"Relu", "Clip"}


def test_the_gradient_is_that_of_the_file_without_its_rounding(
    classifier: onnx.ModelProto, tmp_path: Path
) -> None:
    attached = attach_gradcam(_quantised(classifier, tmp_path, per_channel=False)).model
    error = gradient_error(attached, "image", [_images(3)[index : index + 1] for index in range(2)])
    assert error is not None and error < 1e-2


def test_the_gradient_is_checked_with_weights_that_the_file_quantises_itself(
    sketch: Callable[..., Any], tmp_path: Path
) -> None:
    """So does a network that PyTorch trained with rounding: its file has the real weights."""
    head = sketch(DIMS)
    model = head.model(_with_relu(head, head.node("Conv", "features", head.normal(16, 3, 3, 3))))
    onnx.save(model, tmp_path / "float.onnx")
    options = {"AddQDQPairToWeight": True}
    quantize_static(
        tmp_path / "float.onnx", tmp_path / "int8.onnx", Images(), QuantFormat.QDQ, extra_options=options
    )
    attached = attach_gradcam(onnx.load(tmp_path / "int8.onnx")).model
    error = gradient_error(attached, "image", [_images(3)[:1]])
    assert error is not None and error < 1e-2


# The weight of a MatMul behind 16 bits becomes one of a MatMulNBits, which rounds its other operand too.
@pytest.mark.parametrize("activations", [QuantType.QUInt8, QuantType.QUInt16])
def test_the_heatmap_changes_no_bit_of_the_probabilities(
    activations: QuantType, classifier: onnx.ModelProto, session_of: Callable[..., Any], tmp_path: Path
) -> None:
    quantised = _quantised(classifier, tmp_path, per_channel=False, activations=activations)
    output = quantised.graph.output[0].name
    expected = session_of(quantised).run([output], {"image": _images(4)})[0]
    attached = session_of(attach_gradcam(quantised).model)
    for classes in ([], [2]):
        feeds = {"image": _images(4), "class_index": np.array(classes, np.int64)}
        np.testing.assert_array_equal(attached.run([output], feeds)[0], expected)


@pytest.mark.parametrize("weights", [QuantType.QInt4, QuantType.QUInt4])
def test_a_classifier_with_weights_of_4_bits_has_the_heatmap_of_its_dequantised_weights(
    weights: QuantType, sketch: Callable[..., Any], session_of: Callable[..., Any], tmp_path: Path
) -> None:
    head = sketch(DIMS, opset=21)
    features = head.node("Relu", head.node("Conv", "features", head.normal(16, 3, 3, 3)))
    model = head.model(head.node("Softmax", _two_products(head, features), axis=1))
    quantised = _quantised(model, tmp_path, per_channel=False, weights=weights)
    session_of(attach_gradcam(quantised).model)
    # Integers and real numbers round a mean that is half a step in different ways.
    attached = _as_written(attach_gradcam(quantised).model)
    expected = _as_written(attach_gradcam(_with_dequantised_weights(quantised)).model)
    for class_index in range(4):
        feeds = {"image": _images(2), "class_index": np.array([class_index])}
        maps = [session.run(["heatmap"], feeds)[0] for session in (attached, expected)]
        np.testing.assert_allclose(*maps, atol=1e-4)
        assert maps[0].max() == 1


def _as_written(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    """Open a model without optimisations, so that ONNX Runtime computes in real numbers."""
    options = session_options(onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL)
    return onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])


def _with_dequantised_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same network whose weights are the real numbers that its integers stand for."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    weights = {tensor.name: tensor for tensor in copy.graph.initializer}
    kept = []
    for node in copy.graph.node:
        if node.op_type != "DequantizeLinear" or node.input[0] not in weights:
            kept.append(node)
            continue
        inputs = [numpy_helper.to_array(weights[name]) for name in node.input]
        grid = [each.astype(np.float32) for each in inputs[1:]]
        real = (inputs[0].astype(np.float32) - (grid[1] if len(grid) > 1 else 0)) * grid[0]
        copy.graph.initializer.append(numpy_helper.from_array(real.astype(np.float32), node.output[0]))
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in kept]
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    return copy


@pytest.mark.parametrize("size", [12, 10])
def test_a_weight_in_blocks_has_the_heatmap_of_its_dequantised_values(
    size: int, sketch: Callable[..., Any], session_of: Callable[..., Any]
) -> None:
    """Each block of 4 rows has its own scale and zero point; the last one may be shorter."""
    random = np.random.default_rng(3)
    integers = random.integers(-128, 128, (size, 4)).astype(np.int8)
    scales = random.uniform(0.01, 0.1, (3, 4)).astype(np.float32)
    zeros = random.integers(-20, 20, (3, 4)).astype(np.int8)
    whole = [np.repeat(each, 4, axis=0)[:size] for each in (scales, zeros)]
    real = ((integers.astype(np.float32) - whole[1]) * whole[0]).astype(np.float32)
    maps = []
    for blocks in (True, False):
        head = sketch((size, 5, 6), opset=21)
        mean = head.node("Flatten", head.node("GlobalAveragePool", "features"))
        if blocks:
            grid = (head.weight(integers, np.int8), head.weight(scales), head.weight(zeros, np.int8))
            weight = head.node("DequantizeLinear", *grid, axis=0, block_size=4)
        else:
            weight = head.weight(real)
        # The weight is transposed for one of the two products, and picked from for the other.
        hidden = head.node("Tanh", head.node("MatMul", mean, weight))
        session = session_of(attach_gradcam(head.model(head.node("Gemm", hidden, head.normal(4, 4)))).model)
        image = np.random.default_rng(1).uniform(-1, 1, (1, size, 5, 6)).astype(np.float32)
        maps.append(session.run(["heatmap"], {"image": image, "class_index": np.arange(4)})[0])
    np.testing.assert_allclose(*maps, atol=1e-5)
    assert maps[0].max() == 1


def test_a_heatmap_changes_no_kernel_of_a_classifier_with_16_bit_activations(
    sketch: Callable[..., Any], tmp_path: Path
) -> None:
    head = sketch(DIMS)
    pooled = head.node("GlobalAveragePool", head.node("Conv", "features", head.normal(16, 3, 3, 3)))
    model = head.model(head.node("MatMul", head.node("Flatten", pooled), head.normal(16, 4)))
    quantised = _quantised(model, tmp_path, False, QuantType.QUInt16)

    alone = _operators(quantised, {"image": _images(1)}, tmp_path)
    feeds = {"image": _images(1), "class_index": np.empty(0, np.int64)}
    attached = _operators(attach_gradcam(quantised).model, feeds, tmp_path)

    assert "MatMulNBits" in alone
    assert attached.count("MatMulNBits") == alone.count("MatMulNBits")


def _operators(model: onnx.ModelProto, feeds: dict[str, Any], folder: Path) -> list[str]:
    """Return the operators that ONNX Runtime ran, after its fusions."""
    options = session_options()
    options.enable_profiling, options.profile_file_prefix = True, str(folder / "run")
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    session.run(None, feeds)
    events = json.loads(Path(session.end_profiling()).read_text())
    return [event["args"]["op_name"] for event in events if event["name"].endswith("kernel_time")]
