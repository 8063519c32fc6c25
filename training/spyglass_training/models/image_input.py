"""The input that every network here has: pixels as `spyglass_contract.pixels` makes them."""

from __future__ import annotations

import keras

from spyglass.v1.model_pb2 import InputSpec
from spyglass_contract.pixels import channels


def image_input(spec: InputSpec) -> keras.KerasTensor:
    """uint8 [batch, height, width, channels], 0 to 255, named as the spec names its tensor."""
    return keras.Input(shape=(spec.height, spec.width, channels(spec)), dtype="uint8", name=spec.tensor)
