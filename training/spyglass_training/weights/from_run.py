"""Weights of an earlier run, for a network with the same layers and an input of another size."""

from __future__ import annotations

from pathlib import Path

import keras

from spyglass_contract.errors import ModelError, NotFound
from spyglass_training.weights.keras_file import load_keras


def set_weights(model: keras.Model, weights: str) -> None:
    """Set the first weights of `model`: `none` keeps them, anything else is the path of a `model.keras`.

    Raises NotFound if the file is missing, and ModelError if it is not a Keras model or has other layers.
    """
    if weights == "none":
        return
    path = Path(weights)
    if not path.is_file():
        raise NotFound(f"there is no file {path}", reason="NO_WEIGHTS", field="weights")
    arrays = load_keras(path).get_weights()
    if [array.shape for array in arrays] != [tuple(weight.shape) for weight in model.weights]:
        raise ModelError(f"{path.name} belongs to another network: its weights have other shapes")
    model.set_weights(arrays)
