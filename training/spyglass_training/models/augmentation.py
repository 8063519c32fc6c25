"""Images changed at random as a camera might have: active in training only."""

from __future__ import annotations

import keras
from keras import layers

from spyglass_contract.errors import InvalidInput

# Nothing; photographs, which have an up and a down; parts under a fixed camera, which have neither, and parts
# whose light says something.
NONE, PHOTOGRAPH, PART, MIRROR = AUGMENTATIONS = ("none", "photograph", "part", "mirror")


def augmented(x: keras.KerasTensor, kind: str, values: tuple[float, float] = (0.0, 1.0)) -> keras.KerasTensor:
    """float [batch, height, width, channels] in the range `values`: the same, changed as `kind` says.

    A photograph is mirrored, turned up to 36° and zoomed by up to 20 %: F. Chollet, Deep Learning with
    Python, second edition (2021), section 8.2.5. A part is mirrored both ways, and gets up to 20 % more or
    less contrast and a tenth of the range more or less light; it is not turned, for its edges are parallel
    to the image's. `mirror` mirrors both ways and does no more. Raises InvalidInput where there is no such
    kind.
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
    raise InvalidInput(f"there is no augmentation {kind!r}; {', '.join(AUGMENTATIONS)}", field="augment")
