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
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

from spyglass_export.gradcam import attach_gradcam

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


@pytest.fixture(params=[_pooled, _flattened, _two_products])
def classifier(request: pytest.FixtureRequest, sketch: Callable[..., Any]) -> onnx.ModelProto:
    head = sketch(DIMS)
    features = head.node("Relu", head.node("Conv", "features", head.normal(16, 3, 3, 3)))
    return head.model(head.node("Softmax", request.param(head, features), axis=1))


def _quantised(
    model: onnx.ModelProto, folder: Path, per_channel: bool, activations: QuantType = QuantType.QUInt8
) -> onnx.ModelProto:
    source, target = folder / "float.onnx", folder / "int8.onnx"
    onnx.save(model, source)
    types = {"activation_type": activations, "weight_type": QuantType.QInt8}
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
    options = onnxruntime.SessionOptions()
    options.enable_profiling, options.profile_file_prefix = True, str(folder / "run")
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    session.run(None, feeds)
    events = json.loads(Path(session.end_profiling()).read_text())
    return [event["args"]["op_name"] for event in events if event["name"].endswith("kernel_time")]
