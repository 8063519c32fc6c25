"""The feature maps of every convolution and pooling for one image: one sheet a layer, one tile a channel.

F. Chollet, Deep Learning with Python, second edition (2021), section 9.4.1.
"""

from __future__ import annotations

import re
from pathlib import Path

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray

from spyglass_contract.errors import FailedPrecondition
from spyglass_training.inspect.flat import Step, flatten
from spyglass_training.inspect.sheets import draw_sheet, in_colors, save, to_levels

_SHOWN = (
    layers.Conv2D,
    layers.Conv2DTranspose,
    layers.DepthwiseConv2D,
    layers.SeparableConv2D,
    layers.MaxPooling2D,
    layers.AveragePooling2D,
)
_COLUMNS = 16


def draw_activations(model: keras.Model, pixels: NDArray[np.uint8], folder: Path) -> list[Path]:
    """Write a PNG for each convolution and pooling into `folder`; return the paths in order of the layers.

    `pixels` are uint8 [height, width, channels], the network's input. Raises FailedPrecondition if there is
    no such layer.
    """
    network = flatten(model)
    shown = [step for step in network.steps if isinstance(step.layer, _SHOWN) and step.is_map]
    if not shown:
        raise FailedPrecondition(f"{model.name} has no convolution")
    # A batch of one image, in inference mode.
    maps = network.model_to([step.output for step in shown])(
        pixels[np.newaxis].astype(np.float32), training=False
    )
    paths = []
    for number, (step, each) in enumerate(zip(shown, keras.tree.flatten(maps), strict=True), start=1):
        path = folder / f"{number:02}_{re.sub('[^A-Za-z0-9_.-]+', '_', step.name)}.png"
        save(draw_sheet(*_tiles(step, keras.ops.convert_to_numpy(each)[0])), path)
        paths.append(path)
    return paths


def _tiles(step: Step, maps: NDArray[np.float32]) -> tuple[list[NDArray[np.uint8]], int, str]:
    """Return one tile for each channel of float32 [height, width, channels], the columns and a title."""
    height, width, channels = maps.shape
    title = f"{step.name} · {type(step.layer).__name__} · {channels} maps of {width}×{height}"
    return [in_colors(to_levels(maps[..., channel])) for channel in range(channels)], _COLUMNS, title
