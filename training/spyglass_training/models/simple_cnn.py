"""The smallest convnet: one convolution, one pooling, one Dense layer.

The pooling has a stride of 1 and keeps the size of the map, 26×26. This gives the 433,290 parameters (640 +
432,650) of the course that this network comes from. A stride of 2 would leave 108,810.
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
    x = layers.Conv2D(64, 3, activation="relu", name="conv")(x)
    x = layers.MaxPooling2D(2, strides=1, padding="same", name="pool")(x)
    x = layers.Flatten(name="flatten")(x)
    return keras.Model(image, classifier_head(x, class_count), name="simple_cnn")
