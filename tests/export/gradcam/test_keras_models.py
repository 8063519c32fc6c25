"""Heatmaps of Keras models, exported by tf2onnx and by Keras, compared with TensorFlow's gradients."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from spyglass.v1.model_pb2 import COLOR_MODE_RGB, RESIZE_RULE_CROP, InputSpec
from spyglass_export.gradcam import attach_gradcam

tf = pytest.importorskip("tensorflow")
tf2onnx = pytest.importorskip("tf2onnx")
keras = pytest.importorskip("keras")
layers = keras.layers

pytestmark = [pytest.mark.training, pytest.mark.slow]

CLASSES = 7

# A model of keras.applications, its feature map, and its smallest image size.
APPLICATIONS = [
    ("VGG16", "block5_conv3", 48),
    ("ResNet50", "conv5_block3_out", 64),
    ("MobileNetV2", "out_relu", 64),
    ("EfficientNetV2B0", "top_activation", 64),
    ("Xception", "block14_sepconv2_act", 71),
]


def _mini_xception(classes: int = CLASSES) -> Any:
    """The book's small Xception, narrower: separable convolutions with residual sums."""
    image = keras.Input((64, 64, 3))
    x = layers.Conv2D(8, 5, use_bias=False)(layers.Rescaling(1 / 255)(image))
    for width in (8, 16, 24):
        residual = layers.Conv2D(width, 1, strides=2, padding="same", use_bias=False)(x)
        for _ in range(2):
            x = layers.Activation("relu")(layers.BatchNormalization()(x))
            x = layers.SeparableConv2D(width, 3, padding="same", use_bias=False)(x)
        x = layers.add([layers.MaxPooling2D(3, strides=2, padding="same")(x), residual])
    name = x._keras_history.operation.name
    x = layers.Dropout(0.5)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(image, layers.Dense(classes)(x)), name


def _convert(model: Any, opset: int, final: Callable[[Any], Any]) -> onnx.ModelProto:
    signature = [tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name="image")]

    def infer(image: Any) -> dict[str, Any]:
        return {"probabilities": final(model(image, training=False))}

    function = tf.function(infer, autograph=False, input_signature=signature)
    converted = tf2onnx.convert.from_function(function, input_signature=signature, opset=opset)[0]
    del converted.graph.input[1:]  # EfficientNetV2's normalisation leaves inputs that no node reads.
    return converted


def _gradient(model: Any, layer: str, activations: Any, class_index: int, final: Callable[[Any], Any]) -> Any:
    head = keras.Model(model.get_layer(layer).output, model.outputs[0])
    activations = tf.constant(activations)
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(activations)
        score = tf.reduce_sum(final(head(activations, training=False))[:, class_index])
    return tape.gradient(score, activations).numpy()


def _gradcam(activations: Any, gradient: Any) -> Any:
    positive = np.maximum((activations * gradient.mean((1, 2), keepdims=True)).mean(-1), 0)
    return positive / np.maximum(positive.max((1, 2), keepdims=True), 1e-12)


def _logits(scores: Any) -> Any:
    return scores


def _two_classes(logit: Any) -> Any:
    probability = tf.sigmoid(logit)
    return tf.concat([1 - probability, probability], axis=-1)


def _signed_logits(logit: Any) -> Any:
    return tf.concat([-logit, logit], axis=-1)


