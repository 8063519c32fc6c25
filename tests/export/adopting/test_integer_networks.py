"""Networks in integers: with a heatmap if they have real numbers between, and otherwise without one."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

from plain_softmax import softmax
from spyglass_export.checking.network import ExplainedNetwork
from spyglass_server import local_client

Array = np.ndarray[Any, Any]


class Images(CalibrationDataReader):  # type: ignore[misc]
    def __init__(self) -> None:
        images = np.random.default_rng(3).uniform(0, 1, (8, 1, 3, 6, 8)).astype(np.float32)
        self.waiting = iter([{"x": image} for image in images])

    def get_next(self) -> Any:
        return next(self.waiting, None)


def static(source: Path, target: Path, form: QuantFormat, **options: Any) -> None:
    quantize_static(source, target, Images(), form, **options)


KINDS: dict[str, tuple[Callable[[Path, Path], None], list[str]]] = {
    "QDQ": (lambda source, target: static(source, target, QuantFormat.QDQ), []),
    "QDQ in 16 bits": (
        lambda source, target: static(source, target, QuantFormat.QDQ, activation_type=QuantType.QUInt16),
        [],
    ),
    "QOperator": (
        lambda source, target: static(source, target, QuantFormat.QOperator),
        ["QLinearConv", "QLinearMatMul"],
    ),
    "dynamic": (quantize_dynamic, ["ConvInteger", "DynamicQuantizeLinear", "MatMulInteger"]),
}


@pytest.mark.parametrize("kind", KINDS)
def test_an_int8_network_is_adopted_and_served(
    classifier: Any,
    kind: str,
    attach: Callable[..., int],
    adopted: Callable[[], Any],
    tmp_path: Path,
    chelsea: bytes,
    capsys: pytest.CaptureFixture[str],
) -> None:
    quantise, integers = KINDS[kind]
    theirs = classifier()
    quantise(theirs.write(tmp_path / "float.onnx"), tmp_path / "int8.onnx")
    assert attach(tmp_path / "int8.onnx", "--scale", "1/255") == 0
    message = capsys.readouterr().err
    card, pixels, found = adopted()
    images = pixels.transpose(0, 3, 1, 2) / 255
    np.testing.assert_allclose(found, softmax(theirs.logits(images)), atol=0.02)
    assert bool(card.explained_layer) is not bool(integers)
    assert ("the model has no heatmap" in message) is bool(integers)
    assert ("quantise it in the QDQ format" in message) is bool(integers)
    # A feature map of real numbers is left in a dynamic network only.
    assert ("--method eigencam" in message) is (kind == "dynamic")
    assert all(name in message for name in integers)
    with local_client(tmp_path / "models") as client:
        assert len(client.classify(chelsea, model="theirs").classes) == 3


def test_a_heatmap_that_was_asked_for_is_not_left_out_in_silence(
    classifier: Any, attach: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    static(classifier().write(tmp_path / "float.onnx"), tmp_path / "int8.onnx", QuantFormat.QOperator)
    assert attach(tmp_path / "int8.onnx", "--scale", "1/255", "--method", "layercam") == 1
    message = capsys.readouterr().err
    assert "computes in integers (QLinearConv" in message and "--no-heatmap" in message
    assert "quantise it in the QDQ format" in message and "eigencam" not in message
    assert not (tmp_path / "models").exists()
    assert attach(tmp_path / "int8.onnx", "--scale", "1/255", "--no-heatmap") == 0


@pytest.mark.parametrize("flags", [("--feature-map", "last_relu"), ("--probability-gradient",)])
def test_an_error_about_a_dynamic_network_names_the_methods_that_work(
    flags: tuple[str, ...],
    classifier: Any,
    attach: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    quantize_dynamic(classifier().write(tmp_path / "float.onnx"), tmp_path / "int8.onnx")
    assert attach(tmp_path / "int8.onnx", "--scale", "1/255", *flags) == 1
    message = capsys.readouterr().err
    assert "computes in integers (ConvInteger" in message and "quantise it in the QDQ format" in message
    assert "choose --method eigencam or scorecam" in message
    assert attach(tmp_path / "int8.onnx", "--scale", "1/255", "--method", "eigencam") == 0


def test_an_error_about_an_unknown_feature_map_blames_the_name_and_not_the_integers(
    classifier: Any, attach: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    quantize_dynamic(classifier().write(tmp_path / "float.onnx"), tmp_path / "int8.onnx")
    assert attach(tmp_path / "int8.onnx", "--scale", "1/255", "--feature-map", "nowhere") == 1
    message = capsys.readouterr().err
    assert "no tensor or node 'nowhere'" in message and "integers" not in message


@pytest.mark.parametrize("method", ["eigencam", "scorecam"])
def test_a_dynamic_network_for_one_image_has_heatmaps_that_need_no_gradient(
    classifier: Any,
    method: str,
    attach: Callable[..., int],
    adopted: Callable[[], Any],
    tmp_path: Path,
    chelsea: bytes,
) -> None:
    """Its scales come from the whole batch, so the heatmaps are proven and served one by one."""
    quantize_dynamic(classifier().write(tmp_path / "float.onnx"), tmp_path / "int8.onnx")
    assert attach(tmp_path / "int8.onnx", "--scale", "1/255", "--method", method) == 0
    checked, (_, pixels, expected) = ExplainedNetwork(tmp_path / "models/theirs/1/model.onnx"), adopted()
    np.testing.assert_array_equal(checked.probabilities(pixels), expected)
    with local_client(tmp_path / "models") as client:
        found = client.heatmap(chelsea, model="theirs", target=0, further=[1, 2])
        assert [each.feature_map.max() for each in found.explained] == [1, 1, 1]
        assert client.model("theirs").card.certificate.heatmaps > 0


def test_a_file_with_a_processor_specific_layout_is_rejected_with_that_reason(
    classifier: Any, attach: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = onnx.load(classifier().write(tmp_path / "theirs.onnx"))
    model.graph.node[0].domain = "com.microsoft.nchwc"
    model.opset_import.append(onnx.helper.make_opsetid("com.microsoft.nchwc", 1))
    onnx.save(model, tmp_path / "theirs.onnx")
    assert attach(tmp_path / "theirs.onnx") == 1
    assert "saved with a processor-specific layout (nchwc: Conv); export it again without" in (
        capsys.readouterr().err
    )


def test_a_dry_run_names_the_integer_operators_and_the_way_out(
    classifier: Any, attach: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    static(classifier().write(tmp_path / "float.onnx"), tmp_path / "int8.onnx", QuantFormat.QOperator)
    assert attach(tmp_path / "int8.onnx", "--dry-run") == 0
    shown = capsys.readouterr()
    assert "explained" not in shown.out
    assert "QLinearConv" in shown.err and "quantise it in the QDQ format" in shown.err
