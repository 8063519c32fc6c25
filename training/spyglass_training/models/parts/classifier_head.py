"""The last layer of a classifier."""

from __future__ import annotations

import keras
from keras import layers

NAME = "probabilities"


def classifier_head(x: keras.KerasTensor, class_count: int) -> keras.KerasTensor:
    """Apply a Dense layer to features [batch, features]; return float32 probabilities.

    Two classes get one sigmoid output, [batch, 1], the probability of the second class; more get a softmax,
    [batch, class_count]. The layer computes in float32 in mixed precision, too: probabilities near 0 and 1
    need it.
    """
    if class_count == 2:
        return layers.Dense(1, activation="sigmoid", dtype="float32", name=NAME)(x)
    return layers.Dense(class_count, activation="softmax", dtype="float32", name=NAME)(x)
