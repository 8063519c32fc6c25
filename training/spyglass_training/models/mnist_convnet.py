"""A small convnet for digits: three convolutions, two poolings, 93,322 parameters on MNIST.

F. Chollet, Deep Learning with Python, first edition (2017), section 5.1.
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
    image = image_input(spec)
    x = layers.Rescaling(1 / 255, name="rescaling")(image)
    x = layers.Conv2D(32, 3, activation="relu", name="conv1")(x)
    x = layers.MaxPooling2D(2, name="pool1")(x)
    x = layers.Conv2D(64, 3, activation="relu", name="conv2")(x)
    x = layers.MaxPooling2D(2, name="pool2")(x)
    x = layers.Conv2D(64, 3, activation="relu", name="conv3")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(64, activation="relu", name="dense")(x)
    return keras.Model(image, classifier_head(x, class_count), name="mnist_convnet")
