"""The image that each filter of a layer answers to most, found by gradient ascent from grey noise.

F. Chollet, Deep Learning with Python, second edition (2021), section 9.4.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from spyglass_contract.errors import FailedPrecondition
from spyglass_training.inspect.flat import FlatNetwork, Step, flatten
from spyglass_training.inspect.gradients import require_tensorflow
from spyglass_training.inspect.sheets import as_rgb, draw_sheet, save, to_levels

_COLUMNS = 8
# Images that climb together.
_BATCH = 16


@dataclass(frozen=True)
class AscentOptions:
    """How the images are looked for."""

    # Of a layer with more of them, the first ones.
    filters: int = 64
    steps: int = 30
    # How far the pixels of an image go in a step, in the root of the mean square, of 0 to 255.
    stride: float = 8.0
    seed: int = 0


def draw_filters(model: keras.Model, layer: str, options: AscentOptions, path: Path) -> int:
    """Writes a sheet of images, one a filter, as a PNG; returns how many filters it shows.

    Raises NotFound where there is no such layer, and FailedPrecondition where it makes no feature maps or
    Keras does not run on TensorFlow.
    """
    require_tensorflow()
    network = flatten(model)
    step = network.step(layer)
    if not step.is_map:
        raise FailedPrecondition(f"layer {layer!r} makes no feature maps")
    images = find_images(network, step, options)
    tiles = [as_rgb(to_levels(_centre(image))) for image in images]
    title = f"{step.name} · what {len(tiles)} of {step.output.shape[-1]} filters answer to most"
    save(draw_sheet(tiles, _COLUMNS, title), path)
    return len(tiles)


def find_images(network: FlatNetwork, step: Step, options: AscentOptions) -> NDArray[np.float32]:
    """An image for each filter, float32 [filters, height, width, channels], around 128."""
    count = min(options.filters, step.output.shape[-1])
    shape = (count, *network.image.shape[1:])
    noise = np.random.default_rng(options.seed).uniform(-25, 25, shape).astype(np.float32) + 128
    # Where a rectifier is silent it has no gradient, and most are on noise.
    answer = network.model_to(step.before_activation())
    return np.concatenate(
        [
            _climb(
                answer, noise[start : start + _BATCH], np.arange(start, min(start + _BATCH, count)), options
            )
            for start in range(0, count, _BATCH)
        ]
    )


def _climb(
    answer: keras.Model, images: NDArray[np.float32], filters: NDArray[np.int64], options: AscentOptions
) -> NDArray[np.float32]:
    """Moves each image along the gradient of the mean of its own filter's map."""
    import tensorflow

    def climb(images: tensorflow.Tensor) -> tensorflow.Tensor:
        with tensorflow.GradientTape() as tape:
            tape.watch(images)
            maps = answer(images, training=False)
            # The rim sees the padding as much as the image: it is left out, where enough is beside it.
            rim = 2 if min(maps.shape[1:3]) > 8 else 0
            inner = maps[:, rim : maps.shape[1] - rim, rim : maps.shape[2] - rim]
            means = tensorflow.reduce_mean(inner, axis=(1, 2))
            score = tensorflow.reduce_sum(tensorflow.gather(means, filters, batch_dims=1))
        gradient = tape.gradient(score, images)
        size = tensorflow.sqrt(tensorflow.reduce_mean(gradient**2, axis=(1, 2, 3), keepdims=True))
        return images + options.stride * gradient / tensorflow.maximum(size, 1e-12)

    compiled = tensorflow.function(climb, autograph=False)
    climbing = tensorflow.constant(images)
    for _ in range(options.steps):
        climbing = compiled(climbing)
    return np.asarray(climbing)


def _centre(image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Without an eighth on each side, where the padding leaves its mark."""
    rows, columns = image.shape[0] // 8, image.shape[1] // 8
    return image[rows : image.shape[0] - rows, columns : image.shape[1] - columns]
