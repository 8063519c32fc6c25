"""Heatmaps of the bundled models on real images, compared with numpy's from their weights."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from spyglass.v1.model_pb2 import InputSpec, ModelCard
from spyglass_contract.model.card import METADATA_KEY, card_from_metadata


def _load(root: Path, name: str) -> onnx.ModelProto:
    return onnx.load(root / "models" / name / "1/model.onnx")


def _showing(model: onnx.ModelProto, *tensors: str) -> onnx.ModelProto:
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in tensors)
    return model


def _card(model: onnx.ModelProto) -> ModelCard:
    metadata = {entry.key: entry.value for entry in model.metadata_props if entry.key == METADATA_KEY}
    return card_from_metadata(metadata)


def _scaled(features: Any, gradient: Any) -> Any:
    """Grad-CAM from a feature map and its gradient, [batch, channels, height, width]."""
    raw = np.maximum((features * gradient.mean((2, 3), keepdims=True)).mean(1), 0)
    return raw / np.maximum(raw.max((1, 2), keepdims=True), 1e-12)


def _products(model: onnx.ModelProto) -> list[Any]:
    """The weights of the last layers, [features, classes]."""
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    names = [node.input[1] for node in model.graph.node if node.op_type == "MatMul"]
    return [numpy_helper.to_array(weights[name]) for name in names]


def test_the_heatmap_of_imagenet_weights_the_feature_map_with_the_weights_of_the_class(
    photographs: Callable[[InputSpec], Any], repository_root: Path, session_of: Callable[..., Any]
) -> None:
    model = _load(repository_root, "imagenet")
    (weight,) = _products(model)
    card = _card(model)
    images = photographs(card.input)
    assert card.explained_layer == "efficientnet_lite0_1/head_relu6_1/Relu6:0"
    session = session_of(_showing(model, card.explained_layer))
    for classes in ([-1], [285], [-1] * 5, [285, 967, 0, -1, 999]):
        pixels = images[: len(classes)]
        feeds = {"image": pixels, "class_index": np.array(classes)}
        probabilities, found, features = session.run(None, feeds)
        chosen = np.where(np.array(classes) < 0, probabilities.argmax(1), classes)
        gradient = np.broadcast_to(weight[:, chosen].T[:, :, None, None], features.shape) / 49
        np.testing.assert_allclose(found, _scaled(features, gradient), atol=1e-4)
    many = session.run(["heatmap"], {"image": images[:1], "class_index": np.arange(1000)})[0]
    assert many.shape == (1000, 7, 7)


@pytest.mark.parametrize("batch", [1, 5])
def test_the_heatmap_of_mnist_convnet_follows_from_its_two_dense_layers(
    batch: int, digits: Any, repository_root: Path, session_of: Callable[..., Any]
) -> None:
    model = _load(repository_root, "mnist-convnet")
    first, last = _products(model)
    (hidden_name,) = [node.input[0] for node in model.graph.node if node.op_type == "MatMul"][1:]
    layer = _card(model).explained_layer
    assert layer == "mnist_convnet_1/conv3_1/Relu:0"
    session = session_of(_showing(model, layer, hidden_name))
    pixels = digits[:batch]
    for class_index in range(10):
        feeds = {"image": pixels, "class_index": np.full(batch, class_index)}
        _, found, features, hidden = session.run(None, feeds)
        flat = (last[:, class_index] * (hidden > 0)) @ first.T
        gradient = flat.reshape(batch, 3, 3, -1).transpose(0, 3, 1, 2)
        np.testing.assert_allclose(found, _scaled(features, gradient), atol=1e-4)
