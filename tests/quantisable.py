"""Classifiers of the mean colour with convolutions, small enough to write in a test, and images for them.

One of them has a channel of large numbers between channels of small ones. In 8 bits with one scale for all
of them the small numbers, which hold the colour, become equal.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from spyglass.v1.model_pb2 import ModelCard
from spyglass_contract.model.card import write_card
from tiny_classifier import SIZE, tiny_card
from tiny_files import write_model

CHANNELS = 4


def colored_images(count: int, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return images, uint8 [count, 8, 8, 3], with one brighter colour each, and the index of that colour."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 160, (count, SIZE, SIZE, 3), dtype=np.uint8)
    labels = random.integers(0, 3, count)
    pixels[np.arange(count), :, :, labels] += 60
    return pixels, labels


def write_convolutions(
    root: Path,
    card: ModelCard | None = None,
    *,
    outlier: float = 0.0,
    at: int = 0,
    depth: int = 2,
    heatmap: bool = False,
) -> Path:
    """Write `depth` convolutions that pass the colours on, whose probabilities are those of the tiny network.

    The convolution number `at` adds `outlier` to a channel that no class reads, and the next one removes it.
    With `heatmap` the file explains the last convolution. Returns the path of NAME/VERSION/model.onnx below
    `root`.
    """
    onnx = pytest.importorskip("onnx")
    helper, types = onnx.helper, onnx.TensorProto
    nodes = [
        helper.make_node("Cast", ["image"], ["floats"], to=types.FLOAT),
        helper.make_node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Div", ["planes", "twenty"], ["x0"]),
    ]
    weights: list[Any] = [helper.make_tensor("twenty", types.FLOAT, [], [20.0])]
    for index in range(depth):
        weight = np.eye(CHANNELS, 3 if index == 0 else CHANNELS, dtype=np.float32)
        bias = np.zeros(CHANNELS, np.float32)
        if index == at:
            bias[3] = outlier
        if index == at + 1:
            weight[3, 3] = 0
        weights += [
            onnx.numpy_helper.from_array(weight[:, :, np.newaxis, np.newaxis], f"w{index}"),
            onnx.numpy_helper.from_array(bias, f"b{index}"),
        ]
        nodes += [
            helper.make_node("Conv", [f"x{index}", f"w{index}", f"b{index}"], [f"y{index}"]),
            helper.make_node("Relu", [f"y{index}"], [f"x{index + 1}"]),
        ]
    nodes += [
        helper.make_node("GlobalAveragePool", [f"x{depth}"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "head"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    weights.append(onnx.numpy_helper.from_array(np.eye(CHANNELS, 3, dtype=np.float32), "head"))
    graph = helper.make_graph(
        nodes,
        "convolutions",
        [helper.make_tensor_value_info("image", types.UINT8, ["batch", SIZE, SIZE, 3])],
        [helper.make_tensor_value_info("probabilities", types.FLOAT, ["batch", 3])],
        weights,
    )
    file = write_model(root, card or tiny_card(), graph)
    if heatmap:
        from spyglass_export.heatmap import with_heatmap

        model, card = onnx.load(file), card or tiny_card()
        explaining = with_heatmap(model, card)
        write_card(explaining, card)
        onnx.save(explaining, file)
    return file


@pytest.fixture
def int8_model(tmp_path: Path) -> Callable[..., Path]:
    """Write a model with int8 beside it: `int8_model(heatmap=False, **options of quantise)`.

    Returns the path of model.onnx.
    """
    pytest.importorskip("onnx")
    from spyglass_contract.model.held_out import HeldOut
    from spyglass_export.quantising.quantise import CalibrationData, quantise

    def make(heatmap: bool = False, **options: Any) -> Path:
        file = write_convolutions(tmp_path / "models", heatmap=heatmap)
        calibration, _ = colored_images(16)
        quantise(file, CalibrationData(calibration, HeldOut(*colored_images(40, seed=1))), **options)
        return file

    return make
