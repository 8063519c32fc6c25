"""Heatmaps of the bundled models, with trained weights and real images, compared with central differences.

Grad-CAM needs only the sum of the gradient over a channel: the slope of the logit as the whole channel rises.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from spyglass.v1.model_pb2 import ModelCard
from spyglass_contract.images.pixels import prepare
from spyglass_contract.model.card import METADATA_KEY, card_from_metadata

# The explained layer of each model: the activation or sum of its last convolution.
LAYERS = {
    "mnist-convnet": "mnist_convnet_1/conv3_1/Relu:0",
    "defects": "mini_xception_1/block5_add_1/Add:0",
    "imagenet": "efficientnet_lite0_1/head_relu6_1/Relu6:0",
}
_STEP = 1e-4
# Channels that are raised at a time, each in its own copy of the feature map.
_TOGETHER = 128


def _card(model: onnx.ModelProto) -> ModelCard:
    metadata = {entry.key: entry.value for entry in model.metadata_props if entry.key == METADATA_KEY}
    return card_from_metadata(metadata)


def _images(card: ModelCard, root: Path) -> Any:
    """The model's own golden images and two photographs, as its input: uint8 [5, …]."""
    photographs = [(root / "examples" / name).read_bytes() for name in ("chelsea.jpg", "coffee.jpg")]
    encoded = [*(golden.encoded for golden in card.certificate.images), *photographs][-5:]
    return np.stack([prepare(image, card.input).pixels for image in encoded])


def _logits(model: onnx.ModelProto) -> str:
    activations = [node for node in model.graph.node if node.op_type in ("Sigmoid", "Softmax")]
    return str(activations[-1].input[0])


def _tail(model: onnx.ModelProto, start: str, end: str) -> ReferenceEvaluator:
    """The part of the network from the tensor `start` to the tensor `end`, in float64."""
    needed, nodes = {end}, list[onnx.NodeProto]()
    for node in reversed(model.graph.node):
        if needed.intersection(node.output) - {start}:
            needed.update(node.input)
            nodes.insert(0, node)
    weights = [_double(tensor) for tensor in model.graph.initializer if tensor.name in needed]
    inputs = [helper.make_tensor_value_info(start, TensorProto.DOUBLE, None)]
    graph = helper.make_graph(nodes, "tail", inputs, [onnx.ValueInfoProto(name=end)], weights)
    return ReferenceEvaluator(helper.make_model(graph, opset_imports=model.opset_import))


def _double(tensor: onnx.TensorProto) -> onnx.TensorProto:
    values = numpy_helper.to_array(tensor)
    wide = values.astype(np.float64) if tensor.data_type == TensorProto.FLOAT else values
    return numpy_helper.from_array(wide, tensor.name)


def _slopes(tail: ReferenceEvaluator, start: str, features: Any) -> Iterator[Any]:
    """Yield the slope of each logit with respect to each channel of one image's features.

    `features` is [channels, height, width]. Each array is float64 [up to 128 channels, logits].
    """
    channels = len(features)
    for first in range(0, channels, _TOGETHER):
        steps = np.eye(channels)[first : first + _TOGETHER, :, np.newaxis, np.newaxis] * _STEP
        above, below = (tail.run(None, {start: features + sign * steps})[0] for sign in (1, -1))
        yield (above - below) / (2 * _STEP)


def _scaled(raw: Any) -> Any:
    positive = np.maximum(raw, 0)
    return positive / np.maximum(positive.max(), 1e-12)


@pytest.mark.parametrize(
    "name", ["mnist-convnet", "defects", pytest.param("imagenet", marks=pytest.mark.slow)]
)
def test_the_heatmap_of_a_bundled_model_on_real_images_is_that_of_central_differences(
    name: str,
    repository_root: Path,
    bundled_file: Callable[[str], Path],
    session_of: Callable[..., Any],
) -> None:
    model = onnx.load(bundled_file(name))
    card, logits = _card(model), _logits(model)
    tensor = card.explained_layer
    assert tensor == LAYERS[name]
    tail = _tail(model, tensor, logits)
    model.graph.output.append(onnx.ValueInfoProto(name=tensor))
    session, images = session_of(model), _images(card, repository_root)
    features = session.run([tensor], {"image": images})[0]
    # A thousand logits take seconds, so only the first and the last of the five images are compared.
    slopes = {
        place: np.concatenate([*_slopes(tail, tensor, features[place].astype(np.float64))])
        for place in (0, -1)
    }
    lit = 0.0
    for batch in (1, 5):
        pixels = images[-batch:]
        probabilities = session.run(["probabilities"], {"image": pixels})[0]
        classes = range(probabilities.shape[1])
        chosen = classes if len(classes) <= 10 else [*probabilities[-1].argsort()[[0, 500, -2, -1]]]
        for class_index in chosen:
            feeds = {"image": pixels, "class_index": np.array([class_index])}
            found = session.run(["heatmap"], feeds)[0]
            for place in {0, -1} if batch == 5 else {-1}:
                slope = slopes[place]
                # A single logit for two classes is that of the second class.
                signed = slope if slope.shape[1] > 1 else np.hstack([-slope, slope])
                raw = np.einsum("khw,k->hw", features[place], signed[:, class_index])
                np.testing.assert_allclose(found[place], _scaled(raw), atol=1e-4)
            lit = max(lit, found.max())
    assert lit == 1
