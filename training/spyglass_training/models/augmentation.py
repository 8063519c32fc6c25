"""Pictures changed at random as a camera might have: active in training only."""

from __future__ import annotations

import keras
from keras import layers


def augmented(x: keras.KerasTensor) -> keras.KerasTensor:
    """float [batch, height, width, channels] of the same shape: mirrored, turned up to 36°, zoomed 20 %.

    F. Chollet, Deep Learning with Python, second edition (2021), section 8.2.5.
    """
    x = layers.RandomFlip("horizontal", name="augment_flip")(x)
    x = layers.RandomRotation(0.1, name="augment_rotation")(x)
    return layers.RandomZoom(0.2, name="augment_zoom")(x)
