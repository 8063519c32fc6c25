"""Random changes of images in training, such as another camera position would cause."""

from __future__ import annotations

import keras
from keras import layers

from spyglass_contract.errors import InvalidInput

# Nothing; photographs, which have a top and a bottom; parts under a fixed camera, which have neither; and
# parts whose brightness must not change.
NONE, PHOTOGRAPH, PART, MIRROR = AUGMENTATIONS = ("none", "photograph", "part", "mirror")


def augmented(x: keras.KerasTensor, kind: str, values: tuple[float, float] = (0.0, 1.0)) -> keras.KerasTensor:
    """Change float [batch, height, width, channels] in the range `values` at random, as `kind` says.

    `photograph` mirrors left to right, rotates by up to 36° and zooms by up to 20 %: F. Chollet, Deep
    Learning with Python, second edition (2021), section 8.2.5. `part` mirrors both ways, and changes the
    contrast by up to 20 % and the brightness by up to a tenth of the range; it does not rotate, because a
    part's edges are parallel to the image's. `mirror` only mirrors both ways. Raises InvalidInput if there is
    no such kind.
    """
    if kind == NONE:
        return x
    if kind == PHOTOGRAPH:
        x = layers.RandomFlip("horizontal", name="augment_flip")(x)
        x = layers.RandomRotation(0.1, name="augment_rotation")(x)
        return layers.RandomZoom(0.2, name="augment_zoom")(x)
    if kind in (PART, MIRROR):
        x = layers.RandomFlip("horizontal_and_vertical", name="augment_flip")(x)
    if kind == MIRROR:
        return x
    if kind == PART:
        x = layers.RandomContrast(0.2, value_range=values, name="augment_contrast")(x)
        return layers.RandomBrightness(0.1, value_range=values, name="augment_brightness")(x)
    raise InvalidInput(f"augment must be one of {', '.join(AUGMENTATIONS)}, not {kind!r}", field="augment")
