"""The input that every network here has: pixels as `spyglass_contract.images.pixels` makes them."""

from __future__ import annotations

import keras
from keras import layers

from spyglass.v1.model_pb2 import (
    COLOR_MODE_GREY,
    COLOR_MODE_RGB,
    RESIZE_RULE_PAD,
    RESIZE_RULE_STRETCH,
    InputSpec,
    ValueRange,
)
from spyglass_contract.images.input_spec import channels

TENSOR = "image"


def digit(side: int) -> InputSpec:
    """Grey and square. Padding with black keeps a digit's shape and looks like MNIST's own background."""
    return InputSpec(
        tensor=TENSOR,
        height=side,
        width=side,
        color_mode=COLOR_MODE_GREY,
        value_range=ValueRange(minimum=0, maximum=255),
        resize=RESIZE_RULE_PAD,
        scaled_decode_margin=2,
    )


def photograph(side: int) -> InputSpec:
    """RGB and square. The image is stretched to it, so that nothing of what is to be seen is cut off."""
    return InputSpec(
        tensor=TENSOR,
        height=side,
        width=side,
        color_mode=COLOR_MODE_RGB,
        value_range=ValueRange(minimum=0, maximum=255),
        resize=RESIZE_RULE_STRETCH,
        scaled_decode_margin=2,
    )


def image_input(spec: InputSpec) -> keras.KerasTensor:
    """uint8 [batch, height, width, channels], 0 to 255, named as the spec names its tensor."""
    return keras.Input(shape=(spec.height, spec.width, channels(spec)), dtype="uint8", name=spec.tensor)


def as_rgb(image: keras.KerasTensor) -> keras.KerasTensor:
    """[batch, height, width, 3], a grey image three times over: for networks with published weights."""
    if image.shape[-1] == 3:
        return image
    return layers.Concatenate(name="as_rgb")([image] * 3)
