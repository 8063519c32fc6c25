"""A classifier that knows texture when it sees it, and images with texture in a known place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("matplotlib")

import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from spyglass.v1.model_pb2 import (
    COLOR_MODE_GREY,
    RESIZE_RULE_STRETCH,
    TASK_CLASSIFY,
    InputSpec,
    ModelCard,
    ValueRange,
)
from spyglass_contract.model.card import write_card
from spyglass_export.gradcam import attach_gradcam

SIDE, CELL = 32, 4


def _weights() -> dict[str, NDArray[Any]]:
    """Eight filters, of which the first finds edges; a product that turns to it for the first class."""
    random = np.random.default_rng(0)
    filters = random.normal(size=(8, 1, 3, 3)) / 30
    filters[0, 0] = [[0, -1, 0], [-1, 4, -1], [0, -1, 0]]
    head = random.normal(size=(8, 3)) / 10
    head[0] = [8, -8, -8]
    return {
        "filters": (filters / 255).astype("f"),
        "head": head.astype("f"),
        "bias": np.array([-1, 1, 1], "f"),
    }


def _texture_network(method: str) -> onnx.ModelProto:
    nodes = [
        helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["floats"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["planes", "filters"], ["edges"]),
        helper.make_node("Relu", ["edges"], ["positive"]),
        helper.make_node("AveragePool", ["positive"], ["cells"], kernel_shape=[CELL] * 2, strides=[CELL] * 2),
        helper.make_node("Relu", ["cells"], ["features"]),
        helper.make_node("GlobalAveragePool", ["features"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["flat"]),
        helper.make_node("Gemm", ["flat", "head", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "texture",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", SIDE, SIDE, 1])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 3])],
        [numpy_helper.from_array(values, name) for name, values in _weights().items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    attached = attach_gradcam(model, feature_map="features", method=method).model
    spec = InputSpec(
        tensor="image",
        height=SIDE,
        width=SIDE,
        color_mode=COLOR_MODE_GREY,
        resize=RESIZE_RULE_STRETCH,
        value_range=ValueRange(minimum=0, maximum=255),
    )
    names = ["texture", "plain", "other"]
    card = ModelCard(name="texture", version=1, task=TASK_CLASSIFY, input=spec, class_names=names)
    card.explained_layer, card.heatmap_method = "features", method
    write_card(attached, card)
    return attached


@pytest.fixture(scope="session")
def texture_model() -> Callable[..., onnx.ModelProto]:
    """uint8 [batch, 32, 32, 1] to texture, plain and other, with a heatmap: `texture_model("gradcam")`."""
    return lambda method="gradcam": _texture_network(method)


@pytest.fixture
def texture_file(texture_model: Callable[..., onnx.ModelProto], tmp_path: Path) -> Path:
    path = tmp_path / "texture.onnx"
    onnx.save(texture_model(), str(path))
    return path


@pytest.fixture(scope="session")
def textured() -> Callable[[int, int], NDArray[np.uint8]]:
    """Grey, uint8 [32, 32, 1], but for a checkerboard of 12 × 12 at `textured(top, left)`."""

    def draw(top: int, left: int) -> NDArray[np.uint8]:
        pixels = np.full((SIDE, SIDE, 1), 128, np.uint8)
        board = np.indices((12, 12)).sum(axis=0) % 2 * 255
        pixels[top : top + 12, left : left + 12, 0] = board
        return pixels

    return draw
