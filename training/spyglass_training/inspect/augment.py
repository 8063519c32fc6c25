"""What the augmentation inside of a network makes of one image, again and again."""

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
    """Writes a sheet of an image and `count` augmented versions of it as a PNG.

    `pixels` are uint8 [height, width, channels], the network's input. Raises FailedPrecondition where the
    network augments nothing.
    """
    versions = augment(model, pixels, count, seed)
    tiles = [as_rgb(each) for each in (pixels, *versions)]
    columns = max(2, round(len(tiles) ** 0.5))
    save(draw_sheet(tiles, columns, f"{model.name} · an image, and {count} augmented versions of it"), path)


def augment(model: keras.Model, pixels: NDArray[np.uint8], count: int, seed: int) -> NDArray[np.uint8]:
    """`count` versions of an image, uint8 [count, height, width, channels], the same for a seed."""
    network = flatten(model)
    steps = [step for step in network.steps if _is_random(step)]
    if not steps:
        raise FailedPrecondition(f"{model.name} has no augmentation; was it trained without?")
    image = pixels[np.newaxis].astype(np.float32)
    # They may come behind a rescaling: what enters the first of them is what all of them are given.
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
    """Keras names all its augmentation so; Dropout does not work on images."""
    return type(step.layer).__name__.startswith("Random")


def _as_levels(
    augmented: NDArray[np.float32], values: NDArray[np.float32], pixels: NDArray[np.uint8]
) -> NDArray[np.uint8]:
    """Back to 0 to 255, by what the rescaling made of the image's own least and greatest value."""
    least, greatest = float(pixels.min()), float(pixels.max())
    scale = (greatest - least) / max(float(values.max() - values.min()), 1e-12)
    levels = (augmented - values.min()) * scale + least
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)
