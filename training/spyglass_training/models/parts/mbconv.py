"""The blocks of EfficientNetV2: MBConv with squeeze-and-excitation, and fused MBConv.

Both are inverted bottlenecks: wide inside, narrow at both ends, with a shortcut if the shape stays the same.
Layers have the names that `keras.applications` gives them.

M. Sandler et al., MobileNetV2: Inverted Residuals and Linear Bottlenecks (2018); M. Tan and Q. V. Le,
EfficientNet (2019) and EfficientNetV2 (2021); J. Hu et al., Squeeze-and-Excitation Networks (2017).
"""

from __future__ import annotations

import keras
from keras import layers

_KERNEL = 3
# Number of squeezed units, as a fraction of the channels that enter the block.
_SQUEEZE_RATIO = 0.25
# A configuration and not an object, so that every layer draws its own values.
_INITIALIZER = {
    "class_name": "VarianceScaling",
    "config": {"scale": 2.0, "mode": "fan_out", "distribution": "truncated_normal"},
}


def mbconv(
    x: keras.KerasTensor, filters: int, *, expansion: int, stride: int = 1, drop: float = 0.0, name: str
) -> keras.KerasTensor:
    """float [batch, height, width, channels] to [batch, height / stride, width / stride, filters].

    A 1×1 convolution multiplies the channels by `expansion`, a depthwise 3×3 convolution filters each
    channel, squeeze-and-excitation weighs the channels, and a 1×1 convolution without activation narrows them
    to `filters`. If the block has a shortcut, training skips the block with probability `drop` (0 to 1),
    image by image.
    """
    entering = x.shape[-1]
    inner = convolution(x, entering * expansion, kernel=1, name=f"{name}_expand")
    inner = layers.DepthwiseConv2D(
        _KERNEL,
        stride,
        padding="same",
        use_bias=False,
        depthwise_initializer=_INITIALIZER,
        name=f"{name}_dwconv2",
    )(inner)
    inner = layers.BatchNormalization(momentum=0.9, name=f"{name}_bn")(inner)
    inner = layers.Activation("swish", name=f"{name}_activation")(inner)
    inner = squeeze_excite(inner, max(1, int(entering * _SQUEEZE_RATIO)), name=name)
    inner = convolution(inner, filters, kernel=1, activation=False, name=f"{name}_project")
    return _with_shortcut(x, inner, drop, name) if stride == 1 and entering == filters else inner


def fused_mbconv(
    x: keras.KerasTensor, filters: int, *, expansion: int, stride: int = 1, drop: float = 0.0, name: str
) -> keras.KerasTensor:
    """Return an `mbconv` with one 3×3 convolution in place of two convolutions and of the weighing.

    At an `expansion` of 1 the 3×3 convolution is the only one, and has an activation.
    """
    entering = x.shape[-1]
    if expansion == 1:
        inner = convolution(x, filters, kernel=_KERNEL, stride=stride, name=f"{name}_project")
    else:
        inner = convolution(x, entering * expansion, kernel=_KERNEL, stride=stride, name=f"{name}_expand")
        inner = convolution(inner, filters, kernel=1, activation=False, name=f"{name}_project")
    return _with_shortcut(x, inner, drop, name) if stride == 1 and entering == filters else inner


def squeeze_excite(x: keras.KerasTensor, squeezed: int, *, name: str) -> keras.KerasTensor:
    """float [batch, height, width, channels] of the same shape, each channel times a weight in 0 to 1.

    Two dense layers compute the weights from the channels' means; the first has `squeezed` units.
    """
    means = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_se_squeeze")(x)
    reduced = layers.Conv2D(
        squeezed, 1, activation="swish", kernel_initializer=_INITIALIZER, name=f"{name}_se_reduce"
    )(means)
    weights = layers.Conv2D(
        x.shape[-1], 1, activation="sigmoid", kernel_initializer=_INITIALIZER, name=f"{name}_se_expand"
    )(reduced)
    return layers.Multiply(name=f"{name}_se_excite")([x, weights])


def convolution(
    x: keras.KerasTensor, filters: int, *, kernel: int, stride: int = 1, activation: bool = True, name: str
) -> keras.KerasTensor:
    """A convolution without bias, batch normalisation and, by default, swish."""
    x = layers.Conv2D(
        filters,
        kernel,
        stride,
        padding="same",
        use_bias=False,
        kernel_initializer=_INITIALIZER,
        name=f"{name}_conv",
    )(x)
    x = layers.BatchNormalization(momentum=0.9, name=f"{name}_bn")(x)
    return layers.Activation("swish", name=f"{name}_activation")(x) if activation else x


def _with_shortcut(
    x: keras.KerasTensor, inner: keras.KerasTensor, drop: float, name: str
) -> keras.KerasTensor:
    """The sum of both. In training `inner` becomes 0 with probability `drop`, image by image."""
    if drop:
        inner = layers.Dropout(drop, noise_shape=(None, 1, 1, 1), name=f"{name}_drop")(inner)
    return layers.Add(name=f"{name}_add")([inner, x])
