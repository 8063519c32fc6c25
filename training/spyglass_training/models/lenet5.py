"""LeNet-5, the first convnet in wide use: 61,706 parameters on 32×32 grey images.

Y. LeCun, L. Bottou, Y. Bengio, P. Haffner, Gradient-Based Learning Applied to Document Recognition (1998), in
the form that is taught today: plain average pooling, a second convolution that is connected to all maps of
the first, and a softmax instead of radial basis functions.
"""

from __future__ import annotations

import keras
from keras import layers

from spyglass.v1.model_pb2 import InputSpec
from spyglass_training.models.parts.classifier_head import classifier_head
from spyglass_training.models.parts.image_input import digit, image_input

INPUT = digit(32)


def build(spec: InputSpec, class_count: int) -> keras.Model:
    """uint8 pixels as `spec` states them to probabilities: see `classifier_head` for their shape."""
    image = image_input(spec)
    # The paper's range: black at -0.1 and white at 1.175 give a mean of about 0 and a variance of about 1.
    x = layers.Rescaling(1.275 / 255, offset=-0.1, name="rescaling")(image)
    x = layers.Conv2D(6, 5, activation="tanh", name="conv1")(x)
    x = layers.AveragePooling2D(2, name="pool1")(x)
    x = layers.Conv2D(16, 5, activation="tanh", name="conv2")(x)
    x = layers.AveragePooling2D(2, name="pool2")(x)
    x = layers.Flatten(name="flatten")(x)
    x = layers.Dense(120, activation="relu", name="dense1")(x)
    x = layers.Dense(84, activation="relu", name="dense2")(x)
    return keras.Model(image, classifier_head(x, class_count), name="lenet5")