def _assert_agrees(
    converted: onnx.ModelProto,
    session_of: Callable[..., Any],
    model: Any,
    layer: str,
    photographs: Callable[[InputSpec], Any],
    final: Callable[[Any], Any] = _logits,
    *,
    classes: Sequence[int] = (0, 3, 6),
    **options: Any,
) -> None:
    """Compare heatmaps for one image and for five with those of TensorFlow's gradients of `final`.

    The images are noise, and photographs. TensorFlow starts from the feature map of the ONNX file: in a deep
    network of random weights, the rounding before the feature map is larger than the tolerance here.
    """
    explained = attach_gradcam(converted, **options)
    tensor, attached = explained.layer, explained.model
    assert f"/{layer}_" in tensor
    assert attached.ByteSize() - converted.ByteSize() < 6_000
    attached.graph.output.append(onnx.ValueInfoProto(name=tensor))
    session, lit = session_of(attached), 0.0
    height, width, _ = model.input_shape[1:]
    noise = np.random.default_rng(1).uniform(0, 255, (5, height, width, 3))
    real = photographs(
        InputSpec(height=height, width=width, color_mode=COLOR_MODE_RGB, resize=RESIZE_RULE_CROP)
    )
    for images, batch, class_index in itertools.product((noise, real), (1, 5), classes):
        image = images[:batch].astype(np.float32)
        feeds = {attached.graph.input[0].name: image, "class_index": np.full(batch, class_index)}
        found, features = session.run(["heatmap", tensor], feeds)
        if features.shape[1:] != model.get_layer(layer).output.shape[1:]:
            features = features.transpose(0, 2, 3, 1)
        expected = _gradcam(features, _gradient(model, layer, features, class_index, final))
        np.testing.assert_allclose(found, expected, atol=1e-4)
        lit = max(lit, found.max())
    assert lit == 1


@pytest.fixture(autouse=True)
def first_weights() -> Iterator[None]:
    keras.utils.set_random_seed(0)
    yield
    keras.backend.clear_session()
    gc.collect()


@pytest.mark.parametrize(("application", "layer", "side"), APPLICATIONS)
def test_the_heatmap_of_an_application_is_that_of_a_gradient_tape(
    application: str,
    layer: str,
    side: int,
    session_of: Callable[..., Any],
    photographs: Callable[..., Any],
    enlivened: Callable[[Any], Any],
) -> None:
    build = getattr(keras.applications, application)
    shape = (side, side, 3)
    model = build(weights=None, input_shape=shape, classes=CLASSES, classifier_activation=None)
    _assert_agrees(_convert(enlivened(model), 17, tf.nn.softmax), session_of, model, layer, photographs)


@pytest.mark.parametrize("opset", [11, 13, 17, 18])
def test_the_heatmap_of_mini_xception_explains_its_last_sum(
    opset: int, session_of: Callable[..., Any], photographs: Callable[..., Any]
) -> None:
    model, layer = _mini_xception()
    _assert_agrees(_convert(model, opset, tf.nn.softmax), session_of, model, layer, photographs)


def test_one_sigmoid_for_two_classes_gives_each_class_a_heatmap(
    session_of: Callable[..., Any], photographs: Callable[..., Any]
) -> None:
    model, layer = _mini_xception(classes=1)
    converted = _convert(model, 17, _two_classes)
    _assert_agrees(converted, session_of, model, layer, photographs, _signed_logits, classes=(0, 1))


@pytest.mark.parametrize("final", [_two_classes, tf.nn.softmax])
def test_the_gradient_of_the_probability_is_that_of_a_gradient_tape(
    final: Callable[[Any], Any], session_of: Callable[..., Any], photographs: Callable[..., Any]
) -> None:
    model, layer = _mini_xception(classes=1 if final is _two_classes else 2)
    converted, options = _convert(model, 17, final), {"gradient_of": "probability"}
    _assert_agrees(converted, session_of, model, layer, photographs, final, classes=(0, 1), **options)


def test_a_heatmap_can_be_attached_to_a_file_that_keras_exported(
    session_of: Callable[..., Any], photographs: Callable[..., Any], tmp_path: Path
) -> None:
    model, layer = _mini_xception()
    model(np.zeros((1, *model.input_shape[1:]), np.float32))
    model.export(tmp_path / "model.onnx", format="onnx", verbose=False)
    _assert_agrees(onnx.load(tmp_path / "model.onnx"), session_of, model, layer, photographs)
