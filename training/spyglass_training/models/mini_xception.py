"""A small Xception: separable convolutions and residuals, 721,857 parameters on two classes.

F. Chollet, Deep Learning with Python, second edition (2021), section 9.3.5.
"""

from __future__ import annotations

import keras
from keras import layers

from spyglass.v1.model_pb2 import InputSpec
from spyglass_training.models.parts.augmentation import NONE, augmented
from spyglass_training.models.parts.classifier_head import classifier_head
from spyglass_training.models.parts.image_input import image_input, photograph

INPUT = photograph(180)

FILTERS = (32, 64, 128, 256, 512)


def build(
    spec: InputSpec,
    class_count: int,
    *,
    augment: str = NONE,
    dropout: float = 0.5,
    batch_norm_momentum: float = 0.99,
) -> keras.Model:
    """uint8 pixels as `spec` states them to probabilities: see `classifier_head` for their shape.

    At a `batch_norm_momentum` of 0.99 the moving averages for inference lag by some hundred steps. If an
    epoch has fewer steps, 0.9 lets the validation metrics follow the training.
    """
    image = image_input(spec)
    x = augmented(layers.Rescaling(1 / 255, name="rescaling")(image), augment)
    # The first block starts with normalisation and depthwise filters, which need more than raw colour
    # channels.
    x = layers.Conv2D(32, 5, use_bias=False, name="stem")(x)
    for number, filters in enumerate(FILTERS, start=1):
        x = _block(x, filters, batch_norm_momentum, name=f"block{number}")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    return keras.Model(image, classifier_head(x, class_count), name="mini_xception")


def _block(x: keras.KerasTensor, filters: int, momentum: float, *, name: str) -> keras.KerasTensor:
    shortcut = layers.Conv2D(filters, 1, strides=2, padding="same", use_bias=False, name=f"{name}_shortcut")(
        x
    )
    for number in (1, 2):
        x = layers.BatchNormalization(momentum=momentum, name=f"{name}_bn{number}")(x)
        x = layers.Activation("relu", name=f"{name}_relu{number}")(x)
        x = layers.SeparableConv2D(filters, 3, padding="same", use_bias=False, name=f"{name}_conv{number}")(x)
    x = layers.MaxPooling2D(3, strides=2, padding="same", name=f"{name}_pool")(x)
    return layers.Add(name=f"{name}_add")([x, shortcut])
