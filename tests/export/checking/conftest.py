"""A classifier of texture, and images with texture at a known place."""

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
    COLOR_MODE_RGB,
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
    """Weights of eight filters, the first for edges, and of a product that uses it for the first class."""
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
    return _with_card(model, "texture", ["texture", "plain", "other"], SIDE, COLOR_MODE_GREY, method)


def _color_network(side: int) -> onnx.ModelProto:
    nodes = [
        helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["floats"], ["channels"], perm=[0, 3, 1, 2]),
        helper.make_node("Relu", ["channels"], ["features"]),
        helper.make_node("GlobalAveragePool", ["features"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "colors",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", side, side, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["batch", 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    return _with_card(model, "colors", ["red", "green", "blue"], side, COLOR_MODE_RGB, "gradcam")


def _with_card(
    model: onnx.ModelProto, name: str, classes: list[str], side: int, color_mode: Any, method: Any
) -> onnx.ModelProto:
    """The model with a heatmap of its tensor `features`, and with a card."""
    attached = attach_gradcam(model, feature_map="features", method=method)
    spec = InputSpec(
        tensor="image",
        height=side,
        width=side,
        color_mode=color_mode,
        resize=RESIZE_RULE_STRETCH,
        value_range=ValueRange(minimum=0, maximum=255),
    )
    card = ModelCard(name=name, version=1, task=TASK_CLASSIFY, input=spec, class_names=classes)
    card.explained_layer, card.heatmap_method = attached.layer, method
    write_card(attached.model, card)
    return attached.model


@pytest.fixture(scope="session")
def texture_model() -> Callable[..., onnx.ModelProto]:
    """A classifier of uint8 [batch, 32, 32, 1] with a heatmap: `texture_model("gradcam")`.

    Its classes are texture, plain and other.
    """
    return lambda method="gradcam": _texture_network(method)


@pytest.fixture(scope="session")
def color_model() -> Callable[[int], onnx.ModelProto]:
    """A classifier of uint8 [batch, side, side, 3]: `color_model(side)`. Each logit is the mean of a channel.

    So Grad-CAM of class 0, 1 or 2 is the red, green or blue channel of the image, divided by its maximum.
    """
    return _color_network


@pytest.fixture
def texture_file(texture_model: Callable[..., onnx.ModelProto], tmp_path: Path) -> Path:
    path = tmp_path / "texture.onnx"
    onnx.save(texture_model(), str(path))
    return path


@pytest.fixture(scope="session")
def textured() -> Callable[[int, int], NDArray[np.uint8]]:
    """A grey image, uint8 [32, 32, 1], with a checkerboard of 12 × 12: `textured(top, left)`."""

    def draw(top: int, left: int) -> NDArray[np.uint8]:
        pixels = np.full((SIDE, SIDE, 1), 128, np.uint8)
        board = np.indices((12, 12)).sum(axis=0) % 2 * 255
        pixels[top : top + 12, left : left + 12, 0] = board
        return pixels

    return draw
