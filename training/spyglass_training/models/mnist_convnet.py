"""The convnet that introduces convnets: three convolutions, two poolings, 93,322 parameters on MNIST.

F. Chollet, Deep Learning with Python, first edition (2017), section 5.1.
"""

from __future__ import annotations

import keras
from keras import layers

from spyglass.v1.model_pb2 import COLOR_MODE_GREY, RESIZE_RULE_PAD, InputSpec, ValueRange
from spyglass_training.models.image_input import image_input

# Padding with black keeps a digit's shape and looks like MNIST, whose digits are white on black.
INPUT = InputSpec(
    tensor="image",
    height=28,
    width=28,
    color_mode=COLOR_MODE_GREY,
    value_range=ValueRange(minimum=0, maximum=255),
    resize=RESIZE_RULE_PAD,
    scaled_decode_margin=2,
)


def build(spec: InputSpec, class_count: int) -> keras.Model:
    """uint8 pixels as `spec` states them to float32 probabilities [batch, class_count]."""
    image = image_input(spec)
    x = layers.Rescaling(1 / 255, name="rescaling")(image)
    x = layers.Conv2D(32, 3, activation="relu", name="conv1")(x)
    x = layers.MaxPooling2D(2, name="pool1")(x)
    x = layers.Conv2D(64, 3, activation="relu", name="conv2")(x)
    x = layers.MaxPooling2D(2, name="pool2")(x)
    x = layers.Conv2D(64, 3, activation="relu", name="conv3")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(64, activation="relu", name="dense")(x)
    probabilities = layers.Dense(class_count, activation="softmax", name="probabilities")(x)
    return keras.Model(image, probabilities, name="mnist_convnet")
