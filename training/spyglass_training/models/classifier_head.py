"""The last layer of a classifier."""

from __future__ import annotations

import keras
from keras import layers

NAME = "probabilities"


def classifier_head(x: keras.KerasTensor, class_count: int) -> keras.KerasTensor:
    """A Dense layer from features [batch, features] to float32 probabilities.

    Two classes get one sigmoid output, [batch, 1], the probability of the second class; more get a softmax,
    [batch, class_count]. In mixed precision, too, it computes in float32: probabilities near 0 and 1 need it.
    """
    if class_count == 2:
        return layers.Dense(1, activation="sigmoid", dtype="float32", name=NAME)(x)
    return layers.Dense(class_count, activation="softmax", dtype="float32", name=NAME)(x)
