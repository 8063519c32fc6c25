"""Weights of an earlier run, for a network of the same layers on another input."""

from __future__ import annotations

from pathlib import Path

import keras

from spyglass_contract.errors import ModelError, NotFound
from spyglass_training.keras_file import load_keras


def set_weights(model: keras.Model, weights: str) -> None:
    """Gives `model` its first weights: `none` leaves them, anything else names a run's `model.keras`.

    Raises NotFound where there is no such file, ModelError where it is no Keras model or one of other layers.
    """
    if weights == "none":
        return
    path = Path(weights)
    if not path.is_file():
        raise NotFound(f"there is no file {path}", reason="NO_WEIGHTS", field="weights")
    arrays = load_keras(path).get_weights()
    if [array.shape for array in arrays] != [tuple(weight.shape) for weight in model.weights]:
        raise ModelError(f"{path.name} is of another network: its weights have other shapes")
    model.set_weights(arrays)
