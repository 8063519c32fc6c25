"""A convnet for small photographs, trained from scratch: 991,041 parameters on two classes at 180×180.

F. Chollet, Deep Learning with Python, second edition (2021), section 8.2.
"""

from __future__ import annotations

import keras
from keras import layers

from spyglass.v1.model_pb2 import InputSpec
from spyglass_training.models.parts.augmentation import NONE, augmented
from spyglass_training.models.parts.classifier_head import classifier_head
from spyglass_training.models.parts.image_input import image_input, photograph

INPUT = photograph(180)

FILTERS = (32, 64, 128, 256, 256)


def build(spec: InputSpec, class_count: int, *, augment: str = NONE, dropout: float = 0.5) -> keras.Model:
    """uint8 pixels as `spec` states them to probabilities: see `classifier_head` for their shape."""
    image = image_input(spec)
    x = augmented(layers.Rescaling(1 / 255, name="rescaling")(image), augment)
    for number, filters in enumerate(FILTERS, start=1):
        x = layers.Conv2D(filters, 3, activation="relu", name=f"conv{number}")(x)
        if number < len(FILTERS):
            x = layers.MaxPooling2D(2, name=f"pool{number}")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(image, classifier_head(x, class_count), name="cats_dogs_convnet")
