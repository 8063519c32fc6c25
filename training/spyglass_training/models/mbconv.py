"""MBConv, the block of the EfficientNets: wide inside, thin outside, with squeeze-and-excitation.

M. Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks (2018); M. Tan and Q. V. Le,
EfficientNet (2019). Written to be read; `keras.applications` builds the same block inside EfficientNetV2.
"""

from __future__ import annotations

import keras
from keras import layers

from spyglass_training.models.squeeze_excite import squeeze_excite


def mbconv(
    x: keras.KerasTensor,
    filters: int,
    *,
    kernel: int = 3,
    stride: int = 1,
    expansion: int = 4,
    squeeze_ratio: float = 0.25,
    name: str,
) -> keras.KerasTensor:
    """float [batch, height, width, channels] to [batch, height / stride, width / stride, filters].

    Widens by `expansion` with a 1×1 convolution, filters each channel by itself, weighs the channels, and
    narrows without an activation. A shortcut goes around where the shape stays. `squeeze_ratio` counts from
    the channels that enter, not from the widened ones.
    """
    entering = x.shape[-1]
    shortcut = x
    x = layers.Conv2D(entering * expansion, 1, use_bias=False, name=f"{name}_expand_conv")(x)
    x = _normalised(x, name=f"{name}_expand")
    x = layers.DepthwiseConv2D(kernel, stride, padding="same", use_bias=False, name=f"{name}_depthwise_conv")(
        x
    )
    x = _normalised(x, name=f"{name}_depthwise")
    x = squeeze_excite(x, max(1, int(entering * squeeze_ratio)), name=f"{name}_squeeze")
    x = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_project_conv")(x)
    x = layers.BatchNormalization(momentum=0.9, name=f"{name}_project_bn")(x)
    if stride == 1 and entering == filters:
        x = layers.Add(name=f"{name}_add")([x, shortcut])
    return x


def _normalised(x: keras.KerasTensor, *, name: str) -> keras.KerasTensor:
    x = layers.BatchNormalization(momentum=0.9, name=f"{name}_bn")(x)
    return layers.Activation("swish", name=f"{name}_swish")(x)
