"""Small networks, and an image for them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

if TYPE_CHECKING:
    import keras


@pytest.fixture(scope="session")
def cat(repository_root: Path) -> NDArray[np.uint8]:
    """uint8 [48, 64, 3]."""
    with Image.open(repository_root / "examples/chelsea.jpg") as image:
        return np.asarray(image.convert("RGB").resize((64, 48)))


@pytest.fixture
def classifier() -> keras.Model:
    """Two convolutions, the second in a nested network; a softmax over three classes."""
    keras = pytest.importorskip("keras")
    keras.utils.set_random_seed(3)
    inner = keras.Sequential(
        [keras.Input((23, 31, 8)), keras.layers.Conv2D(6, 3, activation="relu", name="inside")], name="inner"
    )
    image = keras.Input((48, 64, 3), dtype="uint8", name="image")
    x = keras.layers.Rescaling(1 / 255, name="rescaling")(image)
    x = keras.layers.Conv2D(8, 3, activation="relu", name="outside")(x)
    x = inner(keras.layers.MaxPooling2D(2, name="pool")(x))
    x = keras.layers.GlobalAveragePooling2D(name="mean")(x)
    return keras.Model(
        image, keras.layers.Dense(3, activation="softmax", name="probabilities")(x), name="three"
    )
