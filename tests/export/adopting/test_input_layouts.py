"""Inputs whose file leaves sizes open, as Hugging Face Optimum exports them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from plain_softmax import softmax

Array = np.ndarray[Any, Any]
AXES = ("batch_size", "num_channels", "height", "width")


def opened(file: Path, dims: Any) -> Path:
    """Declare other sizes of the input, None for no shape at all."""
    model = onnx.load(file)
    kind = model.graph.input[0].type.tensor_type
    if dims is None:
        kind.ClearField("shape")
    else:
        declared = helper.make_tensor_value_info("x", kind.elem_type, dims)
        kind.CopyFrom(declared.type.tensor_type)
    onnx.save(model, file)
    return file


@pytest.mark.parametrize(
    ("dims", "channels"), [(AXES, 3), (AXES, 1), (None, 3), (("n", None, 6, "w"), 3), (("n", 1, "h", "w"), 1)]
)
def test_channels_first_are_found_by_running_the_network(
    classifier: Any,
    dims: Any,
    channels: int,
    attach: Callable[..., int],
    written: Callable[[], Any],
    tmp_path: Path,
) -> None:
    theirs = classifier(channels=channels)
    assert attach(opened(theirs.write(tmp_path / "theirs.onnx"), dims), "--scale", "1/255") == 0
    _, pixels, found, heatmaps = written()
    images = pixels.transpose(0, 3, 1, 2) / 255
    np.testing.assert_allclose(found, softmax(theirs.logits(images)), atol=1e-5)
    np.testing.assert_allclose(heatmaps, theirs.heatmaps(images, 1), atol=1e-4)


@pytest.mark.parametrize("dims", [AXES, ("n", 6, 8, "c")])
def test_channels_last_are_found_by_running_the_network(
    classifier: Any, dims: Any, attach: Callable[..., int], written: Callable[[], Any], tmp_path: Path
) -> None:
    theirs = classifier()
    file = opened(theirs.write(tmp_path / "theirs.onnx", channels_last=True), dims)
    assert attach(file, "--scale", "1/255") == 0
    _, pixels, found, _ = written()
    images = pixels.transpose(0, 3, 1, 2) / 255
    np.testing.assert_allclose(found, softmax(theirs.logits(images)), atol=1e-5)


def dense(file: Path) -> Array:
    """A dense network on a flat image: it runs on both layouts. Returns its weight [144, 3]."""
    weight = np.random.default_rng(2).normal(size=(6 * 8 * 3, 3)).astype(np.float32) / 10
    graph = helper.make_graph(
        [helper.make_node("Flatten", ["x"], ["flat"]), helper.make_node("MatMul", ["flat", "weight"], ["y"])],
        "dense",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, AXES)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(weight, "weight")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), file)
    return weight


@pytest.mark.parametrize("layout", ["nchw", "nhwc"])
def test_a_layout_that_nothing_shows_must_be_named(
    layout: str,
    attach: Callable[..., int],
    adopted: Callable[[], Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    weight = dense(tmp_path / "theirs.onnx")
    flags = ("--scale", "1/255", "--no-heatmap")
    assert attach(tmp_path / "theirs.onnx", *flags) == 1
    message = capsys.readouterr().err
    assert "[?, ?, ?], is the 1 or 3 channels" in message and "--layout nchw" in message
    assert attach(tmp_path / "theirs.onnx", *flags, "--layout", layout) == 0
    card, pixels, found = adopted()
    ordered = pixels.transpose(0, 3, 1, 2) if layout == "nchw" else pixels
    np.testing.assert_allclose(found, softmax(ordered.reshape(5, -1) / 255 @ weight), atol=1e-5)
    assert not card.explained_layer and not card.heatmap_method


def test_a_size_that_the_network_does_not_take_is_rejected_if_the_file_declares_none(
    attach: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dense(tmp_path / "theirs.onnx")
    assert attach(tmp_path / "theirs.onnx", "--size", "9x9") == 1
    assert "runs on no image of 9x9 pixels with 1 or 3 channels; check --size" in capsys.readouterr().err


@pytest.mark.parametrize("order", ["rgb", "bgr"])
def test_the_transpose_of_a_network_with_channels_last_moves_bytes(
    order: str,
    classifier: Any,
    attach: Callable[..., int],
    written: Callable[[], Any],
    tmp_path: Path,
) -> None:
    theirs = classifier()
    file = theirs.write(tmp_path / "theirs.onnx", channels_last=True)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    assert attach(file, "--mean", *mean, "--std", *std, "--channel-order", order) == 0

    _, pixels, found, _ = written()
    ordered = pixels[..., ::-1] if order == "bgr" else pixels
    images = ((ordered / 255 - mean) / std).transpose(0, 3, 1, 2)
    np.testing.assert_allclose(found, softmax(theirs.logits(images)), atol=1e-5)
    nodes = onnx.load(tmp_path / "models/theirs/1/model.onnx").graph.node
    kinds = [node.op_type for node in nodes]
    assert "Transpose" not in kinds[kinds.index("Cast") :]
