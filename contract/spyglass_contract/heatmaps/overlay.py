"""Heatmaps brought to other sizes and drawn over images: one code for the server and its clients.

Values are interpolated bilinearly between the centres of the map's cells, and beyond the outermost centres
they stay as they are. Bicubic interpolation, smoother to look at, would overshoot [0, 1] and show a dent
around every peak that the network did not make.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spyglass_contract.heatmaps.colors import JET
from spyglass_contract.images.geometry import Box

# The part of the colours in an overlay, as in Chollet, Deep Learning with Python. The book adds 0.4 · jet
# to the image and stretches the sum to [0, 255], so that colours depend on the image's extremes; here
# the sum is 0.4 · jet + 0.6 · image, and the same value always adds the same colour.
OVERLAY_OPACITY = 0.4


def map_to_size(values: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    """A map, float32 [rows, columns], as float32 [height, width] of the same extent."""
    return np.asarray(Image.fromarray(values).resize((width, height), Image.Resampling.BILINEAR))


def map_to_image(values: NDArray[np.float32], box: Box, width: int, height: int) -> NDArray[np.float32]:
    """A map, float32 [rows, columns], as float32 [height, width] of the image that it explains.

    The map covers `box` of the image's plane evenly, in the image's pixels: see `geometry.input_box`.
    Where the image reaches beyond the box the result is 0, for the network did not look there.
    """
    rows, columns = values.shape
    left, top, right, bottom = box
    across, down = columns / (right - left), rows / (bottom - top)
    placed = Image.fromarray(values).transform(
        (width, height),
        Image.Transform.AFFINE,
        (across, 0.0, -left * across, 0.0, down, -top * down),
        Image.Resampling.BILINEAR,
        fillcolor=0,
    )
    return np.asarray(placed)


def grey_levels(values: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Values in [0, 1] as 0 to 255, rounded."""
    levels: NDArray[np.uint8] = np.rint(values * np.float32(255)).astype(np.uint8)
    return levels


def draw_overlay(image: Image.Image, values: NDArray[np.float32]) -> Image.Image:
    """The image, in RGB, with a map of its own size over it in the jet colours at 40 %.

    `values` are float32 [height, width] in [0, 1].
    """
    colors = Image.fromarray(grey_levels(values))
    colors.putpalette(JET.tobytes())
    return Image.blend(image.convert("RGB"), colors.convert("RGB"), OVERLAY_OPACITY)
