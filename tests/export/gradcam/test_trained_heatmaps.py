"""Heatmaps of the bundled models, of their trained weights and real images, against central differences.

Grad-CAM needs of the gradient only its sum over a channel: the slope of the logit as the whole channel rises.
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

from spyglass_contract.images.pixels import prepare
from spyglass_contract.model.card import METADATA_KEY, card_from_metadata
from spyglass_export.gradcam import explained_tensor

# The layer that each explains, its last convolution's activation or sum.
LAYERS = {
    "mnist-convnet": "mnist_convnet_1/conv3_1/Relu:0",
    "defects": "mini_xception_1/block5_add_1/Add:0",
    "imagenet": "efficientnet_lite0_1/head_relu6_1/Relu6:0",
}
_STEP = 1e-4
# Channels that are raised at a time, in as many copies of the feature map.
_TOGETHER = 128


def _images(model: onnx.ModelProto, root: Path) -> Any:
    """The model's own golden images and two photographs, as its input: uint8 [5, …]."""
    card = card_from_metadata(
        {entry.key: entry.value for entry in model.metadata_props if entry.key == METADATA_KEY}
    )
    photographs = [(root / "examples" / name).read_bytes() for name in ("chelsea.jpg", "coffee.jpg")]
    encoded = [*(golden.encoded for golden in card.certificate.images), *photographs][-5:]
    return np.stack([prepare(image, card.input).pixels for image in encoded])


def _logits(model: onnx.ModelProto) -> str:
    activations = [node for node in model.graph.node if node.op_type in ("Sigmoid", "Softmax")]
    return str(activations[-1].input[0])


def _tail(model: onnx.ModelProto, start: str, end: str) -> ReferenceEvaluator:
    """What computes the tensor `end` of `start`, in float64."""
    wanted, nodes = {end}, list[onnx.NodeProto]()
    for node in reversed(model.graph.node):
        if wanted.intersection(node.output) - {start}:
            wanted.update(node.input)
            nodes.insert(0, node)
    weights = [_double(tensor) for tensor in model.graph.initializer if tensor.name in wanted]
    inputs = [helper.make_tensor_value_info(start, TensorProto.DOUBLE, None)]
    graph = helper.make_graph(nodes, "tail", inputs, [onnx.ValueInfoProto(name=end)], weights)
    return ReferenceEvaluator(helper.make_model(graph, opset_imports=model.opset_import))


def _double(tensor: onnx.TensorProto) -> onnx.TensorProto:
    values = numpy_helper.to_array(tensor)
    wide = values.astype(np.float64) if tensor.data_type == TensorProto.FLOAT else values
    return numpy_helper.from_array(wide, tensor.name)


def _slopes(tail: ReferenceEvaluator, start: str, features: Any) -> Iterator[Any]:
    """How each logit grows with each channel of one image's features [channels, height, width].

    float64 [some channels, logits], as often as it takes for all channels.
    """
    channels = len(features)
    for first in range(0, channels, _TOGETHER):
        steps = np.eye(channels)[first : first + _TOGETHER, :, np.newaxis, np.newaxis] * _STEP
        above, below = (tail.run(None, {start: features + sign * steps})[0] for sign in (1, -1))
        yield (above - below) / (2 * _STEP)


def _scaled(raw: Any) -> Any:
    positive = np.maximum(raw, 0)
    return positive / np.maximum(positive.max(), 1e-12)


@pytest.mark.parametrize("name", LAYERS)
def test_a_bundled_model_s_heatmap_of_real_images_is_that_of_central_differences(
    name: str,
    repository_root: Path,
    bundled_file: Callable[[str], Path],
    session_of: Callable[..., Any],
) -> None:
    model = onnx.load(bundled_file(name))
    tensor, logits = explained_tensor(model), _logits(model)
    assert tensor == LAYERS[name]
    tail = _tail(model, tensor, logits)
    model.graph.output.append(onnx.ValueInfoProto(name=tensor))
    session, images = session_of(model), _images(model, repository_root)
    features = session.run([tensor], {"image": images})[0]
    # For a thousand logits this takes seconds, so of the five images it is the first and the last.
    slopes = {
        place: np.concatenate([*_slopes(tail, tensor, features[place].astype(np.float64))])
        for place in (0, -1)
    }
    lit = 0.0
    for batch in (1, 5):
        pixels = images[-batch:]
        probabilities = session.run(["probabilities"], {"image": pixels})[0]
        classes = range(probabilities.shape[1])
        asked = classes if len(classes) <= 10 else [*probabilities[-1].argsort()[[0, 500, -2, -1]]]
        for class_index in asked:
            feeds = {"image": pixels, "class_index": np.array([class_index])}
            found = session.run(["heatmap"], feeds)[0]
            for place in {0, -1} if batch == 5 else {-1}:
                slope = slopes[place]
                # One logit for two classes is that of the second.
                signed = slope if slope.shape[1] > 1 else np.hstack([-slope, slope])
                raw = np.einsum("khw,k->hw", features[place], signed[:, class_index])
                np.testing.assert_allclose(found[place], _scaled(raw), atol=1e-4)
            lit = max(lit, found.max())
    assert lit == 1
