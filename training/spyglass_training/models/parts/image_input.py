"""The input of every network: pixels as `spyglass_contract.images.pixels` makes them."""

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
from spyglass_training.weights.imagenet import DEVIATION, MEAN

TENSOR = "image"


def digit(side: int) -> InputSpec:
    """Return a grey, square input. Black padding keeps a digit's shape and equals MNIST's background."""
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
    """Return an RGB, square input. The image is stretched to it, so that no part of it is cut off."""
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
    """Return uint8 [batch, height, width, channels], 0 to 255, named as `spec` names its tensor."""
    return keras.Input(shape=(spec.height, spec.width, channels(spec)), dtype="uint8", name=spec.tensor)


def as_rgb(image: keras.KerasTensor) -> keras.KerasTensor:
    """Return [batch, height, width, 3]; repeat a grey image three times, for published weights."""
    if image.shape[-1] == 3:
        return image
    return layers.Concatenate(name="as_rgb")([image] * 3)


def standardised(x: keras.KerasTensor) -> keras.KerasTensor:
    """RGB values in 0 to 1 to values of mean 0 and deviation 1 over the images of ImageNet."""
    scale = [1 / deviation for deviation in DEVIATION]
    offset = [-mean / deviation for mean, deviation in zip(MEAN, DEVIATION, strict=True)]
    return layers.Rescaling(scale, offset=offset, name="standardised")(x)
