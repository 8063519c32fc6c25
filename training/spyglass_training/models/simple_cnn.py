"""The least that is a convnet: one convolution, one pooling, one Dense layer.

The pooling moves by one pixel and keeps the size of the map, 26×26: so come about the 433,290 parameters
(640 + 432,650) of the course that this network is from. A pooling by two would leave 108,810.
"""

from __future__ import annotations

import keras
from keras import layers

from spyglass.v1.model_pb2 import InputSpec
from spyglass_training.models.classifier_head import classifier_head
from spyglass_training.models.image_input import digit, image_input

INPUT = digit(28)


def build(spec: InputSpec, class_count: int) -> keras.Model:
    """uint8 pixels as `spec` states them to float32 probabilities [batch, class_count], of two [batch, 1]."""
    image = image_input(spec)
    x = layers.Rescaling(1 / 255, name="rescaling")(image)
    x = layers.Conv2D(64, 3, activation="relu", name="conv")(x)
    x = layers.MaxPooling2D(2, strides=1, padding="same", name="pool")(x)
    x = layers.Flatten(name="flatten")(x)
    return keras.Model(image, classifier_head(x, class_count), name="simple_cnn")
