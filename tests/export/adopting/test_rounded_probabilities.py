"""Networks that round their own probabilities to integers: the model computes them from the logits."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from spyglass.v1.model_pb2 import SCORE_KIND_SIGMOID, SCORE_KIND_SOFTMAX

Array = np.ndarray[Any, Any]
# Few steps, so that the rounded probabilities do not sum to 1.
SCALE = 1 / 7


def rounding(theirs: Any, file: Path, *, before: str = "Softmax", after: str = "") -> Path:
    """Write a network that quantises the output of `before`, and dequantises it before `after`."""
    model = onnx.load(theirs.write(file, ending=before))
    model.graph.node[-1].output[0] = "exact"
    grid = ("scale", "zero")
    model.graph.initializer.append(helper.make_tensor("scale", TensorProto.FLOAT, [], [SCALE]))
    model.graph.initializer.append(helper.make_tensor("zero", TensorProto.UINT8, [], [0]))
    dequantised = "rounded" if after else "y"
    nodes = [
        helper.make_node("QuantizeLinear", ["exact", *grid], ["integers"]),
        helper.make_node("DequantizeLinear", ["integers", *grid], [dequantised]),
    ]
    if after:
        model.graph.initializer.append(helper.make_tensor("factor", TensorProto.FLOAT, [], [0.5]))
        nodes.append(helper.make_node(after, ["rounded", "factor"], ["y"]))
    model.graph.node.extend(nodes)
    onnx.save(model, file)
    return file


@pytest.mark.parametrize("flags", [(), ("--activation", "softmax")])
def test_rounded_probabilities_give_way_to_the_softmax_of_their_logits(
    classifier: Any,
    flags: tuple[str, ...],
    attach: Callable[..., int],
    written: Callable[[], Any],
    tmp_path: Path,
) -> None:
    theirs = classifier()
    assert attach(rounding(theirs, tmp_path / "theirs.onnx"), "--scale", "1/255", *flags) == 0
    card, pixels, found, heatmaps = written()
    images = pixels.transpose(0, 3, 1, 2) / 255
    exponentials = np.exp(theirs.logits(images))
    np.testing.assert_allclose(found, exponentials / exponentials.sum(1, keepdims=True), atol=1e-5)
    np.testing.assert_allclose(heatmaps, theirs.heatmaps(images, 1), atol=1e-4)
    assert card.score_kind == SCORE_KIND_SOFTMAX and card.explained_score == "logit"


def test_rounded_sigmoids_give_way_to_those_of_their_logits(
    classifier: Any, attach: Callable[..., int], written: Callable[[], Any], tmp_path: Path
) -> None:
    theirs = classifier()
    file = rounding(theirs, tmp_path / "theirs.onnx", before="Sigmoid")
    assert attach(file, "--scale", "1/255") == 0
    card, pixels, found, _ = written()
    logits = theirs.logits(pixels.transpose(0, 3, 1, 2) / 255)
    np.testing.assert_allclose(found, 1 / (1 + np.exp(-logits)), atol=1e-5)
    assert card.score_kind == SCORE_KIND_SIGMOID


def test_rounded_probabilities_are_kept_on_request(
    classifier: Any, attach: Callable[..., int], written: Callable[[], Any], tmp_path: Path
) -> None:
    theirs = classifier()
    file = rounding(theirs, tmp_path / "theirs.onnx")
    assert attach(file, "--scale", "1/255", "--activation", "none") == 0
    card, pixels, found, heatmaps = written()
    images = pixels.transpose(0, 3, 1, 2) / 255
    steps = found / SCALE
    np.testing.assert_allclose(steps, np.rint(steps), atol=1e-4)
    assert np.abs(found.sum(1) - 1).max() > 1e-2
    np.testing.assert_allclose(heatmaps, theirs.heatmaps(images, 1), atol=1e-4)
    assert card.score_kind == SCORE_KIND_SOFTMAX and card.explained_score == "logit"


def test_scaled_probabilities_are_rejected_even_if_they_are_rounded(
    classifier: Any, attach: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert attach(rounding(classifier(), tmp_path / "theirs.onnx", after="Mul"), "--scale", "1/255") == 1
    assert "holds scaled probabilities" in capsys.readouterr().err


def test_a_sigmoid_does_not_fit_a_rounded_softmax(
    classifier: Any, attach: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = rounding(classifier(), tmp_path / "theirs.onnx")
    assert attach(file, "--scale", "1/255", "--activation", "sigmoid") == 2
    assert "already holds probabilities of a softmax" in capsys.readouterr().err


@pytest.mark.parametrize("batch", [-1, 0])
def test_a_batch_below_1_is_a_free_batch(
    batch: int, classifier: Any, attach: Callable[..., int], written: Callable[[], Any], tmp_path: Path
) -> None:
    theirs = classifier()
    model = onnx.load(theirs.write(tmp_path / "theirs.onnx"))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = batch
    onnx.save(model, tmp_path / "theirs.onnx")
    assert attach(tmp_path / "theirs.onnx", "--scale", "1/255") == 0
    _, pixels, _, heatmaps = written()
    np.testing.assert_allclose(heatmaps, theirs.heatmaps(pixels.transpose(0, 3, 1, 2) / 255, 1), atol=1e-4)
