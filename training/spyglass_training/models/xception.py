"""Xception as `keras.applications` has it, under a classifier of our own.

F. Chollet, Xception: Deep Learning with Depthwise Separable Convolutions (2016): 22,910,480 parameters on a
thousand classes.
"""

from __future__ import annotations

import keras
from keras import layers

from spyglass.v1.model_pb2 import InputSpec
from spyglass_training.models.parts.augmentation import NONE, augmented
from spyglass_training.models.parts.classifier_head import classifier_head
from spyglass_training.models.parts.image_input import as_rgb, image_input, photograph
from spyglass_training.weights.keras_applications import build_application

INPUT = photograph(299)


def build(
    spec: InputSpec,
    class_count: int,
    *,
    weights: str = "none",
    freeze: bool = False,
    augment: str = NONE,
    dropout: float = 0.0,
) -> keras.Model:
    """Build a network from uint8 pixels as `spec` states them to float32 probabilities.

    They are [batch, class_count], or [batch, 1] for two classes. `weights` of all layers but the classifier:
    as in `build_application`, which also states the errors. `freeze` excludes these layers from training.
    """
    image = image_input(spec)
    x = layers.Rescaling(1 / 127.5, offset=-1, name="rescaling")(as_rgb(image))
    x = augmented(x, augment, (-1.0, 1.0))
    base = build_application(keras.applications.Xception, weights, input_tensor=x)
    base.trainable = not freeze
    x = layers.Dropout(dropout, name="dropout")(base.output)
    return keras.Model(image, classifier_head(x, class_count), name="xception")
