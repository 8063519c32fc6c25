"""Augmented versions of one image, by the augmentation layers of a network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from spyglass_contract.errors import FailedPrecondition
from spyglass_training.inspect.flat import Step, flatten
from spyglass_training.inspect.sheets import as_rgb, draw_sheet, save


def draw_augmented(
    model: keras.Model, pixels: NDArray[np.uint8], path: Path, *, count: int = 15, seed: int = 0
) -> None:
    """Write a sheet of an image and `count` augmented versions of it as a PNG.

    `pixels` are uint8 [height, width, channels], the network's input. Raises FailedPrecondition if the
    network has no augmentation.
    """
    versions = augment(model, pixels, count, seed)
    tiles = [as_rgb(each) for each in (pixels, *versions)]
    columns = max(2, round(len(tiles) ** 0.5))
    save(draw_sheet(tiles, columns, f"{model.name} · an image, and {count} augmented versions of it"), path)


def augment(model: keras.Model, pixels: NDArray[np.uint8], count: int, seed: int) -> NDArray[np.uint8]:
    """Return `count` versions of an image, uint8 [count, height, width, channels], the same for a seed."""
    network = flatten(model)
    steps = [step for step in network.steps if _is_random(step)]
    if not steps:
        raise FailedPrecondition(f"{model.name} has no augmentation layers; train it with --augment")
    image = pixels[np.newaxis].astype(np.float32)
    # Augmentation may follow a rescaling: all versions start from the input of its first layer.
    entering = steps[0].inputs[0]
    values = (
        image if entering is network.image else keras.ops.convert_to_numpy(network.model_to(entering)(image))
    )
    augmented: Any = np.repeat(values, count, axis=0)
    for index, step in enumerate(steps):
        seeded = {**step.layer.get_config(), "seed": seed + index}
        augmented = type(step.layer).from_config(seeded)(augmented, training=True)
    return _as_levels(keras.ops.convert_to_numpy(augmented), values, pixels)


def _is_random(step: Step) -> bool:
    """Return whether a step augments images: the names of all such layers of Keras start with Random."""
    return type(step.layer).__name__.startswith("Random")


def _as_levels(
    augmented: NDArray[np.float32], values: NDArray[np.float32], pixels: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Convert values back to 0 to 255 by the scale between the image and its rescaled values."""
    least, greatest = float(pixels.min()), float(pixels.max())
    scale = (greatest - least) / max(float(values.max() - values.min()), 1e-12)
    levels = (augmented - values.min()) * scale + least
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)
