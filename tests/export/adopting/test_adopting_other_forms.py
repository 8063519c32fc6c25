"""Classifiers of other types, older opsets and fixed batches can be adopted too."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from plain_softmax import softmax
from spyglass.v1.model_pb2 import Resampling, ScoreKind

Array = np.ndarray[Any, Any]


def test_a_network_of_doubles_is_fed_doubles(
    classifier: Any, attach: Callable[..., int], written: Callable[[], Any], tmp_path: Path
) -> None:
    theirs = classifier()
    assert attach(theirs.write(tmp_path / "theirs.onnx", dtype="float64"), "--scale", "1/255") == 0
    _, pixels, found, heatmaps = written()
    images = pixels.transpose(0, 3, 1, 2) / 255
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, softmax(theirs.logits(images)), atol=1e-5)
    np.testing.assert_allclose(heatmaps, theirs.heatmaps(images, 1), atol=1e-4)


@pytest.mark.parametrize("ending", ["", "Softmax"])
def test_a_network_in_half_precision_is_fed_half_precision(
    classifier: Any, ending: str, attach: Callable[..., int], written: Callable[[], Any], tmp_path: Path
) -> None:
    theirs = classifier()
    file = theirs.write(tmp_path / "theirs.onnx", dtype="float16", ending=ending)
    assert attach(file, "--mean", "0.5", "--std", "0.25") == 0
    _, pixels, found, heatmaps = written()
    images = (pixels.transpose(0, 3, 1, 2) / 255 - 0.5) / 0.25
    assert found.dtype == np.float32 and heatmaps.dtype == np.float32
    np.testing.assert_allclose(found, softmax(theirs.logits(images)), atol=4e-3)
    np.testing.assert_allclose(heatmaps, theirs.heatmaps(images, 1), atol=1e-2)


@pytest.mark.parametrize("flags", [(), ("--channel-order", "bgr")])
@pytest.mark.parametrize("channels_last", [True, False])
def test_a_network_of_pixels_is_fed_the_pixels(
    classifier: Any,
    channels_last: bool,
    flags: tuple[str, ...],
    attach: Callable[..., int],
    written: Callable[[], Any],
    tmp_path: Path,
) -> None:
    theirs = classifier()
    theirs.filters /= 255
    file = theirs.write(tmp_path / "theirs.onnx", dtype="uint8", channels_last=channels_last)
    assert attach(file, *flags) == 0
    _, pixels, found, _ = written()
    ordered = pixels[..., ::-1] if flags else pixels
    np.testing.assert_allclose(found, softmax(theirs.logits(ordered.transpose(0, 3, 1, 2))), atol=1e-5)


def test_a_scale_is_rejected_for_a_network_that_takes_uint8(
    classifier: Any, attach: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = classifier().write(tmp_path / "theirs.onnx", dtype="uint8")
    assert attach(file, "--scale", "1/255") == 2
    assert "takes pixels as uint8 and scales them inside" in capsys.readouterr().err


def test_an_input_of_another_type_is_rejected(
    classifier: Any, attach: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = onnx.load(classifier().write(tmp_path / "theirs.onnx"))
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT64
    onnx.save(model, tmp_path / "theirs.onnx")
    assert attach(tmp_path / "theirs.onnx") == 1
    assert (
        "'x' must have 4 dimensions of float32, float16, float64, uint8, not 4 of int64"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize("reshape", [(1, 4), (1, -1)])
def test_a_batch_of_one_inside_a_reshape_becomes_dynamic(
    classifier: Any,
    reshape: tuple[int, int],
    attach: Callable[..., int],
    written: Callable[[], Any],
    tmp_path: Path,
) -> None:
    theirs = classifier()
    assert attach(theirs.write(tmp_path / "theirs.onnx", batch=1, reshape=reshape), "--scale", "1/255") == 0
    _, pixels, found, heatmaps = written()
    images = pixels.transpose(0, 3, 1, 2) / 255
    np.testing.assert_allclose(found, softmax(theirs.logits(images)), atol=1e-5)
    np.testing.assert_allclose(heatmaps, theirs.heatmaps(images, 1), atol=1e-4)


def test_a_file_like_those_of_the_model_zoo_is_converted_to_a_newer_opset(
    classifier: Any, attach: Callable[..., int], written: Callable[[], Any], tmp_path: Path
) -> None:
    """Opset 8, IR version 3 with every weight an input, a batch of 1, scores [1, classes, 1, 1]."""
    theirs = classifier()
    model = onnx.load(theirs.write(tmp_path / "theirs.onnx", batch=1, reshape=(1, 4)))
    del model.graph.node[-2:], model.graph.initializer[-2:], model.graph.output[:]
    model.graph.initializer.append(
        onnx.numpy_helper.from_array(np.ascontiguousarray(theirs.weight.T)[:, :, np.newaxis, np.newaxis], "w")
    )
    model.graph.node.extend(
        [
            helper.make_node("Dropout", ["pooled"], ["kept"], ratio=0.5),
            helper.make_node("Conv", ["kept", "w"], ["scores"]),
            helper.make_node("Softmax", ["scores"], ["softmaxout_1"], axis=1),
        ]
    )
    model.graph.output.append(helper.make_tensor_value_info("softmaxout_1", TensorProto.FLOAT, [1, 3, 1, 1]))
    for tensor in model.graph.initializer:
        model.graph.input.append(helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims))
    model.ir_version, model.opset_import[0].version = 3, 8
    onnx.checker.check_model(model)
    onnx.save(model, tmp_path / "theirs.onnx")
    assert attach(tmp_path / "theirs.onnx", "--scale", "1/255") == 0
    _, pixels, found, heatmaps = written()
    images = pixels.transpose(0, 3, 1, 2) / 255
    np.testing.assert_allclose(found, softmax(theirs.logits(images)), atol=1e-5)
    np.testing.assert_allclose(heatmaps, theirs.heatmaps(images, 1), atol=1e-4)


def test_weights_in_a_separate_file_are_included(
    classifier: Any, attach: Callable[..., int], written: Callable[[], Any], tmp_path: Path
) -> None:
    theirs = classifier()
    model = onnx.load(theirs.write(tmp_path / "theirs.onnx"))
    weights = {"save_as_external_data": True, "location": "theirs.weights", "size_threshold": 0}
    onnx.save_model(model, tmp_path / "theirs.onnx", **weights)
    assert attach(tmp_path / "theirs.onnx", "--scale", "1/255") == 0
    (tmp_path / "theirs.weights").unlink()
    _, pixels, found, _ = written()
    np.testing.assert_allclose(found, softmax(theirs.logits(pixels.transpose(0, 3, 1, 2) / 255)), atol=1e-5)
    assert [path.name for path in (tmp_path / "models/theirs/1").iterdir()] == ["model.onnx"]


def test_the_error_names_a_missing_file_of_weights(
    classifier: Any, attach: Callable[..., int], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = onnx.load(classifier().write(tmp_path / "theirs.onnx"))
    weights = {"save_as_external_data": True, "location": "theirs.weights", "size_threshold": 0}
    onnx.save_model(model, tmp_path / "theirs.onnx", **weights)
    (tmp_path / "theirs.weights").unlink()
    assert attach(tmp_path / "theirs.onnx") == 1
    assert f"{tmp_path / 'theirs.weights'}, but that file does not exist" in capfd.readouterr().err


def ended(file: Path, *nodes: onnx.NodeProto) -> Path:
    """Rewrite the file so that further nodes compute its output `y` from `logits`."""
    model = onnx.load(file)
    model.graph.node[-1].output[0] = "logits"
    model.graph.node.extend(nodes)
    for name, value in (("one", 1.0), ("hundred", 100.0)):
        model.graph.initializer.append(helper.make_tensor(name, TensorProto.FLOAT, [], [value]))
    onnx.save(model, file)
    return file


def test_a_sigmoid_of_smaller_operators_is_not_mistaken_for_a_logit(
    classifier: Any, attach: Callable[..., int], written: Callable[[], Any], tmp_path: Path
) -> None:
    theirs = classifier(columns=1)
    file = ended(
        theirs.write(tmp_path / "theirs.onnx"),
        helper.make_node("Neg", ["logits"], ["negative"]),
        helper.make_node("Exp", ["negative"], ["exponential"]),
        helper.make_node("Add", ["exponential", "one"], ["below"]),
        helper.make_node("Div", ["one", "below"], ["y"]),
    )
    assert attach(file, "--scale", "1/255", classes="sound\ndefective") == 0
    card, pixels, found, _ = written()
    second = 1 / (1 + np.exp(-theirs.logits(pixels.transpose(0, 3, 1, 2) / 255)))
    np.testing.assert_allclose(found, np.concatenate([1 - second, second], 1), atol=1e-5)
    assert card.explained_score == "logit"


@pytest.mark.parametrize("ending", ["Softmax", "Sigmoid"])
def test_probabilities_in_percent_and_logarithms_of_a_sigmoid_are_rejected(
    classifier: Any,
    ending: str,
    attach: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    last = {
        "Softmax": helper.make_node("Mul", ["part", "hundred"], ["y"]),
        "Sigmoid": helper.make_node("Log", ["part"], ["y"]),
    }
    file = ended(
        classifier().write(tmp_path / "theirs.onnx"),
        helper.make_node(ending, ["logits"], ["part"]),
        last[ending],
    )
    assert attach(file, "--scale", "1/255") == 1
    assert "holds scaled probabilities or their logarithms" in capsys.readouterr().err


def test_the_logarithm_of_a_softmax_becomes_its_probabilities(
    classifier: Any, attach: Callable[..., int], written: Callable[[], Any], tmp_path: Path
) -> None:
    theirs = classifier()
    file = ended(
        theirs.write(tmp_path / "theirs.onnx"),
        helper.make_node("Softmax", ["logits"], ["part"]),
        helper.make_node("Log", ["part"], ["y"]),
    )
    assert attach(file, "--scale", "1/255") == 0
    _, pixels, found, heatmaps = written()
    images = pixels.transpose(0, 3, 1, 2) / 255
    np.testing.assert_allclose(found, softmax(theirs.logits(images)), atol=1e-5)
    np.testing.assert_allclose(heatmaps, theirs.heatmaps(images, 1), atol=1e-4)


@pytest.mark.parametrize(
    ("ending", "kind"),
    [("", "SCORE_KIND_SOFTMAX"), ("Softmax", "SCORE_KIND_SOFTMAX"), ("Sigmoid", "SCORE_KIND_SIGMOID")],
)
def test_the_card_states_the_kind_of_the_scores(
    classifier: Any,
    attach: Callable[..., int],
    written: Callable[[], Any],
    tmp_path: Path,
    ending: str,
    kind: str,
) -> None:
    assert attach(classifier().write(tmp_path / "theirs.onnx", ending=ending)) == 0
    card, *_ = written()
    assert ScoreKind.Name(card.score_kind) == kind
    assert Resampling.Name(card.input.resampling) == "RESAMPLING_BILINEAR"
