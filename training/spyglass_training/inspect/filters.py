"""The image that activates each filter of a layer most, by gradient ascent from grey noise.

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
# Number of images in a batch.
_BATCH = 16


@dataclass(frozen=True)
class AscentOptions:
    """The options of the gradient ascent."""

    # Maximum number of filters, the first ones of the layer.
    filters: int = 64
    steps: int = 30
    # Root mean square of the change of an image's pixels in one step, of 0 to 255.
    stride: float = 8.0
    seed: int = 0


def draw_filters(model: keras.Model, layer: str, options: AscentOptions, path: Path) -> int:
    """Write a sheet of images, one for each filter, as a PNG; return how many filters it shows.

    Raises NotFound if there is no such layer, and FailedPrecondition if it has no feature maps or Keras does
    not run on TensorFlow.
    """
    require_tensorflow()
    network = flatten(model)
    step = network.step(layer)
    if not step.is_map:
        raise FailedPrecondition(f"layer {layer!r} has no feature maps")
    images = find_images(network, step, options)
    tiles = [as_rgb(to_levels(_centre(image))) for image in images]
    title = f"{step.name} · images that {len(tiles)} of {step.output.shape[-1]} filters respond to most"
    save(draw_sheet(tiles, _COLUMNS, title), path)
    return len(tiles)


def find_images(network: FlatNetwork, step: Step, options: AscentOptions) -> NDArray[np.float32]:
    """Return an image for each filter, float32 [filters, height, width, channels], around 128."""
    count = min(options.filters, step.output.shape[-1])
    shape = (count, *network.image.shape[1:])
    noise = np.random.default_rng(options.seed).uniform(-25, 25, shape).astype(np.float32) + 128
    # A rectifier that outputs 0 has no gradient, and most do so on noise.
    response = network.model_to(step.before_activation())
    return np.concatenate(
        [
            _climb(
                response, noise[start : start + _BATCH], np.arange(start, min(start + _BATCH, count)), options
            )
            for start in range(0, count, _BATCH)
        ]
    )


def _climb(
    response: keras.Model, images: NDArray[np.float32], filters: NDArray[np.int64], options: AscentOptions
) -> NDArray[np.float32]:
    """Move each image along the gradient of the mean of its filter's map."""
    import tensorflow

    def climb(images: tensorflow.Tensor) -> tensorflow.Tensor:
        with tensorflow.GradientTape() as tape:
            tape.watch(images)
            maps = response(images, training=False)
            # The border depends on the padding as much as on the image; it is left out if the map is large
            # enough.
            border = 2 if min(maps.shape[1:3]) > 8 else 0
            inner = maps[:, border : maps.shape[1] - border, border : maps.shape[2] - border]
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
    """Return the image without an eighth on each side, where the padding leaves traces."""
    rows, columns = image.shape[0] // 8, image.shape[1] // 8
    return image[rows : image.shape[0] - rows, columns : image.shape[1] - columns]
