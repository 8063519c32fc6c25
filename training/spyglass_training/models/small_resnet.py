"""Residual blocks in their plainest form: 297,697 parameters on two classes at 32×32.

F. Chollet, Deep Learning with Python, second edition (2021), section 9.3.2, after K. He et al., Deep Residual
Learning for Image Recognition (2015).
"""

from __future__ import annotations

import keras
from keras import layers

from spyglass.v1.model_pb2 import InputSpec
from spyglass_training.models.parts.augmentation import NONE, augmented
from spyglass_training.models.parts.classifier_head import classifier_head
from spyglass_training.models.parts.image_input import image_input, photograph

INPUT = photograph(32)


def build(spec: InputSpec, class_count: int, *, augment: str = NONE) -> keras.Model:
    """uint8 pixels as `spec` states them to probabilities: see `classifier_head` for their shape."""
    image = image_input(spec)
    x = augmented(layers.Rescaling(1 / 255, name="rescaling")(image), augment)
    x = _residual_block(x, 32, pooling=True, name="block1")
    x = _residual_block(x, 64, pooling=True, name="block2")
    x = _residual_block(x, 128, pooling=False, name="block3")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(image, classifier_head(x, class_count), name="small_resnet")


def _residual_block(x: keras.KerasTensor, filters: int, *, pooling: bool, name: str) -> keras.KerasTensor:
    """Two convolutions beside a shortcut, which a 1×1 convolution brings to the same shape.

    If there is a pooling, the book's 1×1 convolution has a stride of 2. A convolution of stride 1 after a 1×1
    pooling of stride 2 computes the same. The former is avoided: its gradient, for few channels, overwrites
    foreign memory (TensorFlow 2.21 with oneDNN).
    """
    shortcut = layers.MaxPooling2D(1, strides=2, name=f"{name}_every_second")(x) if pooling else x
    shortcut = layers.Conv2D(filters, 1, name=f"{name}_shortcut")(shortcut)
    x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"{name}_conv1")(x)
    x = layers.Conv2D(filters, 3, padding="same", activation="relu", name=f"{name}_conv2")(x)
    if pooling:
        x = layers.MaxPooling2D(2, padding="same", name=f"{name}_pool")(x)
    return layers.Add(name=f"{name}_add")([x, shortcut])
