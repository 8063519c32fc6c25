"""Features that never change are computed once, not in every epoch."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from spyglass_training.batches import Batches
from spyglass_training.datasets.dataset import Split


def cut(model: keras.Model, layer_name: str) -> tuple[keras.Model, keras.Model]:
    """The network up to and with that layer, and from there to its end; both share its layers.

    What follows the layer must be a plain row of layers.
    """
    features = model.get_layer(layer_name).output
    names = [layer.name for layer in model.layers]
    entering = x = keras.Input(features.shape[1:], dtype=features.dtype, name="features")
    for layer in model.layers[names.index(layer_name) + 1 :]:
        x = layer(x)
    return keras.Model(model.input, features), keras.Model(entering, x, name=f"{model.name}_head")


def features(base: keras.Model, split: Split, batch_size: int) -> NDArray[Any]:
    """float32 [count, height, width, channels]: the output of `base` for every picture, in order."""
    return np.asarray(base.predict(Batches(split.pixels, split.labels, batch_size), verbose=0))
