"""A small convnet for digits, and the same network without pooling for comparison.

F. Chollet, Deep Learning with Python, second edition (2021), section 8.1: 104,202 parameters with pooling,
712,202 without.
"""

from __future__ import annotations

import keras
from keras import layers

from spyglass.v1.model_pb2 import InputSpec
from spyglass_training.models.parts.classifier_head import classifier_head
from spyglass_training.models.parts.image_input import digit, image_input

INPUT = digit(28)


def build(spec: InputSpec, class_count: int) -> keras.Model:
    """uint8 pixels as `spec` states them to probabilities: see `classifier_head` for their shape."""
    return _build(spec, class_count, pooling=True)


def build_without_pooling(spec: InputSpec, class_count: int) -> keras.Model:
    """Build the same without pooling. Each map is two pixels smaller than the one before."""
    return _build(spec, class_count, pooling=False)


def _build(spec: InputSpec, class_count: int, *, pooling: bool) -> keras.Model:
    image = image_input(spec)
    x = layers.Rescaling(1 / 255, name="rescaling")(image)
    x = layers.Conv2D(32, 3, activation="relu", name="conv1")(x)
    if pooling:
        x = layers.MaxPooling2D(2, name="pool1")(x)
    x = layers.Conv2D(64, 3, activation="relu", name="conv2")(x)
    if pooling:
        x = layers.MaxPooling2D(2, name="pool2")(x)
    x = layers.Conv2D(128, 3, activation="relu", name="conv3")(x)
    x = layers.Flatten(name="flatten")(x)
    name = "mnist_convnet_functional" if pooling else "mnist_convnet_no_pooling"
    return keras.Model(image, classifier_head(x, class_count), name=name)
