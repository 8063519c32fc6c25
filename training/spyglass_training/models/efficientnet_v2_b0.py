"""EfficientNetV2-B0: fused and plain inverted bottlenecks, 7,200,312 parameters on a thousand classes.

M. Tan and Q. V. Le, EfficientNetV2: Smaller Models and Faster Training (2021), with the widths of B0 as
`keras.applications.EfficientNetV2B0` has them. Layers have the names of that network, too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import keras
from keras import layers

from spyglass.v1.model_pb2 import InputSpec
from spyglass_training.models.parts.augmentation import NONE, augmented
from spyglass_training.models.parts.classifier_head import classifier_head
from spyglass_training.models.parts.image_input import as_rgb, image_input, photograph, standardised
from spyglass_training.models.parts.mbconv import convolution, fused_mbconv, mbconv
from spyglass_training.weights.keras_applications import build_application

INPUT = photograph(224)


class Stage(NamedTuple):
    """A row of equal blocks; only the first of them has the stride."""

    block: Callable[..., keras.KerasTensor]
    blocks: int
    filters: int
    expansion: int
    stride: int


STAGES = (
    Stage(fused_mbconv, blocks=1, filters=16, expansion=1, stride=1),
    Stage(fused_mbconv, blocks=2, filters=32, expansion=4, stride=2),
    Stage(fused_mbconv, blocks=2, filters=48, expansion=4, stride=2),
    Stage(mbconv, blocks=3, filters=96, expansion=4, stride=2),
    Stage(mbconv, blocks=5, filters=112, expansion=6, stride=1),
    Stage(mbconv, blocks=8, filters=192, expansion=6, stride=2),
)
# The probability to skip a block in training grows from 0 at the first block towards this value.
_DROP = 0.2


def build(
    spec: InputSpec,
    class_count: int,
    *,
    weights: str = "none",
    freeze: bool = False,
    augment: str = NONE,
    dropout: float = 0.2,
) -> keras.Model:
    """Build a network from uint8 pixels as `spec` states them to float32 probabilities.

    They are [batch, class_count], or [batch, 1] for two classes. `weights` of all layers but the classifier:
    as in `build_application`, which also states the errors. `freeze` excludes these layers from training.
    """
    image = image_input(spec)
    x = augmented(as_rgb(image), augment, (0.0, 255.0))
    base = keras.Model(image, _features(x))
    if weights != "none":
        base.set_weights(build_application(keras.applications.EfficientNetV2B0, weights).get_weights())
    base.trainable = not freeze
    x = layers.Dropout(dropout, name="dropout")(base.output)
    return keras.Model(image, classifier_head(x, class_count), name="efficientnet_v2_b0")


def _features(x: keras.KerasTensor) -> keras.KerasTensor:
    """float [batch, height, width, 3], 0 to 255, to features [batch, 1280]."""
    x = standardised(layers.Rescaling(1 / 255, name="rescaling")(x))
    x = convolution(x, 32, kernel=3, stride=2, name="stem")
    total, done = sum(stage.blocks for stage in STAGES), 0
    for number, stage in enumerate(STAGES, start=1):
        for letter, stride in zip("abcdefgh", (stage.stride, *[1] * (stage.blocks - 1)), strict=False):
            x = stage.block(
                x,
                stage.filters,
                expansion=stage.expansion,
                stride=stride,
                drop=_DROP * done / total,
                name=f"block{number}{letter}",
            )
            done += 1
    x = convolution(x, 1280, kernel=1, name="top")
    return layers.GlobalAveragePooling2D(name="avg_pool")(x)
