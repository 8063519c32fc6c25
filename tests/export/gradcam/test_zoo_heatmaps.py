"""Every classifier of the training package, exported, compared with TensorFlow's gradient of its logits."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

from spyglass.v1.model_pb2 import COLOR_MODE_GREY, TASK_CLASSIFY, InputSpec, ModelCard
from spyglass_contract.images.pixels import prepare
from spyglass_export.gradcam import attach_gradcam

pytest.importorskip("tensorflow")
pytest.importorskip("tf2onnx")

import keras
import tensorflow as tf

from spyglass_export.converting.convert import convert
from spyglass_training.models import ARCHITECTURES

pytestmark = [pytest.mark.slow, pytest.mark.training]

CLASSIFIERS = [name for name, each in ARCHITECTURES.items() if each.task == TASK_CLASSIFY]
FINAL = "probabilities"

# The layer whose output each explains: the last before poolings, or the last sum.
EXPLAINED = {
    "lenet5": "conv2",
    "simple-cnn": "conv",
    "mnist-convnet": "conv3",
    "mnist-convnet-functional": "conv3",
    "mnist-convnet-no-pooling": "conv3",
    "cats-dogs-convnet": "conv5",
    "vgg16-features": "block5_conv3",
    "vgg16-finetune": "block5_conv3",
    "small-resnet": "block3_add",
    "mini-xception": "block5_add",
    "xception": "block14_sepconv2_act",
    "efficientnet-v2-b0": "top_activation",
    "efficientnet-lite0": "head_relu6",
}


@pytest.fixture(autouse=True)
def first_weights() -> Iterator[None]:
    keras.utils.set_random_seed(0)
    yield
    keras.backend.clear_session()
    gc.collect()


@pytest.fixture
def images(digits: Any, photographs: Callable[[InputSpec], Any]) -> Callable[[InputSpec], Any]:
    """Real images for an input, uint8 [5, …]: digits for a grey input, photographs otherwise."""

    def prepared(spec: InputSpec) -> Any:
        if spec.color_mode == COLOR_MODE_GREY:
            return np.stack([prepare(digit, spec).pixels for digit in digits])
        return photographs(spec)

    return prepared


@pytest.mark.parametrize("class_count", [2, 3])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_the_heatmap_of_a_classifier_is_that_of_a_gradient_tape(
    name: str,
    class_count: int,
    session_of: Callable[..., Any],
    enlivened: Callable[[Any], Any],
    images: Callable[[InputSpec], Any],
) -> None:
    architecture = ARCHITECTURES[name]
    model = enlivened(architecture.build(architecture.input, class_count))
    names = [f"class {number}" for number in range(class_count)]
    exported = convert(
        model, ModelCard(name=name, task=TASK_CLASSIFY, input=architecture.input, class_names=names)
    )
    del exported.graph.input[1:]  # EfficientNetV2's normalisation leaves inputs that no node reads.
    explained = attach_gradcam(exported)
    layer, attached = _layer(model, explained.layer), explained.model
    assert layer.name == EXPLAINED[name]
    assert attached.ByteSize() - exported.ByteSize() < 6_000
    session = session_of(attached)
    lit = 0.0
    for batch in (1, 5):
        noise = np.random.default_rng(batch).integers(0, 256, (batch, *model.input_shape[1:]), np.uint8)
        for pixels in (noise, images(architecture.input)[-batch:]):
            for class_index, expected in enumerate(_gradcams(model, layer, pixels, class_count)):
                feeds = {"image": pixels, "class_index": np.full(batch, class_index)}
                found = session.run(["heatmap"], feeds)[0]
                np.testing.assert_allclose(found, expected, atol=1e-4)
                lit = max(lit, found.max())
    assert lit == 1


def _layer(model: Any, tensor: str) -> Any:
    """The layer that computes a tensor; the tensor's path contains its name, with or without a number."""
    parts = {part for path in tensor.split("/") for part in (path, path.rpartition("_")[0])}
    return next(layer for layer in reversed(model.layers) if layer.name in parts)


def _gradcams(model: Any, layer: Any, pixels: Any, class_count: int) -> Iterator[Any]:
    """Yield the heatmaps of each class."""
    final = model.get_layer(FINAL)
    activations = keras.Model(model.inputs[0], layer.output)(pixels, training=False)
    head = keras.Model(layer.output, final.input)
    for class_index in range(class_count):
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(activations)
            logits = head(activations, training=False) @ final.kernel + final.bias
            # A single logit for two classes is that of the second class.
            signed = logits if logits.shape[1] > 1 else tf.concat([-logits, logits], axis=1)
            score = tf.reduce_sum(signed[:, class_index])
        gradient = tape.gradient(score, activations).numpy()
        positive = np.maximum((activations.numpy() * gradient.mean((1, 2), keepdims=True)).mean(-1), 0)
        yield positive / np.maximum(positive.max((1, 2), keepdims=True), 1e-12)
