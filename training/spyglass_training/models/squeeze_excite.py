"""Squeeze-and-excitation: each channel is weighed by what all channels show of the whole image.

J. Hu et al., Squeeze-and-Excitation Networks (2017).
"""

from __future__ import annotations

import keras
from keras import layers


def squeeze_excite(x: keras.KerasTensor, squeezed: int, *, name: str) -> keras.KerasTensor:
    """float [batch, height, width, channels] of the same shape, each channel times a weight in 0 to 1.

    The weights come from the channels' means through a bottleneck of `squeezed` units.
    """
    means = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_mean")(x)
    reduced = layers.Conv2D(squeezed, 1, activation="swish", name=f"{name}_reduce")(means)
    weights = layers.Conv2D(x.shape[-1], 1, activation="sigmoid", name=f"{name}_expand")(reduced)
    return layers.Multiply(name=f"{name}_excite")([x, weights])
