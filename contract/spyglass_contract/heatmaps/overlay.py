"""Heatmaps brought to other sizes and drawn over images: the same code on the server and in its clients.

Values are interpolated bilinearly between the centres of the map's cells, and stay constant beyond the
outermost centres. Bicubic interpolation is smoother, but it would leave [0, 1] and show a dent around every
peak that the heatmap does not have.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from spyglass_contract.heatmaps.colors import JET
from spyglass_contract.images.geometry import Box

# The opacity of the colours, as in Chollet, Deep Learning with Python. The book adds 0.4 · jet to the image
# and stretches the sum to [0, 255], so colours depend on the image's extremes. Here the sum is
# 0.4 · jet + 0.6 · image: the same value always adds the same colour.
OVERLAY_OPACITY = 0.4


def map_to_size(values: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    """Resize a map, float32 [rows, columns], to float32 [height, width]."""
    return np.asarray(Image.fromarray(values).resize((width, height), Image.Resampling.BILINEAR))


def map_to_image(values: NDArray[np.float32], box: Box, width: int, height: int) -> NDArray[np.float32]:
    """Bring a map, float32 [rows, columns], to float32 [height, width] of the image that it explains.

    The map covers `box` of the image's plane evenly, in the image's pixels: see `geometry.input_box`.
    Pixels of the image outside the box are 0: they are not part of the network's input.
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
    """Return values in [0, 1] as 0 to 255, rounded."""
    levels: NDArray[np.uint8] = np.rint(values * np.float32(255)).astype(np.uint8)
    return levels


def draw_overlay(image: Image.Image, values: NDArray[np.float32]) -> Image.Image:
    """Return the image, in RGB, with a map drawn over it in the jet colours at 40 % opacity.

    `values` are float32 [height, width] in [0, 1], of the image's size.
    """
    colors = Image.fromarray(grey_levels(values))
    colors.putpalette(JET.tobytes())
    return Image.blend(image.convert("RGB"), colors.convert("RGB"), OVERLAY_OPACITY)
