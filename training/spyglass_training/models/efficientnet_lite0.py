"""EfficientNet-Lite0: EfficientNet-B0 for small devices, without squeeze-and-excitation and with ReLU6.

M. Tan and Q. V. Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks (2019),
table 1, and the lite variants in Google's `tpu/models/official/efficientnet/lite`. Stochastic depth, which
acts in training only, is left out.
"""

from __future__ import annotations

from typing import NamedTuple

import keras
from keras import layers

from spyglass.v1.model_pb2 import (
    COLOR_MODE_RGB,
    RESAMPLING_BICUBIC,
    RESIZE_RULE_CROP,
    InputSpec,
    ValueRange,
)
from spyglass_training.models.parts.classifier_head import classifier_head
from spyglass_training.models.parts.image_input import image_input

# The crop is the network's own for evaluation: 224 of 256 pixels.
INPUT = InputSpec(
    tensor="image",
    height=224,
    width=224,
    color_mode=COLOR_MODE_RGB,
    value_range=ValueRange(minimum=0, maximum=255),
    resize=RESIZE_RULE_CROP,
    resampling=RESAMPLING_BICUBIC,
    crop_fraction=0.875,
    scaled_decode_margin=2,
)


class Stage(NamedTuple):
    """A row of blocks; the first of them has the stride, the others 1."""

    blocks: int
    kernel: int
    stride: int
    expansion: int
    filters: int


STAGES = (
    Stage(blocks=1, kernel=3, stride=1, expansion=1, filters=16),
    Stage(blocks=2, kernel=3, stride=2, expansion=6, filters=24),
    Stage(blocks=2, kernel=5, stride=2, expansion=6, filters=40),
    Stage(blocks=3, kernel=3, stride=2, expansion=6, filters=80),
    Stage(blocks=3, kernel=5, stride=1, expansion=6, filters=112),
    Stage(blocks=4, kernel=5, stride=2, expansion=6, filters=192),
    Stage(blocks=1, kernel=3, stride=1, expansion=6, filters=320),
)


def build(spec: InputSpec, class_count: int) -> keras.Model:
    """uint8 pixels as `spec` states them to probabilities: see `classifier_head` for their shape."""
    image = image_input(spec)
    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="rescaling")(image)
    x = _convolution(x, 32, kernel=3, stride=2, name="stem")
    block = 0
    for stage in STAGES:
        for position in range(stage.blocks):
            x = _inverted_residual(x, stage, stage.stride if position == 0 else 1, name=f"block{block}")
            block += 1
    x = _convolution(x, 1280, kernel=1, stride=1, name="head")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    x = layers.Dropout(0.2, name="dropout")(x)
    return keras.Model(image, classifier_head(x, class_count), name="efficientnet_lite0")


def _inverted_residual(x: keras.KerasTensor, stage: Stage, stride: int, *, name: str) -> keras.KerasTensor:
    """MBConv without squeeze-and-excitation.

    A 1×1 convolution widens, a depthwise one filters each channel, a 1×1 convolution without activation
    narrows.
    """
    entering = x.shape[-1]
    shortcut = x
    if stage.expansion != 1:
        x = _convolution(x, entering * stage.expansion, kernel=1, stride=1, name=f"{name}_expand")
    x = layers.DepthwiseConv2D(
        stage.kernel, stride, padding="same", use_bias=False, name=f"{name}_depthwise_conv"
    )(x)
    x = _relu6(_batch_norm(x, name=f"{name}_depthwise"), name=f"{name}_depthwise")
    x = layers.Conv2D(stage.filters, 1, use_bias=False, name=f"{name}_project_conv")(x)
    x = _batch_norm(x, name=f"{name}_project")
    if stride == 1 and entering == stage.filters:
        x = layers.Add(name=f"{name}_add")([x, shortcut])
    return x


def _convolution(
    x: keras.KerasTensor, filters: int, *, kernel: int, stride: int, name: str
) -> keras.KerasTensor:
    x = layers.Conv2D(filters, kernel, stride, padding="same", use_bias=False, name=f"{name}_conv")(x)
    return _relu6(_batch_norm(x, name=name), name=name)


def _batch_norm(x: keras.KerasTensor, *, name: str) -> keras.KerasTensor:
    return layers.BatchNormalization(epsilon=1e-3, name=f"{name}_bn")(x)


def _relu6(x: keras.KerasTensor, *, name: str) -> keras.KerasTensor:
    return layers.ReLU(max_value=6, name=f"{name}_relu6")(x)
