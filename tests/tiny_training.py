"""A network that learns to classify colours in a second, and its data set. For tests of training."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import layers

from spyglass.v1.model_pb2 import InputSpec
from spyglass_contract.model.run_folder import DataRecord
from spyglass_training.datasets.dataset import Dataset, Split
from spyglass_training.models import Architecture
from spyglass_training.models.parts.classifier_head import classifier_head
from spyglass_training.models.parts.image_input import image_input, photograph
from spyglass_training.run.options import TrainingOptions

SPEC = photograph(8)
QUICK = TrainingOptions(epochs=3, batch_size=16, learning_rate=0.05)


def build(spec: InputSpec, class_count: int) -> keras.Model:
    """Build a network that classifies images by their colour."""
    image = image_input(spec)
    x = layers.Rescaling(1 / 255)(image)
    x = layers.Conv2D(4, 1, name="base")(x)
    x = layers.GlobalAveragePooling2D(name="features")(x)
    x = layers.Dense(8, activation="relu", name="dense")(x)
    return keras.Model(image, classifier_head(layers.Dropout(0.1)(x), class_count))


COLORS = Architecture("colors", build, SPEC, "Tells colours apart.")


def colors(count: int, classes: int, seed: int, size: int = SPEC.height) -> Split:
    """Return images whose strongest channel is their class. The first class is four times as frequent."""
    random = np.random.default_rng(seed)
    labels = np.minimum(random.integers(0, classes + 3, count), classes + 2) % classes
    pixels = random.integers(0, 120, (count, size, size, 3), np.uint8)
    pixels[np.arange(count), :, :, labels] += 100
    return Split(pixels, labels)


def dataset(classes: int = 3, size: int = SPEC.height) -> Dataset:
    record = DataRecord("colours", "CC0-1.0", "0" * 64)
    names = ("red", "green", "blue")[:classes]
    parts = [colors(count, classes, seed, size) for seed, count in enumerate((160, 40, 40))]
    train, validation, test = parts
    return Dataset(record, names, train, test=test, validation=validation)


class Interruption(keras.callbacks.Callback):
    """Raise RuntimeError at the beginning of an epoch, counted from 0."""

    def __init__(self, epoch: int) -> None:
        super().__init__()
        self._epoch = epoch

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == self._epoch:
            raise RuntimeError("interrupted")
